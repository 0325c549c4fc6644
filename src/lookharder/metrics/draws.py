"""A set of draws as a forecast: scores that are least, in expectation, for draws from the true posterior.

    crps               E|X - y| - E|X - X'| / 2                          at each pixel   (Gneiting & Raftery 2007)
    energy             E||X - y|| - E||X - X'|| / 2                      of vectors: also of what pixels share
    variogram          (|y_i - y_j|^p - E|X_i - X_j|^p)^2                of pairs of pixels   (Scheuerer & Hamill 2015)
    brier              (P(event) - happened)^2                           of a decision
    mask_energy        2 E d(X, y) - E d(X, X'),  d = 1 - IoU            of masks (Kohl et al. 2018, 1806.05034)

X and X' are independent draws and y is the truth. All are fair: of N draws the mean over what N draws could have been
is the score of endless ones (Ferro 2014), so sets of different sizes compare, and a difference of two is not one of N.
"""

import itertools

import numpy as np
from jaxtyping import Bool, Float

from lookharder.errors import InputError


def crps(
    draws: Float[np.ndarray, "N *shape"], truth: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Continuous ranked probability score at each pixel, in the unit of the truth.

    Raises:
        InputError: fewer than two draws, or another shape than the truth's.
    """
    count = _count(draws, truth)
    ordered = np.sort(draws, axis=0)
    # sum of |x_i - x_j| over i < j is sum of (2 i - N + 1) x_(i), i from 0
    weight = (2 * np.arange(count) - count + 1).reshape(-1, *[1] * truth.ndim)
    between = (weight * ordered).sum(0) / (count * (count - 1))
    score: np.ndarray = np.abs(draws - truth).mean(0) - between
    return score


def energy(
    draws: Float[np.ndarray, "N D *shape"], truth: Float[np.ndarray, "D *shape"]
) -> Float[np.ndarray, "*shape"]:
    """Energy score of vectors along the first axis of the truth, in its unit; of one component it is `crps`.

    Raises:
        InputError: as `crps`.
    """
    count = _count(draws, truth)
    error = np.linalg.norm(draws - truth, axis=1).mean(0)
    pairs = itertools.combinations(range(count), 2)
    between = sum(np.linalg.norm(draws[i] - draws[j], axis=0) for i, j in pairs)
    return np.asarray(error - between / (count * (count - 1)))


def gradient_energy(
    draws: Float[np.ndarray, "N H W"],
    truth: Float[np.ndarray, "H W"],
    known: Bool[np.ndarray, "H W"] | None = None,
) -> float:
    """Energy score of all differences of neighbours at once, over the root of their number; NaN where there is none.

    Pixels that are each right, but do not hang together, have the differences of noise. Both pixels of a pair are
    where the truth is known; without `known` that is everywhere.
    """
    known = np.ones(truth.shape, bool) if known is None else known
    steps = _steps(truth, known)
    moved = np.stack([_steps(draw, known) for draw in draws])
    return float(energy(moved, steps) / np.sqrt(len(steps))) if len(steps) else np.nan


def variogram(
    draws: Float[np.ndarray, "N H W"],
    truth: Float[np.ndarray, "H W"],
    known: Bool[np.ndarray, "H W"] | None = None,
    lags: tuple[int, ...] = (1, 2, 4, 8),
    power: float = 0.5,
) -> float:
    """Variogram score, the mean over pairs of pixels so far apart in a row or a column; NaN where there is no pair.

    Args:
        draws: two or more.
        truth: of their size.
        known: where the truth is known, of both pixels of a pair; None = everywhere.
        lags: distances, pixels, less than the sides.
        power: of the absolute difference.

    Raises:
        InputError: as `crps`.
    """
    count = _count(draws, truth)
    known = np.ones(truth.shape, bool) if known is None else known
    scores = []
    for lag in lags:
        for axis in (-2, -1):
            pairs = _both(known, lag, axis)
            true = np.abs(_apart(truth, lag, axis)[pairs]) ** power
            drawn = np.abs(_apart(draws, lag, axis)[:, pairs]) ** power
            chance = drawn.var(0, ddof=1) / count  # what the mean of N draws misses the mean by
            if pairs.any():
                scores.append(((true - drawn.mean(0)) ** 2 - chance).mean())
    return float(np.mean(scores)) if scores else np.nan


def brier(
    draws: Float[np.ndarray, "N *shape"], happened: Bool[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Square error of the share of draws in which something happens.

    Args:
        draws: 1 where it happens, 0 where it does not, 1 / 2 where a draw leaves it open.
        happened: whether it did.

    Raises:
        InputError: as `crps`.
    """
    count = _count(draws, happened)
    score: np.ndarray = (draws.mean(0) - happened) ** 2 - draws.var(0, ddof=1) / count
    return score


def log_score(
    draws: Float[np.ndarray, "N *shape"], happened: Bool[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Minus the logarithm of the probability of what happened, nats; of k in N draws it is (k + 1) / (N + 2).

    Not fair: more draws tell small probabilities better. Arguments and errors are those of `brier`.
    """
    share = (draws.sum(0) + 1) / (_count(draws, happened) + 2)
    score: np.ndarray = -np.log(np.where(happened, share, 1 - share))
    return score


def mask_energy(draws: Bool[np.ndarray, "N H W"], truth: Bool[np.ndarray, "H W"]) -> float:
    """Generalised energy distance of masks to the one true mask, by 1 - IoU; fair, so it may be below 0.

    Raises:
        InputError: as `crps`.
    """
    count = _count(draws, truth)
    error = np.mean([_unlike(draw, truth) for draw in draws])
    pairs = itertools.combinations(draws, 2)
    between = sum(_unlike(a, b) for a, b in pairs) * 2 / (count * (count - 1))
    return float(2 * error - between)


def best_mask(draws: Bool[np.ndarray, "N H W"], truth: Bool[np.ndarray, "H W"]) -> float:
    """1 - IoU of the best of the draws; whoever picks it must know the truth."""
    return float(min(_unlike(draw, truth) for draw in draws))


def spread_and_error(
    draws: Float[np.ndarray, "N *shape"], truth: Float[np.ndarray, "*shape"]
) -> tuple[float, float]:
    """Mean variance of the draws, times (N + 1) / N, and mean square error of their mean: equal of a true posterior.

    Raises:
        InputError: as `crps`.
    """
    count = _count(draws, truth)
    spread = draws.var(0, ddof=1).mean() * (count + 1) / count
    return float(spread), float(((draws.mean(0) - truth) ** 2).mean())


def _count(draws: np.ndarray, truth: np.ndarray) -> int:
    if draws.shape[1:] != truth.shape or len(draws) < 2:
        wanted = f"(N, {', '.join(map(str, truth.shape))}), N >= 2"
        raise InputError("draws", f"shape {draws.shape}", wanted)
    return len(draws)


def _ends(values: np.ndarray, lag: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The later and the earlier of all pixels a lag apart."""
    size = values.shape[axis]
    return np.take(values, range(lag, size), axis), np.take(values, range(size - lag), axis)


def _apart(values: np.ndarray, lag: int, axis: int) -> np.ndarray:
    """Differences of pixels a lag apart."""
    late, early = _ends(values, lag, axis)
    difference: np.ndarray = late - early
    return difference


def _both(known: np.ndarray, lag: int, axis: int) -> np.ndarray:
    """Of which of them both pixels are known."""
    late, early = _ends(known, lag, axis)
    both: np.ndarray = late & early
    return both


def _steps(values: np.ndarray, known: np.ndarray) -> Float[np.ndarray, "steps"]:
    return np.concatenate([_apart(values, 1, axis)[_both(known, 1, axis)] for axis in (-2, -1)])


def _unlike(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return 1 - np.count_nonzero(a & b) / union if union else 0.0
