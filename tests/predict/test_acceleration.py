"""Faster networks give the same answers: to a stated tolerance in bfloat16, to rounding when compiled."""

from dataclasses import replace
from types import SimpleNamespace

import jaxtyping
import pytest
import torch

from lookharder.chain import Chain, find
from lookharder.errors import InputError
from lookharder.models.surgery import upcycle
from lookharder.predict import acceleration
from lookharder.predict.acceleration import accelerate, cached_denoiser, precision_of
from lookharder.seeding import torch_generator

BF16 = 0.05  # largest difference of a clean latent in [-1, 1]
BF16_MEAN = 0.005


@pytest.fixture(scope="module")
def tiny() -> Chain:
    return Chain.load(find("tiny"))


@pytest.fixture(scope="module")
def experts(tiny) -> Chain:
    network = upcycle(tiny.network, 8, 2)
    with torch.no_grad():  # experts that differ, so that a pick matters
        generator = torch_generator("experts")
        for block in network.blocks:
            weight = block.moe.experts.out_weight
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.01)
    return Chain(replace(tiny.config, model=network.config), network, tiny.autoencoder)


@pytest.fixture
def unchecked():
    """Annotations are not checked: the compiler cannot trace the checks."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def answer(chain: Chain, denoiser=None, t: int = 600) -> torch.Tensor:
    """The clean latent that is expected of a few noisy ones."""
    codec, generator = chain.autoencoder, torch_generator("latents")
    condition = torch.rand(4, 2 * codec.channels, 16, 16, generator=generator) * 2 - 1
    x_t = torch.randn(4, codec.channels, 16, 16, generator=generator)
    with torch.inference_mode():
        times, depth = torch.full((4,), t), torch.full((4,), 16)
        denoised = (denoiser or chain.denoiser)(x_t, times, condition, depth)
    assert denoised.x0.dtype == torch.float32
    return denoised.x0


@pytest.mark.parametrize("kind", ["tiny", "experts"])
def test_bfloat16_differs_by_its_rounding(kind, request):
    chain = request.getfixturevalue(kind)
    expected = answer(chain)
    before = {name: value.clone() for name, value in chain.network.state_dict().items()}
    fast = accelerate(chain, precision="bf16")
    difference = (answer(fast) - expected).abs()
    assert 0 < difference.mean() <= BF16_MEAN
    assert difference.max() <= BF16
    types = {name: value.dtype for name, value in fast.network.state_dict().items()}
    assert {n for n, kind in types.items() if kind == torch.float32} == {
        name for name in types if "router" in name
    }
    after = chain.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(answer(chain), expected)


@pytest.mark.parametrize("quick", [torch.float32, torch.bfloat16])
def test_auto_is_what_this_machine_is_quicker_at(quick, monkeypatch):
    clock = [0.0]

    def multiply(x, weight):
        clock[0] += 1.0 if x.dtype == quick else 2.0
        return x

    monkeypatch.setattr(acceleration, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(acceleration, "F", SimpleNamespace(linear=multiply))
    chain = acceleration.load(find("tiny"), precision="auto")
    assert precision_of(chain) == {torch.float32: "fp32", torch.bfloat16: "bf16"}[quick]


def test_without_options_it_is_the_same_network_on_the_same_weights(tiny):
    same = accelerate(tiny)
    assert same.network is not tiny.network
    ours, theirs = same.network.state_dict(), tiny.network.state_dict()
    assert all(ours[name].data_ptr() == theirs[name].data_ptr() for name in theirs)
    assert torch.equal(answer(same), answer(tiny))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tiny", "experts"])
def test_compiled_blocks_give_the_same_to_rounding(kind, request, unchecked):
    chain = request.getfixturevalue(kind)
    fast = accelerate(chain, compiled=True)
    assert not any(name.startswith("_orig") for name in fast.network.state_dict())
    for t in (999, 600):
        torch.testing.assert_close(answer(fast, t=t), answer(chain, t=t), rtol=0, atol=1e-5)
    compiled_bf16 = answer(accelerate(chain, precision="bf16", compiled=True))
    assert (compiled_bf16 - answer(chain)).abs().max() <= BF16


def test_a_caching_denoiser_is_made_for_each_trajectory(tiny):
    assert cached_denoiser(tiny, 1) is tiny.denoiser
    one, two = cached_denoiser(tiny, 2), cached_denoiser(tiny, 2)
    full = answer(tiny, one)
    assert torch.equal(full, answer(tiny)), "the first call is full"
    assert not torch.equal(answer(tiny, one, t=500), answer(tiny, t=500)), "the second is not"
    assert torch.equal(answer(tiny, two), full), "another trajectory starts afresh"


def test_options_go_together(tiny):
    fast = accelerate(tiny, precision="bf16")
    denoiser = cached_denoiser(fast, 2)
    answer(fast, denoiser)
    assert (answer(fast, denoiser) - answer(tiny)).abs().max() <= BF16


def test_unknown_precision_is_named(tiny):
    with pytest.raises(InputError, match=r"precision.*fp16.*bf16"):
        accelerate(tiny, precision="fp16")
