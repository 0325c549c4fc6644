"""One line of text names a set and how it is read.

    READER:PATH[?OPTION=VALUE[&OPTION=VALUE ...]]

    folder:photos?depth_unit=mm          hypersim:val?list=filename_meta_val.csv&keep=marigold
    imagenet:train?side=128              vkitti2:vkitti?labels=depth&far=80

A path that holds a question mark is itself where nothing after the mark looks like an option.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lookharder.data.example import Dataset
from lookharder.data.readers.coco_amodal import CocoAmodal
from lookharder.data.readers.depth_benchmarks import Diode, Eth3d, KittiEigen, open_scannet
from lookharder.data.readers.flow_benchmarks import Sintel, Spring, open_middlebury_flow
from lookharder.data.readers.flying_chairs import open_flying_chairs
from lookharder.data.readers.folder import open_folder
from lookharder.data.readers.hypersim import open_hypersim
from lookharder.data.readers.imagenet import open_imagenet
from lookharder.data.readers.kitti_flow import open_kitti_flow
from lookharder.data.readers.middlebury_stereo import MiddleburyStereo
from lookharder.data.readers.nyuv2 import open_nyuv2
from lookharder.data.readers.paired_depth import open_kitti_depth, open_livingroom, open_tum_rgbd
from lookharder.data.readers.pix2gestalt import open_pix2gestalt
from lookharder.data.readers.seven_flow import open_seven_flow
from lookharder.data.readers.vkitti2 import open_vkitti2
from lookharder.errors import InputError


def _folder(root: Path, **defaults: Any) -> Dataset:
    return open_folder(root, defaults)


READERS: dict[str, Callable[..., Dataset]] = {
    "bsds_amodal": CocoAmodal,
    "coco_amodal": CocoAmodal,
    "diode": Diode,
    "eth3d": Eth3d,
    "flying_chairs": open_flying_chairs,  # its val split
    "flying_chairs_train": lambda root: open_flying_chairs(root, split="train"),
    "folder": _folder,
    "hypersim": open_hypersim,
    "imagenet": open_imagenet,
    "kitti_depth": open_kitti_depth,
    "kitti_eigen": KittiEigen,
    "kitti_flow": open_kitti_flow,
    "livingroom": open_livingroom,
    "middlebury_flow": open_middlebury_flow,
    "middlebury_stereo": MiddleburyStereo,
    "mp3d_amodal": CocoAmodal,
    "nyuv2": open_nyuv2,
    "pix2gestalt": open_pix2gestalt,
    "scannet": open_scannet,
    "seven_flow": open_seven_flow,
    "sintel": Sintel,
    "spring": Spring,
    "tum_rgbd": open_tum_rgbd,
    "vkitti2": open_vkitti2,
}

# option of a spec -> (argument of the reader, what its text becomes)
Option = tuple[str, Callable[[str], Any]]
AMODAL: dict[str, Option] = {
    "min_occlusion": ("min_occlusion", float),
    "list": ("listing", str),
}
OPTIONS: dict[str, dict[str, Option]] = {
    "bsds_amodal": AMODAL,
    "coco_amodal": AMODAL,
    "diode": {"part": ("part", str)},
    "flying_chairs": {"split": ("split", str)},
    "folder": {
        name: (name, str) for name in ("depth_unit", "depth_scale", "depth_min", "depth_max")
    },
    "hypersim": {"list": ("listing", str), "keep": ("keep", str)},
    "imagenet": {"side": ("side", int)},
    "kitti_eigen": {"list": ("listing", str), "mask": ("mask", str)},
    "mp3d_amodal": AMODAL,
    "nyuv2": {"split": ("split", str)},
    "pix2gestalt": {"split": ("split", str)},
    "scannet": {"list": ("listing", str)},
    "sintel": {"pass": ("rendering", str)},
    "vkitti2": {
        "labels": ("labels", str),
        "scene": ("scene", str),
        "variation": ("variation", str),
        "camera": ("camera", int),
        "far": ("far", float),
    },
}


def parse(spec: str) -> tuple[str, Path, Mapping[str, Any]]:
    """Reader, path and the reader's arguments.

    Raises:
        InputError: no such reader or option, or a value that is not of its kind.
    """
    name, colon, rest = spec.partition(":")
    if name not in READERS or not colon or not rest:
        allowed = "procedural[:COUNT[:SEED]] or READER:PATH with READER one of " + ", ".join(
            READERS
        )
        raise InputError("--data", repr(spec), allowed)
    path, mark, text = rest.rpartition("?")
    if not mark or "=" not in text:
        return name, Path(rest), {}
    known, arguments = OPTIONS.get(name, {}), {}
    for part in text.split("&"):
        option, _, value = part.partition("=")
        if option not in known:
            allowed = f"options of {name}: {', '.join(known) or 'none'}"
            raise InputError("--data", f"{spec!r} with {option!r}", allowed)
        argument, kind = known[option]
        try:
            arguments[argument] = kind(value)
        except ValueError:
            raise InputError("--data", f"{option}={value}", f"{option}: {kind.__name__}") from None
    return name, Path(path), arguments


def open_data(spec: str) -> Dataset:
    """The data set that READER:PATH names.

    Raises:
        InputError: no such reader or option, or its data are missing.
    """
    name, path, arguments = parse(spec)
    return READERS[name](path, **arguments)
