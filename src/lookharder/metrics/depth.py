"""Depth: least-squares alignment in depth space, and the usual errors, as in Marigold's protocol.

    scale, shift = argmin  sum over valid pixels of (scale pred + shift - target)^2
    AbsRel = mean |p - t| / t            delta_k = share of pixels where max(p / t, t / p) < 1.25^k

An affine-invariant prediction is aligned per image, clipped to the set's range of depths, then
scored; a metric one is scored as it is. So `evaluate` does not align unless it is asked to. (Ke et
al. 2024, arXiv 2312.02145, section 4.1.)
"""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.errors import InputError
from lookharder.metrics import ArrayLike, fit_affine, to_numpy, valid_pixels

BOUNDARY_STEPS = (0.05, 0.10, 0.15, 0.20, 0.25)  # how much farther the one of two pixels is
BOUNDARY_REACH = 0.008  # how far apart they are, as a share of the diagonal


def align_affine(
    pred: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None
) -> tuple[ArrayLike, float, float]:
    """Fit the prediction to the target by one scale and one shift, least squares in depth space.

    Args:
        pred: (H, W) prediction, in any unit.
        target: (H, W) metres.
        mask: (H, W) pixels to fit on; None for all.

    Returns:
        aligned: (H, W) float64, metres, at every pixel, an array or a CPU tensor as `pred` is; not clipped.
        scale: negative where the prediction runs against the target, 0 where it is constant.
        shift: metres.

    Raises:
        InputError: shapes differ, no pixel is valid, or a valid one is not finite.
    """
    scale, shift = fit_affine(*_valid(pred, target, mask))
    aligned = scale * to_numpy(pred) + shift
    return (torch.from_numpy(aligned) if isinstance(pred, Tensor) else aligned), scale, shift


def align_depth(
    pred: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    space: Literal["linear", "log", "disparity"],
    min_depth: float,
    max_depth: float,
    side: int | None = None,
) -> tuple[Float[np.ndarray, "H W"], float]:
    """Fit a map of depth, log depth or disparity to the target where it is affine-invariant.

    Args:
        pred: (H, W) prediction.
        target: (H, W) metres.
        mask: (H, W) bool, pixels to fit on.
        space: what the prediction is a map of.
        min_depth: metres; the result is clipped to [min_depth, max_depth].
        max_depth: metres.
        side: longest side of the maps on which the fit is made, of nearest pixels; None = all pixels.

    Returns:
        depth: (H, W) float64, metres.
        scale: of the fit, metres, a logarithm, or 1 / metres, for one unit of the prediction.
    """
    known = np.where(mask, target, 1.0).astype(np.float64)
    known = {"linear": known, "log": np.log(known), "disparity": 1 / known}[space]
    fewer = [_nearest(values, side) for values in (np.asarray(pred), known, mask)]
    if not fewer[2].any():  # of few pixels that are known, none may be left
        fewer = [np.asarray(pred), known, mask]
    _, scale, shift = align_affine(*fewer)
    aligned = scale * np.asarray(pred, np.float64) + shift
    if space == "log":
        aligned = np.exp(aligned.clip(math.log(min_depth), math.log(max_depth)))
    elif space == "disparity":
        aligned = 1 / aligned.clip(1 / max_depth, 1 / min_depth)
    return aligned.clip(min_depth, max_depth), scale


def evaluate(
    pred: ArrayLike,
    target: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    align: bool = False,
    min_depth: float = 1e-6,
    max_depth: float = math.inf,
) -> dict[str, float]:
    """Score one depth map over its valid pixels.

    Args:
        pred: (H, W) metres; in any unit with `align`.
        target: (H, W) metres, positive at valid pixels.
        mask: (H, W) valid pixels; None for all.
        align: fit scale and shift first.
        min_depth: metres; the prediction is clipped to [min_depth, max_depth], as the protocol says
            (its logarithm and its inverse need a positive one). The default only keeps it positive.
        max_depth: metres.

    Returns:
        abs_rel, sq_rel (metres: mean (p - t)^2 / t), rmse (metres), rmse_log, log10, delta1,
        delta2, delta3 (shares in [0, 1]), i_rmse (1 / metres), silog (100 times the deviation of
        log p - log t).

    Raises:
        InputError: as `align_affine`; also a target <= 0 at a valid pixel, or an empty range of
        depths.
    """
    if not 0 < min_depth < max_depth:
        raise InputError("min_depth", min_depth, f"more than 0, less than max_depth ({max_depth})")
    p, t = _valid(pred, target, mask)
    if t.min() <= 0:
        raise InputError(
            "target", f"depth {t.min():g} at a valid pixel", "positive depths; mask out the others"
        )
    if align:
        scale, shift = fit_affine(p, t)
        p = scale * p + shift
    p = p.clip(min_depth, max_depth)
    error, log_error, ratio = p - t, np.log(p) - np.log(t), np.maximum(p / t, t / p)
    return {
        "abs_rel": float(np.mean(np.abs(error) / t)),
        "sq_rel": float(np.mean(error**2 / t)),
        "rmse": _rms(error),
        "rmse_log": _rms(log_error),
        "log10": float(np.mean(np.abs(log_error)) / np.log(10)),
        **{f"delta{k}": float(np.mean(ratio < 1.25**k)) for k in (1, 2, 3)},
        "i_rmse": _rms(1 / p - 1 / t),
        "silog": float(100 * np.std(log_error)),
    }


def boundary_f1(pred: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None) -> float:
    """How well steps in depth are found: the mean over t = 5, 10, 15, 20 and 25 % of an F-measure.

    Two pixels in a row or column form a step where one is more than t farther than the other; a step counts as found
    where the prediction has it too, the same way round. As in Depth Pro (Bochkovskii et al., 2410.02073), but for
    pixels 0.8 % of the diagonal apart and not neighbours, whose depths differ little in a map that was enlarged.

    Args:
        pred: (H, W) metres, positive.
        target: (H, W) metres, positive at valid pixels.
        mask: (H, W) valid pixels; None for all.

    Returns:
        Harmonic mean of precision and recall, in [0, 1]; 1 where neither map has a step.

    Raises:
        InputError: shapes differ, no pixel is valid, or a valid one is not finite.
    """
    _valid(pred, target, mask)
    valid = np.ones(tuple(target.shape), bool) if mask is None else to_numpy(mask).astype(bool)
    reach = math.ceil(BOUNDARY_REACH * math.hypot(*valid.shape))
    ours, theirs = (_log_steps(to_numpy(depth), valid, reach) for depth in (pred, target))
    scores = []
    for least in np.log1p(BOUNDARY_STEPS):
        found, true = (np.sign(steps) * (np.abs(steps) > least) for steps in (ours, theirs))
        count = np.count_nonzero(found) + np.count_nonzero(true)
        scores.append(2 * np.count_nonzero((found == true) & (true != 0)) / count if count else 1.0)
    return float(np.mean(scores))


def _nearest(values: np.ndarray, side: int | None) -> np.ndarray:
    """A map (H, W) whose longest side is at most that long, of the pixels that torch's `nearest` takes."""
    factor = 1.0 if side is None else side / max(values.shape)
    if factor >= 1:
        return values
    rows, columns = (
        np.floor(np.arange(int(length * factor)) / factor).astype(int).clip(max=length - 1)
        for length in values.shape
    )
    return np.asarray(values[np.ix_(rows, columns)])


def _log_steps(depth: np.ndarray, valid: np.ndarray, reach: int) -> Float[np.ndarray, "pairs"]:
    """Log ratios of the depths of all valid pixels so far apart, down the columns and along the rows."""
    log = np.log(np.where(valid, depth, 1.0))
    pairs = [(log, valid), (log.T, valid.T)]
    return np.concatenate([(x[reach:] - x[:-reach])[v[reach:] & v[:-reach]] for x, v in pairs])


def _valid(
    pred: ArrayLike, target: ArrayLike, mask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    if target.ndim > 2:
        raise InputError(
            "target", f"shape {tuple(target.shape)}", "one map (H, W), or a list of pixels (P,)"
        )
    return valid_pixels(pred, target, mask, "mask")


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
