"""Look at every row of a set of one's own and list all that is wrong, before a run fails on it.

Beyond what cannot be read, three mistakes show in the values: a wrong unit (the median depth of a
scene lies between 10 cm and 200 m), flow in other units than pixels (longer than the diagonal of
the frame), and masks that do not belong together (the visible part lies outside the whole).
"""

from pathlib import Path

import numpy as np

from lookharder.data.readers.folder import list_rows
from lookharder.data.readers.records import Problem, RawRecord
from lookharder.data.readers.rows import FIELDS, Arrays, ManifestRow, read_field
from lookharder.errors import InputError

PLAUSIBLE_DEPTH = (0.1, 200.0)  # metres, of the median


def check_data(spec: str | Path, defaults: RawRecord | None = None) -> list[Problem]:
    """Everything that is wrong with a folder or manifest, by row; empty if all is well.

    Args:
        spec: folder, .jsonl or .csv, also as folder:PATH.
        defaults: columns for rows that leave them out, e.g. {"depth_unit": "mm"}.

    Raises:
        InputError: there is no such folder or manifest: nothing to check.
    """
    rows, problems = list_rows(str(spec).removeprefix("folder:"), defaults)
    if not rows and not problems:
        problems = [Problem(row=0, field="image", message="no examples, allowed: at least one")]
    for number, row in rows:
        problems += check_row(number, row)
    return sorted(problems, key=lambda problem: problem.row)


def check_row(number: int, row: ManifestRow) -> list[Problem]:
    """Everything that is wrong with the files of one row; `number` is what the problems carry."""
    wrong: list[tuple[str, str]] = []
    arrays: Arrays = {}
    for field in FIELDS:
        try:
            arrays |= read_field(row, field)
        except InputError as error:
            wrong.append((field, str(error)))
    for field, message in _sizes(arrays) + _depth(row, arrays) + _flow(arrays) + _masks(arrays):
        wrong.append((field, f"{getattr(row, field)}: {message}"))
    return [Problem(row=number, field=field, message=message) for field, message in wrong]


def _sizes(arrays: Arrays) -> list[tuple[str, str]]:
    if "image" not in arrays:
        return []
    height, width = arrays["image"].shape[1:]
    return [
        (field, f"got {array.shape[-1]} x {array.shape[-2]}, allowed: {width} x {height}, as image")
        for field, array in arrays.items()
        if field in FIELDS and array.shape[-2:] != (height, width)
    ]


def _depth(row: ManifestRow, arrays: Arrays) -> list[tuple[str, str]]:
    if "depth" not in arrays:
        return []
    valid = arrays["depth"][arrays["depth_valid"]]
    if valid.size == 0:
        return [("depth", f"no depth between {row.depth_min:g} and {row.depth_max:g} m")]
    nearest, farthest = PLAUSIBLE_DEPTH
    median = float(np.median(valid))
    if nearest <= median <= farthest:
        return []
    return [("depth", f"median {median:g} m, plausible: {nearest:g} to {farthest:g} m; the unit?")]


def _flow(arrays: Arrays) -> list[tuple[str, str]]:
    if "flow" not in arrays:
        return []
    known = arrays["flow"][:, arrays["flow_valid"]]
    if known.size == 0:
        return [("flow", "no pixel of known flow")]
    longest = float(np.hypot(*known.astype(np.float64)).max())
    diagonal = float(np.hypot(*arrays["flow"].shape[1:]))
    if longest <= diagonal:
        return []
    return [("flow", f"up to {longest:g} pixels, longer than the frame's diagonal, {diagonal:.0f}")]


def _masks(arrays: Arrays) -> list[tuple[str, str]]:
    masks = {field: arrays[field] for field in ("visible", "amodal") if field in arrays}
    wrong: list[tuple[str, str]] = [
        (field, "an empty mask") for field, mask in masks.items() if not mask.any()
    ]
    if len(masks) == 2 and masks["visible"].shape == masks["amodal"].shape:
        outside = int((masks["visible"] & ~masks["amodal"]).sum())
        if outside:
            wrong.append(("amodal", f"{outside} visible pixels lie outside of it"))
    return wrong
