"""The pictures of one answer, for eyes; its array is written by `predict.files.formats`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lookharder.data.formats import write_image
from lookharder.visualize.colours import amodal_overlay, depth_to_rgb, flow_to_rgb

PREVIEW = 900  # longest side of the copies of inputs on the page, pixels

Paths = Mapping[str, Path]  # of each role
GivenArrays = Mapping[
    str, np.ndarray
]  # what the task was given, by name; "image" is (3, H, W) uint8


def write_depth(
    paths: Paths, depth: np.ndarray, painting: np.ndarray, given: GivenArrays
) -> dict[str, int | float]:
    """Depth (H, W) in [0, 1] in colours."""
    write_rgb(paths["picture"], depth_to_rgb(depth))
    return {}


def write_disparity(
    paths: Paths, disparity: np.ndarray, painting: np.ndarray, given: GivenArrays
) -> dict[str, int | float]:
    """Disparity (H, W) in [0, 1] in the colours of depth."""
    write_rgb(paths["picture"], depth_to_rgb(-disparity))
    return {}


def write_flow(
    paths: Paths, flow: np.ndarray, painting: np.ndarray, given: GivenArrays
) -> dict[str, int | float]:
    """Flow (2, H, W) by the colour wheel; the second frame; mean and longest motion, pixels."""
    write_rgb(paths["picture"], flow_to_rgb(flow))
    write_preview(paths["second"], given["second"])
    length = np.hypot(*flow.astype(np.float64))
    return {"motion_mean": float(length.mean()), "motion_max": float(length.max())}


def write_amodal(
    paths: Paths, whole: np.ndarray, painting: np.ndarray, given: GivenArrays
) -> dict[str, int | float]:
    """A mask (H, W) bool over the picture, and the object as painted; pixels given and found."""
    visible = given["mask"]
    write_rgb(paths["picture"], painting)
    write_rgb(paths["overlay"], amodal_overlay(given["image"], visible, whole))
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
