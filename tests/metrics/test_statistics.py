"""The bootstrap against its closed form, and its coverage."""

import numpy as np
import pytest
import scipy
import torch

from lookharder.errors import InputError
from lookharder.metrics.statistics import bootstrap_mean, in_words, paired_bootstrap, sign_test


def test_interval_approaches_the_normal_one():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    mean, low, high = bootstrap_mean(values, seed=1, resamples=4000)
    reach = 1.96 * values.std() / np.sqrt(len(values))
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - reach, abs=0.1 * reach)
    assert high == pytest.approx(mean + reach, abs=0.1 * reach)


def test_a_function_of_values_and_seed_alone():
    values = [float(value) for value in np.random.default_rng(3).normal(size=30)]
    first = bootstrap_mean(values, seed=5)
    np.random.seed(0)  # noqa: NPY002 - the global state must not matter
    assert (
        bootstrap_mean(np.array(values), seed=5)
        == first
        == bootstrap_mean(torch.tensor(values, dtype=torch.float64), seed=5)
    )
    assert bootstrap_mean(values, seed=6) != first


def test_a_higher_level_is_wider():
    values = np.random.default_rng(1).random(50)
    narrow, wide = (bootstrap_mean(values, 0, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_paired_interval_covers_the_true_difference_at_its_level():
    """b = a + noise around 0.3: 90 % intervals must hold -0.3 about 90 times in 100, though a varies 10 times more."""
    rng, covered, width = np.random.default_rng(2), 0, []
    for trial in range(200):
        a = rng.normal(0, 10, 60)
        b = a + 0.3 + rng.normal(0, 1, 60)
        difference, low, high = paired_bootstrap(a, b, seed=trial, level=0.9, resamples=200)
        assert low <= difference <= high
        covered += low <= -0.3 <= high
        width.append(high - low)
    assert 0.83 <= covered / 200 <= 0.96
    assert np.mean(width) == pytest.approx(2 * 1.645 / np.sqrt(60), rel=0.1)


@pytest.mark.parametrize("count", [2, 5, 9])
def test_the_sign_test_is_scipys(count):
    gaps = np.random.default_rng(count).normal(0.3, 1.0, count)
    found = scipy.stats.permutation_test((gaps,), np.mean, permutation_type="samples")
    assert sign_test(gaps, 0) == pytest.approx(found.pvalue, abs=1e-12)
    assert sign_test(3.0 * gaps, 0, weights=[2.0] * count) == sign_test(gaps, 0)


def test_the_sign_test_of_many_is_the_normal_one():
    gaps = np.random.default_rng(0).normal(0.3, 1.0, 60)
    normal = 2 * scipy.stats.norm.sf(abs(gaps.sum()) / np.sqrt((gaps**2).sum()))
    assert 0.001 < normal < 0.2 and sign_test(gaps, 0) == pytest.approx(normal, abs=0.02)


def test_few_values_whose_mean_is_chance_are_called_so():
    """Of sets of eight, 5 % at most have p below 5 %; the bootstrap leaves 0 out of more than 8 %."""
    rng = np.random.default_rng(0)
    sets = rng.normal(size=(400, 8))
    signs = np.mean([sign_test(values, 0) < 0.05 for values in sets])
    ends = [bootstrap_mean(values, 0, resamples=400) for values in sets]
    assert signs < 0.08 < np.mean([low > 0 or high < 0 for _, low, high in ends])
    assert sign_test([1.0] * 5, 0) == 2 / 2**5 and sign_test([0.0] * 3, 0) == 1


def test_one_value_has_no_width():
    assert bootstrap_mean([2.5], seed=0) == (2.5, 2.5, 2.5)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("values", lambda: bootstrap_mean([], 0)),
        ("values", lambda: bootstrap_mean([1.0, float("nan")], 0)),
        ("level", lambda: bootstrap_mean([1.0], 0, level=95.0)),
        ("resamples", lambda: bootstrap_mean([1.0], 0, resamples=0)),
        ("differences", lambda: sign_test([], 0)),
        ("b", lambda: paired_bootstrap([1.0, 2.0], [1.0], 0)),
        ("a", lambda: paired_bootstrap(np.ones((2, 2)), [1.0], 0)),
    ],
)
def test_bad_input_is_named(argument, call):
    with pytest.raises(InputError) as error:
        call()
    assert error.value.argument == argument


def test_a_weighted_mean_is_that_of_all_that_is_counted():
    values, weights = [1.0, 2.0, 6.0], [1.0, 1.0, 2.0]
    found = bootstrap_mean(values, 0, weights=weights)
    assert found.mean == pytest.approx(np.mean([1, 2, 6, 6]))
    assert found.low <= found.mean <= found.high
    alike = bootstrap_mean(values, 0, weights=[3.0] * 3)
    assert alike == pytest.approx(bootstrap_mean(values, 0))
    with pytest.raises(InputError, match="weights"):
        bootstrap_mean(values, 0, weights=[1.0, 0.0, 1.0])


def test_a_mean_of_one_image_is_shown_without_an_interval():
    row = {"mean": 0.25, "low": 0.2, "high": 0.3125}
    assert in_words({**row, "count": 2}) == "0.250 [0.200, 0.312]" == in_words(row)
    assert in_words({**row, "count": 1}, ".4g") == "0.25, one image"
