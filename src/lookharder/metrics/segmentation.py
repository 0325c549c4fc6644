"""Masks of whole objects: intersection over union, also of the hidden part alone, and outlines.

    IoU = |pred & target| / |pred | target|,   1 where both are empty (they agree)

An amodal mask contains the visible part, which the network is given: the IoU of the whole is
dominated by it. The honest numbers are `iou_occluded`, the IoU of objects of which something is
hidden, and `iou_invisible`, the IoU over the pixels outside the given part; both are None, not 0 or
1, where the target hides nothing, so that a mean over a set can leave such objects out and say how
many remain.
"""

import math

import numpy as np

from lookharder.errors import InputError
from lookharder.metrics import ArrayLike, to_mask


def evaluate(
    pred: ArrayLike, target: ArrayLike, visible: ArrayLike | None = None
) -> dict[str, float | None]:
    """Score the mask of one object.

    Args:
        pred: (H, W) mask of the whole object.
        target: (H, W) mask of the whole object.
        visible: (H, W) mask of the visible part, as given to the network.

    Returns:
        iou, iou_occluded and iou_invisible (None without `visible`, and where no target pixel is
        hidden), boundary_f; all in [0, 1].

    Raises:
        InputError: shapes differ, or a mask is neither boolean nor 0 and 1.
    """
    p, t = _masks(pred, target)
    hidden = None if visible is None else ~to_mask("visible", visible, t.shape)
    countable = hidden is not None and bool((t & hidden).any())
    return {
        "iou": _iou(p, t),
        "iou_occluded": _iou(p, t) if countable else None,
        "iou_invisible": _iou(p & hidden, t & hidden) if countable else None,
        "boundary_f": boundary_f(p, t),
    }


def convex_hull(mask: np.ndarray) -> np.ndarray:
    """The smallest convex set of pixels that contains a mask, (H, W) bool: what one guesses of a hidden object."""
    import cv2

    points = np.argwhere(mask)[:, ::-1].astype(np.int32)
    hull = np.zeros(mask.shape, np.uint8)
    if len(points):
        cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    found: np.ndarray = (hull > 0) | mask
    return found


def boundary_f(pred: ArrayLike, target: ArrayLike, tolerance: float = 0.008) -> float:
    """F-measure of the outlines: how much of each lies near the other (Perazzi et al. 2016, DAVIS).

    Args:
        pred: (H, W) mask.
        target: (H, W) mask.
        tolerance: what counts as near, as a share of the image's diagonal, rounded up to whole
            pixels.

    Returns:
        Harmonic mean of precision and recall in [0, 1]; 1 where neither mask has an outline, 0
        where one has none.
    """
    if not 0 <= tolerance < 1:
        raise InputError("tolerance", tolerance, "a share of the diagonal in [0, 1)")
    p, t = (_outline(mask) for mask in _masks(pred, target))
    if not p.any() or not t.any():
        return float(p.any() == t.any())
    radius = math.ceil(tolerance * math.hypot(*p.shape))
    precision, recall = _dilate(t, radius)[p].mean(), _dilate(p, radius)[t].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _masks(pred: ArrayLike, target: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    if target.ndim != 2:
        raise InputError("target", f"shape {tuple(target.shape)}", "one mask (H, W)")
    shape = tuple(target.shape)
    return to_mask("pred", pred, shape), to_mask("target", target, shape)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def _outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of the mask with a 4-neighbour outside it; the border of the frame is no outline."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outline: np.ndarray = mask & ~inner
    return outline


def _dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Pixels within `radius` of the mask: the union of its copies shifted over a disc."""
    height, width = mask.shape
    padded = np.pad(mask, radius)
    reach = range(-radius, radius + 1)
    near = np.zeros_like(mask)
    for dy, dx in ((y, x) for y in reach for x in reach if y * y + x * x <= radius * radius):
        near |= padded[radius + dy : radius + dy + height, radius + dx : radius + dx + width]
    return near
