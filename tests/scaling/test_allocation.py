"""The best split of a budget: closed form against search, isoFLOP against closed form, published laws re-derived."""

from dataclasses import replace

import numpy as np
import pytest

from lookharder.errors import InputError
from lookharder.scaling.law import fit_growth, fit_law, fit_power_law, growth, optimum, profiles
from lookharder.scaling.published import CHINCHILLA, CHINCHILLA_AGAIN, DIT, PAPER


@pytest.mark.parametrize("published", [CHINCHILLA, CHINCHILLA_AGAIN])
def test_the_closed_form_is_the_least_on_the_constraint(published):
    split = optimum(published.law, 5.76e23, per=6.0)
    sizes = np.geomspace(split.params / 30, split.params * 30, 20001)
    values = published.predict(sizes, 5.76e23 / 6 / sizes)
    assert split.params == pytest.approx(sizes[values.argmin()], rel=1e-3)
    assert split.value == pytest.approx(values.min(), rel=1e-9)
    assert 6 * split.params * split.images == pytest.approx(5.76e23)


def test_chinchilla_is_about_70_billion_by_its_replication():
    """Besiroglu et al.: with their parameters, the 5.76e23 FLOPs of Chinchilla ask for 20 tokens a parameter."""
    split = optimum(CHINCHILLA_AGAIN.law, 5.76e23, per=6.0)
    assert 55e9 < split.params < 85e9 and 15 < split.images / split.params < 30


@pytest.mark.parametrize("published", [CHINCHILLA, CHINCHILLA_AGAIN])
def test_published_parameters_are_derived_again_from_their_points(published):
    """240 runs as in the paper's range, no noise: the fit finds the printed numbers."""
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(np.log([7e7, 5e9]), np.log([1.6e10, 5e11]), (240, 2))).T
    law = fit_law({"params": n, "tokens": d}, published.predict(n, d), resamples=0, hold_out=False)
    assert law.offset == pytest.approx(published.offset, rel=1e-5)
    assert law.coefficients == pytest.approx(published.coefficients, rel=1e-4)
    assert law.exponents == pytest.approx(published.exponents, abs=1e-6)


def test_with_noise_the_printed_numbers_lie_in_the_intervals():
    rng = np.random.default_rng(1)
    n, d = np.exp(rng.uniform(np.log([7e7, 5e9]), np.log([1.6e10, 5e11]), (120, 2))).T
    loss = CHINCHILLA_AGAIN.predict(n, d) * np.exp(0.005 * rng.standard_normal(120))
    law = fit_law({"params": n, "tokens": d}, loss, resamples=100, hold_out=False)
    low, high = law.interval("offset", 0.99)
    assert low < 1.8172 < high
    for variable, value in zip(law.variables, CHINCHILLA_AGAIN.exponents, strict=True):
        low, high = law.interval("exponent", 0.99, variable)
        assert low < value < high
    found, low, high = growth(law, 0.99)
    assert low < 0.3658 / (0.3478 + 0.3658) < high and low < found < high


def isoflop(law, budgets, spread):
    rows = []
    for budget in budgets:
        best = optimum(law, budget, 6.0).params
        rows += [
            (budget, n, law.predict(n, budget / 6 / n))
            for n in best * np.geomspace(1 / spread, spread, 7)
        ]
    return np.array(rows).T


def test_profiles_find_the_same_growth_as_the_closed_form():
    """Sizes within a factor of 2 of the best, where a parabola is right: 0.3658 / 0.7136 = 0.5126."""
    budgets = np.geomspace(1e19, 1e22, 5)
    found = profiles(*isoflop(CHINCHILLA_AGAIN.law, budgets, 2))
    assert all(p.inside for p in found)
    law = fit_growth(found, resamples=0)
    assert -law.exponent == pytest.approx(0.3658 / (0.3478 + 0.3658), abs=2e-3)
    for profile in found:
        split = optimum(CHINCHILLA_AGAIN.law, profile.compute, 6.0)
        assert profile.best == pytest.approx(split.params, rel=0.01)
        assert profile.predict(np.array([profile.best]))[0] == pytest.approx(split.value, rel=1e-4)


def test_a_vertex_outside_is_told_and_left_out():
    x = np.array([1.0, 2.0, 4.0])
    falling = profiles([1.0] * 3, x, np.exp((np.log(x) - 3) ** 2))
    assert not falling[0].inside and falling[0].convex
    assert falling[0].best == pytest.approx(np.exp(3))
    hill = profiles([1.0] * 3, x, np.exp(-((np.log(x) - 0.5) ** 2)))
    assert not hill[0].inside and np.isnan(hill[0].best)
    with pytest.raises(InputError, match="0 with the best size"):
        fit_growth(falling + hill)


def test_what_has_no_optimum_is_refused():
    with pytest.raises(InputError, match="3 or more sizes"):
        profiles([1.0, 1.0], [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(InputError, match="parameters and images"):
        optimum(fit_power_law([1.0, 2.0], [2.0, 1.0], offset=False), 1e18, 6.0)
    with pytest.raises(InputError, match="compute"):
        optimum(CHINCHILLA.law, 0.0, 6.0)
    with pytest.raises(InputError, match="one of more than"):
        growth(CHINCHILLA.law)
    rows = tuple((0.0, 1.0, 1.0, 0.3, 0.3 if i % 20 else -0.1) for i in range(100))
    # what does not fall in one of 20 has no interval of 95 %
    unsure = replace(CHINCHILLA.law, samples=rows, points=6, residuals=(0.0,) * 6)
    with pytest.raises(InputError, match="in 95 of 100"):
        growth(unsure)


def test_the_papers_printed_law_misses_its_own_point():
    """Figure 8 at 6.3e14: 0.122 by the line, 0.199 measured."""
    assert PAPER["steps-abs_rel"].predict(6.3e14) == pytest.approx(0.122, abs=0.001)


def test_the_best_split_of_the_dit_laws_spends_the_budget():
    """C = 6 N D: the printed optimum must multiply back to about C."""
    for compute in (1e18, 1e20, 1.5e21):
        spent = 6 * DIT["params"].predict(compute) * DIT["tokens"].predict(compute)
        assert spent == pytest.approx(compute, rel=0.02)
    assert DIT["params"].predict(1.5e21) == pytest.approx(958e6, rel=0.02)  # what they trained
