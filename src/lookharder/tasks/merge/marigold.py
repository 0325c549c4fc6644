"""The published alignment of depth draws, kept to reproduce its results: Marigold, 2312.02145, section 3.3.

    J(s, t) = sum_(i<j) RMS(s_i d_i + t_i - s_j d_j - t_j) + r (|min m| + |1 - max m|)      m = their median

is lowered by BFGS with numerical gradients in 2 N variables, from a start that spreads every draw over [0, 1], on maps
of at most `max_res` pixels a side. The result is the median of the aligned draws, spread over [0, 1].

The first term falls with a common scale, so the least value is at s = t = 0; two iterations from the start are what
makes it useful. Medians are the lower ones for even N. All arithmetic is in the order of diffusers' `ensemble_depth`,
so that the two agree to the last bits; the order of the draws matters as little and as much as there.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lookharder.errors import InputError
from lookharder.tasks.merge.rank import lower_median

SMALLEST_RANGE = 1e-6  # a flatter map counts as this wide


@dataclass(frozen=True, kw_only=True)
class Marigold:
    """Options of the published solver, with its published values.

    Attributes:
        max_res: longer side of the maps that are aligned (nearest neighbours of larger ones); None for full size.
        max_iter: iterations of BFGS.
        tol: of the gradient, where BFGS stops.
        regularizer: weight r of the term that holds the median to [0, 1].
    """

    max_res: int | None = 1024
    max_iter: int = 2
    tol: float = 1e-3
    regularizer: float = 0.02

    def __post_init__(self) -> None:
        if self.max_res is not None and self.max_res < 1:
            raise InputError("marigold.max_res", self.max_res, "a positive number, or None")
        if self.max_iter < 0 or self.tol <= 0 or self.regularizer < 0:
            got = (self.max_iter, self.tol, self.regularizer)
            raise InputError("marigold.max_iter, tol, regularizer", got, ">= 0, > 0, >= 0")


def solve_published(
    draws: Float[Tensor, "N H W"], options: Marigold
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
    """Scale and shift (N,) float64 of each draw.

    Raises:
        InputError: a value is not finite, or no pixel is left of a side.
    """
    from scipy.optimize import minimize

    if not draws.isfinite().all():
        raise InputError("draws", "values that are not finite", "finite values")
    maps = _shrunk(draws.float(), options.max_res)
    low, high = maps.flatten(1).aminmax(dim=1)
    scale = 1 / (high - low).clamp_min(SMALLEST_RANGE)
    start = torch.cat([scale, -scale * low]).cpu().numpy().astype("float64")

    def cost(parameters: Any) -> float:
        aligned = _align(maps, *torch.from_numpy(parameters).chunk(2))
        total = 0.0
        for first, second in combinations(aligned, 2):
            total += ((first - second) ** 2).mean().sqrt().item()
        if options.regularizer > 0:
            low, high = lower_median(aligned).aminmax()
            total += (low.abs().item() + (1 - high).abs().item()) * options.regularizer
        return total

    found = minimize(
        cost, start, method="BFGS", tol=options.tol, options={"maxiter": options.max_iter}
    )
    scale, shift = torch.from_numpy(found.x).to(draws.device).chunk(2)
    return scale, shift


def merge_published(
    draws: Float[Tensor, "N H W"], scale: Float[Tensor, "N"], shift: Float[Tensor, "N"]
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Lower median of the aligned draws over [0, 1], and the lower median of the distances to it."""
    aligned = _align(draws, scale, shift)
    merged = lower_median(aligned)
    spread = lower_median((aligned - merged).abs())
    low, high = merged.aminmax()
    width = (high - low).clamp_min(SMALLEST_RANGE)
    return (merged - low) / width, spread / width


def _align(
    draws: Float[Tensor, "N H W"], scale: Float[Tensor, "N"], shift: Float[Tensor, "N"]
) -> Float[Tensor, "N H W"]:
    """Scale d + shift, in the type of the draws."""
    return draws * scale.to(draws)[:, None, None] + shift.to(draws)[:, None, None]


def _shrunk(draws: Float[Tensor, "N H W"], longest: int | None) -> Float[Tensor, "N h w"]:
    """Nearest neighbours, so that the longer side has at most `longest` pixels."""
    height, width = draws.shape[1:]
    if longest is None or max(height, width) <= longest:
        return draws
    size = (height * longest // max(height, width), width * longest // max(height, width))
    if 0 in size:
        raise InputError("marigold.max_res", f"{longest} for {height} x {width}", "a larger number")
    return F.interpolate(draws[:, None], size, mode="nearest-exact")[:, 0]
