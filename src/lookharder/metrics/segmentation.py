"""Masks of whole objects: intersection over union, also of the hidden part alone, and outlines.

    IoU = |pred & target| / |pred | target|,   1 where both are empty (they agree)

An amodal mask contains the visible part, which the network is given: the IoU of the whole is
dominated by it. The honest numbers are `iou_occluded`, the IoU of objects of which something is
hidden, and `iou_invisible`, the IoU over the pixels outside the given part; both are None, not 0 or
1, where the target hides nothing, so that a mean over a set can leave such objects out and say how
many remain.
"""

import math
from itertools import pairwise

import numpy as np

from lookharder.errors import InputError
from lookharder.metrics import ArrayLike, to_mask

PARTS = ("iou_occluded", "iou_visible", "iou_invisible")
OCCLUSION = (
    0.0,
    0.1,
    0.3,
    0.5,
    1.0,
)  # bounds of the share of an object that is hidden; a bound is of the lower part
BY_OCCLUSION = tuple(
    f"iou_hidden_{100 * low:.0f}_{100 * high:.0f}" for low, high in pairwise(OCCLUSION)
)


def evaluate(
    pred: ArrayLike, target: ArrayLike, visible: ArrayLike | None = None
) -> dict[str, float | None]:
    """Score the mask of one object.

    Args:
        pred: (H, W) mask of the whole object.
        target: (H, W) mask of the whole object.
        visible: (H, W) mask of the visible part, as given to the network.

    Returns:
        iou, iou_occluded, iou_visible and iou_invisible (None without `visible`, and where no target pixel
        is hidden), the iou again in the one of `BY_OCCLUSION` that tells how much is hidden (None in the
        others), boundary_f; all in [0, 1].

    Raises:
        InputError: shapes differ, or a mask is neither boolean nor 0 and 1.
    """
    p, t = _masks(pred, target)
    found: dict[str, float | None] = {"iou": _iou(p, t), "boundary_f": boundary_f(p, t)}
    found |= dict.fromkeys((*PARTS, *BY_OCCLUSION))
    seen = None if visible is None else to_mask("visible", visible, t.shape)
    if seen is None or not (t & ~seen).any():
        return found
    share = float((t & ~seen).sum() / t.sum())
    place = sum(share > bound for bound in OCCLUSION[1:-1])
    return found | {
        "iou_occluded": found["iou"],
        "iou_visible": _iou(p & seen, t & seen),
        "iou_invisible": _iou(p & ~seen, t & ~seen),
        BY_OCCLUSION[place]: found["iou"],
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
