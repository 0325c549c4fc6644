"""The convolutional stem: any size it divides, samples by themselves, zeros at first, the rest as with patches."""

from dataclasses import replace

import pytest
import torch

from lookharder.config import from_json, to_json
from lookharder.errors import InputError
from lookharder.models.cache import Cached
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.surgery import deviation, extend_labels, upcycle, widen_input
from lookharder.seeding import torch_generator

CONFIG = DiTConfig(
    input_size=32,
    patch_size=16,
    in_channels=9,
    out_channels=3,
    hidden_size=32,
    depth=3,
    num_heads=2,
    num_classes=2,
    learn_sigma=False,
    routes=(1, 2, 2),
    stem="conv",
    stem_widths=(8, 16, 16),
)


def random_dit(config: DiTConfig = CONFIG) -> DiT:
    network, generator = DiT(config), torch_generator("random", 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return network


def inputs(height: int = 32, width: int = 32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch_generator("inputs", height, width)
    x = torch.randn(4, 9, height, width, generator=generator)
    return x, torch.tensor([3, 999, 500, 0]), torch.tensor([2, 3, 4, 5])


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (16, 48), (48, 64)])
@pytest.mark.parametrize("patch", [8, 16])
def test_any_size_that_the_stride_divides(size, patch):
    config = replace(CONFIG, patch_size=patch)
    x, t, y = inputs(*size)
    assert random_dit(config)(x, t, y).shape == (4, 3, *size)
    assert torch.equal(DiT(config)(x, t, y), torch.zeros(4, 3, *size))


def test_a_size_that_it_does_not_divide_is_refused():
    with pytest.raises(InputError, match="multiples of 16"):
        random_dit()(torch.zeros(1, 9, 24, 32), torch.tensor([0]), torch.tensor([0]))


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch():
    network, (x, t, y) = random_dit(), inputs()
    together = network(x, t, y)
    for i in range(len(x)):
        alone = network(x[i : i + 1], t[i : i + 1], y[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-5)
    same = network(x, t[:1], y[:1])
    torch.testing.assert_close(same[:1], together[:1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_time_and_task_reach_stem_and_head():
    network, (x, t, y) = random_dit(), inputs()
    c = network.t_embedder(t) + network.y_embedder(y)
    assert network.stem is not None
    assert not torch.allclose(network.stem(x[:1], c[:1])[0], network.stem(x[:1], c[1:2])[0])


def test_every_parameter_learns():
    network, (x, t, _) = random_dit(), inputs()
    network(x, t, torch.tensor([0, 2, 3, 4])).square().sum().backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_a_picture_is_seen_beyond_the_borders_of_tokens():
    """What is predicted at one side of a token's border depends on pixels at the other, by the stem alone."""
    network = random_dit(replace(CONFIG, depth=1))
    with torch.no_grad():
        for block in network.blocks:
            block.adaLN_modulation[1].weight.zero_()
            block.adaLN_modulation[1].bias.zero_()  # gates closed: tokens do not meet
    x, t, y = (part[:1] for part in inputs())
    x.requires_grad_()
    network(x, t, y)[0, :, 8, 15].sum().backward()
    assert x.grad is not None
    assert x.grad[0, :, 8, 16:].any()


@torch.no_grad()
def test_caching_surgery_and_json():
    network, (x, t, y) = random_dit(), inputs()
    assert torch.equal(Cached(network, every=1)(x, t, y), network(x, t, y))
    assert deviation(network, upcycle(network, 4, 2)) < 1e-5
    assert deviation(network, extend_labels(network, 2)) == 0
    assert deviation(network, widen_input(network, 2)) < 1e-5
    with pytest.raises(InputError, match="alone"):
        widen_input(network, 2, alone=(0,))
    assert from_json(DiTConfig, to_json(CONFIG)) == CONFIG


def test_a_configuration_from_before_has_patches():
    old = to_json(replace(CONFIG, stem="patch"))
    del old["stem"], old["stem_widths"]
    assert from_json(DiTConfig, old).stem == "patch"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem_widths": ()}, "stem_widths"),
        ({"stem_widths": (8, 12)}, "multiples of 8"),
        ({"patch_size": 4}, "patch_size: got 4, allowed: multiples of 2"),
    ],
)
def test_bad_stems(changes, message):
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **changes)
