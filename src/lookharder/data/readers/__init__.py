"""Readers of published sets, and of one's own, by the name that a spec `READER:PATH` gives."""

from collections.abc import Callable
from pathlib import Path

from lookharder.data.example import Dataset
from lookharder.data.readers.audit import check
from lookharder.data.readers.coco_amodal import CocoAmodal
from lookharder.data.readers.flying_chairs import open_flying_chairs
from lookharder.data.readers.folder import open_folder
from lookharder.data.readers.hypersim import open_hypersim
from lookharder.data.readers.kitti_flow import open_kitti_flow
from lookharder.data.readers.middlebury_stereo import MiddleburyStereo
from lookharder.data.readers.paired_depth import open_kitti_depth, open_livingroom, open_tum_rgbd
from lookharder.data.readers.pix2gestalt import open_pix2gestalt
from lookharder.data.readers.records import Problem
from lookharder.errors import InputError

READERS: dict[str, Callable[[Path], Dataset]] = {
    "coco_amodal": CocoAmodal,
    "flying_chairs": open_flying_chairs,  # its val split
    "flying_chairs_train": lambda root: open_flying_chairs(root, split="train"),
    "folder": open_folder,
    "hypersim": open_hypersim,
    "kitti_depth": open_kitti_depth,
    "kitti_flow": open_kitti_flow,
    "livingroom": open_livingroom,
    "middlebury_stereo": MiddleburyStereo,
    "pix2gestalt": open_pix2gestalt,
    "tum_rgbd": open_tum_rgbd,
}


def open_data(spec: str) -> Dataset:
    """The data set that READER:PATH names.

    Raises:
        InputError: no such reader, or its data are missing.
    """
    name, colon, path = spec.partition(":")
    if name not in READERS or not colon or not path:
        allowed = "procedural[:COUNT[:SEED]] or READER:PATH with READER one of " + ", ".join(
            READERS
        )
        raise InputError("--data", repr(spec), allowed)
    return READERS[name](Path(path))


__all__ = ["READERS", "Problem", "check", "open_data"]
