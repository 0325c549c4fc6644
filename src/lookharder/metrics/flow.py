"""Optical flow: end-point error and what counts as an outlier, in pixels.

    EPE = mean |pred - target|
    Fl-all = 100 x share of pixels whose error is > 3 px and > 5 % of |target|

Flow has no free scale: `evaluate` scores it as it is, in pixels of the frame. The paper most
probably reports its EPE after an affine fit of each component to the target; `epe_fitted` is that
number, and never a substitute for `epe`. (KITTI 2015, Menze & Geiger; RAFT, Teed & Deng 2020.)
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lookharder.errors import InputError
from lookharder.metrics import ArrayLike, fit_affine, to_numpy, valid_pixels

SEARCHED = 12  # pixels a side from which OpenCV searches for motion


def inverse_search(
    first: UInt8[np.ndarray, "H W"], second: UInt8[np.ndarray, "H W"]
) -> Float[np.ndarray, "2 H W"]:
    """Flow in pixels from one grey frame to another by dense inverse search (Kroeger et al., 1603.03590), OpenCV's."""
    import cv2

    if min(first.shape) < SEARCHED:
        return np.zeros((2, *first.shape), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = search.calc(first, second, None)  # type: ignore[call-overload]  # its stubs want a first guess
    moved: np.ndarray = np.moveaxis(flow, -1, 0)
    return moved


def evaluate(
    pred: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None
) -> dict[str, float]:
    """Score one flow field over its valid pixels.

    Args:
        pred: (2, H, W) pixels, u right and v down.
        target: (2, H, W) pixels.
        valid: (H, W) pixels whose motion is known; None for all.

    Returns:
        epe (pixels), fl_all (percent), px1, px3, px5: shares in [0, 1] of pixels with an error
        below 1, 3, 5 pixels.

    Raises:
        InputError: wrong shapes, no valid pixel, or a valid one that is not finite.
    """
    p, t = _valid(pred, target, valid)
    error = np.hypot(*(p - t))
    return {
        "epe": float(np.mean(error)),
        "fl_all": float(100 * np.mean((error > 3) & (error > 0.05 * np.hypot(*t)))),
        **{f"px{bound}": float(np.mean(error < bound)) for bound in (1, 3, 5)},
    }


def align_affine_per_component(
    pred: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None
) -> tuple[ArrayLike, np.ndarray, np.ndarray]:
    """Fit u and v to the target, each by its own scale and shift, least squares.

    Takes what `evaluate` takes.

    Returns:
        aligned: (2, H, W) float64, pixels, of the kind that `pred` is (array or CPU tensor).
        scale: (2,), of u and v.
        shift: (2,), pixels.
    """
    p, t = _valid(pred, target, valid)
    scale, shift = np.array([fit_affine(x, y) for x, y in zip(p, t, strict=True)]).T
    aligned = scale[:, None, None] * to_numpy(pred) + shift[:, None, None]
    return (torch.from_numpy(aligned) if isinstance(pred, Tensor) else aligned), scale, shift


def epe_fitted(pred: ArrayLike, target: ArrayLike, valid: ArrayLike | None = None) -> float:
    """End-point error in pixels after `align_affine_per_component`; takes what `evaluate` takes."""
    return evaluate(align_affine_per_component(pred, target, valid)[0], target, valid)["epe"]


def _valid(
    pred: ArrayLike, target: ArrayLike, valid: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    if target.ndim != 3 or target.shape[0] != 2:
        raise InputError("target", f"shape {tuple(target.shape)}", "(2, H, W)")
    return valid_pixels(pred, target, valid, "valid")
