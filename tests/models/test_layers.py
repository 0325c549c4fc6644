import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lookharder.models.layers import (
    Attention,
    PatchEmbedder,
    TimestepEmbedder,
    sincos_positions,
    sinusoid,
)
from lookharder.seeding import torch_generator


def test_positions_are_sines_then_cosines_of_column_then_row():
    positions = sincos_positions((2, 3), 3, 8)  # 2 frequencies: 1 and 1/100
    native = 3
    for row in range(2):
        for column in range(3):
            x, y = column, row * native / 2
            expected = [f(v * w) for v in (x, y) for f in (math.sin, math.cos) for w in (1.0, 0.01)]
            torch.testing.assert_close(
                positions[row * 3 + column], torch.tensor(expected), atol=1e-7, rtol=0
            )


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), native=st.integers(1, 9))
@settings(deadline=None, max_examples=20)
def test_any_grid_covers_the_native_extent(rows, columns, native):
    """Cell 0 is at 0 and the pitch is native / grid, so cell k n of a k times finer grid is cell n."""
    positions = sincos_positions((rows, columns), native, 16).view(rows, columns, 16)
    finer = sincos_positions((3 * rows, 2 * columns), native, 16).view(3 * rows, 2 * columns, 16)
    torch.testing.assert_close(finer[::3, ::2], positions, atol=1e-6, rtol=0)


def test_sinusoid_of_zero_and_one():
    features = sinusoid(torch.tensor([0.0, 1.0]))
    assert torch.equal(features[0], torch.cat([torch.ones(128), torch.zeros(128)]))
    assert features[1, 0] == pytest.approx(math.cos(1))
    assert features[1, 128 + 64] == pytest.approx(math.sin(0.01), rel=1e-5)


def test_whole_and_fractional_timesteps_agree():
    embed = TimestepEmbedder(16)
    t = torch.tensor([0, 7, 999])
    assert torch.equal(embed(t), embed(t.double()))
    assert not torch.equal(embed(t), embed(t + 0.5))


@pytest.mark.parametrize("count", [1, 3])
def test_patch_embedding_equals_a_convolution_per_sample(count):
    generator = torch_generator("patches", count)
    embed = PatchEmbedder(2, 5, 12, count)
    x = torch.randn(4, 5, 6, 8, generator=generator)
    route = torch.tensor([0, 2, 1, 2]) % count
    tokens = embed(x, route)
    assert tokens.shape == (4, 12, 12)
    for sample, image, index in zip(tokens, x, route, strict=True):
        rows = slice(12 * int(index), 12 * int(index) + 12)
        conv = F.conv2d(image[None], embed.proj.weight[rows], embed.proj.bias[rows], stride=2)
        torch.testing.assert_close(sample, conv[0].flatten(1).T, atol=1e-5, rtol=1e-5)


def test_a_map_that_no_sample_uses_has_no_gradient():
    embed = PatchEmbedder(2, 3, 4, 3)
    embed(torch.ones(2, 3, 4, 4), torch.tensor([0, 2])).sum().backward()
    used = embed.proj.weight.grad.view(3, -1).abs().sum(1) > 0
    assert used.tolist() == [True, False, True]


def test_attention_is_softmax_of_scaled_products():
    attention = Attention(12, 3)
    x = torch.randn(2, 5, 12, generator=torch_generator("attention"))
    q, k, v = attention.qkv(x).chunk(3, dim=2)
    heads = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        weights = torch.softmax(q[..., part] @ k[..., part].mT / 2, dim=2)
        heads.append(weights @ v[..., part])
    expected = attention.proj(torch.cat(heads, dim=2))
    torch.testing.assert_close(attention(x), expected, atol=1e-6, rtol=1e-5)


def test_qk_norm_makes_attention_blind_to_the_scale_of_queries_and_keys():
    attention = Attention(12, 3, qk_norm=True)
    nn.init.zeros_(attention.qkv.bias)
    x = torch.randn(2, 5, 12, generator=torch_generator("qk"))
    before = attention(x)
    with torch.no_grad():
        attention.qkv.weight[:24] *= 100  # queries and keys, not values
    torch.testing.assert_close(attention(x), before, atol=1e-3, rtol=1e-3)


def test_the_gradient_of_gathered_maps_is_the_same_each_time_on_two_threads():
    """Sums of tens of thousands of numbers, which two threads share."""
    embed = PatchEmbedder(4, 3, 16, 4)
    images = torch.randn(64, 3, 8, 8, generator=torch_generator(0))
    route = torch.arange(64) % 4

    def gradient() -> list[torch.Tensor]:
        embed.zero_grad()
        embed(images, route).square().sum().backward()
        return [embed.proj.weight.grad, embed.proj.bias.grad]

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, *others = (gradient() for _ in range(20))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))
