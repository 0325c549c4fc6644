"""Laws inside a ceiling: planted ones come back, derivatives are those of differences, nothing passes the ceiling."""

from dataclasses import replace

import numpy as np
import pytest

from lookharder.errors import InputError
from lookharder.scaling.law import Law, fit_law, growth, optimum
from lookharder.scaling.law.bounded import Bounded
from lookharder.scaling.law.design import Design

CEILING, POWER, COEFFICIENTS, EXPONENTS = 0.33, 1.6, (500.0, 4000.0), (0.55, 0.7)


def planted(n: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Parameters and images to an error, written anew."""
    (a, b), (alpha, beta) = COEFFICIENTS, EXPONENTS
    odds = (a / n**alpha + b / d**beta) ** POWER
    return CEILING * odds / (1 + odds)


def places(count: int = 5) -> tuple[np.ndarray, np.ndarray]:
    n, d = np.meshgrid(np.geomspace(2e4, 4e6, count), np.geomspace(1e4, 1e6, count))
    return n.ravel(), d.ravel()


def fitted(scatter: float = 0.0, seed: int = 0, resamples: int = 0) -> Law:
    n, d = places()
    y = planted(n, d) * np.exp(scatter * np.random.default_rng(seed).standard_normal(n.size))
    variables = {"params": n, "images": d}
    return fit_law(variables, y, bounded=True, resamples=resamples, hold_out=False)


def test_an_exact_law_is_recovered():
    law = fitted()
    assert law.ceiling == pytest.approx(CEILING, rel=1e-4)
    assert law.power == pytest.approx(POWER, rel=1e-3)
    assert law.exponents == pytest.approx(EXPONENTS, rel=1e-3)
    assert law.coefficients == pytest.approx(COEFFICIENTS, rel=1e-2)
    assert law.predict(1e5, 3e5) == pytest.approx(planted(1e5, 3e5), rel=1e-5)
    assert law.scatter < 1e-6 and law.fitted == 6


def test_derivatives_are_those_of_differences():
    rng = np.random.default_rng(0)
    design = Bounded(Design.of(np.stack(places(3), 1), offset=False))
    theta = np.array([-0.4, 0.3, 0.8, 1.4, 0.4, -1.1]) + 0.2 * rng.standard_normal((4, 6))
    weights = rng.standard_normal((4, 9))
    value, first, second = design.expand(theta)
    np.testing.assert_allclose(value, design.values(theta))
    bend, step = second(weights), 1e-5
    for i in range(6):
        ahead, behind = theta.copy(), theta.copy()
        ahead[:, i] += step
        behind[:, i] -= step
        slope = (design.values(ahead) - design.values(behind)) / (2 * step)
        np.testing.assert_allclose(first[:, i], slope, atol=1e-8)
        change = (design.expand(ahead)[1] - design.expand(behind)[1]) / (2 * step)
        np.testing.assert_allclose(bend[:, i], (change * weights[:, None]).sum(2), atol=1e-7)


def coverage(repeats: int, resamples: int) -> int:
    """How many 95 % intervals hold the truth, the least of six kinds: of parameters, and of predictions."""
    hits = np.zeros(6)
    for seed in range(repeats):
        law = fitted(0.02, seed, resamples)
        ends = [(law.interval("ceiling"), CEILING), (law.interval("power"), POWER)]
        ends += [
            (law.interval("exponent", variable=variable), value)
            for variable, value in zip(law.variables, EXPONENTS, strict=True)
        ]
        ends += [(law.band(*at), planted(*at)) for at in ((1e5, 1e5), (8e6, 2e6))]
        hits += [low <= value <= high for (low, high), value in ends]
    return int(hits.min())


def test_intervals_hold_the_planted_law_about_as_often_as_they_say():
    """Of 6, 4 or more in 99 % of binomials; the ends that 60 resamples give to 95 % are those of 92 %."""
    assert coverage(6, 60) >= 4


@pytest.mark.slow
def test_intervals_of_95_percent_hold_the_planted_law_95_times_in_100():
    """Of 150 repeats, 95 % - 7 % is four standard deviations of the binomial: of six kinds the least is taken."""
    assert coverage(150, 300) >= 132


def test_nothing_passes_the_ceiling_and_everything_falls():
    law = fitted()
    n = np.geomspace(1.0, 1e9, 60)
    errors = law.predict(n, np.full_like(n, 1e5))
    assert (np.diff(errors) <= 0).all() and errors[0] <= law.ceiling
    assert law.predict(1e-30, 1e-30) == pytest.approx(law.ceiling)


def test_terms_are_the_law_read_backwards():
    law = fitted()
    (a, b), (alpha, beta) = law.coefficients, law.exponents
    for n, d in ((3e4, 2e4), (1e6, 8e5)):
        assert law.terms(law.predict(n, d)) == pytest.approx(a / n**alpha + b / d**beta)
    assert law.terms(2 * law.ceiling) == float("inf")


def test_a_law_times_a_factor_is_the_law_of_values_times_it():
    law = fitted(0.01, resamples=20)
    half = law.scale(0.5, [0.4, 0.6])
    assert half.predict(1e5, 1e5) == pytest.approx(0.5 * law.predict(1e5, 1e5))
    np.testing.assert_allclose(
        half.sample(1e5, 1e5), law.sample(1e5, 1e5) * np.resize([0.4, 0.6], 20)
    )


def test_few_points_and_much_scatter_break_nothing():
    """One point more than unknowns: the law is worth little, but it is one, and nothing overflows."""
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(np.log([2e4, 1e4]), np.log([4e6, 1e6]), (7, 2))).T
    for scatter in (0.02, 0.3):
        y = planted(n, d) * np.exp(scatter * rng.standard_normal(7))
        law = fit_law({"params": n, "images": d}, y, bounded=True, resamples=5, hold_out=False)
        assert np.isfinite(law.sample(1e5, 1e5, measurement=True)).all()
    steep = replace(fitted(), exponents=(60.0, 60.0))
    assert steep.predict(1e6, 1e6) == 0


def test_the_best_size_is_that_of_a_search():
    law = fitted(0.01, resamples=40)
    split = optimum(law, 1e13, per=400.0)
    sizes = np.geomspace(split.params / 30, split.params * 30, 4001)
    values = law.predict(sizes, 1e13 / 400 / sizes)
    assert split.params == pytest.approx(sizes[values.argmin()], rel=2e-3)
    exponent, low, high = growth(law)
    assert low < exponent < high
    assert exponent == pytest.approx(law.exponents[1] / sum(law.exponents))


def test_what_is_no_such_law_is_refused():
    law, (n, d) = fitted(), places()
    for changes in (
        {"ceiling": -1.0},
        {"power": 0.0},
        {"has_offset": True},
        {"offset": 0.1},
        {"ceiling": None},
        {"samples": ((0.0, 1.0, 1.0, 0.5, 0.5, 1.5, -0.3),)},
    ):
        with pytest.raises(InputError, match="law"):
            replace(law, **changes)
    with pytest.raises(InputError, match="value"):
        law.terms(0.0)
    with pytest.raises(InputError, match="two or more"):
        fit_law({"params": [1.0, 2.0, 3.0, 4.0]}, [0.3, 0.2, 0.1, 0.1], bounded=True)
    with pytest.raises(InputError, match="offset"):
        fit_law({"params": n, "images": d}, planted(n, d), True, bounded=True)
    with pytest.raises(InputError, match="6 or more"):
        fit_law({"params": n[::6], "images": d[::6]}, planted(n, d)[::6], bounded=True)
