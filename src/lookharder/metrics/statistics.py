"""How sure a mean over images is: the percentile bootstrap, paired to compare two systems, and a test of few images.

    resample the n values with replacement, take the mean, repeat; the interval is the middle
    `level` of those means

Images differ far more than systems do, so two systems are compared by the differences image by
image: an interval that leaves out 0 is a difference, two overlapping intervals of their own are not
evidence of equality. The interval is a function of (values, seed) alone. (Efron & Tibshirani 1993,
chapter 13.)

Of a dozen images or fewer these means scatter too little, and the interval is too narrow (of one it has no width).
`sign_test` is exact for any number: where two systems are alike, each difference could as well have had the other sign.

    p = share of all ways to turn signs whose mean is as far from 0          least for n images: 2 / 2^n
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lookharder.errors import InputError
from lookharder.metrics import ArrayLike, to_numpy
from lookharder.seeding import numpy_generator

CHUNK = 2**16  # numbers resampled at once
EXACT = 2**13  # ways to turn signs that are all looked at; of more, so many are drawn


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


def bootstrap_mean(
    values: ArrayLike | Sequence[float],
    seed: int,
    level: float = 0.95,
    resamples: int = 2000,
    weights: ArrayLike | Sequence[float] | None = None,
) -> Interval:
    """Mean of one number per image, with its percentile bootstrap interval.

    Args:
        values: (n,) finite values, one per image.
        seed: of the resampling.
        level: share of resampled means inside the interval.
        resamples: how many means are drawn.
        weights: (n,) how much each image counts, say its pixels; None = all alike.

    Raises:
        InputError: no value, or one that is not finite; a level outside (0, 1); no resample.
    """
    sample = _sample("values", values)
    if not 0 < level < 1:
        raise InputError("level", level, "a share in (0, 1)")
    if resamples < 1:
        raise InputError("resamples", resamples, "at least 1")
    rng, n = numpy_generator(seed, "bootstrap"), len(sample)
    rows = max(1, CHUNK // n)  # at once; the numbers drawn are those of one row after another
    counts = [min(rows, resamples - done) for done in range(0, resamples, rows)]
    draws = (rng.integers(n, size=(count, n)) for count in counts)
    if weights is None:
        mean, means = sample.mean(), [sample[drawn].mean(1) for drawn in draws]
    else:
        share = _sample("weights", weights)
        if len(share) != n or share.min() <= 0:
            raise InputError("weights", f"{len(share)} numbers", f"{n} positive ones")
        mean = np.average(sample, weights=share)
        means = [(sample * share)[drawn].sum(1) / share[drawn].sum(1) for drawn in draws]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(mean), float(low), float(high))


def paired_bootstrap(
    a: ArrayLike | Sequence[float],
    b: ArrayLike | Sequence[float],
    seed: int,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Mean of a - b over the same images, with its interval; position i of both is image i.

    Raises:
        InputError: the lengths differ; else as `bootstrap_mean`.
    """
    first, second = _sample("a", a), _sample("b", b)
    if len(first) != len(second):
        raise InputError("b", f"{len(second)} values", f"{len(first)}, one for each of a")
    return bootstrap_mean(first - second, seed, level, resamples)


def sign_test(
    differences: ArrayLike | Sequence[float],
    seed: int,
    weights: ArrayLike | Sequence[float] | None = None,
) -> float:
    """How likely chance alone makes the mean of differences as large, if either sign of each is as likely.

    Args:
        differences: (n,) one for each image.
        seed: of the signs that are drawn where there are more than `EXACT` ways; the signs as they are count as one.
        weights: (n,) how much each image counts, as in `bootstrap_mean`.

    Returns:
        p, two-sided: 1 where all are 0, and 2 / 2^n at the least. (Fisher 1935; Good 2005, section 3.2.)

    Raises:
        InputError: as `bootstrap_mean`.
    """
    sample = _sample("differences", differences)
    parts = sample if weights is None else sample * _sample("weights", weights)
    n = len(parts)
    if 2**n <= EXACT:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        signs = numpy_generator(seed, "signs").choice([-1, 1], (EXACT, n))
        signs[0] = 1
    sums = np.abs(signs @ parts)
    return float((sums >= abs(parts.sum()) * (1 - 1e-12)).mean())


def in_words(row: Mapping[str, float], form: str = ".3f") -> str:
    """A mean with its interval, as `Evaluation.means` has them; of one image it has none."""
    mean, low, high = (format(row[key], form) for key in ("mean", "low", "high"))
    return f"{mean}, one image" if row.get("count") == 1 else f"{mean} [{low}, {high}]"


def _sample(argument: str, values: ArrayLike | Sequence[float]) -> np.ndarray:
    array = np.asarray(values, np.float64) if isinstance(values, Sequence) else to_numpy(values)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise InputError(
            argument,
            f"shape {array.shape}, or a value that is not finite",
            "(n,) finite values, n >= 1",
        )
    return array.astype(np.float64)
