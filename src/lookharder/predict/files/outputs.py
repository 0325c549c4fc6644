"""One prediction as files: arrays for programs, pictures for eyes.

    NAME_depth.npy  NAME_depth_16bit.png  NAME_depth.png                        depth
    NAME_flow.flo   NAME_flow.npy         NAME_flow.png                         flow
    NAME_amodal.npy NAME_amodal.png       NAME_whole.png  NAME_overlay.png      amodal
    NAME_TASK_uncertainty.npy .png        with several members

What a task writes is its row of `VIEWS`, so that it is known, and checked, before anything is predicted.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.data.formats import write_npy
from lookharder.errors import InputError
from lookharder.predict.files.pictures import Input
from lookharder.predict.predictor import Prediction
from lookharder.visualize.answer_files import write_preview, write_rgb
from lookharder.visualize.colours import uncertainty_to_rgb
from lookharder.visualize.views import VIEWS, View

LONGEST = 240  # bytes of a file's name: systems take 255, and a temporary name adds ten


def file_names(task: str, name: str, uncertainty: bool) -> dict[str, str]:
    """Role -> name of every file that one input gives."""
    roles = dict(VIEWS[task].files)
    if uncertainty:
        roles["uncertainty"] = f"_{task}_uncertainty.npy"
        roles["uncertainty_picture"] = f"_{task}_uncertainty.png"
    return {role: name + ending for role, ending in roles.items()}


def prepare(out: Path, inputs: Sequence[Input] = (), uncertainty: bool = False) -> None:
    """Make the folder of results, or say why it cannot be.

    Raises:
        InputError: `out` cannot be a folder, cannot be written, or a result would replace an input.
    """
    sources = {path.resolve() for i in inputs for path in (i.image, *i.companions.values())}
    for item in inputs:
        for file in file_names(item.task.name, item.name, uncertainty).values():
            if len(file.encode(errors="surrogateescape")) > LONGEST:
                allowed = f"names that leave room for results: {LONGEST} bytes in all"
                raise InputError(str(item.image), f"a result named {file[:40]}...", allowed)
            if (out / file).resolve() in sources:
                raise InputError("--out", f"{out}, where {file} is an input", "another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--out", f"{out} ({error.strerror})", "a folder, new or not") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError("--out", f"{out}, which cannot be written", "a folder that can be")


def write(
    out: Path,
    files: Mapping[str, str],
    result: Prediction,
    index: int,
    given: Mapping[str, np.ndarray],
    view: View | None = None,
) -> dict[str, Any]:
    """Write the files of one answer of a call.

    Args:
        out: the folder.
        files: as `file_names` gives them.
        result: what the call returned, as numpy.
        index: which of its answers.
        given: what was asked about: the picture as "image", the rest as the task's inputs are called.
        view: how it is shown; None = as its task usually is.

    Returns:
        Facts about the answer, for its record and its caption: shape and type of its array, and its figures.
    """
    view, paths = view or VIEWS[result.task], {role: out / file for role, file in files.items()}
    array = view.array(np.moveaxis(result.prediction[index], -1, 0))
    write_npy(paths["array"], array)
    figures = view.write(paths, array, result.painting[index], given)
    write_preview(paths["input"], given["image"])
    if result.uncertainty is not None:
        unsure = result.uncertainty[index, ..., 0]
        write_npy(paths["uncertainty"], unsure.astype(np.float32))
        write_rgb(paths["uncertainty_picture"], uncertainty_to_rgb(unsure))
        figures["uncertainty_mean"] = float(unsure.mean(dtype=np.float64))
        figures["uncertainty_max"] = float(unsure.max())
    return {"shape": list(array.shape), "dtype": str(array.dtype), **figures}
