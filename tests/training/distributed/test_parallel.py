"""Ranks against one process: the same examples, losses and weights, whichever way the work is laid out."""

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lookharder.chain import Chain
from lookharder.data.example import Example
from lookharder.errors import InputError
from lookharder.seeding import torch_generator
from lookharder.training.batches import ahead, deal
from lookharder.training.distributed.parallel import Team, distributed
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.loop import start, train

from .rank import CONFIG, Seen, case

Found = tuple[dict, dict[str, torch.Tensor]]
DENSE, MOE = {}, {"moe": True}
TROUBLE = {"bad": 3, "excluded": [[2, 2]]}  # example 3 is in iteration 3
MUON = {"optimizer": "muon"}


def laid_out(settings: dict, **runtime: object) -> dict:
    return settings | {"runtime": runtime}


def run(fork: Callable, ranks: int, cases: list[dict], out: Path) -> list[Found]:
    """Train cases one after the other on so many processes; what `ranks.case` returned, for each."""
    out.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    facts = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    worker = f"import runpy; runpy.run_path({str(Path(__file__).with_name('rank.py'))!r}, run_name='__main__')"
    processes = [
        fork(worker, out, *map(json.dumps, cases), RANK=str(rank), LOCAL_RANK=str(rank), **facts)
        for rank in range(ranks)
    ]
    codes = [process.wait(600) for process in processes]
    assert codes == [0] * ranks, "\n".join(process.said() for process in processes)
    return [
        (json.loads((out / f"{i}.json").read_text()), load_file(out / f"{i}.safetensors"))
        for i in range(len(cases))
    ]


def agree(found: Found, expected: Found, tolerance: float = 1e-6) -> None:
    """Same examples, same decisions, losses to the tolerance, weights to a thousandth of the learning rate."""
    (facts, tensors), (wanted, reference) = found, expected
    assert facts["types"] == ["torch.float32"]
    assert len(facts["steps"]) == len(wanted["steps"])
    for step, other in zip(facts["steps"], wanted["steps"], strict=True):
        for name in ("iteration", "skipped", "excluded", "lr", "images"):
            assert step[name] == other[name]
        for name in ("loss", "losses", "routing_loss", "grad_norm"):
            assert step[name] == pytest.approx(other[name], rel=tolerance, nan_ok=True)
    assert tensors.keys() == reference.keys()
    for name, tensor in tensors.items():
        if name.startswith(("model.", "ema.")):
            torch.testing.assert_close(tensor, reference[name], rtol=0, atol=tolerance)


def alone(settings: dict, **runtime: object) -> Found:
    with distributed(RuntimeConfig(**runtime), "cpu") as team:
        facts, tensors = case(settings, team)
    return json.loads(json.dumps(facts)), {name: v.clone() for name, v in tensors.items()}


@pytest.fixture(scope="module")
def single() -> dict[str, Found]:
    """One process, by what it trains."""
    cases = {"dense": DENSE, "moe": MOE, "trouble": TROUBLE, "muon": MUON}
    return {name: alone(settings) for name, settings in cases.items()}


def test_two_processes_are_one(single, tmp_path, fork):
    cases = [
        ("dense", laid_out(DENSE)),  # DDP
        ("dense", laid_out(DENSE, accumulate=2)),
        ("dense", laid_out(DENSE, accumulate=2, shard=2)),  # FSDP2
        ("moe", laid_out(MOE)),
        ("moe", laid_out(MOE, shard=2, recompute=True)),
        ("trouble", laid_out(TROUBLE, shard=2)),
        ("muon", laid_out(MUON | {"resume": 2}, shard=2)),
    ]
    found = run(fork, 2, [settings for _, settings in cases], tmp_path / "out")
    for (name, settings), each in zip(cases, found, strict=True):
        agree(each, single[name])
        if "resume" not in settings:  # which reads ahead of the stop, and then again
            assert each[0]["names"] == single[name][0]["names"]


@pytest.mark.slow
def test_four_processes_are_one(single, tmp_path, fork):
    cases = [
        ("dense", laid_out(DENSE)),
        ("dense", laid_out(DENSE, shard=2)),  # HSDP
        ("dense", laid_out(DENSE, shard=4)),
        ("dense", laid_out(DENSE, shard=2, accumulate=2)),
        ("moe", laid_out(MOE)),
        ("moe", laid_out(MOE, shard=2)),
        ("trouble", laid_out(TROUBLE)),
        ("trouble", laid_out(TROUBLE, shard=2)),
        ("muon", laid_out(MUON | {"resume": 2}, shard=2)),
    ]
    found = run(fork, 4, [settings for _, settings in cases], tmp_path / "out")
    for (name, _), each in zip(cases, found, strict=True):
        agree(each, single[name])


@pytest.mark.slow
def test_compiled_blocks_learn_the_same(single, tmp_path, fork):
    cases = [
        ("dense", laid_out(DENSE, compiled=True)),
        ("moe", laid_out(MOE, compiled=True, recompute=True)),
        ("dense", laid_out(DENSE, compiled=True, recompute=True, shard=2)),
    ]
    found = run(fork, 2, [settings for _, settings in cases], tmp_path / "out")
    for (name, _), each in zip(cases, found, strict=True):
        agree(each, single[name], tolerance=1e-5)  # fused kernels add in another order


def test_micro_batches_are_one_batch(single):
    agree(alone(DENSE, accumulate=4), single["dense"])


@pytest.mark.parametrize(("name", "settings"), [("dense", DENSE), ("moe", MOE)])
def test_what_is_computed_again_is_the_same(name, settings, single):
    agree(alone(settings, recompute=True), single[name], tolerance=0)


@pytest.mark.parametrize(("name", "settings"), [("dense", DENSE), ("moe", MOE)])
def test_autocast_rounds_the_loss_and_leaves_the_masters(name, settings, single):
    facts, tensors = alone(settings, precision="bfloat16")
    assert facts["types"] == ["torch.float32"]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    # Some 50 roundings to 8 bits lie between input and output, each by 2^-9 of its own value and independent of the
    # others, so the output is off by sqrt(50) 2^-9 of its size, and a square by twice that.
    bound = 2 * 50**0.5 * 2**-9
    first, exact = facts["steps"][0]["loss"], single[name][0]["steps"][0]["loss"]
    assert 0 < abs(first - exact) < bound * exact
    for step, other in zip(facts["steps"], single[name][0]["steps"], strict=True):
        assert step["loss"] == pytest.approx(other["loss"], rel=bound)


def test_a_bad_example_is_named_and_the_rest_learns(single):
    steps = single["trouble"][0]["steps"]
    assert [step["skipped"] for step in steps] == [[], [], ["depth/3"], []]
    assert [step["excluded"] for step in steps] == [False, True, False, False]


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 40), min_size=1),
    st.integers(0, 5),
    st.integers(1, 20),
)
def test_a_batch_is_dealt_out_whole_and_evenly(counts, iteration, shares):
    hands = [deal(counts, iteration, share, shares) for share in range(shares)]
    for name, count in counts.items():
        dealt = [position for hand in hands for position in hand.get(name, ())]
        assert sorted(dealt) == list(range(iteration * count, (iteration + 1) * count))
        sizes = [len(hand.get(name, ())) for hand in hands]
        assert max(sizes) - min(sizes) <= 1
    sizes = [sum(map(len, hand.values())) for hand in hands]
    assert max(sizes) - min(sizes) <= 1


def test_reading_ahead_keeps_order_and_distance_and_passes_errors_on():
    begun = []

    def job(number: int) -> int:
        begun.append(number)
        return 1 // (4 - number)

    results = ahead((lambda n=n: job(n)) for n in range(100))
    assert begun == []
    assert [next(results) for _ in range(4)] == [0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert begun == list(range(len(begun))) and len(begun) <= 5 + 2

    results = ahead(((lambda n=n: begun.append(n)) for n in range(100)), depth=3)
    begun.clear()
    next(results)
    results.close()
    assert len(begun) <= 4


def test_a_team_of_one_needs_nobody():
    with distributed(RuntimeConfig(accumulate=3), "cpu") as team:
        assert (team.rank, team.size, team.shares, team.main) == (0, 1, 3, True)
        assert team.any(True) and not team.any(False)
        assert team.collect(("a", "b")) == ("a", "b")


def test_a_shard_that_does_not_divide_the_ranks_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "6")
    with (
        pytest.raises(InputError, match=r"runtime\.shard: got 4.*\[1, 2, 3, 6\]"),
        distributed(RuntimeConfig(shard=4), "cpu"),
    ):
        pass


class Resized(Seen):
    """Examples of another size."""

    def __getitem__(self, index: int) -> Example:
        return replace(super().__getitem__(index), image=np.zeros((3, 64, 64), np.uint8))


@pytest.mark.parametrize(
    ("ranks", "other", "message"),
    [
        (3, Seen, r"train\.batch_size: got 8, allowed: 3 ranks x 3 micro-batches = 9"),
        (2, Resized, r"train\.mix: got 2 examples .* allowed: 6 examples or more of each"),
    ],
)
def test_a_batch_that_cannot_be_dealt_is_refused(ranks, other, message):
    chain = Chain.build(CONFIG.chain, torch_generator(0))
    team = Team(size=ranks, config=RuntimeConfig(accumulate=3))
    datasets = {task: Seen(task) for task in CONFIG.train.mix}
    datasets["depth"] = other("depth")
    with pytest.raises(InputError, match=message):
        next(train(CONFIG.train, start(chain, CONFIG.train, team), chain, datasets))
