"""A budget buys the best measured setting that fits, says which, and is never passed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.chain import Chain
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.predict.budget import Speed, measure_joining
from lookharder.predict.effort import Budget, Effort
from lookharder.predict.predictor import Predictor
from lookharder.predict.settings import Setting, SettingsTable

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 24, 32), np.uint8)


def row(
    steps: int, members: int, error: float, task: str = "depth", resolution: int = 32
) -> Setting:
    effort = Effort(steps=steps, members=members)
    return Setting(
        task=task, resolution=resolution, effort=effort, error=error, low=error, high=error
    )


TABLE = SettingsTable(
    data="some scenes",
    errors={"depth": "AbsRel", "flow": "EPE"},
    rows=(
        row(1, 1, 0.5),
        row(1, 4, 0.3),
        row(4, 4, 0.299),  # 0.3 % better for four times the work: not worth it
        row(2, 20, 0.2),
        row(20, 1, 0.6),  # dear and bad
        row(1, 1, 0.4, resolution=48),
        row(1, 1, 2.0, task="flow"),
    ),
)


@pytest.fixture(scope="module")
def predictor(random_model) -> Predictor:
    return Predictor(Chain.load(random_model), name="random", settings=TABLE)


def test_macs_are_spent_on_the_best_row_that_fits(predictor):
    one = predictor(IMAGE).macs // 2  # the default is two steps
    chosen = {}
    for forwards in (1, 3, 4, 16, 39, 40, 1000):
        result = predictor(IMAGE, budget=Budget(kind="MACs", amount=float(forwards * one)))
        assert result.macs <= forwards * one
        chosen[forwards] = (result.steps, result.members, max(result.resolution))
    assert chosen[1] == (1, 1, 32)
    assert chosen[3] == (1, 1, 48)
    assert chosen[4] == chosen[16] == chosen[39] == (1, 4, 32)
    assert chosen[40] == chosen[1000] == (2, 20, 32)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e5, 1e10))
def test_macs_are_never_over(predictor, amount):
    try:
        result = predictor(
            [IMAGE, IMAGE[:, ::-1].copy()], budget=Budget(kind="MACs", amount=amount)
        )
    except InputError as error:
        assert "or more" in str(error)
    else:
        assert result.macs <= 2 * amount


def test_the_choice_is_stated(predictor):
    words = predictor(IMAGE, budget="1 TMACs").choice
    assert "2 steps x 20 members" in words
    assert "AbsRel 0.2 on some scenes" in words
    assert predictor(IMAGE).choice is None


def test_seconds_are_kept_when_the_probe_was_wrong(predictor, monkeypatch):
    clock, forward = [0.0], predictor.chain.denoiser.network.forward

    def slow(*arguments):
        clock[0] += 0.02
        return forward(*arguments)

    for module in ("predictor", "rounds"):
        monkeypatch.setattr(
            f"lookharder.predict.{module}.time", SimpleNamespace(perf_counter=lambda: clock[0])
        )
    monkeypatch.setattr(  # a probe that promises the moon
        predictor.planner,
        "speed",
        lambda *_: Speed(alone=1e-9, full=1e-9, chunk=1, encode=0.0, decode=0.0),
    )
    monkeypatch.setattr(predictor.chain.denoiser.network, "forward", slow)
    result = predictor(IMAGE, budget="0.4s", batch_size=1)
    assert "2 steps x 20 members" in result.choice
    assert result.member_counts == (8,), "a round is 4 draws, 0.16 s; a third would end at 0.48 s"
    assert result.seconds == pytest.approx(0.32)


def test_levels_are_bought_and_what_is_done_between_looks_is_paid_for(predictor, monkeypatch):
    image, two = np.tile(IMAGE, (1, 4, 4)), Effort(steps=1, levels=2)
    rows = (row(1, 1, 0.5), replace(row(1, 1, 0.2), effort=two))
    table = SettingsTable(data="scenes", errors={"depth": "AbsRel"}, rows=rows)
    told = Predictor(predictor.chain, settings=table)
    asked = []
    monkeypatch.setattr(told.planner, "joining", lambda *key: asked.append(key) or 1e-3)
    monkeypatch.setattr(
        told.planner,
        "speed",
        lambda *_: Speed(alone=1e-6, full=1e-6, chunk=1, encode=0.0, decode=0.0),
    )
    joined = 48 * 64 * 1e-3  # seconds: one look at twice 24 x 32 pixels
    assert told(image, budget=f"{joined * 1.2}s").effort.levels == 2
    assert told(image, budget=f"{joined * 0.8}s").effort.levels == 1
    assert set(asked) == {("depth", (24, 32))}
    assert "2 levels" in told(image, budget="1 TMACs").choice


def test_a_size_that_is_far_from_the_models_own_is_said_before_anything_runs_at_it(
    random_model, monkeypatch, caplog
):
    say_once.cache_clear()
    told = Predictor(Chain.load(random_model), settings=TABLE)

    def speed(*key):
        raise MemoryError(caplog.messages[-1])

    monkeypatch.setattr(told.planner, "speed", speed)
    with pytest.raises(MemoryError, match="works at 160 x 120, 19 times the pixels"):
        told(IMAGE, budget="1s", processing_resolution=160)


@pytest.mark.parametrize("task", ["depth", "flow", "amodal"])
def test_the_time_between_looks_is_measured(predictor, task):
    seconds = measure_joining(predictor.chain, task, (24, 32))
    assert 0 < seconds < 1e-2


def test_bytes_decide_how_much_is_done_at_a_time(predictor):
    result = predictor(IMAGE, budget="1 GB")
    assert (result.steps, result.members) == (2, 20)
    with pytest.raises(InputError, match=r"budget: got '?1e\+03 B|budget: got 1"):
        predictor(IMAGE, budget="1000 B")


def test_a_resolution_that_is_insisted_on_is_kept(predictor):
    result = predictor(IMAGE, budget="1 TMACs", processing_resolution=16)
    assert max(result.resolution) == 16


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"budget": "1 MAC"}, "budget: got 1 MACs, allowed: .* or more"),
        ({"budget": "2 parsecs"}, "budget"),
        ({"budget": "1s", "ensemble_size": 3}, "ensemble_size: got 3, allowed: nothing beside"),
        ({"budget": "1s", "num_inference_steps": 3}, "num_inference_steps"),
        ({"budget": "1s", "sampler": "ddim"}, "sampler"),
    ],
)
def test_what_a_budget_cannot_be(predictor, options, says):
    with pytest.raises(InputError, match=says):
        predictor(IMAGE, **options)


def test_a_model_without_a_table_says_so(predictor):
    with pytest.raises(InputError, match=r"frontier\.json"):
        Predictor(predictor.chain)(IMAGE, budget="1s")


def test_a_task_that_was_not_measured_says_so(predictor):
    with pytest.raises(InputError, match="task 'amodal'"):
        predictor(IMAGE, "amodal", mask=np.ones((24, 32), bool), budget="1s")


def test_a_table_travels_with_the_model(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "model")
    assert Predictor.from_pretrained(tmp_path / "model").settings == TABLE
    (tmp_path / "model" / "frontier.json").write_text("{")
    with pytest.raises(InputError, match=r"frontier\.json"):
        Predictor.from_pretrained(tmp_path / "model")


@given(st.integers(1, 500), st.floats(1e-4, 1.0), st.floats(1.0, 64.0), st.integers(1, 64))
def test_time_grows_with_the_inputs(inputs, alone, ratio, chunk):
    speed = Speed(alone=alone, full=alone * ratio, chunk=chunk, encode=0.0, decode=0.0)
    assert speed.forwards(1) == pytest.approx(alone if chunk > 1 else speed.full)
    assert speed.forwards(inputs) <= speed.forwards(inputs + 1) * (1 + 1e-9)
    assert speed.forwards(inputs * chunk) == pytest.approx(inputs * speed.full)
