"""Noise search: what is ranked first wins, the centre is never lost, and all work is counted."""

import pytest
import torch

from lookharder import search as module
from lookharder.chain import Chain
from lookharder.data.example import collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.easel import Easel
from lookharder.effort import Effort
from lookharder.errors import InputError
from lookharder.models.flops import count
from lookharder.search import Search, rank, search

WORLD = ProceduralWorld(32, 5)
EFFORT = Effort(steps=1)


@pytest.fixture(scope="module")
def chain(random_model) -> Chain:
    return Chain.load(random_model)


@pytest.fixture
def batch():
    return collate([WORLD[0], WORLD[1]])


def test_one_judge_ranks_as_it_scores():
    draws = torch.tensor([[1.0, 0.0], [3.0, 1.0], [2.0, 5.0]])  # (K = 3, B = 2)
    assert rank(draws, [lambda draws: draws]).tolist() == [[1, 2], [2, 1], [0, 0]]


def test_judges_in_different_units_have_one_voice_each():
    draws = torch.arange(4.0)[:, None]
    loud, quiet = (lambda d: 1e6 * d), (lambda d: -1e-6 * d)
    assert rank(draws, [loud, quiet]).flatten().tolist() == [0, 1, 2, 3], "a draw: first come"
    assert rank(draws, [loud, quiet, quiet]).flatten().tolist() == [0, 1, 2, 3]
    assert rank(draws, [loud, loud, quiet]).flatten().tolist() == [3, 2, 1, 0]


def near(target: float):
    """A judge that likes depth maps whose mean is the target."""
    return lambda chain, batch, references: [lambda draws: -(draws.mean((2, 3)) - target).abs()]


@torch.inference_mode()
def test_random_search_keeps_the_best_draw(chain, batch, monkeypatch):
    monkeypatch.setitem(module.JUDGES, "depth", near(0.5))
    task = chain.task("depth")
    painted = Easel(chain, task, batch, EFFORT).paint([(b, n) for n in range(6) for b in range(2)])
    draws = task.from_image(painted.unflatten(0, (6, 2)))
    best = (draws.mean((2, 3)) - 0.5).abs().argmin(0)
    answer = search(chain, "depth", batch, EFFORT, Search(candidates=6))
    torch.testing.assert_close(answer.prediction, draws[best, torch.arange(2)], rtol=0, atol=0)


@torch.inference_mode()
def test_keeping_all_is_merging_all(chain, batch):
    task = chain.task("amodal")
    painted = Easel(chain, task, batch, EFFORT).paint([(b, n) for n in range(5) for b in range(2)])
    merged, _ = task.merge(task.from_image(painted.unflatten(0, (5, 2))))
    answer = search(chain, "amodal", batch, EFFORT, Search(candidates=5, keep=5))
    torch.testing.assert_close(answer.prediction, merged, rtol=0, atol=0)


def test_another_round_never_loses_the_best(chain, batch, monkeypatch):
    monkeypatch.setitem(module.JUDGES, "depth", near(0.6))
    misses = []
    for how in (Search(), Search(method="zero-order"), Search(method="zero-order", rounds=5)):
        answer = search(chain, "depth", batch, EFFORT, how)
        misses.append((answer.prediction.mean((1, 2)) - 0.6).abs())
    assert (misses[1] <= misses[0]).all()
    assert (misses[2] <= misses[1]).all()
    assert (misses[2] < misses[0]).any(), "five rounds of eight neighbours find something better"


@pytest.mark.parametrize("task", ["depth", "flow", "amodal"])
def test_candidates_and_references_are_counted(chain, batch, task):
    how = Search(method="zero-order", candidates=3, rounds=2, references=2)
    asked = 0
    network = chain.denoiser.network

    def counted(x, t, y, forward=network.forward):
        nonlocal asked
        asked += len(x) * count(chain.config.model, *x.shape[-2:]).macs
        return forward(x, t, y)

    network.forward = counted
    try:
        answer = search(chain, task, batch, EFFORT, how)
    finally:
        del network.forward
    assert answer.macs == asked
    whole = (
        2 * (3 * 3 + 2) * count(chain.config.model, 8, 8).macs
    )  # 2 pictures, 3 rounds, references
    assert asked > whole if task == "depth" else asked == whole, "depth also predicts a crop"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"candidates": 0}, "candidates"),
        ({"keep": 9}, "keep"),
        ({"radius": 0.0}, "radius"),
        ({"radius": 1.5}, "radius"),
    ],
)
def test_impossible_searches_are_refused(values, says):
    with pytest.raises(InputError, match=says):
        Search(**values)


def test_a_task_without_a_judge_is_refused(chain, batch, monkeypatch):
    monkeypatch.delitem(module.JUDGES, "flow")
    with pytest.raises(InputError, match="task"):
        search(chain, "flow", batch, EFFORT, Search())
