"""The models of several parts as unit meshes, and what covers each part.

Parts have materials of their own; `FINISHES` names them. `furniture` scales each model to the unit cube, `natural`
says how large it was.
"""

from functools import cache

import numpy as np

from lookharder.data.world.meshes import Mesh, assemble
from lookharder.data.world.models import Parts, household, indoors, outdoors

FACING = ("photo", "screen", "pane")  # finishes whose texture covers the front once, upright

# the finish of each part, first to last
FINISHES: dict[str, tuple[str, ...]] = {
    "couch": ("fabric", "fabric"), "armchair": ("fabric", "fabric"), "bed": ("wood", "white", "fabric"),
    "sideboard": ("wood", "wood", "metal"), "wardrobe": ("wood", "wood", "metal"), "chest": ("wood", "wood", "metal"),
    "bookcase": ("wood", "books"), "desk": ("wood", "metal"), "dining table": ("wood", "wood"),
    "round table": ("wood",), "side table": ("wood",), "seat": ("wood", "fabric"), "swivel chair": ("metal",
        "fabric"),
    "stool": ("wood",), "kitchen unit": ("stone", "wood", "metal"), "wall unit": ("wood", "metal"),
    "fridge": ("white", "white", "metal"), "television": ("metal", "screen"), "monitor": ("metal", "screen"),
    "floor lamp": ("metal", "shade"), "table lamp": ("metal", "shade"), "ceiling lamp": ("metal", "shade"),
    "potted plant": ("stone", "leaf"), "radiator": ("white",), "door": ("white", "wood", "metal"),
    "window": ("white", "pane"), "curtain": ("fabric",), "picture": ("wood", "photo"), "bin": ("metal",),
    "mug": ("paint",), "bowl": ("paint",), "book": ("paint", "white"), "laptop": ("metal", "screen"),
    "can": ("photo wrap",), "carton": ("photo",), "cushion": ("fabric",), "plate": ("white",), "jar": ("paint",
        "metal"),
    "sedan": ("gloss", "glass", "tyre", "metal"), "van": ("gloss", "glass", "tyre"), "pole": ("metal",),
    "street lamp": ("metal", "white"), "sign": ("metal", "gloss"), "leafy tree": ("bark", "leaf"),
    "hedge": ("leaf",), "person": ("fabric", "fabric", "skin"), "gabled house": ("facade", "tile"),
}  # fmt: skip


@cache
def natural() -> dict[str, tuple[float, float, float]]:
    """Width, height and depth of every model, in metres."""
    return {
        name: tuple(np.ptp(_join(parts).reshape(-1, 3), axis=0).tolist())
        for name, parts in _all().items()
    }


@cache
def _all() -> dict[str, Parts]:
    return indoors() | household() | outdoors()


def _join(parts: Parts) -> np.ndarray:
    return np.concatenate([corners for _, (corners, _) in parts])


def furniture() -> dict[str, Mesh]:
    """All models as unit meshes; flat charts are lengths along two axes, those of `FACING` reach over the front."""
    result = {}
    for name, parts in _all().items():
        corners = _join(parts)
        low, high = corners.min((0, 1)), corners.max((0, 1))
        size = high - low
        unit = (corners - (low + high) / 2) / size
        part = np.concatenate([np.full(len(chart[0]), number) for number, chart in parts])
        normal = np.cross(unit[:, 1] - unit[:, 0], unit[:, 2] - unit[:, 0]) / size
        axes = np.array([[2, 1], [0, 2], [0, 1]])[np.abs(normal).argmax(1)]
        charts = np.take_along_axis(unit, axes[:, None, :], 2)
        for number, finish in enumerate(FINISHES[name]):
            if finish in FACING:
                mine = part == number
                face = unit[mine].reshape(-1, 3)
                start, end = face.min(0), face.max(0)
                charts[mine] = ((end - unit[mine]) / (end - start))[..., :2]
        result[name] = assemble((unit, charts), convex=False, wrapped=False, part=part)
    return result
