"""Calibration against closed forms: who ranks perfectly, backwards or not at all; whose sigma is known."""

import itertools
import math

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lookharder.errors import InputError
from lookharder.metrics.calibration import (
    FRACTIONS,
    bounding_factor,
    coverage,
    evaluate,
    ratios,
    reliability,
    sparsification,
    spearman,
)

EVEN = ((np.arange(10_000) + 0.5) / 10_000).reshape(100, 100)  # uniform on (0, 1), mean 1 / 2


def test_perfect_uncertainty_is_the_oracle():
    result = sparsification(EVEN, EVEN**3)
    np.testing.assert_array_equal(result.curve, result.oracle)
    assert result.ause == 0
    np.testing.assert_allclose(result.oracle, (1 - FRACTIONS) / 2, atol=1e-4)
    assert result.aurg == pytest.approx(1 / 2, abs=1e-4)


def test_backward_uncertainty_has_the_mirrored_curve():
    result = sparsification(EVEN, 1 - EVEN)
    np.testing.assert_allclose(result.curve, (1 + FRACTIONS) / 2, atol=1e-4)
    assert result.ause == pytest.approx(1, abs=1e-4)
    assert result.aurg == pytest.approx(-1 / 2, abs=1e-4)
    assert spearman(EVEN.ravel(), (1 - EVEN).ravel()) == pytest.approx(-1)


def test_constant_uncertainty_is_random():
    rng = np.random.default_rng(0)
    error = rng.gamma(1, 1, (30, 40))
    result = sparsification(error, np.full_like(error, 0.3))
    np.testing.assert_allclose(result.curve, error.mean(), rtol=1e-12)
    assert result.aurg == pytest.approx(0, abs=1e-12)
    assert spearman(error.ravel(), np.full(error.size, 0.3)) == 0


def test_a_curve_by_hand():
    """Errors 4, 2, 0, 0 by falling uncertainty; the middle two are tied, so each counts as 1."""
    error, uncertainty = np.array([[0.0, 2.0], [4.0, 0.0]]), np.array([[1.0, 1.0], [2.0, 0.0]])
    result = sparsification(error, uncertainty)
    assert result.curve[[0, 25, 50, 75, 100]] == pytest.approx([6 / 4, 2 / 3, 1 / 2, 0, 0])
    assert result.oracle[[0, 25, 50, 75, 100]] == pytest.approx([6 / 4, 2 / 3, 0, 0, 0])
    # half a pixel gone: (6 - 4 / 2) / 3.5 of what is left
    assert sparsification(error, uncertainty).curve[12] == pytest.approx(
        (6 - 4 * 0.48) / (4 - 0.48)
    )


def test_a_tie_is_the_mean_over_its_orders():
    error, uncertainty = np.array([[5.0, 1, 4, 2, 0.5]]), np.array([[0.2, 0.7, 0.7, 0.7, 0.9]])
    curves = []
    for order in itertools.permutations((0.6, 0.7, 0.8)):
        uncertainty[0, 1:4] = order
        curves.append(sparsification(error, uncertainty).curve)
    uncertainty[0, 1:4] = 0.7
    np.testing.assert_allclose(
        sparsification(error, uncertainty).curve, np.mean(curves, 0), rtol=1e-12
    )


maps = arrays(np.float64, (6, 5), elements=st.integers(0, 8).map(lambda value: value / 4))


@settings(max_examples=30, deadline=None)
@given(maps, maps, st.randoms(use_true_random=False))
def test_order_of_pixels_unit_and_invalid_pixels_do_not_matter(error, uncertainty, random):
    before = evaluate(error, uncertainty)
    order = list(range(error.size))
    random.shuffle(order)
    shuffled = (values.ravel()[order].reshape(5, 6) for values in (error, uncertainty))
    after = evaluate(*shuffled)
    assert after == pytest.approx(before, abs=1e-12)
    curve = sparsification(error, uncertainty)
    assert sparsification(3 * error, np.expm1(uncertainty)).ause == pytest.approx(curve.ause)
    assert np.all(curve.curve >= curve.oracle - 1e-12), "nobody beats the oracle"
    assert curve.ause >= -1e-12
    assert curve.ause + curve.aurg == pytest.approx(sparsification(error, error).aurg, abs=1e-12)
    framed = [np.pad(values, 1, constant_values=np.nan) for values in (error, uncertainty)]
    assert evaluate(*framed, np.pad(np.ones_like(error), 1)) == pytest.approx(before, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(maps, maps)
def test_spearman_equals_scipy(a, b):
    a, b = a.ravel(), b.ravel()
    if np.ptp(a) and np.ptp(b):
        assert spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-12)


def test_no_error_is_no_division_by_zero():
    assert evaluate(np.zeros((3, 3)), EVEN[:3, :3]) == {
        "error": 0,
        "uncertainty": pytest.approx(EVEN[:3, :3].mean()),
        "ause": 0,
        "aurg": 0,
        "spearman": 0,
    }


def test_tensors_are_arrays():
    error, uncertainty = torch.rand(4, 5), torch.rand(4, 5)
    valid = torch.rand(4, 5) < 0.7
    assert evaluate(error, uncertainty, valid) == evaluate(
        error.numpy(), uncertainty.numpy(), valid.numpy()
    )


def test_known_sigma_covers_as_the_half_normal_law():
    """|e| / sigma of a heteroscedastic Gaussian: P(|e| <= k sigma) = erf(k / sqrt 2), whatever sigma does."""
    rng = np.random.default_rng(2)
    sigma = rng.gamma(2, 1, (400, 500))
    error = np.abs(rng.normal(0, sigma))
    k = np.array([0.0, 0.5, 1, 1.645, 2, 3, 50])
    share = coverage(ratios(error, sigma), k)
    np.testing.assert_allclose(share, scipy.special.erf(k / math.sqrt(2)), atol=0.005)
    factors = [bounding_factor([ratios(row, s) for row, s in zip(error, sigma, strict=True)])]
    # the one image that is not covered raises the quantile from 0.9 to 0.9 x 401 / 400
    assert factors == pytest.approx([scipy.stats.norm.ppf(0.5 + 0.9 * 401 / 400 / 2)], rel=0.01)


def test_ratios_where_the_uncertainty_is_zero():
    error, uncertainty = np.array([[0.0, 1.0], [0.0, 3.0]]), np.array([[0.0, 0.0], [2.0, 2.0]])
    assert ratios(error, uncertainty).tolist() == [0, math.inf, 0, 1.5]
    assert coverage(ratios(error, uncertainty), np.array([0, 1.4, 1.5, 1e9])).tolist() == [
        0.5,
        0.5,
        0.75,
        0.75,
    ]


@pytest.mark.parametrize("n", [9, 10, 19, 57])
def test_with_one_pixel_an_image_it_is_split_conformal(n):
    """The ceil((n + 1) level)-th smallest score; level is a binary fraction, so that ceil is exact."""
    scores = np.random.default_rng(n).gamma(1, 1, n)
    for level in (0.5, 0.75, 0.875):
        expected = np.sort(scores)[math.ceil((n + 1) * level) - 1]
        assert bounding_factor([scores[i : i + 1] for i in range(n)], level) == expected


def test_nine_images_are_needed_for_ninety_percent():
    images = [np.array([float(i)]) for i in range(9)]
    assert bounding_factor(images, 0.9) == 8
    assert bounding_factor(images[:8], 0.9) == math.inf


def test_an_error_without_uncertainty_cannot_be_bounded():
    image = np.array([1.0, 1, 1, math.inf])
    assert bounding_factor([image] * 40, 0.7) == 1
    assert bounding_factor([image] * 40, 0.8) == math.inf


def test_each_image_counts_the_same():
    images = [np.ones(10_000), *(np.full(3, 5.0) for _ in range(19))]
    assert bounding_factor(images, 0.5) == 5


def test_a_new_image_is_covered_at_least_at_the_level():
    """Images differ in scale, so their pixels are dependent. Over 600 trials the mean has a deviation below 0.007."""
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(600):
        scale = np.exp(rng.normal(0, 1, 13))
        images = [s * rng.gamma(1, 1, 20) for s in scale]
        k = bounding_factor(images[:12], 0.8)
        shares.append(coverage(images[12], np.array([k]))[0])
    assert 0.78 < np.mean(shares) < 0.9
    naive = []  # the plain quantile of all pixels falls short: what the correction is for
    rng = np.random.default_rng(3)
    for _ in range(600):
        scale = np.exp(rng.normal(0, 1, 13))
        images = [s * rng.gamma(1, 1, 20) for s in scale]
        naive.append(np.mean(images[12] <= np.quantile(np.concatenate(images[:12]), 0.8)))
    assert np.mean(naive) < np.mean(shares) - 0.02


def test_reliability_of_a_calibrated_forecast():
    rng = np.random.default_rng(4)
    forecast = rng.integers(0, 3, (300, 300)) / 4
    wrong = rng.random(forecast.shape) < forecast
    edges = (np.arange(4) - 0.5) / 4
    count, claimed, observed = reliability(wrong, forecast, edges)
    assert count.sum() == wrong.size
    np.testing.assert_allclose(claimed / count, [0, 0.25, 0.5])
    np.testing.assert_allclose(observed / count, claimed / count, atol=0.01)
    halves = [
        reliability(wrong[part], forecast[part], edges) for part in np.split(np.arange(300), 2)
    ]
    np.testing.assert_allclose(sum(halves), [count, claimed, observed])


@pytest.mark.parametrize(
    ("argument", "error", "uncertainty", "valid"),
    [
        ("uncertainty", np.ones((2, 3)), np.ones((3, 2)), None),
        ("valid", np.ones((2, 3)), np.ones((2, 3)), np.zeros((2, 3), bool)),
        ("valid", np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 2), bool)),
        ("error", -np.ones((2, 3)), np.ones((2, 3)), None),
        ("uncertainty", np.ones((2, 3)), np.full((2, 3), np.nan), None),
        ("uncertainty", np.ones((2, 3)), np.full((2, 3), np.inf), None),
    ],
)
def test_bad_maps_are_named(argument, error, uncertainty, valid):
    with pytest.raises(InputError) as caught:
        evaluate(error, uncertainty, valid)
    assert caught.value.argument == argument


def test_bad_numbers_are_named():
    for argument, call in [
        ("b", lambda: spearman(np.ones(2), np.ones(3))),
        ("b", lambda: spearman(np.ones(0), np.ones(0))),
        ("a, b", lambda: spearman(np.array([1.0, np.nan]), np.ones(2))),
        ("level", lambda: bounding_factor([np.ones(2)], 1.0)),
        ("images", lambda: bounding_factor([])),
        ("images", lambda: bounding_factor([np.ones(0)])),
    ]:
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.argument == argument
