"""One prediction as files: arrays for programs, pictures for eyes.

    NAME.depth.npy   NAME.depth.png    NAME.depth.vis.png      depth: array, 16 bits, colours
    NAME.flow.npy    NAME.flow.flo     NAME.flow.vis.png       flow: array, Middlebury's, colours
    NAME.amodal.npy  NAME.amodal.png   NAME.amodal.vis.png     hidden objects: array, mask, overlay,
                                       NAME.amodal.whole.png       and the object as painted
    NAME.TASK.input.jpg .second.jpg    small copies of what was asked about
    NAME.TASK.uncertainty.npy .uncertainty.vis.png             with several members

No data set names its files so, and `is_result` knows them again. What a task writes is its row of `VIEWS`, so that it
is known, and checked, before anything is predicted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.data.formats import write_npy
from lookharder.predict.files.formats import formats_for
from lookharder.predict.result import Prediction
from lookharder.visualize.answer_files import write_preview, write_rgb
from lookharder.visualize.colours import uncertainty_to_rgb
from lookharder.visualize.views import VIEWS, View


def file_names(
    task: str, name: str, uncertainty: bool, formats: Sequence[str] | None = None
) -> dict[str, str]:
    """Role -> name of every file that one input gives; None = the formats that are usual for the task."""
    roles = {role: row.ending for role, row in formats_for(task, formats).items()}
    roles |= VIEWS[task].files
    if uncertainty:
        roles["uncertainty"] = ".uncertainty.npy"
        roles["uncertainty_picture"] = ".uncertainty.vis.png"
    return {role: f"{name}.{task}{ending}" for role, ending in roles.items()}


def write(
    out: Path,
    files: Mapping[str, str],
    result: Prediction,
    index: int,
    given: Mapping[str, np.ndarray],
    *,
    view: View | None = None,
    formats: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Write the files of one answer of a call.

    Args:
        out: the folder.
        files: as `file_names` gives them.
        result: what the call returned, as numpy.
        index: which of its answers.
        given: what was asked about: the picture as "image", the rest as the task's inputs are called.
        view: how it is shown; None = as its task usually is.
        formats: of the array, as given to `file_names`.

    Returns:
        Facts about the answer, for its record and its caption: shape and type of its array, and its figures.
    """
    view, paths = view or VIEWS[result.task], {role: out / file for role, file in files.items()}
    array = view.array(np.moveaxis(result.prediction[index], -1, 0))
    for role, row in formats_for(result.task, formats).items():
        row.write(paths[role], array)
    figures = view.write(paths, array, result.painting[index], given)
    write_preview(paths["input"], given["image"])
    if result.uncertainty is not None:
        unsure = result.uncertainty[index, ..., 0]
        write_npy(paths["uncertainty"], unsure.astype(np.float32))
        write_rgb(paths["uncertainty_picture"], uncertainty_to_rgb(unsure))
        figures["uncertainty_mean"] = float(unsure.mean(dtype=np.float64))
        figures["uncertainty_max"] = float(unsure.max())
    return {"shape": list(array.shape), "dtype": str(array.dtype), **figures}
