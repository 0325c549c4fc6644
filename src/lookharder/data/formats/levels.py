"""What the grey levels of a mask mean: two of them, softened or not, are one object; more are several."""

import numpy as np
from jaxtyping import Bool, Float32

from lookharder.errors import InputError

PLATEAU = 0.01  # share of the bright pixels that lie in flat ground of a level in between
NEAR = 0.02  # share of the range that an encoder may be off
ONE_OBJECT = "one object: black and white, with or without a soft edge"


def inside(
    name: str, values: Float32[np.ndarray, "H W"] | Float32[np.ndarray, "H W C"], lossy: bool
) -> Bool[np.ndarray, "H W"]:
    """Where a mask is brighter than half of its brightest pixel.

    Levels in between are the soft edge of one object where they change from pixel to pixel. Flat ground of such a level
    is another object, or something to be ignored: object numbers, palettes, trimaps.

    Args:
        name: what an error calls it.
        values: brightness, or colours; in colours the largest channel counts.
        lossy: stored by an encoder that does not keep levels exactly.

    Raises:
        InputError: several levels, or colours, that are no softened edge.
    """
    bright = values.max(axis=2) if values.ndim == 3 else values
    low, top = float(bright.min()), float(bright.max())
    shown: np.ndarray = bright > top / 2
    above = bright > (low + NEAR * (top - low) if lossy else low)
    several = _flat(bright) & above & (bright < top - NEAR * (top - low))
    if several.sum() > PLATEAU * above.sum():
        levels = ", ".join(f"{level:g}" for level in np.unique(bright[several])[:4])
        raise InputError(name, f"levels {levels} between {low:g} and {top:g}", ONE_OBJECT)
    colours = values[shown & _flat(bright)]
    if values.ndim == 3 and len(colours) and np.ptp(colours, axis=0).max() > top / 2:
        raise InputError(name, "several colours", ONE_OBJECT)
    return shown


def _flat(bright: np.ndarray) -> np.ndarray:
    """Pixels that are as bright as their four neighbours."""
    flat = np.zeros(bright.shape, bool)
    centre = bright[1:-1, 1:-1]
    flat[1:-1, 1:-1] = (
        (centre == bright[:-2, 1:-1])
        & (centre == bright[2:, 1:-1])
        & (centre == bright[1:-1, :-2])
        & (centre == bright[1:-1, 2:])
    )
    return flat
