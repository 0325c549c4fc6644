"""From measurements to a law, with samples of the laws that other measurements would have given.

    fit_power_law(compute, value)                       E + A C^-a         .exponent .offset .interval("exponent")
    fit_law({"params": N, "images": D}, value)          E + A N^-a + B D^-b
    fit_law(the same, value, bounded=True)              M / (1 + (A N^-a + B D^-b)^-g)
    fit_law({"steps": T, "draws": N}, value)            what denoising longer and averaging more give, at test time

Two things would differ if all were measured again, and the bootstrap repeats both.

Runs: another seed moves each point. The residuals of the fit, log y - log p, are dealt out anew to the fitted values,
made larger by sqrt(n / (n - P)) because P unknowns were fitted to hide them, and by the random factor
sqrt((n - P) / χ²), because few residuals do not tell their own size (the step from a normal to Student's interval).

Where several points are of one network, asked with more steps say, what sets that network apart moves them together:
`groups` tells which. Then it is drawn what other networks would do to the mean of each place: the residuals of a group
keep their values and get a normal factor in common, all of them times sqrt(G / χ²) of G - 1 degrees for G groups.

Images: those of the test set are drawn anew, the same for all points because all were measured on the same
ones. What one point's images do against another's is among the residuals already, so that intervals with images err
on the wide side.

Of 300 planted laws, intervals of 95 % held 95 %, of 80 % 73 %, of 50 % 37 % (`tests/scaling/test_law.py`): a robust
fit passes through as many points as it has unknowns, so some residuals are zero, and too many resamples are near the
fit. Read no interval of less than 90 %.

No interval tells of a wrong form. The residuals do, and so does the held-out point.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from lookharder.errors import InputError
from lookharder.scaling.law.bounded import Bounded
from lookharder.scaling.law.design import Design
from lookharder.scaling.law.form import Law
from lookharder.scaling.law.held_out import HeldOut
from lookharder.scaling.law.points import FitPoints, PerImage, Values
from lookharder.scaling.law.solver import DELTA, fit
from lookharder.seeding import numpy_generator

HELD_OUT_RESAMPLES = 400  # at most, of the law that is tested on the largest point


def fit_power_law(
    compute: Values,
    value: Values,
    offset: bool = True,
    *,
    variable: str = "compute",
    per_image: PerImage | None = None,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    hold_out: bool = True,
    delta: float = DELTA,
) -> Law:
    """Fit value = E + A compute^-a; without offset, E = 0. The order of points does not matter.

    Args:
        compute: (n,) positive, in any unit: the exponent does not depend on it.
        value: (n,) positive errors or losses.
        offset: whether E is fitted.
        variable: what `compute` is called, e.g. "steps".
        per_image: (n, images) whose means are the values, if images are to be resampled too.
        groups: (n,) what each point shares with others, e.g. its network; None, or all the same = points are apart.
        resamples: laws of resampled measurements, for intervals.
        seed: of the resampling.
        hold_out: whether to predict the largest point from the others.
        delta: of Huber's loss, on log value.

    Raises:
        InputError: fewer points than unknowns, too few different places, or a number that is not positive.
    """
    return fit_law(
        {variable: compute},
        value,
        offset,
        per_image=per_image,
        groups=groups,
        resamples=resamples,
        seed=seed,
        hold_out=hold_out,
        delta=delta,
    )


def fit_law(
    variables: Mapping[str, Values],
    value: Values,
    offset: bool | None = None,
    *,
    bounded: bool = False,
    per_image: PerImage | None = None,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    hold_out: bool = True,
    delta: float = DELTA,
) -> Law:
    """Fit value = E + Σ_k A_k x_k^-a_k, a term for each variable; else as `fit_power_law`.

    A law that is `bounded` has a ceiling and a power instead of an offset, M / (1 + (Σ_k A_k x_k^-a_k)^-g), of two
    variables or more: of one, the power is part of the exponent. Values that nowhere come near their ceiling do not
    tell it: it ends at its limit, ten times the largest of them.
    """
    if len(variables) < 1 + bounded:
        allowed = "two or more" if bounded else "at least one"
        raise InputError("variables", f"{list(variables)}", allowed)
    if bounded and offset:
        raise InputError("offset", offset, "none, in a law inside a ceiling")
    form = LawForm(offset=not bounded if offset is None else offset, bounded=bounded)
    points = FitPoints.of(variables, value, per_image, groups)
    form.check(points)
    law = _fit(points, form, resamples, seed, delta)
    if not hold_out:
        return law
    rest = points.where(~points.largest)
    try:
        form.check(rest)
    except InputError:
        return law
    other = _fit(rest, form, min(resamples, HELD_OUT_RESAMPLES), seed, delta)
    return replace(law, held_out=_compare(other, points, rest))


@dataclass(frozen=True, kw_only=True)
class LawForm:
    """Which law is fitted.

    Attributes:
        offset: whether E is fitted.
        bounded: whether there are a ceiling and a power.
    """

    offset: bool
    bounded: bool

    def design(self, points: FitPoints) -> Design | Bounded:
        """The fit of these points as a problem in unknowns."""
        design = Design.of(points.x, self.offset)
        return Bounded(design) if self.bounded else design

    def check(self, points: FitPoints) -> None:
        """Check that there are points enough, at places enough; raises as `FitPoints.check`."""
        k = len(points.names)
        unknowns = 2 * k + (2 if self.bounded else self.offset)
        points.check(unknowns, places=2 if k == 1 and not self.offset else 3)


def _fit(points: FitPoints, form: LawForm, resamples: int, seed: int, delta: float) -> Law:
    """The law of some points, with its samples."""
    design, log_y = form.design(points), np.log(points.y)
    theta, _ = fit(design, log_y[None], delta, starts=8)
    fitted = design.values(theta)[0]
    residuals = log_y - fitted
    free = len(log_y) - design.unknowns
    best = tuple(map(float, design.natural(theta)[0]))
    samples: tuple[tuple[float, ...], ...] = ()
    if free > 0 and resamples > 0:
        repeats = fitted + _deviations(points, residuals, free, resamples, seed)
        if points.images is not None:
            repeats += _other_pictures(points.images, resamples, seed)
        again, _ = fit(design, repeats, delta, starts=2, finish=1, tolerance=1e-6)
        samples = tuple(tuple(map(float, row)) for row in design.natural(again))
    k, spread = len(points.names), ((log_y - log_y.mean()) ** 2).sum()
    power, ceiling = best[-2:] if form.bounded else (1.0, None)
    return Law(
        variables=points.names,
        offset=best[0],
        log_coefficients=best[1 : 1 + k],
        exponents=best[1 + k : 1 + 2 * k],
        has_offset=form.offset,
        points=len(log_y),
        smallest=tuple(map(float, points.x.min(0))),
        largest=tuple(map(float, points.x.max(0))),
        r2=float(1 - (residuals**2).sum() / spread) if spread > 0 else 1.0,
        power=power,
        ceiling=ceiling,
        scatter=float(np.sqrt((residuals**2).sum() / free)) if free > 0 else 0.0,
        samples=samples,
        residuals=tuple(map(float, residuals)),
    )


def _compare(law: Law, points: FitPoints, rest: FitPoints) -> HeldOut:
    """What the law of `rest`, the points without the largest, predicts for the largest."""
    held = points.largest
    at = tuple(map(float, points.x[held][0]))
    band = law.band(*at, measurement=True) if law.samples else None
    return HeldOut(
        at=at,
        measured=float(points.y[held].mean()),
        predicted=float(law.predict(*at)),
        low=None if band is None else float(band[0]),
        high=None if band is None else float(band[1]),
        baseline=float(rest.y[rest.largest].mean()),
    )


def _deviations(
    points: FitPoints, residuals: Float[np.ndarray, "n"], free: int, resamples: int, seed: int
) -> Float[np.ndarray, "b n"]:
    """Of the logarithms of values, from the law, in other runs."""
    deviations: np.ndarray
    group = points.group
    rng, n, groups = numpy_generator(seed, "law"), len(residuals), len(np.unique(group))
    if groups == 1 or groups == n:
        # sqrt(n / free) for the unknowns that were fitted, sqrt(free / χ²) for how few residuals there are
        larger = np.sqrt(n / rng.chisquare(free, (resamples, 1)))
        deviations = larger * rng.choice(residuals, (resamples, n))
    else:
        common = rng.standard_normal((resamples, groups))
        larger = np.sqrt(groups / rng.chisquare(groups - 1, (resamples, 1)))
        same = (points.x[:, None] == points.x).all(2)  # (n, n) points of one place
        deviations = larger * common[:, group] * residuals @ (same / same.sum(1))
    # with one or two more points, or groups, than unknowns χ² may be next to nothing: e^20 is far enough
    deviations = np.clip(deviations, -20, 20)
    return deviations


def _other_pictures(
    images: Float[np.ndarray, "n I"], resamples: int, seed: int
) -> Float[np.ndarray, "b n"]:
    """By how much the logarithm of each mean would move on other images."""
    count = images.shape[1]
    share = numpy_generator(seed, "pictures").multinomial(
        count, np.full(count, 1 / count), resamples
    )
    moved: np.ndarray = np.log(np.maximum(share @ images.T, 1e-300) / images.sum(1))
    return moved
