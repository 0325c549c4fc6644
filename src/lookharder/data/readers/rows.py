"""A set of files is a list of rows; this is the one place where a row is read.

    ManifestRow = where the files of one example lie, and in which unit its depth is stored
    read_row(row) -> Example;  Rows(rows) is the data set

A reader of a published set only lists its rows, so every set obeys the same rules: depth is valid
inside (depth_min, depth_max), unknown depth and flow are 0 and marked, every array has the size of
the image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lookharder.data.example import Example
from lookharder.data.formats import (
    known_flow,
    read_depth_png,
    read_flo,
    read_image,
    read_kitti_flow,
    read_mask,
    read_npy,
    read_npz,
    read_pfm,
    read_vkitti_flow,
)
from lookharder.data.formats.pictures import is_turned
from lookharder.errors import InputError
from lookharder.files import is_litter, say_once

SPLITS = (
    "val",
    "test",
    "train",
)  # folders of a set that may hold what is looked for, in this order
Arrays = dict[str, np.ndarray]
FLOW_PNG = {"kitti": read_kitti_flow, "vkitti": read_vkitti_flow}


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One example on disk.

    Attributes:
        name: as in `Example`.
        image: picture, as are `second` (the next frame) and `whole` (the whole object on white).
        depth: .png (16 bits), .npy, .npz (one array) or .pfm; (H, W).
        depth_scale: stored value / scale = metres; None where floats are stored in metres.
        depth_min: valid depth is larger than this, in metres.
        depth_max: valid depth is smaller than this, in metres.
        flow: .flo, or .png as `flow_format` says.
        flow_format: units of flow in .png: KITTI's pixels / 64, or Virtual KITTI 2's share of the frame.
        visible: mask, as is `amodal`.
        label: class of the picture.
    """

    name: str
    image: Path
    second: Path | None = None
    depth: Path | None = None
    depth_scale: float | None = None
    depth_min: float = 0.0
    depth_max: float = float("inf")
    flow: Path | None = None
    flow_format: Literal["kitti", "vkitti"] = "kitti"
    visible: Path | None = None
    amodal: Path | None = None
    whole: Path | None = None
    label: int | None = None


def _stored_depth(row: ManifestRow, path: Path) -> np.ndarray:
    """Depth in metres, as stored: 0, negative or not finite where there is none."""
    kind = path.suffix.lower()
    if kind == ".png":
        if row.depth_scale is None:
            raise InputError(str(path), "integers without a unit", "depth_unit or depth_scale")
        return read_depth_png(path, row.depth_scale)
    if kind == ".npy":
        stored = read_npy(path)
    elif kind == ".pfm":
        stored = read_pfm(path)
    elif kind == ".npz":
        arrays = read_npz(path)
        if len(arrays) != 1:
            raise InputError(str(path), f"arrays {sorted(arrays)}", "one array")
        (stored,) = arrays.values()
    else:
        raise InputError(str(path), f"suffix {kind!r}", ".png, .npy, .npz or .pfm")
    if stored.ndim != 2:
        raise InputError(str(path), f"shape {stored.shape}", "(H, W)")
    if stored.dtype.kind != "f" and row.depth_scale is None:
        raise InputError(str(path), "integers without a unit", "depth_unit or depth_scale")
    return stored.astype(np.float32) / np.float32(row.depth_scale or 1.0)


def _depth(row: ManifestRow, path: Path) -> Arrays:
    stored = _stored_depth(row, path)
    valid = np.isfinite(stored) & (stored > row.depth_min) & (stored < row.depth_max)
    return {"depth": np.where(valid, stored, np.float32(0)), "depth_valid": valid}


def _image(row: ManifestRow, path: Path) -> np.ndarray:
    """The picture, upright; annotations drawn on it as stored would not fit."""
    annotated = (row.depth, row.flow, row.visible, row.amodal, row.whole)
    if any(annotated) and is_turned(path):
        say_once(
            str(path), "turned by its EXIF tag: what is annotated beside it must be upright too"
        )
    return read_image(path)


def _flow(row: ManifestRow, path: Path) -> Arrays:
    if path.suffix.lower() == ".flo":
        stored = read_flo(path)
        valid = known_flow(stored)
        return {"flow": np.where(valid, stored, np.float32(0)), "flow_valid": valid}
    if path.suffix.lower() == ".png":
        flow, valid = FLOW_PNG[row.flow_format](path)
        return {"flow": flow, "flow_valid": valid}
    raise InputError(str(path), f"suffix {path.suffix!r}", ".flo or .png")


FIELDS: dict[str, Callable[[ManifestRow, Path], Arrays]] = {
    "image": lambda row, path: {"image": _image(row, path)},
    "second": lambda row, path: {"second": read_image(path)},
    "depth": _depth,
    "flow": _flow,
    "visible": lambda row, path: {"visible": read_mask(path)},
    "amodal": lambda row, path: {"amodal": read_mask(path)},
    "whole": lambda row, path: {"whole": read_image(path)},
}


def read_field(row: ManifestRow, field: str) -> Arrays:
    """The arrays of one field (depth and flow bring their validity); none if the row lacks it."""
    path = getattr(row, field)
    return {} if path is None else FIELDS[field](row, path)


def read_row(row: ManifestRow) -> Example:
    """Read all files of a row.

    Raises:
        InputError: a file is missing or damaged, or its size is not that of the image.
    """
    arrays: Arrays = {}
    for field in FIELDS:
        for name, array in read_field(row, field).items():
            arrays[name] = array
            height, width = arrays["image"].shape[1:]
            if array.shape[-2:] != (height, width):
                got = f"{array.shape[-1]} x {array.shape[-2]} pixels"
                allowed = f"{width} x {height}, the size of {row.image.name}"
                raise InputError(str(getattr(row, field)), got, allowed)
    return Example(name=row.name, label=row.label, **arrays)


class Rows:
    """A data set of rows; files are read when an example is asked for."""

    def __init__(self, rows: Sequence[ManifestRow], source: str | Path) -> None:
        if not rows:
            raise InputError(str(source), "no examples", "at least one")
        self.rows = list(rows)

    @property
    def largest_label(self) -> int | None:
        """Of the rows that have one."""
        return max((row.label for row in self.rows if row.label is not None), default=None)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> Example:
        return read_row(self.rows[index])


def within(root: Path, pattern: str, *places: str) -> Path:
    """The folder that a reader looks into: the one given, or that of its places which holds what is looked for.

    Args:
        root: what the user gave: the folder itself, or one above it.
        pattern: what it holds.
        places: names below `root`, the first that holds it is taken, and said.
    """
    if not root.is_dir() or any(root.glob(pattern)):
        return root
    holding = [place for place in places if any((root / place).glob(pattern))]
    if not holding:
        return root
    others = f", not {', '.join(holding[1:])}" if len(holding) > 1 else ""
    say_once(str(root), f"reads its folder {holding[0]}{others}")
    return root / holding[0]


def list_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that match, by name; a missing folder or an empty answer is an error.

    Raises:
        InputError: naming the folder and the pattern.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", f"a folder that holds {pattern}")
    found = sorted(
        path
        for path in folder.glob(pattern)
        if not any(map(is_litter, path.relative_to(folder).parts))
    )
    if not found:
        raise InputError(str(folder), f"no file {pattern}", f"a folder that holds {pattern}")
    return found
