"""Answers of each task from files that others wrote: what `View.read` holds, by the end of a file's name.

    depth     .npy .npz .pfm, .png of grey, 8 or 16 bits    any unit, for it is fitted to the truth
    flow      .flo, .npy .npz as (2, H, W) or (H, W, 2), .png as KITTI writes it    pixels of the frame
    amodal    .npy .npz of bool, .png: a mask, or the whole object on white, which is where grey is 250 or less

Each is read as (C, H, W).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from lookharder.data.formats import (
    read_depth_png,
    read_flo,
    read_image,
    read_kitti_flow,
    read_npy,
    read_npz,
    read_pfm,
    to_mask,
)
from lookharder.data.formats.png import read_header
from lookharder.errors import InputError
from lookharder.files import opened

WHITE = 250.5  # grey above which a pixel of a picture of a whole object is none of it (pix2gestalt's app)
LUMA = np.array([0.299, 0.587, 0.114])[
    :, None, None
]  # of red, green and blue, as every grey conversion has it
AnswerReader = Callable[[Path], np.ndarray]


def _array(channels: int, last: bool = False) -> AnswerReader:
    """A reader of .npy and .npz: (H, W) or (C, H, W), or channels last."""

    def read(path: Path) -> np.ndarray:
        arrays = [read_npy(path)] if path.suffix == ".npy" else list(read_npz(path).values())
        shape = arrays[0].shape if len(arrays) == 1 else ()
        while len(shape) > 3 and shape[0] == 1:  # a batch of one
            arrays[0] = arrays[0][0]
            shape = arrays[0].shape
        if len(shape) == 2 and channels == 1:
            return arrays[0][None]
        if len(shape) == 3 and shape[0] == channels:
            return arrays[0]
        if len(shape) == 3 and shape[2] == channels:
            return np.moveaxis(arrays[0], -1, 0)
        allowed = f"one array ({channels}, H, W) or (H, W, {channels})"
        raise InputError(str(path), f"{len(arrays)} arrays, shape {shape}", allowed)

    return read


def _grey(path: Path) -> np.ndarray:
    """The numbers of a PNG of one channel, (1, H, W)."""
    with opened(path) as handle:
        header = read_header(path, handle.read(33))
    if header.bits == 16:
        return read_depth_png(path, 1.0)[None]
    pixels = read_image(path, min_side=1, exact=True)
    if not (pixels == pixels[:1]).all():
        raise InputError(str(path), "a picture in colour", "depth in shades of grey")
    return pixels[:1].astype(np.float32)


def _map(path: Path) -> np.ndarray:
    values = read_pfm(path)
    if values.ndim != 2:
        raise InputError(str(path), f"shape {values.shape}", "a grey .pfm")
    return values[None]


def _kitti(path: Path) -> np.ndarray:
    """Flow, not a number where it is not given: it is scored there only if the truth is known there."""
    flow, valid = read_kitti_flow(path)
    return np.where(valid, flow, np.float32(np.nan))


def _object(path: Path) -> np.ndarray:
    """A mask of two values, or the whole object on white."""
    pixels = read_image(path, min_side=1, exact=True)
    grey = np.rint((LUMA * pixels).sum(0))
    several = len(np.unique(grey)) > 2
    mask: np.ndarray = grey < WHITE if several else grey > grey.max() / 2
    return mask[None]


def _mask(path: Path) -> np.ndarray:
    return to_mask(_array(1)(path)[0], str(path))[None]


DEPTH_FILES: Mapping[str, AnswerReader] = {
    ".npy": _array(1),
    ".npz": _array(1),
    ".pfm": _map,
    ".png": _grey,
}
FLOW_FILES: Mapping[str, AnswerReader] = {
    ".npy": _array(2),
    ".npz": _array(2),
    ".flo": read_flo,
    ".png": _kitti,
}
MASK_FILES: Mapping[str, AnswerReader] = {".npy": _mask, ".npz": _mask, ".png": _object}
