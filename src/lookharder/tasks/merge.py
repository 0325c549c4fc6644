"""N draws of a map -> one map and its uncertainty, over the first axis, whatever their order.

Depth draws are known up to a scale s_i > 0 and a shift t_i each, so they are aligned before the
median is taken. With z_i a draw standardised to mean 0 and deviation 1, and s_i z_i the aligned
draws, gauge sum s_i^2 = 1,

    sum_ij ||s_i z_i - s_j z_j||^2 / 2P = N - s' R s        R = Z Z' / P, the correlations

is least at the top eigenvector of R: shifts drop out (every aligned draw has mean 0), images enter
only through an N x N matrix, and no optimiser runs. (MAXVAR canonical correlation; Kettenring
1971.) If all correlations are positive the eigenvector is unique and positive (Perron-Frobenius); a
draw with a weight <= 0 disagrees with the rest even about which way is far, and is left out.

Uncertainty is the spread of the draws, in the unit of the result; it is 0 for one draw and for
equal ones.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.errors import InputError

NEGLIGIBLE = 1e-6  # of a deviation, a weight or an eigenvalue gap: far above float32 rounding


def median(
    draws: Float[Tensor, "N *map"],
) -> tuple[Float[Tensor, "*map"], Float[Tensor, "*map"]]:
    """The true median (mean of the middle two for even N) and the median absolute deviation."""
    _count(draws)
    merged = _middle(draws)
    return merged, _middle((draws - merged).abs())


def mean(
    draws: Float[Tensor, "N *map"],
) -> tuple[Float[Tensor, "*map"], Float[Tensor, "*map"]]:
    """The mean and the standard deviation (over N, so that one draw has 0)."""
    _count(draws)
    return draws.mean(0), draws.std(0, correction=0)


def vote(
    draws: Bool[Tensor, "N *map"],
) -> tuple[Bool[Tensor, "*map"], Float[Tensor, "*map"]]:
    """True where more than half of the draws are; the share of draws that disagree, in [0, 0.5]."""
    share = draws.float().sum(0) / _count(draws)
    return share > 0.5, torch.minimum(share, 1 - share)


def vector_median(
    draws: Float[Tensor, "N *B 2 H W"],
    *,
    component_wise: bool = False,
    iterations: int = 50,
    smoothing: float = 1e-3,
) -> tuple[Float[Tensor, "*B 2 H W"], Float[Tensor, "*B H W"]]:
    """The vector with the least sum of distances to the draws: a median that rotates with them.

    Weiszfeld's iteration: the mean of the draws, each weighted by 1 / its distance, until it stands
    still.

    Args:
        draws: vectors, e.g. flow in pixels.
        component_wise: take the median of u and of v instead, which is where the iteration starts.
        iterations: how many.
        smoothing: in the unit of the draws; a distance d counts as sqrt(d^2 + smoothing^2), finite
            weight at d = 0.

    Returns:
        merged, and the median distance of the draws to it in the same unit.

    Raises:
        InputError: no draw.
    """
    # Between two draws every point is a median: keep the middle, the one that is free of order.
    vectors, still = draws.double(), component_wise or _count(draws) <= 2
    merged = _middle(vectors)
    for _ in range(0 if still else iterations):
        weight = ((vectors - merged).square().sum(-3, keepdim=True) + smoothing**2).rsqrt()
        merged = (weight * vectors).sum(0) / weight.sum(0)
    distance = (vectors - merged).square().sum(-3).sqrt()
    return merged.to(draws.dtype), _middle(distance).to(draws.dtype)


def merge_affine(
    draws: Float[Tensor, "N H W"], mask: Bool[Tensor, "H W"] | None = None, solver: str = "gram"
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Align affine-invariant maps to one another and take their median.

    Args:
        draws: each known up to a positive scale and a shift of its own.
        mask: pixels that count, for alignment and for the range of the result; None for all.
        solver: "gram" (closed form, above) or "zscore" (equal weights, the trivial baseline).

    Returns:
        merged: in [0, 1] and spanning it inside the mask; a single draw already in [0, 1] comes
            back unchanged. Where no shape is left (all draws constant, or they cancel) it is the
            plain median of the draws, clipped.
        uncertainty: median absolute deviation of the aligned draws, in the unit of `merged`.

    Raises:
        InputError: no draw, an empty mask or one of another size, a value inside it that is not
            finite, or an unknown solver.
    """
    scale, shift = solve_affine(draws, mask, solver)
    inside = slice(None) if mask is None else mask
    if len(draws) == 1 and draws[0, inside].min() >= 0 and draws[0, inside].max() <= 1:
        return draws[0].clamp(0, 1), torch.zeros_like(draws[0])
    kept = scale > 0
    if kept.any():
        gain, offset = scale[kept, None, None], shift[kept, None, None]
        aligned = torch.addcmul(offset, gain, draws[kept].double())
        merged, spread = median(aligned)
        low, high = merged[inside].aminmax()
        if high - low > NEGLIGIBLE:
            merged, spread = (merged - low) / (high - low), spread / (high - low)
            return merged.clamp(0, 1).to(draws.dtype), spread.to(draws.dtype)
    merged, spread = median(draws)
    return merged.clamp(0, 1), spread


def solve_affine(
    draws: Float[Tensor, "N H W"], mask: Bool[Tensor, "H W"] | None = None, solver: str = "gram"
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
    """Scale and shift (N,) float64 that align the draws; scale 0 marks a draw that is left out.

    Left out are constant draws, which have no shape, and with "gram" those that contradict the
    rest. The aligned draws have mean 0 inside the mask, and a common scale that means nothing.
    Arguments and errors as in `merge_affine`.
    """
    if solver not in SOLVERS:
        raise InputError("solver", repr(solver), " or ".join(map(repr, SOLVERS)))
    _count(draws)
    if mask is not None and (mask.shape != draws.shape[1:] or not mask.any()):
        got = f"shape {tuple(mask.shape)} with {int(mask.sum())} pixels set"
        raise InputError("mask", got, f"shape {tuple(draws.shape[1:])}, not empty")
    values = (draws.flatten(1) if mask is None else draws[:, mask]).double()
    centre = values.mean(1)
    if not centre.isfinite().all():
        raise InputError("draws", "values that are not finite", "finite values inside the mask")
    centred = values - centre[:, None]
    covariance = centred @ centred.T / centred.shape[1]
    deviation = covariance.diagonal().sqrt()
    alive = deviation > NEGLIGIBLE * centre.abs()
    unit = deviation[alive]
    scale = torch.zeros_like(centre)
    scale[alive] = SOLVERS[solver](covariance[alive][:, alive] / unit.outer(unit)) / unit
    return scale, -scale * centre


def _gram(correlation: Float[Tensor, "n n"]) -> Float[Tensor, "n"]:
    """Top eigenvector of the correlations; draws of weight <= 0 get 0, then again without them."""
    weight = torch.zeros_like(correlation.diagonal())
    kept = torch.arange(len(weight), device=weight.device)
    while len(kept):
        values, vectors = torch.linalg.eigh(correlation[kept[:, None], kept])
        top = vectors[:, -1] * vectors[:, -1].sum().sign()
        unique = len(kept) == 1 or values[-1] - values[-2] > NEGLIGIBLE
        if not unique or top.sum() <= NEGLIGIBLE:  # no majority, so nobody to side with
            top = torch.ones_like(top)
        agree = top > NEGLIGIBLE
        if agree.all():
            weight[kept] = top
            break
        kept = kept[agree]
    return weight


def _zscore(correlation: Float[Tensor, "n n"]) -> Float[Tensor, "n"]:
    """Equal weights."""
    return torch.ones_like(correlation.diagonal())


SOLVERS: dict[str, Callable[[Tensor], Tensor]] = {"gram": _gram, "zscore": _zscore}


def _middle(draws: Float[Tensor, "N *map"]) -> Float[Tensor, "*map"]:
    """True median along the first axis (torch.median gives the lower one of two).

    Odd-even transposition sort on whole maps: for the N of an ensemble several times faster than
    sorting each pixel.
    """
    rows = list(draws.unbind(0))
    for start in range(len(rows)):
        for i in range(start % 2, len(rows) - 1, 2):
            rows[i], rows[i + 1] = torch.minimum(*rows[i : i + 2]), torch.maximum(*rows[i : i + 2])
    return (rows[(len(rows) - 1) // 2] + rows[len(rows) // 2]) / 2


def _count(draws: Tensor) -> int:
    if len(draws) == 0:
        raise InputError("draws", "none", "at least one draw")
    return len(draws)
