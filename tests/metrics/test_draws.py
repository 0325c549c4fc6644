"""Scores of draws against closed forms and sums over all pairs; and each is least for draws from the truth."""

import itertools

import numpy as np
import pytest
import scipy

from lookharder.errors import InputError
from lookharder.metrics.draws import (
    best_mask,
    brier,
    crps,
    energy,
    gradient_energy,
    log_score,
    mask_energy,
    spread_and_error,
    variogram,
)
from lookharder.metrics.patches import BINS, REACH, patch_cdfs, patch_distance

RNG = np.random.default_rng(0)


def pairs_mean(draws: np.ndarray, distance) -> float:
    return float(np.mean([distance(a, b) for a, b in itertools.permutations(draws, 2)]))


def test_crps_is_its_sum_over_pairs_and_scipys_energy_distance():
    draws, truth = RNG.standard_normal((7, 3)), RNG.standard_normal(3)
    for i in range(3):
        between = pairs_mean(draws[:, i], lambda a, b: abs(a - b))
        wanted = np.abs(draws[:, i] - truth[i]).mean() - between / 2
        assert crps(draws, truth)[i] == pytest.approx(wanted)
        # scipy's is of the sample as it is, not fair: its pairs hold each draw with itself
        unfair = np.abs(draws[:, i] - truth[i]).mean() - between * 6 / 7 / 2
        assert scipy.stats.energy_distance(draws[:, i], truth[i : i + 1]) ** 2 / 2 == pytest.approx(
            unfair
        )


def test_crps_of_a_normal_forecast_is_gneitings_closed_form():
    z, draws = 0.7, scipy.stats.norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    wanted = (
        z * (2 * scipy.stats.norm.cdf(z) - 1) + 2 * scipy.stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    )
    assert crps(draws, np.array([z]))[0] == pytest.approx(wanted, abs=1e-3)


def test_fair_scores_do_not_depend_on_how_many_draws_there_are():
    draws, truth = RNG.standard_normal((8, 2, 20_000)), RNG.standard_normal((2, 20_000))
    assert crps(draws[:2, 0], truth[0]).mean() == pytest.approx(
        crps(draws[:, 0], truth[0]).mean(), abs=0.015
    )
    assert energy(draws[:2], truth).mean() == pytest.approx(energy(draws, truth).mean(), abs=0.015)
    rain, came = (draws[:, 0] > 0.3).astype(float), truth[0] > 0.3
    assert brier(rain[:2], came).mean() == pytest.approx(brier(rain, came).mean(), abs=0.01)
    spread, error = spread_and_error(draws[:2], truth)
    assert spread == pytest.approx(1.5, abs=0.03) and error == pytest.approx(1.5, abs=0.03)


def test_energy_of_one_component_is_crps_and_of_more_a_sum_over_pairs():
    draws, truth = RNG.standard_normal((5, 3, 4)), RNG.standard_normal((3, 4))
    np.testing.assert_allclose(energy(draws[:, :1], truth[:1]), crps(draws[:, 0], truth[0]))
    between = pairs_mean(draws[:, :, 2], lambda a, b: np.linalg.norm(a - b))
    wanted = np.linalg.norm(draws[:, :, 2] - truth[:, 2], axis=1).mean() - between / 2
    assert energy(draws, truth)[2] == pytest.approx(wanted)


def fields(count: int, size: int = 12) -> np.ndarray:
    """Smooth random maps: what pixels share matters."""
    rows, columns = RNG.standard_normal((2, count, size)).cumsum(-1) / 3
    return rows[:, :, None] + columns[:, None]


@pytest.mark.parametrize("score", [gradient_energy, variogram])
def test_pixels_that_are_each_right_but_do_not_hang_together_score_worse(score):
    def mean(independent: bool) -> float:
        total = []
        for _ in range(30):
            draws, (truth,) = fields(8), fields(1)
            if independent:  # each pixel of another field: the same distribution of every pixel
                pool = fields(8 * 12)
                index = RNG.integers(len(pool), size=(8, 12, 12))
                draws = np.take_along_axis(pool, index, 0)
            total.append(score(draws, truth, **more))
        return float(np.mean(total))

    more = {"lags": (1, 2)} if score is variogram else {}
    assert mean(independent=True) > 1.1 * mean(independent=False), (mean(True), mean(False))


def test_the_variogram_score_is_a_sum_over_pairs_of_pixels_less_the_chance_of_the_mean():
    draws, truth = RNG.standard_normal((6, 1, 3)), RNG.standard_normal((1, 3))
    wanted = []
    for i, j in ((0, 1), (1, 2)):
        true = abs(truth[0, i] - truth[0, j]) ** 0.5
        drawn = np.abs(draws[:, 0, i] - draws[:, 0, j]) ** 0.5
        wanted.append((true - drawn.mean()) ** 2 - drawn.var(ddof=1) / 6)
    wide, tall = (np.tile(x, (1, 3, 1)[-x.ndim :]) for x in (draws, truth))
    columns = variogram(wide, tall, lags=(1,))  # along the columns nothing differs
    assert columns == pytest.approx(np.mean(wanted) / 2)


def test_decisions():
    draws = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.5], [1.0, 0.0]])
    happened = np.array([True, False])
    share = draws[:, 1].mean()
    np.testing.assert_allclose(brier(draws, happened), [0, share**2 - draws[:, 1].var(ddof=1) / 4])
    np.testing.assert_allclose(log_score(draws, happened), [-np.log(5 / 6), -np.log(1 - 2.5 / 6)])


def test_masks():
    masks = RNG.random((5, 6, 6)) < 0.5
    truth = RNG.random((6, 6)) < 0.5

    def unlike(a, b):
        return 1 - (a & b).sum() / (a | b).sum()

    error = [unlike(mask, truth) for mask in masks]
    assert mask_energy(masks, truth) == pytest.approx(
        2 * np.mean(error) - pairs_mean(masks, unlike)
    )
    assert best_mask(masks, truth) == pytest.approx(min(error))
    empty = np.zeros((2, 3, 3), bool)
    assert mask_energy(empty, empty[0]) == best_mask(empty, empty[0]) == 0


def test_patches_of_the_same_kind_are_near_and_blurred_ones_far():
    first, second = fields(60), fields(60)
    blurred = (second + np.roll(second, 1, 1) + np.roll(second, 1, 2)) / 3

    def distance(a, b):
        return patch_distance(*(np.stack([patch_cdfs(m[None]) for m in maps]) for maps in (a, b)))

    assert distance(first, first).mean == 0
    near, far = distance(first / 4, second / 4), distance(first / 4, blurred / 4)
    assert far.mean > near.mean and near.low <= near.mean <= near.high


def test_the_patch_distance_is_scipys_along_each_direction():
    ours, theirs = RNG.random((2, 1, 9, 9))
    found = patch_distance(patch_cdfs(ours)[None], patch_cdfs(theirs)[None]).mean
    cells = (np.arange(BINS) + 0.5) * 2 * REACH / BINS - REACH
    cdfs = patch_cdfs(ours), patch_cdfs(theirs)
    weights = [np.diff(cdf, prepend=0) for cdf in cdfs]
    wanted = [
        scipy.stats.wasserstein_distance(cells, cells, a, b) for a, b in zip(*weights, strict=True)
    ]
    assert found == pytest.approx(np.mean(wanted))


def test_the_interval_of_a_patch_distance_holds_the_true_one():
    """Two sets of one kind are 0 apart, though any two samples of it are a little more."""
    cdfs, held = np.stack([patch_cdfs(m[None] / 4) for m in fields(200)]), []
    for _ in range(60):
        two = cdfs[RNG.permutation(len(cdfs))].reshape(2, -1, *cdfs.shape[1:])
        found = patch_distance(*two, resamples=200)
        assert 0 < found.mean <= found.high
        held.append(found.low == 0)
    assert np.mean(held) > 0.8


@pytest.mark.parametrize("score", [gradient_energy, variogram])
def test_pairs_with_an_unknown_pixel_do_not_count(score):
    draws, (truth,), known = fields(4), fields(1), np.ones((12, 12), bool)
    known[:, :5] = False
    other = np.where(known, truth, 9.0)
    assert score(draws, truth, known) == score(draws, other, known)
    cut = {"lags": (1, 2, 4)} if score is variogram else {}
    assert score(draws, truth, known, **cut) == pytest.approx(
        score(draws[..., 5:], truth[:, 5:], **cut)
    )
    assert np.isnan(score(draws, truth, np.zeros_like(known)))


def test_patches_with_an_unknown_pixel_do_not_count():
    maps, known = RNG.random((2, 9, 9)), np.ones((2, 9, 9), bool)
    known[:, 4] = False  # whole patches above it and below it
    apart = np.concatenate([maps[:, :4], maps[:, 5:]])
    np.testing.assert_array_equal(patch_cdfs(maps, known=known), patch_cdfs(apart))
    known[:, 3] = known[:, 6] = False
    with pytest.raises(InputError, match="known"):
        patch_cdfs(maps, known=known)


def test_what_is_no_set_of_draws_is_refused():
    with pytest.raises(InputError, match="draws"):
        crps(np.zeros((1, 3)), np.zeros(3))
    with pytest.raises(InputError, match="draws"):
        mask_energy(np.zeros((1, 2, 3), bool), np.zeros((2, 3), bool))
    with pytest.raises(InputError, match="maps"):
        patch_cdfs(np.zeros((1, 3, 9)))
