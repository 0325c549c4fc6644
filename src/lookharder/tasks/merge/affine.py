"""Depth draws are known up to a scale s_i > 0 and a shift t_i each: align them, then take the median.

With z_i a draw standardised to mean 0 and deviation 1, and s_i z_i the aligned draws, gauge sum s_i^2 = 1,

    sum_ij ||s_i z_i - s_j z_j||^2 / 2P = N - s' R s        R = Z Z' / P, the correlations

is least at the top eigenvector of R: shifts drop out (every aligned draw has mean 0), images enter only through an N x
N matrix, and no optimiser runs. (MAXVAR canonical correlation; Kettenring 1971.) If all correlations are positive the
eigenvector is unique and positive (Perron-Frobenius); a draw with a weight <= 0 disagrees with the rest even about
which way is far, and is left out.

Pixels may count with a weight (a confidence); means and correlations are then weighted ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.errors import InputError
from lookharder.tasks.merge.marigold import Marigold, merge_published, solve_published
from lookharder.tasks.merge.moments import moments, own_order
from lookharder.tasks.merge.rank import count_draws, median, medians

NEGLIGIBLE = 1e-6  # of a deviation, a weight or an eigenvalue gap: far above float32 rounding


@dataclass(frozen=True, kw_only=True)
class Merged:
    """An answer, and which draws it rests on.

    Attributes:
        prediction: (H, W), in [0, 1].
        uncertainty: (H, W), in the unit of the prediction.
        kept: (N,), False for draws that failed (constant, or at odds with the rest) and were left out.
            All False: no shape was found, and the prediction is the plain median of all draws.
    """

    prediction: Float[Tensor, "H W"]
    uncertainty: Float[Tensor, "H W"]
    kept: Bool[Tensor, "N"]


def merge_affine(
    draws: Float[Tensor, "N H W"],
    mask: Bool[Tensor, "H W"] | None = None,
    solver: str | Marigold = "gram",
    *,
    weight: Float[Tensor, "H W"] | None = None,
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Align affine-invariant maps to one another and take their median.

    Args:
        draws: each known up to a positive scale and a shift of its own.
        mask: pixels that count, for alignment and for the range of the result; None for all.
        solver: "gram" (closed form, above), "zscore" (equal weights, the trivial baseline), or
            "marigold" (the published optimisation), as `Marigold(...)` with options of its own.
        weight: how much each pixel counts for the alignment, >= 0; 0 is as if masked out.

    Returns:
        merged: in [0, 1] and spanning it inside the mask; a single draw already in [0, 1] comes
            back unchanged. Where no shape is left (all draws constant, or they cancel) it is the
            plain median of the draws, clipped.
        uncertainty: median absolute deviation of the aligned draws, in the unit of `merged`.

    Raises:
        InputError: no draw, an unknown solver, a mask or weight that is empty, of another size or
            given to "marigold", or a value that counts and is not finite.
    """
    merged = merge_flagged(draws, mask, solver, weight=weight)
    return merged.prediction, merged.uncertainty


@torch.no_grad()
def merge_flagged(
    draws: Float[Tensor, "N H W"],
    mask: Bool[Tensor, "H W"] | None = None,
    solver: str | Marigold = "gram",
    *,
    weight: Float[Tensor, "H W"] | None = None,
) -> Merged:
    """`merge_affine`, with the draws that failed. Arguments and errors as there."""
    scale, shift = solve_affine(draws, mask, solver, weight=weight)
    kept, inside = scale != 0, _counted(draws, mask, weight)
    if len(draws) == 1:
        low, high = (draws[0] if inside is None else draws[0, inside]).aminmax()
        if low >= 0 and high <= 1:
            return Merged(
                prediction=draws[0].clamp(0, 1), uncertainty=torch.zeros_like(draws[0]), kept=kept
            )
    if isinstance(solver, Marigold) or solver == "marigold":
        prediction, uncertainty = merge_published(draws, scale, shift)
        return Merged(prediction=prediction, uncertainty=uncertainty, kept=kept)
    if kept.any():
        merged, spread = _aligned_median(draws, scale, shift)
        low, high = (merged if inside is None else merged[inside]).aminmax()
        if high - low > max(NEGLIGIBLE, 16 * torch.finfo(merged.dtype).eps):
            return Merged(
                prediction=merged.sub_(low).div_(high - low).clamp_(0, 1).to(draws.dtype),
                uncertainty=spread.div_(high - low).to(draws.dtype),
                kept=kept,
            )
    merged, spread = median(draws)
    return Merged(prediction=merged.clamp(0, 1), uncertainty=spread, kept=torch.zeros_like(kept))


@torch.no_grad()
def solve_affine(
    draws: Float[Tensor, "N H W"],
    mask: Bool[Tensor, "H W"] | None = None,
    solver: str | Marigold = "gram",
    *,
    weight: Float[Tensor, "H W"] | None = None,
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
    """Scale and shift (N,) float64 that align the draws; scale 0 marks a draw that is left out.

    Left out are constant draws, which have no shape, and with "gram" those that contradict the
    rest; "marigold" leaves none out. Elsewhere the aligned draws have mean 0 over the pixels that
    count, and a common scale that means nothing. Arguments and errors as in `merge_affine`.
    """
    inside = _counted(draws, mask, weight)
    if solver == "marigold":
        solver = Marigold()
    if isinstance(solver, Marigold):
        if inside is not None:
            raise InputError("mask, weight", "with solver='marigold'", "neither: it has none")
        return solve_published(draws, solver)
    if solver not in SOLVERS:
        raise InputError("solver", repr(solver), " or ".join(map(repr, [*SOLVERS, "marigold"])))
    values = _at_least_single(draws.flatten(1) if inside is None else draws[:, inside])
    if weight is not None:
        weight = weight[inside].to(values.dtype)
    order = own_order(values)
    mean, covariance = moments(values, order, weight)
    if not (mean.isfinite().all() and covariance.isfinite().all()):
        raise InputError("draws", "values that are not finite", "finite values inside the mask")
    deviation = covariance.diagonal().clamp_min(0).sqrt()
    alive = deviation > NEGLIGIBLE * mean.abs()
    unit = deviation[alive]
    found = torch.zeros_like(mean)
    found[alive] = SOLVERS[solver](covariance[alive][:, alive] / unit.outer(unit)) / unit
    scale, shift = torch.empty_like(mean), torch.empty_like(mean)
    scale[order], shift[order] = found, -found * mean  # back to the order of the draws
    return scale, shift


def _aligned_median(
    draws: Float[Tensor, "N H W"], scale: Float[Tensor, "N"], shift: Float[Tensor, "N"]
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Median and deviation of scale x + shift, over the draws whose scale is not 0.

    The shift is taken in two parts, so that 1000 +- 0.01 does not lose its digits: the mean as float32
    has it, before the product, and what that leaves, after it.
    """
    rows = _at_least_single(draws.flatten(1))
    kept = scale != 0
    if not kept.all():
        rows, scale, shift = rows[kept], scale[kept], shift[kept]
    centre = (-shift / scale).to(rows.dtype)[:, None]
    rest = (shift[:, None] + scale[:, None] * centre.double()).to(rows.dtype)
    gain = scale.to(rows.dtype)[:, None]

    def place(part: Tensor, out: Tensor) -> None:
        torch.sub(part, centre, out=out).mul_(gain).add_(rest)

    merged, spread = medians(rows, place)
    return merged.reshape(draws.shape[1:]), spread.reshape(draws.shape[1:])


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


def _counted(
    draws: Float[Tensor, "N H W"], mask: Tensor | None, weight: Tensor | None
) -> Bool[Tensor, "H W"] | None:
    """The pixels that count, None for all; and the check of what came."""
    count_draws(draws)
    size = tuple(draws.shape[1:])
    if mask is not None and (mask.shape != size or not mask.any()):
        got = f"shape {tuple(mask.shape)} with {int(mask.sum())} pixels set"
        raise InputError("mask", got, f"shape {size}, not empty")
    if weight is None:
        return mask
    positive = weight > 0
    inside = positive if mask is None or weight.shape != size else positive & mask
    if weight.shape != size or not inside.any() or not (weight.isfinite() & (weight >= 0)).all():
        got = f"shape {tuple(weight.shape)}, {int(inside.sum())} pixels that count"
        raise InputError("weight", got, f"shape {size}, finite, >= 0 and not 0 everywhere")
    return inside


def _at_least_single(values: Float[Tensor, "N P"]) -> Float[Tensor, "N P"]:
    """Half precision becomes float32, the rest stays as it is."""
    return values if values.dtype == torch.float64 else values.float()
