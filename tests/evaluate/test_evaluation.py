"""Scores: an oracle scores perfectly, trivial answers are what they say, protocols are told apart."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.metrics.protocol import Protocol
from lookharder.metrics.scores import SCORES
from lookharder.predict.effort import Effort
from lookharder.predict.predictor import Predictor

HYPERSIM = "c7e1f5b76d13"  # as it was before protocols could pool
WORLD = Remembered(ProceduralWorld(32, 5, count=6))


@cache
def truths():
    return {WORLD[i].image.tobytes(): WORLD[i] for i in range(6)}


class Oracle(Predictor):
    """Knows the ground truth of the world; depth only up to scale and shift."""

    def __init__(self):
        self.name, self.in_log = "oracle", False

    def predict_examples(self, examples, task, num_inference_steps=None, ensemble_size=None, **_):
        examples = [truths()[example.image.tobytes()] for example in examples]
        maps = {
            "depth": lambda e: 0.3 * (np.log(e.depth) if self.in_log else e.depth)[None] - 1,
            "flow": lambda e: e.flow,
            "amodal": lambda e: e.amodal[None],
        }
        prediction = np.stack([np.moveaxis(maps[task](e), 0, -1) for e in examples])
        effort, macs = Effort(steps=1), 10 * len(examples)
        return SimpleNamespace(
            prediction=prediction, steps=1, members=1, effort=effort, macs=macs, masks=None
        )


def score(task):
    return evaluate(
        Oracle(), task, WORLD, data="world", rules=protocol(task, "procedural"), batch_size=4
    )


def test_oracle_is_perfect_and_trivial_is_not():
    depth, flow, amodal = (score(task).means for task in ("depth", "flow", "amodal"))
    assert depth["abs_rel"]["mean"] < 1e-5
    assert flow["epe"]["mean"] == 0
    assert amodal["iou"]["mean"] == 1
    for name in ("flat", "ramp", "mean_map"):
        assert depth[f"trivial.{name}.abs_rel"]["mean"] > 0.02
    speeds = [np.hypot(*WORLD[i].flow)[WORLD[i].flow_valid].mean() for i in range(6)]
    assert flow["trivial.zero.epe"]["mean"] == pytest.approx(np.mean(speeds), rel=1e-6)
    shares = [WORLD[i].visible.sum() / WORLD[i].amodal.sum() for i in range(6)]
    assert amodal["trivial.visible.iou"]["mean"] == pytest.approx(np.mean(shares), rel=1e-6)
    assert 0 < amodal["trivial.hull.iou"]["mean"] <= 1


def test_opencvs_search_finds_a_shift():
    """Grain moved by (3, -2) pixels: the answer that one would take instead of a network finds it."""
    grain = np.random.default_rng(0).normal(size=(80, 96))
    for _ in range(3):
        grain = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1)) / 3
    grey = np.clip(128 + 200 * grain, 0, 255).astype(np.uint8)
    moved = np.roll(grey, (-2, 3), (0, 1))
    truth = {
        "image": np.stack([grey] * 3),
        "second": np.stack([moved] * 3),
        "flow": np.broadcast_to(np.float32([3, -2])[:, None, None], (2, 80, 96)),
    }
    rules = protocol("flow", "procedural")
    found = SCORES["flow"].trivial([truth], rules)["dis"](truth)
    error = np.hypot(*(found - truth["flow"]))[12:-12, 12:-12]
    assert np.median(error) < 0.3
    small = {name: value[:, :8, :8] for name, value in truth.items()}
    assert not SCORES["flow"].trivial([small], rules)["dis"](small).any()


def test_what_differs_from_the_models_own_sampling_is_passed_on_and_told():
    oracle, asked = Oracle(), []
    predict = type(oracle).predict_examples
    spy = type(
        "Spy",
        (Oracle,),
        {"predict_examples": lambda s, *a, **o: (asked.append(o), predict(s, *a, **o))[1]},
    )
    rules = protocol("depth", "procedural")
    result = evaluate(spy(), "depth", WORLD, data="world", rules=rules, spacing="leading")
    assert {options["spacing"] for options in asked} == {"leading"}
    assert {options["sampler"] for options in asked} == {None}
    assert result.options == result.to_json()["options"] == {"spacing": "leading"}


def test_log_depth_is_fitted_where_it_lives():
    oracle = Oracle()
    oracle.in_log = True
    rules = replace(protocol("depth", "procedural"), depth_space="log")
    result = evaluate(oracle, "depth", WORLD, data="world", rules=rules)
    assert result.means["abs_rel"]["mean"] < 1e-5
    linear = evaluate(oracle, "depth", WORLD, data="world", rules=protocol("depth", "procedural"))
    assert linear.means["abs_rel"]["mean"] > 0.02
    assert linear.protocol.hash != result.protocol.hash


def test_rows_intervals_and_costs():
    result = score("flow")
    assert [row["name"] for row in result.rows] == [WORLD[i].name for i in range(6)]
    assert result.macs_per_image == 10
    zero = result.means["trivial.zero.epe"]
    assert zero["low"] < zero["mean"] < zero["high"]
    assert result.to_json()["protocol_hash"] == result.protocol.hash


def test_protocol_hash_tells_protocols_apart():
    rules = Protocol(name="a", task="depth")
    assert rules.hash == Protocol(name="a", task="depth").hash
    assert rules.hash != Protocol(name="a", task="depth", max_depth=10.0).hash


def test_missing_ground_truth_is_named():
    photo = Remembered([Example(name="photo", image=np.zeros((3, 32, 32), np.uint8))])
    with pytest.raises(InputError, match="photo"):
        evaluate(Oracle(), "depth", photo, data="photos", rules=protocol("depth", "folder"))


def test_generation_has_no_score():
    with pytest.raises(InputError, match="--task"):
        evaluate(Oracle(), "generation", WORLD, data="world", rules=protocol("depth", "procedural"))


class Still(Oracle):
    """Says of flow that nothing moves."""

    def predict_examples(self, examples, task, **options):
        result = super().predict_examples(examples, task, **options)
        result.prediction = np.zeros_like(result.prediction)
        return result


def test_outliers_are_pooled_over_pixels_where_the_protocol_says_so():
    """Fl-all of KITTI, as RAFT's evaluate.py: one share of all valid pixels; the end-point error is per picture."""
    sparse = []
    for i in range(6):
        known = np.zeros((32, 32), bool)
        known.flat[:: i + 1] = True
        sparse.append(replace(WORLD[i], flow=WORLD[i].flow * 9, flow_valid=known))
    rules = protocol("flow", "kitti_flow")
    assert rules.pooled == ("fl_all",)
    found = evaluate(Still(), "flow", sparse, data="sparse", rules=rules, batch_size=1)
    lengths = [np.hypot(*example.flow)[example.flow_valid] for example in sparse]
    out = np.concatenate(lengths) > 3  # of no motion, more than 5 % of any
    assert 0 < out.mean() < 1
    assert found.means["fl_all"]["mean"] == pytest.approx(100 * out.mean(), rel=1e-6)
    assert found.means["trivial.zero.fl_all"]["mean"] == found.means["fl_all"]["mean"]
    per_picture = np.mean([length.mean() for length in lengths])
    assert found.means["epe"]["mean"] == pytest.approx(per_picture, rel=1e-6)
    assert found.means["epe_fitted"]["mean"] < found.means["epe"]["mean"]
    plain = evaluate(Still(), "flow", sparse, data="sparse", rules=replace(rules, pooled=()))
    shares = [100 * (length > 3).mean() for length in lengths]
    assert plain.means["fl_all"]["mean"] == pytest.approx(np.mean(shares), rel=1e-6)
    assert plain.means["fl_all"]["mean"] != pytest.approx(found.means["fl_all"]["mean"], rel=1e-3)


def test_hashes_of_protocols_do_not_change_with_what_is_added():
    assert protocol("depth", "hypersim").hash == HYPERSIM
    assert (
        protocol("flow", "kitti_flow").hash
        != replace(protocol("flow", "kitti_flow"), pooled=()).hash
    )
