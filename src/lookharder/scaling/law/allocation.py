"""The best size for each training budget: how compute is split between a larger network and more images.

    C = κ N D               N parameters, D images, κ FLOPs for each parameter of each image (6 for each token)

Parametric. Of L = E + A N^-a + B D^-b under that constraint the least is where both terms fall equally fast, so

    N = G (C/κ)^(b/(a+b))     D = (C/κ)^(a/(a+b)) / G     G = (a A / b B)^(1/(a+b))

(Hoffmann et al., arXiv 2203.15556, equation 4.) A ceiling does not move it: the error rises with its terms.

IsoFLOP. At each budget, sizes are measured with what images remain; a parabola in log N through log values has the
best size at its vertex, and a power law through the vertices says how it grows. No form is assumed of L, but a
parabola is one: the vertex is biased where sizes lie unevenly around it or far from it (arXiv 2603.22339). A vertex
outside the sizes measured is no optimum but a guess, and says so.
"""

from dataclasses import dataclass

import numpy as np

from lookharder.errors import InputError
from lookharder.scaling.law.fitting import fit_power_law
from lookharder.scaling.law.form import Law
from lookharder.scaling.law.points import Values


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a budget is spent.

    Attributes:
        compute: the budget, C.
        params: the best size, N.
        images: the images that remain for it, D.
        value: what the law expects.
    """

    compute: float
    params: float
    images: float
    value: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The sizes measured at one budget, and the parabola through them.

    Attributes:
        compute: the budget.
        sizes: parameters, ascending.
        values: measured.
        parabola: of log value by log size, highest power first.
    """

    compute: float
    sizes: tuple[float, ...]
    values: tuple[float, ...]
    parabola: tuple[float, float, float]

    @property
    def convex(self) -> bool:
        """Whether the parabola opens upwards, so that it has a least."""
        return self.parabola[0] > 0

    @property
    def best(self) -> float:
        """Size at the vertex; NaN where there is no least."""
        a, b, _ = self.parabola
        return float(np.exp(np.clip(-b / (2 * a), -700, 700))) if self.convex else float("nan")

    @property
    def inside(self) -> bool:
        """Whether the vertex lies among the sizes measured."""
        return self.convex and self.sizes[0] <= self.best <= self.sizes[-1]

    def predict(self, size: np.ndarray) -> np.ndarray:
        """Value of the parabola."""
        return np.exp(np.polyval(self.parabola, np.log(size)))


def optimum(law: Law, compute: float, per: float) -> Split:
    """The best split of a budget by a law of parameters and images.

    Args:
        law: of two variables: parameters, then images.
        compute: the budget, FLOPs.
        per: κ, FLOPs for each parameter of each image in training.

    Raises:
        InputError: a law of something else, terms that do not fall, or a budget that is not positive.
    """
    a, b, log_g = _terms(law)
    for name, value in (("compute", compute), ("per", per)):
        if not (np.isfinite(value) and value > 0):
            raise InputError(name, value, "a positive finite number")
    log_c = np.log(compute) - np.log(per)
    params = float(np.exp(log_g + log_c * b / (a + b)))
    images = float(np.exp(log_c - np.log(params)))
    value = float(law.predict(params, images))
    return Split(compute=float(compute), params=params, images=images, value=value)


def growth(law: Law, level: float = 0.95) -> tuple[float, float, float]:
    """The exponent of the best size with compute, b / (a + b), and its interval.

    Raises:
        InputError: as `optimum`; the law has no samples.
    """
    a, b, _ = _terms(law)
    law.interval("exponent", level, law.variables[0])  # has samples, or says that it has none
    every = np.array(law.samples)[:, 1 + len(law.variables) :][:, : len(law.variables)]
    rows = every[(every > 0).all(1)]
    if len(rows) < (1 + level) / 2 * len(every):
        got = f"terms that fall in {len(rows)} of {len(every)} resampled laws"
        raise InputError("law", got, f"in {100 * (1 + level) / 2:g} % of them")
    low, high = np.quantile(rows[:, 1] / rows.sum(1), [(1 - level) / 2, (1 + level) / 2])
    return b / (a + b), float(low), float(high)


def profiles(compute: Values, size: Values, value: Values) -> tuple[Profile, ...]:
    """A profile for each budget, ascending.

    Args:
        compute: (n,) the budget that each point belongs to, exactly equal within a profile.
        size: (n,) parameters.
        value: (n,) positive.

    Raises:
        InputError: fewer than three sizes at a budget, or a number that is not positive.
    """
    arrays = [np.asarray(v, np.float64) for v in (compute, size, value)]
    for name, array in zip(("compute", "size", "value"), arrays, strict=True):
        if array.shape != arrays[0].shape or array.ndim != 1 or not (array > 0).all():
            raise InputError(name, f"{array}", "(n,) positive numbers")
    budgets, sizes, values = arrays
    found = []
    for budget in np.unique(budgets):
        here = budgets == budget
        if (different := len(np.unique(sizes[here]))) < 3:
            raise InputError("size", f"{different} at compute {budget:g}", "3 or more sizes")
        order = np.lexsort((values[here], sizes[here]))
        x, y = sizes[here][order], values[here][order]
        centre = np.log(x).mean()  # numpy's fit is better conditioned there
        a, b, c = np.polyfit(np.log(x) - centre, np.log(y), 2)
        found.append(
            Profile(
                compute=float(budget),
                sizes=tuple(map(float, x)),
                values=tuple(map(float, y)),
                parabola=(
                    float(a),
                    float(b - 2 * a * centre),
                    float(c - b * centre + a * centre**2),
                ),
            )
        )
    return tuple(found)


def fit_growth(found: tuple[Profile, ...], resamples: int = 1000, seed: int = 0) -> Law:
    """The power law of the best size with compute, through the vertices inside; its exponent is negative: sizes grow.

    Raises:
        InputError: fewer than two profiles have their vertex inside.
    """
    good = [profile for profile in found if profile.inside]
    if len(good) < 2:
        raise InputError(
            "profiles", f"{len(good)} with the best size among those measured", "2 or more"
        )
    return fit_power_law(
        [profile.compute for profile in good],
        [profile.best for profile in good],
        offset=False,
        resamples=resamples,
        seed=seed,
        hold_out=False,
    )


def _terms(law: Law) -> tuple[float, float, float]:
    """Exponents of both terms, and log G."""
    if len(law.variables) != 2:
        raise InputError("law", f"a law of {list(law.variables)}", "one of parameters and images")
    a, b = law.exponents
    if a <= 0 or b <= 0:
        raise InputError("law", f"exponents {a:.3g} and {b:.3g}", "terms that fall")
    log_a, log_b = law.log_coefficients
    return a, b, (np.log(a / b) + log_a - log_b) / (a + b)
