"""One answer as files: arrays for programs, pictures for eyes.

    NAME.depth.npy   NAME.depth.png    NAME.depth.vis.png      depth: array, 16 bits, colours
    NAME.flow.npy    NAME.flow.flo     NAME.flow.vis.png       flow: array, Middlebury's, colours
    NAME.amodal.npy  NAME.amodal.png   NAME.amodal.vis.png     hidden objects: array, mask, overlay,
                                       NAME.amodal.whole.png       the object as painted
                                       NAME.amodal.cutout.png      and cut out of the ground, RGBA
    NAME.TASK.input.jpg .second.jpg    small copies of what was asked about
    NAME.TASK.uncertainty.npy .uncertainty.vis.png             with several members
    NAME.amodal.members.vis.png                                and each of them, hidden objects only
    NAME.TASK.beside.png NAME.depth.ply .glb .metres.npy       if asked for

No data set names its files so, and `files.is_result` knows them again. What a task writes is its row of `VIEWS`, so
that it is known, and checked, before anything is predicted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.data.formats import write_npy
from lookharder.errors import InputError
from lookharder.visualize.colours import montage, uncertainty_to_rgb
from lookharder.visualize.formats import find_formats
from lookharder.visualize.known import KnownDepths
from lookharder.visualize.looks import GivenArrays, Look, write_preview, write_rgb
from lookharder.visualize.points import CLOUDS, Lens
from lookharder.visualize.views import VIEWS, View


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """One answer, as arrays.

    Attributes:
        values: (C, H, W).
        uncertainty: (H, W), or None.
        painting: (H, W, 3) uint8, as the network painted it; (0, 0, 3) where the view says that none is shown.
        given: what was asked about: the picture as "image" (3, H, W) uint8, the rest as the task's inputs are called.
        masks: (n, H, W) bool, the members of an answer that is a mask, if there are several; or None.
    """

    values: np.ndarray
    uncertainty: np.ndarray | None
    painting: np.ndarray
    given: GivenArrays
    masks: np.ndarray | None = None


OUTPUTS = ("array", "vis", "input", "whole", "uncertainty")


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What is written of each answer.

    Attributes:
        formats: of the array, rows of `FORMATS`; None = those that are usual for the task.
        outputs: which kinds of files, of `OUTPUTS`; None = all that the task has.
        look: colours.
        beside: also the input beside the answer, as one picture.
        clouds: also clouds of points, for depth: "ply", "glb".
        lens: of the clouds.
        known: also depth in metres, fitted to these distances.
    """

    formats: Sequence[str] | None = None
    outputs: Sequence[str] | None = None
    look: Look = field(default_factory=Look)
    beside: bool = False
    clouds: tuple[str, ...] = ()
    lens: Lens = field(default_factory=Lens)
    known: KnownDepths | None = None

    def __post_init__(self) -> None:
        for name in self.outputs or ():
            if name not in OUTPUTS:
                raise InputError("--outputs", repr(name), ", ".join(OUTPUTS))

    def check(self, view: View, answer: Answer) -> None:
        """Refuse an answer that the known distances do not suit, before a file of it is written."""
        if self.known is not None:
            self.fitted_lens(self.known.fit(view.array(answer.values))[1])

    def fitted_lens(self, fitted: Mapping[str, float]) -> Lens:
        """The lens of clouds in metres, by what `KnownDepths.fit` found; where no cloud is asked the lens as it is."""
        if not self.clouds:
            return self.lens
        return self.lens.of_metres(fitted["metric_scale"], fitted["metric_shift"])


def file_names(
    task: str, view: View, name: str, uncertainty: bool, writing: Writing
) -> dict[str, str]:
    """Role -> name of every file that one answer gives.

    Raises:
        InputError: a format that the task has not.
    """
    rows = find_formats(task, view.formats if writing.formats is None else writing.formats)
    kinds = {
        "array": {role: row.ending for role, row in rows.items()},
        "vis": {view.main: view.files[view.main]},
        "input": {role: view.files[role] for role in ("input", "second") if role in view.files},
        "whole": {},
        "uncertainty": {},
    }
    others = {*kinds["vis"], *kinds["input"]}
    kinds["whole"] = {role: end for role, end in view.files.items() if role not in others}
    if uncertainty:
        kinds["uncertainty"] = {
            "uncertainty": ".uncertainty.npy",
            "uncertainty_picture": ".uncertainty.vis.png",
        }
    if uncertainty and view.show_members is not None:
        kinds["uncertainty"]["members"] = ".members.vis.png"
    wanted = OUTPUTS if writing.outputs is None else writing.outputs
    roles = {role: end for kind in OUTPUTS if kind in wanted for role, end in kinds[kind].items()}
    if writing.beside:
        roles["beside"] = ".beside.png"
    for cloud in writing.clouds:
        if task != "depth":
            raise InputError(f"--{cloud}", f"task {task!r}", "depth")
        roles[CLOUDS[cloud][0]] = f".{cloud}"
    if writing.known is not None:
        if task != "depth" or view is not VIEWS["depth"]:
            got = f"task {task!r}, {view.meaning['meaning']}"
            raise InputError("--metric", got, "depth, and no other map of it")
        roles["metres"] = ".metres.npy"
    return {role: f"{name}.{task}{ending}" for role, ending in roles.items()}


def write_answer(
    out: Path, files: Mapping[str, str], task: str, view: View, answer: Answer, writing: Writing
) -> dict[str, Any]:
    """Write the files of one answer.

    Args:
        out: the folder.
        files: as `file_names` gives them.
        task: name of the task.
        view: how it is shown.
        answer: the arrays.
        writing: as `file_names` was given it.

    Returns:
        Facts about the answer, for its record and its caption: shape and type of its array, and its figures.
    """
    paths, given = {role: out / file for role, file in files.items()}, answer.given
    array = view.array(answer.values)
    names = view.formats if writing.formats is None else writing.formats
    for role, row in find_formats(task, names).items():
        if role in paths:
            row.write(paths[role], array, task)
    if view.main in paths or writing.beside:
        picture = view.show(array, answer.painting, given, writing.look)
    if view.main in paths:
        write_rgb(paths[view.main], picture)
    figures = view.write(paths, array, answer.painting, given)
    if "input" in paths:
        write_preview(paths["input"], given["image"])
    if writing.beside:
        write_rgb(paths["beside"], montage([[np.moveaxis(given["image"], 0, -1), picture]], gap=0))
    lens = writing.lens
    if writing.known is not None:
        metres, fitted = writing.known.fit(array)
        write_npy(paths["metres"], metres)
        figures |= fitted
        lens = writing.fitted_lens(fitted)
    for cloud in writing.clouds:
        role, write = CLOUDS[cloud]
        write(paths[role], array, given["image"], lens, view.inverse)
    if answer.uncertainty is not None:
        unsure = answer.uncertainty
        if "uncertainty" in paths:
            write_npy(paths["uncertainty"], unsure.astype(np.float32))
            write_rgb(paths["uncertainty_picture"], uncertainty_to_rgb(unsure))
        figures["uncertainty_mean"] = float(unsure.mean(dtype=np.float64))
        figures["uncertainty_max"] = float(unsure.max())
    if "members" in paths:
        assert view.show_members is not None, "the view names the file"
        assert answer.masks is not None, "uncertainty is of several members"
        write_rgb(paths["members"], view.show_members(answer.masks, given))
    return {"shape": list(array.shape), "dtype": str(array.dtype), **figures}
