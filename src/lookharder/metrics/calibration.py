"""Does uncertainty rank the error, and does it bound it? Judged from maps of both, one value of each for every pixel.

Ranking: take away the share f of pixels of the largest uncertainty, and look at the mean error of the rest.

    curve(f)    mean error of the (1 - f) P pixels of the least uncertainty, over the mean error of all
    oracle(f)   the same, where the pixels are sorted by the error itself: no order does better
    random(f)   1, the mean over all orders
    AUSE = area(curve - oracle)        0 is perfect             (Ilg et al. 2018, arXiv 1802.07095)
    AURG = area(random - curve)        0 is random, below 0 is worse, area(random - oracle) is perfect

Pixels of equal uncertainty are taken away together, each with the mean error of them all, which is the mean over all
orders of the tied: so a constant uncertainty has a flat curve, and the order of the pixels never matters.

Bounding: an uncertainty u becomes a bound k u in the metric's unit, by the least factor k that on a few images of known
error covers the wanted share of their pixels. Pixels of one image are not independent and images are, so k is fitted as
if one more image, of which nothing is covered, were there (conformal risk control; Angelopoulos et al. 2024, arXiv
2208.02814): then the expected share of pixels with error <= k u in a new image is at least the level, if it is
exchangeable with those images. With one pixel an image this is split conformal prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lookharder.errors import InputError
from lookharder.metrics import ArrayLike, to_mask, to_numpy

FRACTIONS = np.linspace(0, 1, 101)  # shares of pixels taken away; at 1 the limit, the last pixels
ROUNDING = 1e-12  # of a sum of weights that is 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Sparsification:
    """Mean error of the pixels that are left, at each of `FRACTIONS`, in the unit of the error.

    Attributes:
        curve: where the most uncertain go first.
        oracle: where those of the largest error go first.
        mean: error of all pixels, which a random order keeps.
    """

    curve: Float[np.ndarray, "fractions"]
    oracle: Float[np.ndarray, "fractions"]
    mean: float

    @property
    def ause(self) -> float:
        """Area between the curve and the oracle, over the mean error; 0 where there is no error."""
        return self._area(self.curve - self.oracle)

    @property
    def aurg(self) -> float:
        """Area between a random order and the curve, over the mean error; 0 where there is no error."""
        return self._area(self.mean - self.curve)

    def _area(self, height: Float[np.ndarray, "fractions"]) -> float:
        even = (height[1:] + height[:-1]).mean() / 2  # trapezoids of one width
        return float(even) / self.mean if self.mean else 0.0


def sparsification(
    error: ArrayLike, uncertainty: ArrayLike, valid: ArrayLike | None = None
) -> Sparsification:
    """Curves of one image.

    Args:
        error: (H, W), >= 0.
        uncertainty: (H, W), >= 0, in any unit: only its order counts.
        valid: (H, W) pixels that count; None for all.

    Raises:
        InputError: shapes differ, no pixel is valid, or a valid one is negative or not finite.
    """
    e, u = _valid(error, uncertainty, valid)
    return Sparsification(curve=_left(e, u), oracle=_left(e, e), mean=float(np.sort(e).mean()))


def evaluate(
    error: ArrayLike, uncertainty: ArrayLike, valid: ArrayLike | None = None
) -> dict[str, float]:
    """The numbers of one image; takes what `sparsification` takes.

    Returns:
        error and uncertainty: their means, in their units; ause and aurg: areas, as shares of the
        mean error; spearman: rank correlation in [-1, 1].
    """
    e, u = _valid(error, uncertainty, valid)
    curves = sparsification(e, u)
    return {
        "error": curves.mean,
        "uncertainty": float(np.sort(u).mean()),
        "ause": curves.ause,
        "aurg": curves.aurg,
        "spearman": spearman(e, u),
    }


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Rank correlation of two lists (n,), over pixels or over images; equal values share the mean of their ranks.

    0 where one is constant, because it ranks nothing.

    Raises:
        InputError: the lists are empty, of different lengths, or hold what is not finite.
    """
    pair = to_numpy(a).astype(np.float64), to_numpy(b).astype(np.float64)
    if pair[0].shape != pair[1].shape or pair[0].ndim != 1 or not pair[0].size:
        raise InputError("b", f"shapes {pair[0].shape}, {pair[1].shape}", "two lists (n,), n >= 1")
    if not np.isfinite(pair).all():
        raise InputError("a, b", "a value that is not finite", "finite values")
    x, y = (ranks - ranks.mean() for ranks in map(_ranks, pair))
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm else 0.0


def ratios(
    error: ArrayLike, uncertainty: ArrayLike, valid: ArrayLike | None = None
) -> Float[np.ndarray, "pixels"]:
    """Least k with error <= k uncertainty at each valid pixel: error / uncertainty, 0 / 0 = 0, e / 0 = inf.

    Takes what `sparsification` takes.
    """
    e, u = _valid(error, uncertainty, valid)
    with np.errstate(divide="ignore", over="ignore"):
        ratio: np.ndarray = np.divide(e, u, out=np.zeros_like(e), where=e > 0)
    return ratio


def coverage(
    ratio: Float[np.ndarray, "pixels"], factors: Float[np.ndarray, "k"]
) -> Float[np.ndarray, "k"]:
    """Share of the pixels of one image whose error is within k times the uncertainty, for each k.

    Args:
        ratio: as from `ratios`.
        factors: values of k.
    """
    return np.searchsorted(np.sort(ratio), factors, side="right") / len(ratio)


def bounding_factor(images: Sequence[Float[np.ndarray, "_"]], level: float = 0.9) -> float:
    """Least k that covers `level` of the pixels of the images and of one more, of which it covers none.

        (1 / (n + 1)) sum over images of coverage_i(k) >= level

    Args:
        images: `ratios` of each of n images; each image counts the same, whatever its size.
        level: wanted share of pixels with error <= k uncertainty.

    Returns:
        k; infinite where no finite factor does it: with n < level / (1 - level) images, or where
        too many pixels have an error and no uncertainty.

    Raises:
        InputError: no image, one without pixels, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise InputError("level", level, "a share in (0, 1)")
    if not images or not all(len(ratio) for ratio in images):
        raise InputError("images", f"{len(images)}, or one without pixels", "one image or more")
    sizes = [len(ratio) for ratio in images]
    ratio = np.concatenate(list(images))
    weight = np.repeat(1 / (np.array(sizes) * (len(sizes) + 1)), sizes)
    order = np.argsort(ratio, kind="stable")
    enough = np.flatnonzero(np.cumsum(weight[order]) >= level - ROUNDING)
    return float(ratio[order[enough[0]]]) if len(enough) else float("inf")


def reliability(
    error: ArrayLike,
    uncertainty: ArrayLike,
    edges: Float[np.ndarray, "bins_1"],
    valid: ArrayLike | None = None,
) -> Float[np.ndarray, "3 bins"]:
    """Where the uncertainty is itself a forecast of the error: both, summed by bins of the uncertainty.

    A share of members that disagree forecasts a wrong pixel. Sums add up over images; with them
    forecast = sum of uncertainty / count, and outcome = sum of error / count, which should be equal.

    Args:
        error: (H, W).
        uncertainty: (H, W), in the unit of the error.
        edges: rising; bin i is [edges[i], edges[i + 1]), and what is outside goes to the nearest.
        valid: (H, W) pixels that count; None for all.

    Returns:
        (3, bins): count, sum of uncertainty, sum of error.
    """
    e, u = _valid(error, uncertainty, valid)
    bins = len(edges) - 1
    index = np.digitize(u, edges[1:-1])
    return np.stack([np.bincount(index, weights, bins) for weights in (np.ones_like(u), u, e)])


def _left(error: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Mean error of what is left when the largest keys go first; a pixel may go in part."""
    order = np.lexsort((error, key))  # ties by the error: sums do not depend on who came first
    e, k = error[order], key[order]
    first = np.flatnonzero(np.r_[True, k[1:] != k[:-1]])
    sizes = np.diff(np.r_[first, k.size])
    e = np.repeat(np.add.reduceat(e, first) / sizes, sizes)
    left = (1 - FRACTIONS[:-1]) * e.size
    total = np.interp(left, np.arange(e.size + 1), np.r_[0.0, np.cumsum(e)])
    curve: np.ndarray = np.r_[total / left, e[0]]
    return curve


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each value, from 1; equal values share the mean of theirs."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[index]


def _valid(
    error: ArrayLike, uncertainty: ArrayLike, valid: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    """Error and uncertainty at the valid pixels, (P,) each, P >= 1."""
    shape = tuple(error.shape)
    if tuple(uncertainty.shape) != shape:
        raise InputError("uncertainty", f"shape {tuple(uncertainty.shape)}", f"shape {shape}")
    mask = np.ones(shape, bool) if valid is None else to_mask("valid", valid, shape)
    if not mask.any():
        raise InputError("valid", "no valid pixel", "at least one")
    chosen = [to_numpy(values).astype(np.float64)[mask] for values in (error, uncertainty)]
    for name, values in zip(("error", "uncertainty"), chosen, strict=True):
        if not np.isfinite(values).all() or values.min() < 0:
            raise InputError(
                name, "a value at a valid pixel that is negative or not finite", "finite, >= 0"
            )
    return chosen[0], chosen[1]
