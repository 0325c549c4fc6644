"""The records of a set of one's own, before anything is believed: from JSONL, CSV or file names.

Each comes with its number, or is a Problem; the cells are as written.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookharder.data.formats import PICTURE_SUFFIXES
from lookharder.data.readers.rows import FIELDS
from lookharder.errors import InputError
from lookharder.files import is_result, listed, say_left_out
from lookharder.jsons import parse_json

SUFFIXES = dict.fromkeys(FIELDS, PICTURE_SUFFIXES) | {
    "depth": (".png", ".npy", ".npz", ".pfm"),
    "flow": (".flo", ".png"),
}
ANNOTATIONS = {suffix for allowed in SUFFIXES.values() for suffix in allowed}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a set.

    Attributes:
        row: line of the manifest; in a folder, position of the image by name, from 1 (0: no image).
        field: column at fault.
        message: what came and what is allowed.
    """

    row: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.field}: {self.message}"


RawRecord = dict[str, Any]
Numbered = Iterator[tuple[int, RawRecord | Problem]]


def from_jsonl(text: str) -> Numbered:
    """One JSON object a line; the number is the line's."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line, "row")
        except InputError as error:
            _, got, allowed = error.args
            message = f"got {got}, allowed: {allowed}"
            yield number, Problem(row=number, field="row", message=message)
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            message = f"got {type(record).__name__}, allowed: an object"
            yield number, Problem(row=number, field="row", message=message)


def from_csv(text: str) -> Numbered:
    """A header, then a record a line; the number is the line's, the header's is 1."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    header: list[str] | None = None
    try:
        for cells in lines:
            number = lines.line_num
            if not cells:
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                if repeated := sorted({name for name in header if header.count(name) > 1}):
                    message = f"repeated: {', '.join(repeated)}"
                    yield number, Problem(row=number, field="header", message=message)
            elif len(cells) == len(header):
                yield number, dict(zip(header, cells, strict=True))
            else:
                message = f"got {len(cells)} cells, allowed: {len(header)}, as the header"
                yield number, Problem(row=number, field="row", message=message)
    except csv.Error as error:
        yield lines.line_num, Problem(row=lines.line_num, field="row", message=f"not CSV: {error}")


def from_names(folder: Path) -> Numbered:
    """Records of a folder without a manifest, by the endings of its file names."""
    found: dict[str, dict[str, list[str]]] = {}
    left_out: list[str] = []
    for path in filter(Path.is_file, listed(folder)):
        if is_result(path.name):  # predictions may lie beside the set; they are no truth
            left_out.append(path.name)
            continue
        name, _, ending = path.stem.rpartition("_")
        field = ending.casefold() if name and ending.casefold() in FIELDS else "image"
        stem = path.stem if field == "image" else name
        if path.suffix.lower() in (PICTURE_SUFFIXES if field == "image" else ANNOTATIONS):
            found.setdefault(stem, {}).setdefault(field, []).append(path.name)
        elif field == "image":
            left_out.append(path.name)
        else:
            message = f"got {path.name}, allowed: {', '.join(SUFFIXES[field])}"
            yield 0, Problem(row=0, field=field, message=message)
    say_left_out(folder, left_out, ", ".join(PICTURE_SUFFIXES))
    position = 0
    for name, files in sorted(found.items()):
        position += "image" in files
        row = position if "image" in files else 0
        if "image" not in files:
            orphans = ", ".join(file for names in files.values() for file in names)
            message = f"none for {orphans}, allowed: {name}.*"
            yield row, Problem(row=row, field="image", message=message)
        for field, names in files.items():
            if len(names) > 1:
                yield row, Problem(row=row, field=field, message=f"more than one: {names}")
        if "image" in files:
            yield row, {field: names[0] for field, names in files.items()}
