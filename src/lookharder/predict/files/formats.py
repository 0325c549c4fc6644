"""The array of an answer as a file, in the formats that others read.

    npy    float32 (H, W) depth, float32 (2, H, W) flow, bool (H, W) mask
    png16  depth: 65535 x the value, 16 bits of grey
    flo    flow: Middlebury
    png    mask: 0 and 255

`FORMATS` is the table of them; a row says what it can hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookharder.data.formats import write_depth_png, write_flo, write_mask, write_npy
from lookharder.errors import InputError
from lookharder.visualize.views import VIEWS


@dataclass(frozen=True, kw_only=True)
class Format:
    """A way to write an array.

    Attributes:
        role: of the file, in a record.
        ending: of its name, after those of input and task.
        tasks: whose answers it can hold; none = those of any task.
        write: (path, array) -> the file.
    """

    role: str
    ending: str
    tasks: Sequence[str] = ()
    write: Callable[[Path, np.ndarray], None]


def _write_png16(path: Path, depth: np.ndarray) -> None:
    write_depth_png(path, depth, scale=65535.0)


FORMATS = {
    "npy": Format(role="array", ending=".npy", write=write_npy),
    "png16": Format(role="png16", ending=".png", tasks=("depth",), write=_write_png16),
    "flo": Format(role="flo", ending=".flo", tasks=("flow",), write=write_flo),
    "png": Format(role="mask", ending=".png", tasks=("amodal",), write=write_mask),
}


def formats_for(task: str, names: Sequence[str] | None = None) -> dict[str, Format]:
    """Rows of `FORMATS` by their role; None = those in which a task's answers are usually written.

    Raises:
        InputError: a format that is not known, or cannot hold the answers of the task.
    """
    rows: dict[str, Format] = {}
    for name in VIEWS[task].formats if names is None else names:
        row = FORMATS.get(name)
        if row is None or (row.tasks and task not in row.tasks):
            known = [key for key, each in FORMATS.items() if not each.tasks or task in each.tasks]
            raise InputError("--format", repr(name), f"with task {task!r}: {', '.join(known)}")
        rows[row.role] = row
    return rows
