"""Pictures of annotations: every function gives (H, W, 3) uint8.

Depth is coloured by ColorBrewer's Spectral (near is red, far is blue), uncertainty by its YlOrRd
(pale is sure, dark red is not), both linear between their anchors. Flow is coloured by the
Middlebury wheel (Baker et al. 2007): hue is direction, saturation is length relative to the longest
vector, white is no motion. A pixel without a value (not finite, or outside `valid`) is black.
Arrays or CPU tensors come in.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from lookharder.errors import InputError
from lookharder.metrics import ArrayLike

RgbImage = UInt8[np.ndarray, "H W 3"]

# fmt: off
SPECTRAL = (
    (158, 1, 66), (213, 62, 79), (244, 109, 67), (253, 174, 97), (254, 224, 139), (255, 255, 191),
    (230, 245, 152), (171, 221, 164), (102, 194, 165), (50, 136, 189), (94, 79, 162),
)
YLORRD = (
    (255, 255, 204), (255, 237, 160), (254, 217, 118), (254, 178, 76), (253, 141, 60),
    (252, 78, 42), (227, 26, 28), (189, 0, 38), (128, 0, 38),
)
# each from near to far, nine or eleven anchors of the published maps
COLORMAPS = {
    "spectral": SPECTRAL,
    "grey": ((255, 255, 255), (0, 0, 0)),
    "turbo": (
        (122, 4, 3), (190, 34, 2), (234, 79, 13), (254, 144, 41), (238, 207, 58), (180, 248, 54),
        (97, 252, 108), (27, 229, 181), (47, 178, 244), (71, 114, 235), (48, 18, 59),
    ),
    "viridis": (
        (253, 231, 37), (173, 220, 48), (94, 201, 98), (40, 174, 128), (33, 145, 140),
        (44, 114, 142), (59, 82, 139), (71, 45, 123), (68, 1, 84),
    ),
    "magma": (
        (252, 253, 191), (254, 194, 135), (251, 136, 97), (229, 80, 100), (183, 55, 121),
        (129, 37, 129), (81, 18, 124), (28, 16, 68), (0, 0, 4),
    ),
    "inferno": (
        (252, 255, 164), (249, 201, 50), (249, 142, 9), (227, 89, 51), (188, 55, 84),
        (138, 34, 106), (87, 16, 110), (31, 12, 72), (0, 0, 4),
    ),
}
# fmt: on
ENDS = {  # of the maps, in words: near, far
    "spectral": ("red", "blue"),
    "grey": ("white", "black"),
    "turbo": ("red", "dark blue"),
    "viridis": ("yellow", "violet"),
    "magma": ("pale", "black"),
    "inferno": ("pale", "black"),
}
GIVEN, HIDDEN = (64, 128, 255), (255, 64, 64)  # tints of the visible part and of what was found
STRIP = 2**16  # pixels that are coloured at a time: what a processor's cache holds
CELLS = 64_000  # of the tables of colours: each lies between two anchors, of 9 as of 11
# From red over yellow, green, cyan, blue, magenta to red: (channel, up or down, hues of the arc).
ARCS = ((1, +1, 15), (0, -1, 6), (2, +1, 4), (1, -1, 11), (0, +1, 13), (2, -1, 6))


def depth_to_rgb(
    depth: ArrayLike,
    vmin: float | None = None,
    vmax: float | None = None,
    valid: ArrayLike | None = None,
    colormap: str = "spectral",
) -> RgbImage:
    """Colour a depth map: near is red, far is blue.

    Args:
        depth: (H, W), larger is farther, in any unit.
        vmin: depth of the first colour; None for the smallest value shown.
        vmax: depth of the last colour; None for the largest.
        valid: (H, W) bool; None for all.
        colormap: a row of `COLORMAPS`.
    """
    return _ramp(COLORMAPS[colormap], "depth", depth, vmin, vmax, valid)


def uncertainty_to_rgb(
    uncertainty: ArrayLike, vmax: float | None = None, valid: ArrayLike | None = None
) -> RgbImage:
    """Colour an uncertainty map (H, W) from 0, pale, to `vmax`, dark red (None: the largest)."""
    return _ramp(YLORRD, "uncertainty", uncertainty, 0.0, vmax, valid)


def flow_to_rgb(flow: ArrayLike, max_flow: float | None = None) -> RgbImage:
    """Colour a flow field by the Middlebury wheel.

    Args:
        flow: (2, H, W) pixels, u right and v down.
        max_flow: length in pixels of a fully saturated vector, longer ones are darkened; None for
            the longest one. Give it to compare fields.
    """
    field = np.asarray(flow)
    if field.ndim != 3 or field.shape[0] != 2:
        raise InputError("flow", f"shape {field.shape}", "(2, H, W)")
    if max_flow is not None and max_flow <= 0:
        raise InputError("max_flow", max_flow, "a length in pixels, more than 0")
    known = np.isfinite(field).all(axis=0)
    # In the field's own precision, like the published code, or colours differ in the last bit.
    u, v = np.where(known, field, 0).astype(np.result_type(field, np.float32))
    if max_flow is None:
        max_flow = np.sqrt(u * u + v * v).max(initial=0)
    longest = u.dtype.type(max_flow) + u.dtype.type(1e-5)
    u, v = u / longest, v / longest
    length = np.sqrt(u * u + v * v)[..., None]
    wheel = _wheel()
    position = (np.arctan2(-v, -u) / u.dtype.type(np.pi) + 1) / 2 * (len(wheel) - 1)
    index = np.floor(position).astype(int)
    blend = (position - index)[..., None]
    hue = (1 - blend) * wheel[index] + blend * wheel[(index + 1) % len(wheel)]
    colour = np.where(length <= 1, 1 - length * (1 - hue), 0.75 * hue)
    return np.where(known[..., None], np.floor(255 * colour), 0).astype(np.uint8)


def mask_overlay(
    image: RgbImage,
    mask: ArrayLike,
    color: tuple[int, int, int] = (255, 64, 64),
    opacity: float = 0.5,
) -> RgbImage:
    """Tint the pixels of `mask` (H, W) bool in an image."""
    if not 0 <= opacity <= 1:
        raise InputError("opacity", opacity, "a share in [0, 1]")
    inside = np.asarray(mask).astype(bool)
    if inside.shape != image.shape[:2]:
        raise InputError("mask", f"shape {inside.shape}", f"the image's {image.shape[:2]}")
    tinted = np.rint((1 - opacity) * image + opacity * np.array(color)).astype(np.uint8)
    return np.where(inside[..., None], tinted, image)


def amodal_overlay(image: np.ndarray, visible: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The picture (3, H, W) with the given part in blue and the found part in red, (H, W, 3) uint8."""
    tinted = mask_overlay(np.moveaxis(image, 0, -1), visible, GIVEN)
    return mask_overlay(tinted, whole & ~visible, HIDDEN)


def montage(
    rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] | None = None, gap: int = 4
) -> RgbImage:
    """Lay pictures (H, W, 3) uint8 out on white, in rows of equal cells, each at its top left.

    Args:
        rows: pictures of each row; sizes and counts may differ.
        titles: one line of text over each column.
        gap: pixels between cells and around them.
    """
    if not any(len(row) for row in rows):
        raise InputError("rows", "no picture", "at least one")
    columns = max(len(row) for row in rows)
    if titles is not None and len(titles) != columns:
        raise InputError("titles", f"{len(titles)} titles", f"{columns}, one for each column")
    cell_height, cell_width = np.max([cell.shape[:2] for row in rows for cell in row], axis=0)
    top = gap if titles is None else gap + 12
    pitch_y, pitch_x = int(cell_height) + gap, int(cell_width) + gap
    canvas = np.full((top + len(rows) * pitch_y, gap + columns * pitch_x, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            y, x = top + i * pitch_y, gap + j * pitch_x
            canvas[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    if titles is None:
        return canvas
    page = Image.fromarray(canvas)
    draw = ImageDraw.Draw(page)
    for j, title in enumerate(titles):
        draw.text((gap + j * pitch_x, 1), title, fill=(0, 0, 0))
    return np.array(page)


def _ramp(
    anchors: Sequence[tuple[int, int, int]],
    argument: str,
    values: ArrayLike,
    vmin: float | None,
    vmax: float | None,
    valid: ArrayLike | None,
) -> RgbImage:
    """Colours of (H, W) values, linear between equally spaced anchors from vmin to vmax."""
    array = np.asarray(values)
    if array.ndim != 2:
        raise InputError(argument, f"shape {array.shape}", "(H, W)")
    shown = np.isfinite(array)
    if valid is not None:
        shown &= np.asarray(valid).astype(bool)
    picture = np.zeros((*array.shape, 3), np.uint8)
    if not shown.any():
        return picture
    low = float(array[shown].min()) if vmin is None else vmin
    high = float(array[shown].max()) if vmax is None else vmax
    strip = max(1, STRIP // array.shape[1])
    for top in range(0, len(array), strip):
        rows = slice(top, top + strip)
        place = np.where(shown[rows], array[rows].astype(np.float64) - low, 0)
        place /= high - low if high > low else 1.0
        picture[rows] = np.where(shown[rows][..., None], _between(anchors, place), 0)
    return picture


def _between(anchors: Sequence[tuple[int, int, int]], place: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of places in [0, 1]: from a table, and by arithmetic where a cell of it has two."""
    table, one = _table(tuple(anchors))
    cell = (place.clip(0, 1) * CELLS).astype(np.uint16)
    colour, rest = table.take(cell, axis=0), ~one.take(cell)
    colour[rest] = _mixed(anchors, place[rest])
    return colour


@lru_cache
def _table(anchors: tuple[tuple[int, int, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Colour of each cell of [0, 1], and whether it has only that; so must its neighbours, against rounding."""
    edges = _mixed(anchors, np.arange(-1, CELLS + 3) / CELLS)
    same = (edges[1:] == edges[:-1]).all(axis=1)
    return edges[1:-2], same[:-2] & same[1:-1] & same[2:]


def _mixed(anchors: Sequence[tuple[int, int, int]], place: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of places, linear between equally spaced anchors."""
    knots = np.linspace(0, 1, len(anchors))
    channels = [np.interp(place, knots, channel) for channel in np.array(anchors).T]
    colour: np.ndarray = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return colour


def _wheel() -> np.ndarray:
    """(55, 3) float64 in [0, 1]: the hues, spaced as finely as the eye tells them apart."""
    arcs, colour = [], np.array([255.0, 0.0, 0.0])
    for channel, sign, count in ARCS:
        arc = np.tile(colour, (count, 1))
        arc[:, channel] += sign * np.floor(255 * np.arange(count) / count)
        arcs.append(arc)
        colour[channel] += sign * 255
    return np.concatenate(arcs) / 255
