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

Images: the pictures of the test set are drawn anew, the same for all points because all were measured on the same
ones. What one point's pictures do against another's is among the residuals already, so that intervals with images err
on the wide side.

No interval tells of a wrong form. The residuals do, and so does the held-out point.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from lookharder.errors import InputError
from lookharder.scaling.law.bounded import Bounded
from lookharder.scaling.law.design import Design
from lookharder.scaling.law.form import Law
from lookharder.scaling.law.held_out import HeldOut
from lookharder.scaling.law.solver import DELTA, fit
from lookharder.seeding import numpy_generator

Values = Sequence[int] | Sequence[float] | Sequence[int | float] | np.ndarray
Images = Sequence[Sequence[float]] | np.ndarray


def fit_power_law(
    compute: Values,
    value: Values,
    offset: bool = True,
    *,
    variable: str = "compute",
    per_image: Images | None = None,
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
    per_image: Images | None = None,
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
    names = tuple(variables)
    if len(names) < 1 + bounded:
        raise InputError(
            "variables", f"{list(names)}", "two or more" if bounded else "at least one"
        )
    if bounded and offset:
        raise InputError("offset", offset, "none, in a law inside a ceiling")
    offset = not bounded if offset is None else offset
    x = np.stack([_positive(name, values) for name, values in variables.items()], 1)
    y = _positive("value", value)
    images = None if per_image is None else np.asarray(per_image, np.float64)
    if groups is not None and len(groups) != len(y):
        raise InputError("groups", f"{len(groups)}", f"{len(y)}, one for each value")
    _check(x, y, names, offset, images, bounded)
    order = np.lexsort((y, *x.T[::-1]))
    x, y = x[order], y[order]
    group = _numbered([groups[i] if groups is not None else 0 for i in order])
    images = None if images is None else images[order]

    points = Design.of(x, offset)
    design = Bounded(points) if bounded else points
    log_y = np.log(y)
    theta, _ = fit(design, log_y[None], delta, starts=8)
    fitted = design.values(theta)[0]
    residuals = log_y - fitted
    free = len(y) - design.unknowns
    best = tuple(map(float, design.natural(theta)[0]))
    samples: tuple[tuple[float, ...], ...] = ()
    if free > 0 and resamples > 0:
        repeats = fitted + _deviations(x, residuals, free, group, resamples, seed)
        if images is not None:
            repeats += _other_pictures(images, resamples, seed)
        again, _ = fit(design, repeats, delta, starts=2, finish=1, tolerance=1e-6)
        samples = tuple(tuple(map(float, row)) for row in design.natural(again))
    k, spread = len(names), ((log_y - log_y.mean()) ** 2).sum()
    power, ceiling = best[-2:] if bounded else (1.0, None)
    law = Law(
        variables=names,
        offset=best[0],
        log_coefficients=best[1 : 1 + k],
        exponents=best[1 + k : 1 + 2 * k],
        has_offset=offset,
        points=len(y),
        smallest=tuple(map(float, x.min(0))),
        largest=tuple(map(float, x.max(0))),
        r2=float(1 - (residuals**2).sum() / spread) if spread > 0 else 1.0,
        power=power,
        ceiling=ceiling,
        scatter=float(np.sqrt((residuals**2).sum() / free)) if free > 0 else 0.0,
        samples=samples,
        residuals=tuple(map(float, residuals)),
    )
    if not hold_out:
        return law
    held = _hold_out(x, y, names, offset, bounded, images, group, resamples, seed, delta)
    return replace(law, held_out=held)


def _deviations(
    x: Float[np.ndarray, "n K"],
    residuals: Float[np.ndarray, "n"],
    free: int,
    group: Int[np.ndarray, "n"],
    resamples: int,
    seed: int,
) -> Float[np.ndarray, "b n"]:
    """Of the logarithms of values, from the law, in other runs."""
    rng, n, groups = numpy_generator(seed, "law"), len(residuals), len(np.unique(group))
    if groups == 1 or groups == n:
        # sqrt(n / free) for the unknowns that were fitted, sqrt(free / χ²) for how few residuals there are
        larger = np.sqrt(n / rng.chisquare(free, (resamples, 1)))
        # with one or two more points than unknowns χ² may be next to nothing: e^20 is far enough
        return np.clip(larger * rng.choice(residuals, (resamples, n)), -20, 20)
    common = rng.standard_normal((resamples, groups))
    larger = np.sqrt(groups / rng.chisquare(groups - 1, (resamples, 1)))
    same = (x[:, None] == x).all(2)  # (n, n) points of one place
    return larger * common[:, group] * residuals @ (same / same.sum(1))


def _other_pictures(
    images: Float[np.ndarray, "n I"], resamples: int, seed: int
) -> Float[np.ndarray, "b n"]:
    """By how much the logarithm of each mean would move on other pictures."""
    count = images.shape[1]
    share = numpy_generator(seed, "pictures").multinomial(
        count, np.full(count, 1 / count), resamples
    )
    return np.log(np.maximum(share @ images.T, 1e-300) / images.sum(1))


def _hold_out(
    x: Float[np.ndarray, "n K"],
    y: Float[np.ndarray, "n"],
    names: tuple[str, ...],
    offset: bool,
    bounded: bool,
    images: Float[np.ndarray, "n I"] | None,
    group: Int[np.ndarray, "n"],
    resamples: int,
    seed: int,
    delta: float,
) -> HeldOut | None:
    """The largest point, by the product of its variables, and all that lie at the same place."""
    size = np.log(x).sum(1)
    last = x[size.argmax()]
    held = (x == last).all(1)
    rest, kept = x[~held], y[~held]
    try:
        _check(rest, kept, names, offset, None, bounded)
    except InputError:
        return None
    law = fit_law(
        dict(zip(names, rest.T, strict=True)),
        kept,
        None if bounded else offset,
        bounded=bounded,
        per_image=None if images is None else images[~held],
        groups=group[~held].tolist(),
        resamples=min(resamples, 400),
        seed=seed,
        hold_out=False,
        delta=delta,
    )
    at = tuple(map(float, last))
    band = law.band(*at, measurement=True) if law.samples else None
    before = rest[np.log(rest).sum(1).argmax()]
    return HeldOut(
        at=at,
        measured=float(y[held].mean()),
        predicted=float(law.predict(*at)),
        low=None if band is None else float(band[0]),
        high=None if band is None else float(band[1]),
        baseline=float(kept[(rest == before).all(1)].mean()),
    )


def _positive(name: str, values: Values) -> Float[np.ndarray, "n"]:
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise InputError(name, f"shape {array.shape}", "(n,) numbers")
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        raise InputError(name, f"{array[bad][0]} at {int(bad.argmax())}", "positive finite numbers")
    return array


def _numbered(groups: Sequence[Hashable]) -> Int[np.ndarray, "n"]:
    """Groups as numbers from 0, in the order in which they come."""
    known = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    return np.array([known[group] for group in groups])


def _check(
    x: Float[np.ndarray, "n K"],
    y: Float[np.ndarray, "m"],
    names: tuple[str, ...],
    offset: bool,
    images: Float[np.ndarray, "..."] | None,
    bounded: bool,
) -> None:
    """That there are numbers enough, at places enough, for every unknown to be told from the others."""
    k, unknowns = len(names), 2 * len(names) + (2 if bounded else offset)
    if len(x) != len(y):
        raise InputError("value", f"{len(y)} values", f"{len(x)}, one for each of {names[0]}")
    if len(y) < unknowns:
        raise InputError("value", f"{len(y)} points", f"{unknowns} or more, one for each unknown")
    places = 2 if k == 1 and not offset else 3
    for name, values in zip(names, x.T, strict=True):
        if (found := len(np.unique(values))) < places:
            raise InputError(name, f"{found} different values", f"{places} or more")
    if images is not None and (
        images.ndim != 2 or len(images) != len(y) or not (images >= 0).all() or not images.size
    ):
        raise InputError(
            "per_image", f"shape {images.shape}", f"({len(y)}, images), 0 or more each"
        )
