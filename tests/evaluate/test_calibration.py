"""The report against predictors whose errors and uncertainties are known by construction."""

import json
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.evaluate.calibration import FACTORS, Calibration, ErrorMaps, calibration
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.evaluate.survey import truth_of
from lookharder.metrics.error_maps import depth_errors
from lookharder.metrics.scores import SCORES
from lookharder.predict.effort import Effort
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.report.figures.calibration import draw_calibration, one_more_draw

WORLD = Remembered(ProceduralWorld(32, 5, count=8))


@cache
def truths():
    return {WORLD[i].image.tobytes(): WORLD[i] for i in range(8)}


class Painter(Predictor):
    """Knows the truth, errs by a known noise, and tells `tell(size of the error)`."""

    def __init__(self, tell):
        self.name, self.tell = "painter", tell

    def predict_examples(self, examples, task, ensemble_size, output_uncertainty, **_):
        assert output_uncertainty
        answers = [self.paint(example, task) for example in examples]
        return Prediction(
            prediction=np.stack([prediction for prediction, _ in answers]),
            uncertainty=np.stack([told for _, told in answers]),
            painted=torch.zeros(len(examples), 3, 32, 32),
            task=task,
            effort=Effort(steps=3, members=ensemble_size),
            member_counts=(ensemble_size,) * len(examples),
            resolution=(32, 32),
            seconds=1.0,
            macs=1,
        )

    def paint(self, example, task):
        example = truths()[example.image.tobytes()]
        rng = np.random.default_rng(example.image.sum())
        noise = rng.normal(0, 1, (32, 32))
        if (
            task == "depth"
        ):  # in depth's own affine unit: metres / 50, upside down for the fit to find
            prediction, off = -(example.depth + 0.1 * noise) / 50, 0.1 * np.abs(noise) / 50
        elif task == "flow":
            prediction = example.flow + np.stack([3 * noise, 4 * noise])
            off = 5 * np.abs(noise)
        else:
            off = (noise > 1).astype(np.float64)
            prediction = example.amodal ^ (noise > 1)
        channels = np.atleast_3d(np.moveaxis(prediction, 0, -1) if task == "flow" else prediction)
        return channels, np.broadcast_to(self.tell(off), (32, 32))[..., None]


def exact(off):
    return off


def nothing_told(off):
    return 0.25


def calibrate(predictor, task, examples, members=4, level=0.9) -> Calibration:
    rules = protocol(task, "procedural", getattr(predictor, "chain", None))
    maps = ErrorMaps(task, rules)
    scores = evaluate(
        predictor,
        task,
        examples,
        data="world",
        rules=rules,
        members=members,
        batch_size=3,
        output_uncertainty=True,
        watch=maps.add,
    )
    return calibration(scores, maps, level=level)


@cache
def report(task, tell=exact, **options):
    return calibrate(Painter(tell), task, WORLD, **options)


def test_errors_are_in_the_units_of_the_metrics():
    """Rows agree with what the metrics of each task say of the same predictions."""
    flow = report("flow")
    for i, row in enumerate(flow.rows):
        noise = np.random.default_rng(WORLD[i].image.sum()).normal(0, 1, (32, 32))
        epe = 5 * np.abs(noise)[WORLD[i].flow_valid]
        assert row["name"] == WORLD[i].name
        assert row["error"] == pytest.approx(epe.mean(), rel=1e-5)
    depth = report("depth")
    assert 0.001 < depth.means["error"]["mean"] < 0.2
    assert depth.means["uncertainty"]["mean"] == pytest.approx(
        depth.means["error"]["mean"], rel=0.05
    ), "the spread, scaled as the prediction is, is the relative error"
    amodal = report("amodal")
    assert amodal.means["error"]["mean"] == pytest.approx(
        0.5 * math.erfc(1 / math.sqrt(2)), abs=0.02
    )


@pytest.mark.parametrize("task", sorted(SCORES))
def test_telling_the_error_is_perfect_and_telling_nothing_is_random(task):
    perfect, nothing = report(task), report(task, nothing_told)
    assert perfect.means["ause"]["mean"] < 0.05
    assert perfect.means["aurg"]["mean"] > nothing.means["aurg"]["mean"] + 0.2
    if task != "depth":  # equal spreads are unequal shares of unequal depths
        assert nothing.means["aurg"]["mean"] == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(nothing.sparsification["model"], 1, rtol=1e-9)
    else:
        assert nothing.means["aurg"] == pytest.approx(nothing.means["trivial.aurg"], abs=1e-9)
    left = perfect.sparsification
    assert np.all(np.array(left["model"]) >= np.array(left["oracle"]) - 1e-9)
    assert len(left["fraction"]) == len(left["trivial"])


def test_a_bound_holds_on_pictures_it_was_not_fitted_on():
    flow = report("flow", lambda off: off / 7, level=0.6)
    spread, floored, constant = flow.bounds
    assert [b.form for b in flow.bounds] == ["spread", "floored", "constant"]
    assert (spread.fitted, spread.held_out) == (4, 4)
    assert spread.factor == pytest.approx(7, rel=1e-3)
    assert spread.coverage[0] > 0.5
    assert constant.coverage[1] <= constant.coverage[0] <= constant.coverage[2]
    # errors are half normal and one picture of 5 is missing: 0.6 x 5 / 4 = 75 % of those at hand
    assert constant.factor == pytest.approx(5 * 1.150, rel=0.06)
    assert constant.width == constant.factor
    assert floored.factor < spread.factor
    assert report("flow", exact, level=0.9).bounds[0].factor is None, "4 are too few"
    shares = dict(zip(flow.coverage["factor"], flow.coverage["held_out"], strict=True))
    assert shares[FACTORS[0]] == 0
    assert shares[FACTORS[-1]] == 1


def test_pictures_are_ranked_by_their_mean_uncertainty():
    assert report("flow").across == pytest.approx(1)
    assert report("flow", lambda off: 10 - off.mean()).across == pytest.approx(-1)


def test_reliability_compares_forecast_and_outcome():
    told = report("amodal", lambda off: 0.5 * off).reliability
    assert told["forecast"] == [0, 0.5]
    assert told["outcome"] == [0, 1]
    assert told["pixels"][1] == pytest.approx(0.159, abs=0.02)
    assert told["gap"] == pytest.approx(0.5 * told["pixels"][1])
    assert report("flow").reliability is None


def test_a_spread_of_log_depth_is_relative_as_it_is():
    truth, spread = truth_of(WORLD[0], SCORES["depth"]), np.full((32, 32), 0.1)
    rules = replace(protocol("depth", "procedural"), depth_space="log")
    judged = depth_errors(0.25 * np.log(WORLD[0].depth)[None] + 3, spread, truth, rules)
    np.testing.assert_allclose(judged.error[judged.valid], 0, atol=1e-5)
    np.testing.assert_allclose(judged.uncertainty, 0.1 / 0.25, rtol=1e-4)


def test_a_report_is_json_and_a_picture(tmp_path):
    reports = [report(task) for task in SCORES]
    text = json.dumps([r.to_json() for r in reports], allow_nan=False)
    assert json.loads(text)[0]["protocol_hash"] == reports[0].protocol.hash
    pytest.importorskip("matplotlib")
    draw_calibration(reports, tmp_path / "calibration.png", dpi=30)
    assert (tmp_path / "calibration.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="reports"):
        draw_calibration([], tmp_path / "none.png")


def test_one_more_draw_covers_half_at_its_median_distance():
    rng = np.random.default_rng(0)
    k = np.array([0.5, 1.0, 2.0])
    for task, draws in (
        ("depth", rng.normal(size=(1, 200_000))),
        ("flow", rng.normal(size=(2, 200_000))),
    ):
        distance = np.linalg.norm(draws, axis=0)
        measured = [(distance <= factor * np.median(distance)).mean() for factor in k]
        np.testing.assert_allclose(one_more_draw(task, k), measured, atol=0.005)


def test_bad_input_is_named():
    photos = [Example(name="photo", image=WORLD[i].image) for i in range(2)]
    for argument, change in [
        ("task", {"task": "generation"}),
        ("level", {"level": 1.5}),
        ("depth", {"examples": photos}),
        ("examples", {"examples": [WORLD[0]]}),
    ]:
        given = {"task": "depth", "examples": WORLD, **change}
        with pytest.raises(InputError, match=argument):
            calibrate(Painter(np.copy), **given)


def test_a_real_predictor_is_asked_as_it_expects(random_model):
    predictor = Predictor.from_pretrained(random_model)
    scenes = [WORLD[i] for i in range(2)]
    for task in ("flow", "amodal"):
        result = calibrate(predictor, task, scenes, members=2)
        assert len(result.rows) == 2
        assert (result.steps, result.members) == (2, 2)
    with pytest.raises(InputError, match="output_uncertainty"):
        calibrate(predictor, "flow", scenes, members=1)
    maps = ErrorMaps("flow", protocol("flow", "procedural"))
    with pytest.raises(InputError, match="output_uncertainty"):
        maps.add(scenes, predictor.predict_examples(scenes, "flow", ensemble_size=2))
