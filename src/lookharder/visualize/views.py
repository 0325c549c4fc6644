"""How each task is shown: the table `VIEWS`. To add a task, write its pictures and add its row.

A prediction comes as (C, H, W) with what the network painted, (H, W, 3) uint8; what it was given comes by name, the
picture as "image" (3, H, W) uint8, the rest as the task's inputs are called.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lookharder.data.example import Example
from lookharder.visualize import looks, panels
from lookharder.visualize.answer_readers import (
    DEPTH_FILES,
    FLOW_FILES,
    MASK_FILES,
    AnswerReader,
)
from lookharder.visualize.colours import ENDS
from lookharder.visualize.looks import Figures, GivenArrays, Look, Paths
from lookharder.visualize.panels import Cells


@dataclass(frozen=True, kw_only=True)
class View:
    """How predictions of a task are shown, beside the truth and on their own.

    Attributes:
        title: heading of the task.
        panel: (example, prediction, painting) -> captioned pictures, truth among them.
        strip: cells of the panel -> titles, for rows of several tasks; input, truth, prediction first.
        overview: cells of the panel -> titles, for the demo's overview.
        array: (C, H, W) -> the array that is written.
        formats: of `predict.files.formats`, in which the array is written where nothing else is asked.
        files: role of a picture -> what follows the names of input and task; `main` and "input" among them.
        show: (array, painting, given, look) -> the answer as one picture (H, W, 3) uint8.
        main: role of that picture.
        write: (path of each role, array, painting, given) -> figures about the answer; it writes the other pictures,
            as far as they have a path.
        paints: the painting is shown; else (0, 0, 3) comes in its place.
        inverse: the array is an inverse depth: 1 is near.
        span: (the first predictions of a clip, (B, H, W, C)) -> ends of the colours of all its frames.
        show_members: (masks of several members, given) -> all as one picture; None = they are not shown.
        captions: (record of a prediction) -> caption of each role that a page shows.
        facts: (record of a prediction) -> figures that a page shows.
        meaning: units and meaning, for the record; `uncertainty_meaning` among them.
        read: end of a file's name -> how an answer that others wrote is read from it, (C, H, W); none = it is not.
        several: of others' answers to one picture there may be several, of which the majority counts.
        hint: what a person is told beside an answer on a page, in one line.
    """

    title: str
    panel: Callable[[Example, np.ndarray, np.ndarray], Cells]
    strip: Mapping[int, str]
    overview: Mapping[int, str]
    array: Callable[[np.ndarray], np.ndarray]
    formats: Sequence[str]
    files: Mapping[str, str]
    show: Callable[[np.ndarray, np.ndarray, GivenArrays, Look], np.ndarray]
    captions: Callable[[Mapping[str, Any]], Mapping[str, str]]
    meaning: Mapping[str, str]
    facts: Callable[[Mapping[str, Any]], Mapping[str, str]] = field(default=lambda record: {})
    main: str = "picture"
    write: Callable[[Paths, np.ndarray, np.ndarray, GivenArrays], Figures] = looks.write_nothing
    paints: bool = True
    show_members: Callable[[np.ndarray, GivenArrays], np.ndarray] | None = None
    inverse: bool = False
    span: Callable[[np.ndarray], tuple[float, float]] = lambda predictions: (0.0, 1.0)
    read: Mapping[str, AnswerReader] = field(default_factory=dict)
    several: bool = False
    hint: str = ""


def _ends(record: Mapping[str, Any]) -> str:
    """What the colours of depth mean, in words."""
    near, far = ENDS[record.get("colormap", "spectral")]
    return f"{near} is near, {far} is far"


VIEWS: dict[str, View] = {
    "depth": View(
        title="Depth",
        panel=panels.depth_panel,
        strip={0: "depth: input", 1: "truth", 2: "predicted"},
        overview={0: "input", 1: "depth: truth", 2: "predicted"},
        array=lambda values: values[0].astype(np.float32),
        formats=("npy", "png16"),
        files={"picture": ".vis.png", "input": ".input.jpg"},
        show=looks.show_depth,
        paints=False,
        captions=lambda record: {"input": "input", "picture": f"depth: {_ends(record)}"},
        meaning={
            "units": "none",
            "meaning": "affine-invariant: scale and shift unknown; 0 is near, 1 is far",
            "png16_values": "65535 x depth",
            "uncertainty_meaning": "median absolute deviation of the aligned members, units of depth",
        },
        read=DEPTH_FILES,
        hint="Red is near, blue is far; scale and shift are unknown.",
    ),
    "flow": View(
        title="Optical flow",
        panel=panels.flow_panel,
        strip={0: "flow: first frame", 2: "truth", 3: "predicted"},
        overview={2: "flow: truth", 3: "predicted"},
        array=lambda values: values.astype(np.float32),
        formats=("npy", "flo"),
        files={"picture": ".vis.png", "input": ".input.jpg", "second": ".second.jpg"},
        show=looks.show_flow,
        paints=False,
        span=looks.flow_span,
        write=looks.write_flow,
        captions=lambda record: {
            "input": "first frame",
            "second": "second frame",
            "picture": "flow: hue is direction, white is no motion, "
            f"longest {record['motion_max']:.1f} px",
        },
        facts=lambda record: {"mean motion": f"{record['motion_mean']:.2f} px"},
        meaning={
            "units": "pixels of the input",
            "meaning": "motion from input to second; [0] is u, right; [1] is v, down",
            "uncertainty_meaning": "median distance of the members from the answer, pixels",
        },
        read=FLOW_FILES,
        hint="The colour says where a pixel goes, the strength how far.",
    ),
    "amodal": View(
        title="Hidden objects",
        panel=panels.amodal_panel,
        strip={0: "amodal: given part", 1: "truth", 2: "predicted", 4: "as painted"},
        overview={0: "visible part", 3: "whole: truth", 4: "predicted"},
        array=lambda values: values[0].astype(bool),
        formats=("npy", "png"),
        files={
            "overlay": ".vis.png",
            "picture": ".whole.png",
            "cutout": ".cutout.png",
            "input": ".input.jpg",
        },
        show=looks.show_amodal,
        main="overlay",
        write=looks.write_amodal,
        show_members=looks.show_completions,
        captions=lambda record: {
            "input": "input",
            "overlay": "blue: given; red: found to be hidden",
            "picture": "the whole object, as painted",
            "members": f"each of the {record['members']} members",
        },
        facts=lambda record: {
            "object": f"{record['whole_pixels']} px, {record['found_pixels']} of them hidden"
        },
        meaning={
            "units": "none",
            "meaning": "true inside the whole object, hidden parts included",
            "uncertainty_meaning": "share of the members that disagree, 0 to 0.5",
        },
        read=MASK_FILES,
        several=True,
        hint="Click on an object, or on two corners around it. Blue: visible, by GrabCut; red: found hidden.",
    ),
}


def _of_log(view: View) -> View:
    words = "affine-invariant log depth: scale and shift unknown; 0 is near, 1 is far"
    meaning = {**view.meaning, "meaning": words, "png16_values": "65535 x log depth"}
    return replace(
        view,
        meaning=meaning,
        captions=lambda record: {"input": "input", "picture": f"log depth: {_ends(record)}"},
    )


def _of_disparity(view: View) -> View:
    words = "affine-invariant disparity, 1 / depth: scale and shift unknown; 0 is far, 1 is near"
    meaning = {**view.meaning, "meaning": words, "png16_values": "65535 x disparity"}
    return replace(
        view,
        meaning=meaning,
        captions=lambda record: {"input": "input", "picture": f"disparity: {_ends(record)}"},
        show=looks.show_disparity,
        inverse=True,
    )


VARIANTS = {"log": _of_log(VIEWS["depth"]), "disparity": _of_disparity(VIEWS["depth"])}


def view_of(name: str) -> View:
    """A row of `VIEWS`, or a variant of one, by what a task calls its view."""
    return VARIANTS.get(name) or VIEWS[name]
