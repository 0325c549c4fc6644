"""The array of an answer as a file, in the formats that others read.

    npy        depth (H, W) float32, flow (2, H, W) float32, mask (H, W) bool: the axes of `Predictor`, channels first
    npz        the same, as the array "depth", "flow" or "amodal"
    pfm exr    floats; flow as u, v and a third channel of zeros (pfm), or as channels u and v (exr)
    tiff       depth: one channel of float32
    png16      depth: 65535 x the value, 16 bits of grey
    flo        flow: Middlebury
    kitti-png  flow: 64 x the value + 2^15, 16 bits
    png        mask: 0 and 255

`FORMATS` is the table of them; a row says whose answers it can hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookharder.data.formats import (
    write_depth_png,
    write_exr,
    write_flo,
    write_kitti_flow,
    write_mask,
    write_npy,
    write_npz,
    write_pfm,
    write_tiff,
)
from lookharder.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Format:
    """A way to write an array.

    Attributes:
        role: of the file, in a record.
        ending: of its name, after those of input and task.
        tasks: whose answers it can hold; none = those of any task.
        write: (path, array, task) -> the file.
    """

    role: str
    ending: str
    tasks: Sequence[str] = ()
    write: Callable[[Path, np.ndarray, str], None]


def _npy(path: Path, array: np.ndarray, task: str) -> None:
    write_npy(path, array)


def _npz(path: Path, array: np.ndarray, task: str) -> None:
    write_npz(path, {task: array})


def _pfm(path: Path, array: np.ndarray, task: str) -> None:
    zeros = np.zeros_like(array[:1])
    write_pfm(path, np.concatenate([array, zeros]) if array.ndim == 3 else array)


def _exr(path: Path, array: np.ndarray, task: str) -> None:
    write_exr(path, {"u": array[0], "v": array[1]} if array.ndim == 3 else {"Y": array})


def _tiff(path: Path, array: np.ndarray, task: str) -> None:
    write_tiff(path, array)


def _png16(path: Path, array: np.ndarray, task: str) -> None:
    write_depth_png(path, array, scale=65535.0)


def _flo(path: Path, array: np.ndarray, task: str) -> None:
    write_flo(path, array)


def _kitti(path: Path, array: np.ndarray, task: str) -> None:
    write_kitti_flow(path, array)


def _mask(path: Path, array: np.ndarray, task: str) -> None:
    write_mask(path, array)


FLOATS = ("depth", "flow")
NONE = "none"  # of no format: pictures alone
FORMATS = {
    "npy": Format(role="array", ending=".npy", write=_npy),
    "npz": Format(role="npz", ending=".npz", write=_npz),
    "pfm": Format(role="pfm", ending=".pfm", tasks=FLOATS, write=_pfm),
    "exr": Format(role="exr", ending=".exr", tasks=FLOATS, write=_exr),
    "tiff": Format(role="tiff", ending=".tiff", tasks=("depth",), write=_tiff),
    "png16": Format(role="png16", ending=".png", tasks=("depth",), write=_png16),
    "flo": Format(role="flo", ending=".flo", tasks=("flow",), write=_flo),
    "kitti-png": Format(role="kitti_png", ending=".png", tasks=("flow",), write=_kitti),
    "png": Format(role="mask", ending=".png", tasks=("amodal",), write=_mask),
}


def find_formats(task: str, names: Sequence[str]) -> dict[str, Format]:
    """Rows of `FORMATS` by their role.

    Raises:
        InputError: a format that is not known, or cannot hold the answers of the task.
    """
    rows: dict[str, Format] = {}
    if tuple(names) == (NONE,):
        return rows
    for name in names:
        row = FORMATS.get(name)
        if row is None or (row.tasks and task not in row.tasks):
            known = [key for key, each in FORMATS.items() if not each.tasks or task in each.tasks]
            raise InputError(
                "--format", repr(name), f"with task {task!r}: {', '.join(known)}, or {NONE} alone"
            )
        rows[row.role] = row
    return rows
