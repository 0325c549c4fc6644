"""Draws are those of predictions, rivals see no truth that they are scored on, and scores tell right from wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy

from lookharder.chain import Chain
from lookharder.data.procedural import ProceduralWorld
from lookharder.errors import InputError
from lookharder.evaluate.forecast import Forecast, best_width, forecast, laplace_crps, rival
from lookharder.evaluate.forecast_scores import forecast_scores
from lookharder.metrics.scores import forecast_rule
from lookharder.predict.predictor import Predictor

WORLD = ProceduralWorld(32, 5, count=6)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def chain(random_model: Path) -> Chain:
    return Chain.load(random_model)


@pytest.mark.parametrize("task", ["depth", "flow", "amodal"])
def test_draws_are_the_members_of_a_prediction(chain, task):
    found = forecast(chain, task, WORLD, steps=2, members=2, seed=3, batch=4)
    assert found.truth.shape == found.draws.shape[1:] and len(found.draws) == 2
    options = {"num_inference_steps": 2, "seed": 3, "ensemble_size": 1}
    one = Predictor(chain).predict_examples([WORLD[i] for i in range(6)], task, **options)
    wanted = np.moveaxis(one.prediction, -1, 1)
    np.testing.assert_allclose(found.draws[0], wanted, atol=1e-5)


def test_the_truth_is_what_the_network_is_taught(chain):
    found = forecast(chain, "depth", WORLD, steps=1, members=1, seed=0)
    depth, valid = WORLD[0].depth, WORLD[0].depth_valid
    low, high = np.quantile(depth[valid], [0.02, 0.98])
    wanted = ((depth - low) / (high - low)).clip(0, 1)
    np.testing.assert_allclose(found.truth[0, 0][valid], wanted[valid], atol=1e-5)
    flow = forecast(chain, "flow", WORLD, steps=1, members=1, seed=0)
    np.testing.assert_allclose(
        flow.truth.transpose(0, 2, 3, 1)[flow.known],
        np.stack([WORLD[i].flow for i in range(6)]).transpose(0, 2, 3, 1)[flow.known],
        atol=1e-4,
    )
    hidden = forecast(chain, "depth", WORLD, steps=1, members=1, seed=0, change=lambda x: 0 * x)
    np.testing.assert_array_equal(hidden.truth, found.truth)
    assert np.ptp(hidden.draws.mean((2, 3, 4))) < np.ptp(found.draws.mean((2, 3, 4)))


@pytest.mark.parametrize("error", [0.0, 0.4, -1.3])
def test_the_score_of_a_laplace_distribution_is_its_integral(error):
    cdf = scipy.stats.laplace(scale=0.5).cdf
    parts = (
        scipy.integrate.quad(lambda x: (cdf(x) - (x >= error)) ** 2, *span)[0]
        for span in ((-20, error), (error, 20))
    )
    assert laplace_crps(np.array([error]), 0.5)[0] == pytest.approx(sum(parts), rel=1e-6)


def test_the_best_width_of_laplace_errors_is_theirs():
    error = RNG.laplace(scale=0.3, size=20_000)
    assert best_width(error) == pytest.approx(0.3, rel=0.03)
    assert best_width(np.zeros(4)) == 0
    nearby = (laplace_crps(error, best_width(error) * f).mean() for f in (1.0, 0.9, 1.1))
    best, *others = nearby
    assert best < min(others)


def scenes(count: int = 40) -> Forecast:
    """A truth that one answer misses by noise, more of it on the right half."""
    answer = np.tile(np.linspace(0.3, 0.7, 16), (count, 1, 16, 1))
    answer[..., 8:] += 0.2
    noise = RNG.laplace(scale=0.02, size=answer.shape)
    noise[..., 6:10] *= 4
    known = np.ones((count, 16, 16), bool)
    known[:, 0] = False
    luma = np.tile(RNG.random((16, 16)), (count, 1, 1))
    truth = answer + noise
    truth[:, :, 0] = 9.0  # not known, so it must not count
    return Forecast(draws=answer[None], truth=truth, known=known, luma=luma, bounds=(-np.inf, 10.0))


def test_a_rival_knows_nothing_of_the_truth_that_it_is_scored_on():
    one = scenes()
    other = replace(one, truth=one.truth.copy())
    other.truth[::2] += 1.0
    for how in ("laplace", "edges", "errors"):
        before, after = rival(one, how, 3, 0), rival(other, how, 3, 0)
        np.testing.assert_array_equal(before.draws[:, ::2], after.draws[:, ::2])
        assert np.abs(before.draws - after.draws)[:, 1::2].max() > 0


def test_rivals_have_the_errors_that_they_were_fitted_to():
    one = scenes()
    off = {how: rival(one, how, 40, 0).draws - one.draws for how in ("laplace", "edges", "errors")}
    size = {how: np.abs(each[:, :, 0]).mean((0, 1, 2)) for how, each in off.items()}  # by column
    assert np.ptp(size["laplace"]) < 0.2 * size["laplace"].mean()
    for how in ("edges", "errors"):
        assert size[how][8] > 2.5 * size[how][1]
    misses = (one.truth - one.draws[0])[1::2, 0, 1:]
    drawn = off["errors"][0, 0, 0, 1:]
    assert min(np.abs(drawn - miss).max() for miss in misses) < 1e-12  # a whole map of another
    assert (off["errors"][:, :, 0, 0] == 0).all()


def test_what_has_no_rival_is_refused():
    one = scenes(4)
    with pytest.raises(InputError, match="rival"):
        rival(one, "normal", 3, 0)
    with pytest.raises(InputError, match="one draw"):
        rival(replace(one, draws=np.repeat(one.draws, 2, 0)), "laplace", 3, 0)


def maps(count: int, size: int = 16) -> np.ndarray:
    """Smooth maps in [0, 1], (count, 1, size, size)."""
    rows, columns = RNG.standard_normal((2, count, 1, size)).cumsum(-1) / 8
    return (0.5 + rows[..., None] + columns[..., None, :]).clip(0, 1)


def about(draws: np.ndarray, truth: np.ndarray) -> Forecast:
    count = len(truth)
    known, luma = np.ones((count, 16, 16), bool), RNG.random((count, 16, 16))
    return Forecast(draws=draws, truth=truth, known=known, luma=luma, bounds=(0.0, 1.0))


def test_draws_from_the_truth_score_better_than_scrambled_ones():
    seen = maps(30)
    truth, *drawn = (seen / 2 + maps(30) / 2 for _ in range(7))
    draws = np.stack(drawn)
    order = RNG.permuted(np.tile(np.arange(6)[:, None, None], (1, 30, 256)), axis=0)
    mixed = np.take_along_axis(draws.reshape(6, 30, -1), order, 0)  # each pixel by itself
    good = forecast_scores(about(draws, truth), "depth")
    bad = forecast_scores(about(mixed.reshape(draws.shape), truth), "depth")
    assert tuple(good) == forecast_rule("depth").names
    assert good["crps"].interval.mean == pytest.approx(bad["crps"].interval.mean)  # of pixels alone
    for name in ("gradients", "variogram", "edge_f1_error", "patches"):
        assert good[name].interval.mean < bad[name].interval.mean, name
    assert good["crps"].per_image is not None and good["patches"].per_image is None
    written = good["crps"].to_json()
    assert written["images"] == len(written["per_image"]) == 30
    assert written["low"] < written["value"] < written["high"]


def test_which_is_nearer_is_known_where_pixels_move_together():
    truth, shift = maps(10) / 4, RNG.random((6, 10, 1, 1, 1)) / 2
    together = forecast_scores(about(truth + shift, truth), "depth")
    alone = forecast_scores(
        about(truth + RNG.permuted(np.tile(shift, (16, 16)), axis=0), truth), "depth"
    )
    assert together["order"].interval.mean == pytest.approx(0)
    assert together["order_log"].interval.mean == pytest.approx(-np.log(7 / 8))
    assert alone["order"].interval.mean > 0.1 and alone["order_log"].interval.mean > 0.3


def test_flow_and_masks_have_scores_of_their_own():
    flow = np.repeat(maps(5), 2, 1)
    found = forecast_scores(about(np.stack([flow, flow]), flow), "flow")
    assert tuple(found) == forecast_rule("flow").names
    assert all(score.interval.mean == pytest.approx(0, abs=1e-12) for score in found.values())
    mask = np.round(maps(5))
    mask[:, :, 0, 0] = 1
    found = forecast_scores(about(np.stack([mask, mask]), mask), "amodal")
    assert tuple(found) == forecast_rule("amodal").names
    assert found["ged"].interval.mean == found["best"].interval.mean == 0


@pytest.mark.parametrize(("task", "channels"), [("depth", 1), ("flow", 2)])
def test_what_the_truth_is_where_it_is_not_known_does_not_count(task, channels):
    truth = np.repeat(maps(4), channels, 1)
    found = about(np.stack([truth, truth + 0.01, truth - 0.02]), truth)
    found.known[:, :6] = False
    other = replace(found, truth=np.where(found.known[:, None], truth, 7.0))
    one, two = (
        {k: v.to_json() for k, v in forecast_scores(each, task).items()} for each in (found, other)
    )
    assert one == two and tuple(one) == forecast_rule(task).names


def test_scores_that_apply_to_no_picture_are_left_out():
    flat = forecast_scores(
        about(np.full((2, 3, 1, 16, 16), 0.5), np.full((3, 1, 16, 16), 0.5)), "depth"
    )
    assert not {"order", "order_log"} & flat.keys() and flat["crps"].interval.mean == 0
    still = forecast_scores(about(np.ones((2, 3, 2, 16, 16)), np.zeros((3, 2, 16, 16))), "flow")
    assert "patches" not in still and still["energy"].interval.mean == pytest.approx(2**0.5)
