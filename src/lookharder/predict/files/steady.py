"""Depth of a clip without flicker: the answer of a frame is fitted to the one before it, and mixed with it.

    alike     where the frame before, taken along by OpenCV's search for motion (DIS), looks like this one
    fitted    this answer in the scale and shift of the clip: those of the frame before, times those between the two
              answers where alike, less a part LEAK of what has become of them
    depth     share x the depth before, taken along, + (1 - share) x fitted, where alike; fitted elsewhere; in [0, 1]

Scale and shift of each answer are arbitrary, and some of what flickers is them. They are told from answers as they are
predicted alone, which are equally noisy: fitted to a mix, which is less noisy, a clip would fade. The leak brings it
back to the nearest and farthest point of its own frames, some 1 / LEAK frames after these have changed.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from lookharder.errors import InputError
from lookharder.metrics.flow import inverse_search

LEAK = 0.05
SIDE = 384  # motion is searched for at this longest side, pixels
UNLIKE = 24.0  # grey values by which a point may differ from itself in the frame before
ENOUGH = 0.2  # of a frame; where less is alike, a new scene has begun
FLAT = 1e-3  # deviation of a depth in [0, 1] that says nothing of scale


@dataclass(frozen=True, kw_only=True, eq=False)
class SteadyFrame:
    """A frame of a clip.

    Attributes:
        image: (3, H, W) uint8.
        alone: (H, W) in [0, 1], depth as it was predicted alone.
        depth: (H, W) in [0, 1], steadied.
        scale: of `alone` in the clip.
        shift: likewise.
    """

    image: UInt8[np.ndarray, "3 H W"]
    alone: Float[np.ndarray, "H W"]
    depth: Float[np.ndarray, "H W"]
    scale: float = 1.0
    shift: float = 0.0


def steady(
    before: SteadyFrame | None,
    image: UInt8[np.ndarray, "3 H W"],
    alone: Float[np.ndarray, "H W"],
    share: float,
) -> SteadyFrame:
    """The next frame of a clip.

    Args:
        before: the frame before; None = there is none.
        image: of this frame.
        alone: its depth in [0, 1].
        share: of the depth before, in [0, 1).

    Raises:
        InputError: another share.
    """
    if not 0 <= share < 1:
        raise InputError("steady", share, "0 <= share < 1")
    first = SteadyFrame(image=image, alone=alone, depth=alone)
    if before is None or share == 0:
        return first
    moved, old, alike = _taken_along(before, image)
    if alike.mean() < ENOUGH:
        return first
    spread = old[alike].std(), alone[alike].std()
    if min(spread) < FLAT:  # a scale of nothing would be nothing for ever
        return first
    change = float(spread[0] / spread[1])
    offset = float(old[alike].mean() - change * alone[alike].mean())
    scale = (before.scale * change) ** (1 - LEAK)
    shift = (before.scale * offset + before.shift) * (1 - LEAK)
    fitted = scale * alone + shift
    mixed = np.where(alike, share * moved + (1 - share) * fitted, fitted)
    depth = np.clip(mixed, 0, 1).astype(np.float32)
    return SteadyFrame(image=image, alone=alone, depth=depth, scale=scale, shift=shift)


def _taken_along(
    before: SteadyFrame, image: UInt8[np.ndarray, "3 H W"]
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """Depth of the frame before, steadied and alone, as it is seen from this one, and where it can be."""
    import cv2

    height, width = image.shape[1:]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    now, then = (each.mean(0).round().astype(np.uint8) for each in (image, before.image))
    small = (cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in (now, then))
    right, down = (cv2.resize(each, (width, height)) for each in inverse_search(*small))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = columns + right * (width / size[0]), rows + down * (height / size[1])
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    depth, alone, grey = (
        cv2.remap(each.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for each in (before.depth, before.alone, then)
    )
    return depth, alone, inside & (np.abs(grey - now) <= UNLIKE)
