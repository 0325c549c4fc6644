import copy

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lookharder.errors import InputError
from lookharder.models.cache import Cached, macs
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.moe import MoEConfig
from lookharder.seeding import torch_generator

EXPERTS = MoEConfig(experts=4, active=2, shared=1, backend="loop")


def network(moe: MoEConfig | None = None, depth: int = 3) -> DiT:
    config = DiTConfig(
        input_size=8,
        patch_size=2,
        in_channels=6,
        out_channels=3,
        hidden_size=32,
        depth=depth,
        num_heads=2,
        num_classes=2,
        learn_sigma=False,
        routes=(0, 1),
        moe=moe,
    )
    dit, generator = DiT(config), torch_generator("random", 0)
    with torch.no_grad():  # a fresh network's blocks add nothing
        for parameter in dit.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return dit


def calls(count: int, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    generator = torch_generator("calls", seed)
    return [
        (
            torch.randn(4, 6, 8, 12, generator=generator),
            torch.tensor([900 - 100 * i]),
            torch.tensor([3]),
        )
        for i in range(count)
    ]


class Add(nn.Module):
    """A block that adds what it is told."""

    def __init__(self, offset: torch.Tensor) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, x, c):
        return x + self.offset, None


@pytest.mark.parametrize("moe", [None, EXPERTS], ids=["dense", "experts"])
@torch.no_grad()
def test_every_call_full_has_the_bits_of_the_network(moe):
    dit = network(moe)
    cached = Cached(dit, every=1)
    for call in calls(3):
        assert torch.equal(cached(*call), dit(*call))


@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.parametrize("moe", [None, EXPERTS], ids=["dense", "experts"])
@torch.no_grad()
def test_between_full_calls_the_other_blocks_add_what_they_added_last(moe, first):
    dit, every, seen = network(moe), 3, {}
    last = dit.blocks[-1]
    dit.blocks[first - 1].register_forward_hook(lambda m, x, out: seen.update(near=out[0]))
    last.register_forward_hook(lambda m, x, out: seen.update(far=out[0]))
    reference, cached = copy.deepcopy(dit), Cached(dit, every, first)
    for i, call in enumerate(calls(7)):
        if i % every == 0:
            expected = dit(*call)
            shallow = nn.ModuleList([*reference.blocks[:first], Add(seen["far"] - seen["near"])])
        else:
            deep, reference.blocks = reference.blocks, shallow
            expected = reference(*call)
            reference.blocks = deep
        torch.testing.assert_close(cached(*call), expected, rtol=0, atol=0)


@torch.no_grad()
def test_the_approximation_is_one_and_is_close_where_the_input_changes_little():
    dit = network()
    (x, t, y), (noise, _, _) = calls(2)

    def error(change: float) -> float:
        cached = Cached(dit, every=2)
        cached(x, t, y)
        seen = x + change * noise
        return (cached(seen, t, y) - dit(seen, t, y)).abs().max().item()

    assert error(0.0) < 1e-5 < error(0.001) < error(0.01) < error(0.1)


@torch.no_grad()
def test_blocks_run_as_often_as_promised():
    dit, ran = network(), [0, 0, 0]
    for i, block in enumerate(dit.blocks):
        block.register_forward_hook(lambda m, x, out, i=i: ran.__setitem__(i, ran[i] + 1))
    cached = Cached(dit, every=2, first=1)
    for call in calls(5):
        cached(*call)
    assert ran == [5, 3, 3]


@torch.no_grad()
def test_trajectories_that_take_turns_do_not_meet():
    dit, ours, theirs = network(), calls(4, 0), calls(4, 1)
    alone = Cached(dit, every=2)
    expected = [alone(*call) for call in ours]
    mixed, other = Cached(dit, every=2), Cached(dit, every=2)
    for one, two, want in zip(ours, theirs, expected, strict=True):
        other(*two)
        assert torch.equal(mixed(*one), want)


@pytest.mark.parametrize(("every", "first", "count"), [(1, 1, 2), (2, 2, 3), (3, 1, 4)])
@pytest.mark.parametrize("moe", [None, EXPERTS], ids=["dense", "experts"])
def test_macs_are_those_that_torch_counts(moe, every, first, count):
    dit = network(moe)
    cached, counter = Cached(dit, every, first), FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter, torch.no_grad():
        for x, t, y in calls(count):
            cached(x[:1], t, y)
    assert counter.get_total_flops() == 2 * macs(dit.config, 8, 12, count, every, first)


def test_a_cache_of_another_batch_is_refused():
    cached = Cached(network(), every=2)
    x, t, y = calls(1)[0]
    cached(x[:1], t, y)
    with pytest.raises(AssertionError, match="one trajectory"):
        cached(x, t, y)


@pytest.mark.parametrize(
    ("every", "first", "argument"), [(0, 1, "cache"), (2, 0, "first"), (2, 4, "first")]
)
def test_what_cannot_be_cached_is_named(every, first, argument):
    dit = network()
    with pytest.raises(InputError, match=argument):
        Cached(dit, every, first)
    with pytest.raises(InputError, match=argument):
        macs(dit.config, 8, 8, 4, every, first)
