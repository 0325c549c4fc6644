"""Error and uncertainty of a prediction, pixel by pixel: what calibration compares.

depth     relative error of the aligned depth; its trivial uncertainty is the same spread everywhere
flow      end-point error, pixels; the speed that was predicted
mask      wrong or right; nearness to the outline that was predicted
"""

from dataclasses import dataclass

import numpy as np

from lookharder.metrics.depth import align_depth
from lookharder.metrics.protocol import Protocol, Truth, depth_mask, flow_mask


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorMap:
    """One prediction beside its truth.

    Attributes:
        error: (H, W), zero or more.
        uncertainty: (H, W), what the model says of it, in the same unit.
        trivial: (H, W), an uncertainty that needs no members.
        valid: (H, W) bool, pixels that count.
    """

    error: np.ndarray
    uncertainty: np.ndarray
    trivial: np.ndarray
    valid: np.ndarray


def depth_errors(
    prediction: np.ndarray, spread: np.ndarray, truth: Truth, rules: Protocol
) -> ErrorMap:
    """Relative errors; a spread of log depth is one already, and disparity's relative spread is depth's."""
    target, valid = truth["depth"].astype(np.float64), depth_mask(truth, rules)
    limits = rules.depth_space, rules.min_depth, rules.max_depth, rules.align_side
    aligned, scale = align_depth(prediction[0], target, valid, *limits)
    power = {"linear": -1, "log": 0, "disparity": 1}[rules.depth_space]
    unit = abs(scale) * aligned**power
    error = np.where(valid, np.abs(aligned - target) / np.where(valid, target, 1.0), 0.0)
    return ErrorMap(error=error, uncertainty=unit * spread, trivial=unit, valid=valid)


def flow_errors(
    prediction: np.ndarray, spread: np.ndarray, truth: Truth, rules: Protocol
) -> ErrorMap:
    """Distances from the true motion, pixels."""
    valid = flow_mask(truth, rules)
    prediction = prediction.astype(np.float64)
    error = np.hypot(*np.where(valid, prediction - truth["flow"], 0.0))
    return ErrorMap(error=error, uncertainty=spread, trivial=np.hypot(*prediction), valid=valid)


def mask_errors(
    prediction: np.ndarray, spread: np.ndarray, truth: Truth, rules: Protocol
) -> ErrorMap:
    """1 where the mask is wrong."""
    import cv2

    mask, target = prediction[0], truth["amodal"]
    sides = (mask, ~mask)
    depth = sum(cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5) for side in sides)
    return ErrorMap(
        error=(mask != target).astype(np.float64),
        uncertainty=spread,
        trivial=1 / (1 + np.asarray(depth, np.float64)),
        valid=np.ones_like(target),
    )
