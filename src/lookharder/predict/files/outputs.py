"""One prediction as files: arrays for programs, pictures for eyes.

    NAME_depth.npy  NAME_depth_16bit.png  NAME_depth.png                        depth
    NAME_flow.flo   NAME_flow.npy         NAME_flow.png                         flow
    NAME_amodal.npy NAME_amodal.png       NAME_whole.png  NAME_overlay.png      amodal
    NAME_TASK_uncertainty.npy .png        with several draws

`ROLES` lists them all, so that what will be written is known, and checked, before anything is predicted.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lookharder.data.formats import write_depth_png, write_flo, write_image, write_mask, write_npy
from lookharder.errors import InputError
from lookharder.predict.files.pictures import Input, Pixels
from lookharder.predict.predictor import Prediction
from lookharder.visualize.colours import (
    amodal_overlay,
    depth_to_rgb,
    flow_to_rgb,
    uncertainty_to_rgb,
)

PREVIEW = 900  # longest side of the copies of inputs on the page, pixels

# fmt: off
ROLES: dict[str, dict[str, str]] = {  # role of a file -> what follows the input's name
    "depth": {"array": "_depth.npy", "png16": "_depth_16bit.png", "picture": "_depth.png",
              "input": "_input.jpg"},
    "flow": {"flo": "_flow.flo", "array": "_flow.npy", "picture": "_flow.png",
             "input": "_input.jpg", "second": "_second.jpg"},
    "amodal": {"array": "_amodal.npy", "mask": "_amodal.png", "picture": "_whole.png",
               "overlay": "_overlay.png", "input": "_input.jpg"},
}
MEANING: dict[str, dict[str, str]] = {
    "depth": {
        "units": "none",
        "meaning": "affine-invariant: scale and shift unknown; 0 is near, 1 is far",
        "png16_values": "65535 x depth",
        "uncertainty_meaning": "median absolute deviation of the aligned draws, units of depth",
    },
    "flow": {
        "units": "pixels of the input",
        "meaning": "motion from input to second; [0] is u, right; [1] is v, down",
        "uncertainty_meaning": "median distance of the draws from the answer, pixels",
    },
    "amodal": {
        "units": "none",
        "meaning": "true inside the whole object, hidden parts included",
        "uncertainty_meaning": "share of the draws that disagree, 0 to 0.5",
    },
}
# fmt: on


def file_names(task: str, name: str, uncertainty: bool) -> dict[str, str]:
    """Role -> name of every file that one input gives."""
    roles = dict(ROLES[task])
    if uncertainty:
        roles["uncertainty"] = f"_{task}_uncertainty.npy"
        roles["uncertainty_picture"] = f"_{task}_uncertainty.png"
    return {role: name + ending for role, ending in roles.items()}


def prepare(out: Path, inputs: Sequence[Input] = (), uncertainty: bool = False) -> None:
    """Make the folder of results, or say why it cannot be.

    Raises:
        InputError: `out` cannot be a folder, cannot be written, or a result would replace an input.
    """
    sources = {path.resolve() for i in inputs for path in (i.image, i.companion) if path}
    for item in inputs:
        for file in file_names(item.task, item.name, uncertainty).values():
            if (out / file).resolve() in sources:
                raise InputError("--out", f"{out}, where {file} is an input", "another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--out", f"{out} ({error.strerror})", "a folder, new or not") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError("--out", f"{out}, which cannot be written", "a folder that can be")


def write(
    out: Path, files: Mapping[str, str], result: Prediction, index: int, pictures: Pixels
) -> dict[str, int | float]:
    """Write the files of one answer of a call.

    Args:
        out: the folder.
        files: as `file_names` gives them.
        result: what the call returned, as numpy.
        index: which of its answers.
        pictures: what was asked about.

    Returns:
        Figures about the answer, for its record and its caption.
    """
    paths = {role: out / file for role, file in files.items()}
    values = np.moveaxis(result.prediction[index], -1, 0)  # (C, H, W)
    figures = WRITERS[result.task](paths, values, result.painting[index], pictures)
    _write_preview(paths["input"], pictures.image)
    if result.uncertainty is not None:
        unsure = result.uncertainty[index, ..., 0]
        write_npy(paths["uncertainty"], unsure.astype(np.float32))
        _write_rgb(paths["uncertainty_picture"], uncertainty_to_rgb(unsure))
        figures["uncertainty_mean"] = float(unsure.mean(dtype=np.float64))
        figures["uncertainty_max"] = float(unsure.max())
    return figures


def _write_depth(
    paths: Mapping[str, Path], values: np.ndarray, painting: np.ndarray, pictures: Pixels
) -> dict[str, int | float]:
    depth = values[0].astype(np.float32)
    write_npy(paths["array"], depth)
    write_depth_png(paths["png16"], depth, scale=65535.0)
    _write_rgb(paths["picture"], depth_to_rgb(depth))
    return {}


def _write_flow(
    paths: Mapping[str, Path], values: np.ndarray, painting: np.ndarray, pictures: Pixels
) -> dict[str, int | float]:
    assert pictures.second is not None, "flow has two frames"
    flow = values.astype(np.float32)
    write_flo(paths["flo"], flow)
    write_npy(paths["array"], flow)
    _write_rgb(paths["picture"], flow_to_rgb(flow))
    _write_preview(paths["second"], pictures.second)
    length = np.hypot(*flow.astype(np.float64))
    return {"motion_mean": float(length.mean()), "motion_max": float(length.max())}


def _write_amodal(
    paths: Mapping[str, Path], values: np.ndarray, painting: np.ndarray, pictures: Pixels
) -> dict[str, int | float]:
    assert pictures.mask is not None, "amodal has a mask"
    whole = values[0].astype(bool)
    write_npy(paths["array"], whole)
    write_mask(paths["mask"], whole)
    _write_rgb(paths["picture"], painting)
    _write_rgb(paths["overlay"], amodal_overlay(pictures.image, pictures.mask, whole))
    return {
        "visible_pixels": int(pictures.mask.sum()),
        "whole_pixels": int(whole.sum()),
        "found_pixels": int((whole & ~pictures.mask).sum()),
    }


WRITERS = {"depth": _write_depth, "flow": _write_flow, "amodal": _write_amodal}


def _write_rgb(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8."""
    write_image(path, np.moveaxis(picture, -1, 0))


def _write_preview(path: Path, image: np.ndarray) -> None:
    """Write (3, H, W) uint8, no larger than the page shows it."""
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
    picture.thumbnail((PREVIEW, PREVIEW))
    _write_rgb(path, np.asarray(picture))
