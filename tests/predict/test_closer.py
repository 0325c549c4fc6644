"""Levels: one is what it always was; more are better where the truth is known, and depend on the picture alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lookharder import Predictor
from lookharder.chain import Chain
from lookharder.errors import InputError
from lookharder.predict.closer import Closer
from lookharder.predict.effort import Effort, level_sizes
from lookharder.predict.inputs import batch_of, resize
from lookharder.predict.sampling import BatchSampler
from lookharder.predict.settings import SettingsTable
from lookharder.seeding import torch_generator
from lookharder.tasks.closer.windows import Grid
from lookharder.tasks.generation import Generation


@pytest.fixture(scope="module")
def predictor(random_model) -> Predictor:
    return Predictor(Chain.load(random_model), name="random")


def texture(key: int, height: int, width: int) -> torch.Tensor:
    """(3, height, width) float in [0, 255]: noise at several scales, smooth to the pixel."""
    generator, total = torch_generator(key), torch.zeros(1, 3, height, width)
    for cell in (2, 4, 8, 16, 32):
        noise = torch.randn(1, 3, height // cell, width // cell, generator=generator)
        total += F.interpolate(noise, (height, width), mode="bicubic") * cell**0.5
    return (128 + 20 * total[0]).clamp(0, 255)


def shifted(right: int, down: int, side: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures of one plane, which moves by so many pixels."""
    plane = texture(3, side + 64, side + 64).round().to(torch.uint8).numpy()
    start = slice(32, 32 + side), slice(32, 32 + side)
    moved = slice(32 - down, 32 - down + side), slice(32 - right, 32 - right + side)
    return plane[:, *start], plane[:, *moved]


def pairs(count: int, height: int = 96, width: int = 64) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, count, 3, height, width), np.uint8)
    return {"image": list(first), "second": list(second)}


@pytest.mark.parametrize("native", [(480, 640), (640, 480), (50, 64)])
def test_levels_double_until_the_picture_has_no_more_to_show(native):
    sizes = level_sizes((48, 64), native, 6)
    assert sizes[0] == (48, 64)
    assert len(sizes) == 6
    assert all(b in (a, (2 * a[0], 2 * a[1])) for a, b in pairwise(sizes))
    assert max(sizes[-1]) <= 2**0.5 * max(native)
    assert max(sizes[-1]) * 2**0.5 >= max(native)


@pytest.mark.parametrize(
    ("native", "size", "others"),
    [  # of flow, and of other tasks, at a resolution of 32 in steps of 8
        ((480, 640), (24, 32), (24, 32)),
        ((320, 640), (16, 32), (16, 32)),
        ((375, 1242), (16, 56), (8, 32)),
        ((1242, 375), (56, 16), (32, 8)),
        ((100, 900), (8, 64), (8, 32)),
        ((10, 900), (8, 64), (8, 32)),
    ],
)
def test_a_long_frame_of_flow_keeps_rows_to_match(predictor, native, size, others):
    planner = predictor.planner
    image = torch.zeros(3, *native, dtype=torch.uint8).numpy()
    asked = {"match_input_resolution": False, "levels": 1}
    seen = predictor(image, "flow", second=image, **asked).prediction.shape[1:3]
    assert (seen, predictor(image, "depth", **asked).prediction.shape[1:3]) == (size, others)
    asked["processing_resolution"] = 32
    told = predictor(image, "flow", second=image, **asked).prediction.shape[1:3]
    assert told == planner.working_size(*native, 32) == others, "as it is asked"


def test_one_level_is_the_chain_and_nothing_else(predictor):
    chain, given = predictor.chain, pairs(2)
    task = chain.task("flow")
    with torch.no_grad():
        batch = resize(batch_of(task, given["image"], {"second": given["second"]}), 32, 24)
        sampler = BatchSampler(chain, task, batch, chain.condition(task, batch), Effort(steps=2))
        (latents,) = sampler.sample(range(3), range(2))
        merged, _ = task.merge(task.from_image(sampler.decode(latents, range(3))))
    asked = {"task": "flow", "ensemble_size": 3, "match_input_resolution": False}
    answer = predictor(**given, **asked, levels=1, output_type="pt")
    torch.testing.assert_close(answer.prediction, merged, rtol=0, atol=0)
    plain = predictor(**given, **asked)
    np.testing.assert_array_equal(plain.prediction, answer.prediction.permute(0, 2, 3, 1))
    assert plain.macs == answer.macs


def test_windows_depend_neither_on_the_chunk_nor_on_neighbours(predictor):
    given = pairs(2)
    asked = {"task": "flow", "levels": 2, "ensemble_size": 2, "output_uncertainty": True}
    whole = predictor(**given, **asked)
    cut = predictor(**given, **asked, batch_size=5)
    np.testing.assert_array_equal(cut.prediction, whole.prediction)
    np.testing.assert_array_equal(cut.uncertainty, whole.uncertainty)
    alone = predictor(given["image"][1], second=given["second"][1], **asked)
    np.testing.assert_array_equal(alone.prediction[0], whole.prediction[1])
    *_, streamed = predictor.stream(**given, **asked, every=1)
    np.testing.assert_array_equal(streamed.prediction, whole.prediction)
    assert streamed.macs == whole.macs


def test_a_stream_by_level_ends_where_a_call_does_and_says_what_each_cost(predictor):
    given, asked = pairs(2), {"task": "flow", "ensemble_size": 2}
    answers = list(predictor.stream(**given, **asked, levels=3, by="level"))
    assert len(answers) == 3
    for level, answer in enumerate(answers, start=1):
        called = predictor(**given, **asked, levels=level)
        np.testing.assert_array_equal(answer.prediction, called.prediction)
        assert answer.macs == called.macs


def test_macs_are_those_of_the_windows_that_the_network_saw(predictor, monkeypatch):
    seen, network = [], predictor.chain.network
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x, t, y: seen.append(len(x)) or forward(x, t, y))
    one = predictor(**pairs(2), task="flow")
    looks = sum(seen)
    seen.clear()
    three = predictor(**pairs(2), task="flow", levels=3)
    assert three.macs * looks == one.macs * sum(seen)
    assert sum(seen) == looks * (1 + (1 + 9) + (1 + 9 + 49)), "96 pixels: 32, 64 and 128"


def test_windows_that_have_come_to_rest_are_left_out(predictor, monkeypatch):
    """None of them, some or all, which are then neither seen nor counted, whatever the chunk."""
    asked = {"task": "flow", "levels": 3, "ensemble_size": 2, "output_uncertainty": True}
    given, seen, network = pairs(2), [], predictor.chain.network
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x, t, y: seen.append(len(x)) or forward(x, t, y))
    whole = predictor(**given, **asked)
    looks, cost = sum(seen), whole.macs // sum(seen)
    found = {}
    for rule in ("change:1e-9", "change:60", "change:1e9"):
        seen.clear()
        found[rule] = predictor(**given, **asked, until=rule)
        assert found[rule].macs == sum(seen) * cost
        assert found[rule].member_counts == (2, 2), "a rule of windows says nothing of members"
        cut = predictor(**given, **asked, until=rule, batch_size=5)
        np.testing.assert_array_equal(cut.prediction, found[rule].prediction)
    none, some, every = found.values()
    np.testing.assert_array_equal(none.prediction, whole.prediction)
    assert none.macs == whole.macs
    share = (1 + (1 + 0) + (1 + 9 + 0)) / (1 + (1 + 9) + (1 + 9 + 49))
    assert every.macs == pytest.approx(cost * looks * share), "larger than all before: none"
    assert every.macs < some.macs < whole.macs


def test_the_windows_that_are_looked_at_are_those_that_changed(predictor):
    """A change of 3 pixels at one place, in pixels of the last size, whatever size it is told at."""
    chain, sizes = predictor.chain, ((32, 24), (64, 48), (128, 96))
    task, given = chain.task("flow"), pairs(1)
    whole = batch_of(task, given["image"], {"second": given["second"]})
    batch = resize(whole, *sizes[0])
    sampler = BatchSampler(chain, task, batch, chain.condition(task, batch), Effort(steps=1))
    before = torch.zeros(1, 2, *sizes[1])
    after = before.clone()
    after[..., 40:44, 4:8] = 1.5  # pixels of the second size: 3 of the last, along each axis
    paintings = [task.to_colours(task._paint(each / task._unit(each))) for each in (before, after)]
    grid = Grid(size=sizes[2], window=sizes[0])
    places = torch.zeros(1, 1, *sizes[2])
    places[..., 80:88, 8:16] = 1
    wanted = grid.cut(places).flatten(1).any(1)
    assert 0 < wanted.sum() < len(wanted)
    for rest, expected in ((4.0, wanted), (4.5, wanted & False)):  # 3 x the root of 2 is 4.24
        moving = Closer(sampler, whole, sizes, rest)._moving(*paintings, sizes[2])
        assert torch.equal(moving, expected)
    assert Closer(sampler, whole, sizes, 1.0)._moving(*paintings, sizes[1]) is None, "seen already"


@pytest.mark.parametrize(
    ("task", "levels", "allowed"), [("flow", 1, "2 levels"), ("depth", 2, "task 'flow'")]
)
def test_where_no_window_can_be_left_out(predictor, task, levels, allowed):
    given = pairs(1)
    if task == "depth":
        del given["second"]
    with pytest.raises(InputError, match=allowed):
        predictor(**given, task=task, levels=levels, until="change:0.5")


def test_a_budget_leaves_no_windows_of_depth_out(predictor):
    with pytest.raises(InputError, match="task 'flow'"):
        predictor(pairs(1)["image"], "depth", budget="5 GMACs", until="change:1")


def test_a_model_says_at_how_many_levels_it_looks_at_a_task(predictor):
    table = SettingsTable(data="", errors={}, rows=(), levels={"flow": 2})
    told, given = Predictor(predictor.chain, settings=table), pairs(1)
    asked = {"task": "flow", "ensemble_size": 2}
    answer = told(**given, **asked)
    assert answer.effort.levels == 2
    wanted = predictor(**given, **asked, levels=2).prediction
    np.testing.assert_array_equal(answer.prediction, wanted)
    assert told(**given, **asked, levels=1).effort.levels == 1
    assert told(given["image"], "depth").effort.levels == 1
    *_, stepped = told.stream(**given, **asked, by="step")
    assert stepped.effort.levels == 1
    with pytest.raises(InputError, match=r"^levels.flow: got 0"):
        SettingsTable(data="", errors={}, rows=(), levels={"flow": 0})


def test_each_level_recovers_a_shift_better():
    predictor, shift = Predictor.from_pretrained("tiny"), (13, -6)
    first, second = shifted(*shift)
    answers = predictor.stream(first, "flow", second=second, levels=3, by="level")
    stays = slice(16, -16), slice(16, -16)  # what leaves the frame is not seen twice
    errors = [np.hypot(*(a.prediction[0][stays] - shift).T).mean() for a in answers]
    assert errors[2] < errors[1] < errors[0] / 4
    assert errors[2] < 0.2, "pixels of 256"


def test_a_task_that_looks_once_refuses_levels():
    with pytest.raises(InputError, match=r"^levels: .* 1 for task 'generation'"):
        Generation().looks([(32, 32), (64, 64)])


@pytest.mark.parametrize(
    "asked", [{"levels": 0}, {"levels": 2, "by": "step"}, {"levels": 2, "budget": "1 GMACs"}]
)
def test_what_levels_cannot_be_is_named(predictor, asked):
    with pytest.raises(InputError, match=r"^levels: "):
        list(predictor.stream(**pairs(1), task="flow", **asked))
