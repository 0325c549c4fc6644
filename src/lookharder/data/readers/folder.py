"""A set of one's own: a folder that follows naming conventions, or a manifest in JSONL or CSV.

    NAME.jpg                          the image (png, jpg, jpeg, webp, bmp, ppm); beside it:
    NAME_second.*   NAME_whole.*      pictures
    NAME_visible.*  NAME_amodal.*     masks
    NAME_depth.png|npy|npz|pfm        depth
    NAME_flow.flo|png                 flow, Middlebury or KITTI

A manifest (or a folder that holds manifest.jsonl or manifest.csv) has a row for each example with
the columns image, second, depth, flow, visible, amodal, whole, label, depth_unit (m, cm, mm) or
depth_scale (stored value / scale = metres), depth_min, depth_max (metres); only image is required,
paths are relative to the manifest. Depth in PNG must state its unit, for there is nothing to guess
it by; depth in floats is in metres unless a unit is stated. `check_data` (audit.py) lists what is wrong.
An example is called as its image is; of several rows of one image, the second `NAME#2.jpg` and so on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from lookharder.data.readers.records import (
    SUFFIXES,
    Problem,
    RawRecord,
    from_csv,
    from_jsonl,
    from_names,
)
from lookharder.data.readers.rows import FIELDS, ManifestRow, Rows
from lookharder.errors import InputError
from lookharder.files import read_text

UNITS = {"m": 1.0, "cm": 100.0, "mm": 1000.0}
COLUMNS = (*FIELDS, "label", "depth_unit", "depth_scale", "depth_min", "depth_max")
MAX_LABEL = 10**6
MANIFESTS = ("manifest.jsonl", "manifest.csv")
Complain = Callable[[str, object, str], None]  # field, got, allowed


def _complete(record: RawRecord, defaults: RawRecord) -> RawRecord:
    """The cells that say something, and defaults for the rest; a row's own unit replaces ours."""
    record = {key: value for key, value in record.items() if value not in (None, "")}
    units = {"depth_unit", "depth_scale"}
    kept = defaults.keys() - (units if units & record.keys() else set())
    return {key: defaults[key] for key in kept} | record


def _paths(record: RawRecord, base: Path, bad: Complain) -> dict[str, Any]:
    paths = {}
    for field in (field for field in FIELDS if field in record):
        path = record[field]
        if not isinstance(path, str):
            bad(field, path, "a path")
        elif field in ("depth", "flow") and Path(path).suffix.lower() not in SUFFIXES[field]:
            bad(field, path, ", ".join(SUFFIXES[field]))
        else:
            paths[field] = base / path
    if "image" not in record:
        bad("image", None, "a path")
    if "flow" in record and "second" not in record:
        bad("second", None, "a path: flow leads to a second frame")
    return paths


def _numbers(record: RawRecord, bad: Complain) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for field in ("depth_scale", "depth_min", "depth_max"):
        if field in record:
            try:
                number = float(str(record[field]))
            except ValueError:
                number = math.nan
            if 0 < number < math.inf or (number == 0 and field == "depth_min"):
                numbers[field] = number
            else:
                bad(field, record[field], "a positive number")
    if "label" in record:
        try:
            numbers["label"] = int(str(record["label"]))
        except ValueError:
            numbers["label"] = -1
        if not 0 <= numbers["label"] <= MAX_LABEL:
            bad("label", record["label"], f"an integer from 0 to {MAX_LABEL:,}")
    return numbers


def _unit(record: RawRecord, bad: Complain) -> dict[str, float]:
    """The scale that depth_unit names."""
    unit = record.get("depth_unit")
    if unit is None:
        return {}
    if "depth_scale" in record:
        bad("depth_unit", unit, "depth_unit or depth_scale, not both")
    elif unit not in tuple(UNITS):
        bad("depth_unit", unit, ", ".join(UNITS))
    else:
        return {"depth_scale": UNITS[unit]}
    return {}


def _parse(record: RawRecord, base: Path, number: int) -> tuple[ManifestRow | None, list[Problem]]:
    """The row that a record describes, as far as it can be understood, and what cannot."""
    problems: list[Problem] = []

    def bad(field: str, got: object, allowed: str) -> None:
        message = f"got {got!r}, allowed: {allowed}"
        problems.append(Problem(row=number, field=field, message=message))

    for column in sorted(record.keys() - set(COLUMNS)):
        bad(column, "an unknown column", ", ".join(COLUMNS))
    values = _paths(record, base, bad) | _numbers(record, bad) | _unit(record, bad)
    stated = {"depth_unit", "depth_scale"} & record.keys()
    if "depth" in values and values["depth"].suffix.lower() == ".png" and not stated:
        bad("depth_unit", None, "m, cm or mm, or a depth_scale: a PNG holds integers without unit")
    wrong = {problem.field for problem in problems}
    if wrong & {"depth_unit", "depth_scale"}:
        wrong.add("depth")  # unreadable without its unit
    if "image" not in values:
        return None, problems
    kept = {field: value for field, value in values.items() if field not in wrong}
    return ManifestRow(name=record["image"], **kept), problems


def list_rows(
    path: str | Path, defaults: RawRecord | None = None
) -> tuple[list[tuple[int, ManifestRow]], list[Problem]]:
    """The rows of a folder or manifest that can be understood, with numbers, and all problems.

    Args:
        path: folder, .jsonl or .csv.
        defaults: columns for rows that leave them out, e.g. {"depth_unit": "mm"}.

    Raises:
        InputError: there is no such folder or manifest.
    """
    path = Path(path)
    parsers = {".jsonl": from_jsonl, ".csv": from_csv}
    manifests = [path / name for name in MANIFESTS if (path / name).is_file()]
    if len(manifests) > 1:
        raise InputError(str(path), " and ".join(MANIFESTS), "one manifest")
    path = manifests[0] if manifests else path
    if path.is_dir():
        base, records = path, from_names(path)
    elif path.suffix.lower() in parsers:
        base, records = path.parent, parsers[path.suffix.lower()](read_text(path))
    else:
        got = path.suffix if path.exists() else "no such folder or file"
        raise InputError(str(path), got, "a folder, a .jsonl or a .csv")
    rows: list[tuple[int, ManifestRow]] = []
    problems: list[Problem] = []
    for number, record in records:
        if isinstance(record, Problem):
            problems.append(record)
            continue
        row, wrong = _parse(_complete(record, defaults or {}), base, number)
        problems += wrong
        rows += [] if row is None else [(number, row)]
    names = _numbered([row.name for _, row in rows])
    rows = [(i, replace(row, name=name)) for (i, row), name in zip(rows, names, strict=True)]
    return rows, problems


def _numbered(images: Sequence[str]) -> list[str]:
    """A name of its own for each: that of the image, and a number from the second of one image on."""
    names: dict[str, None] = {}
    for image in images:
        name, number, path = image, 1, PurePosixPath(image)
        while name in names:
            number += 1
            name = str(path.with_name(f"{path.stem}#{number}{path.suffix}"))
        names[name] = None
    return list(names)


def open_folder(path: str | Path, defaults: RawRecord | None = None) -> Rows:
    """The data set of a folder or manifest.

    Args:
        path: folder, .jsonl or .csv, as this module's head says.
        defaults: columns for rows that leave them out, e.g. {"depth_unit": "mm"}.

    Raises:
        InputError: the first thing that is wrong, and how many more there are.
    """
    rows, problems = list_rows(path, defaults)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(
            str(path), f"{problems[0]}{more}", "rows that `lookharder check` finds no fault with"
        )
    return Rows([row for _, row in rows], path)
