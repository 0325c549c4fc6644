"""The pictures of one answer, for eyes.

show_*     the answer as one picture (H, W, 3) uint8: of its file, its page, its video
write_*    what else is worth a file, and figures about the answer
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lookharder.data.formats import write_image
from lookharder.data.formats.png import PNG_EFFORT
from lookharder.errors import InputError
from lookharder.files import atomic
from lookharder.visualize.colours import (
    COLORMAPS,
    amodal_overlay,
    depth_to_rgb,
    flow_to_rgb,
    montage,
)

CELL, IN_A_ROW = 320, 4  # longest side of a member's picture, pixels; how many stand side by side
PREVIEW = 900  # longest side of the copies of inputs on the page, pixels

Paths = Mapping[str, Path]  # of each role
GivenArrays = Mapping[
    str, np.ndarray
]  # what the task was given, by name; "image" is (3, H, W) uint8
Figures = dict[str, int | float]


@dataclass(frozen=True, kw_only=True)
class Look:
    """Colours of an answer.

    Attributes:
        colormap: of depth, a row of `COLORMAPS`.
        low: value of the first colour of depth; None = the least.
        high: value of the last colour of depth, or the longest motion, pixels; None = the most.

    Raises:
        InputError: an unknown colour map.
    """

    colormap: str = "spectral"
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.colormap not in COLORMAPS:
            raise InputError("colormap", repr(self.colormap), f"one of {', '.join(COLORMAPS)}")


def show_depth(
    depth: np.ndarray, painting: np.ndarray, given: GivenArrays, look: Look
) -> np.ndarray:
    """Depth (H, W) in colours: the first is near."""
    return depth_to_rgb(depth, look.low, look.high, colormap=look.colormap)


def show_disparity(
    disparity: np.ndarray, painting: np.ndarray, given: GivenArrays, look: Look
) -> np.ndarray:
    """Disparity (H, W) in the colours of depth."""
    low, high = (None if end is None else -end for end in (look.high, look.low))
    return depth_to_rgb(-disparity, low, high, colormap=look.colormap)


def show_flow(flow: np.ndarray, painting: np.ndarray, given: GivenArrays, look: Look) -> np.ndarray:
    """Flow (2, H, W) by the colour wheel."""
    return flow_to_rgb(flow, look.high)


def flow_span(flows: np.ndarray) -> tuple[float, float]:
    """Ends of the colours of flow (B, H, W, 2), pixels: no motion, and the longest of all."""
    return 0.0, max(float(np.hypot(flows[..., 0], flows[..., 1]).max()), 1e-3)


def show_amodal(
    whole: np.ndarray, painting: np.ndarray, given: GivenArrays, look: Look
) -> np.ndarray:
    """A mask (H, W) bool over the picture: what was given in blue, what was found in red."""
    return amodal_overlay(given["image"], given["mask"], whole)


def show_completions(masks: np.ndarray, given: GivenArrays) -> np.ndarray:
    """Several completions (N, H, W) bool of one object, each over a small copy of the picture, in rows of four."""
    image, visible = given["image"], given["mask"]
    scale = min(1.0, CELL / max(visible.shape))
    height, width = (max(1, round(side * scale)) for side in visible.shape)

    def small(array: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(array).resize((width, height)))

    picture = np.moveaxis(small(np.ascontiguousarray(np.moveaxis(image, 0, -1))), -1, 0)
    cells = [amodal_overlay(picture, small(visible), small(mask)) for mask in masks]
    return montage([cells[first : first + IN_A_ROW] for first in range(0, len(cells), IN_A_ROW)])


def write_nothing(
    paths: Paths, array: np.ndarray, painting: np.ndarray, given: GivenArrays
) -> Figures:
    """No more than the array and its picture."""
    return {}


def write_flow(paths: Paths, flow: np.ndarray, painting: np.ndarray, given: GivenArrays) -> Figures:
    """The second frame; mean and longest motion, pixels."""
    if "second" in paths:
        write_preview(paths["second"], given["second"])
    length = np.hypot(*flow.astype(np.float64))
    return {"motion_mean": float(length.mean()), "motion_max": float(length.max())}


def write_amodal(
    paths: Paths, whole: np.ndarray, painting: np.ndarray, given: GivenArrays
) -> Figures:
    """The object as painted, on white and cut out; pixels given and found."""
    visible = given["mask"]
    if "picture" in paths:
        write_rgb(paths["picture"], painting)
        alpha = np.where(whole, 255, 0).astype(np.uint8)[..., None]
        with atomic(paths["cutout"]) as aside:
            Image.fromarray(np.concatenate([painting, alpha], axis=-1)).save(aside, **PNG_EFFORT)
    return {
        "visible_pixels": int(visible.sum()),
        "whole_pixels": int(whole.sum()),
        "found_pixels": int((whole & ~visible).sum()),
    }


def write_rgb(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8."""
    write_image(path, np.moveaxis(picture, -1, 0))


def write_preview(path: Path, image: np.ndarray) -> None:
    """Write (3, H, W) uint8, no larger than the page shows it."""
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
    picture.thumbnail((PREVIEW, PREVIEW))
    write_rgb(path, np.asarray(picture))
