"""ImageNet, or any set laid out like it: pictures of classes, each cropped to one square size.

    PATH/n01440764/*.JPEG  n01443537/*.JPEG  ...      label = place of the folder by name, from 0
    PATH/train-000000.tar  train-000001.tar  ...      see `shards`: KEY.jpg and KEY.cls

Both give the same examples in the same order where the shards were written from the folders in
their order. A batch needs one size, so every picture becomes the square in its middle, as the
class-conditional models that are compared on ImageNet do it.
Sources: Russakovsky et al., ImageNet (IJCV 2015); the crop: Dhariwal and Nichol, ADM (2105.05233).
"""

import os
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lookharder.data.example import Dataset, Example
from lookharder.data.formats import MAX_SIDE, PICTURE_SUFFIXES, read_image
from lookharder.data.readers.records import Problem
from lookharder.data.readers.shards import Index, open_index, walk
from lookharder.errors import InputError
from lookharder.files import is_litter, listed, say_left_out, say_once


def center_crop(image: UInt8[np.ndarray, "3 H W"], side: int) -> UInt8[np.ndarray, "3 S S"]:
    """The square in the middle, `side` pixels wide: halved by boxes while twice too large, then bicubic."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    while min(picture.size) >= 2 * side:
        half = (picture.width // 2, picture.height // 2)
        picture = picture.resize(half, Image.Resampling.BOX)
    scale = side / min(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cut = picture.crop((left, top, left + side, top + side))
    return np.ascontiguousarray(np.asarray(cut).transpose(2, 0, 1))


class Folders:
    """A folder for each class; labels are the places of the folders in the order of their names."""

    def __init__(self, root: Path, side: int) -> None:
        self.root, self.side = root, side
        self.classes = sorted(
            entry.name for entry in os.scandir(root) if entry.is_dir() and not is_litter(entry.name)
        )
        self.files = [_pictures(root / name) for name in self.classes]
        self.ends = list(accumulate(len(names) for names in self.files))
        if not self.ends or not self.ends[-1]:
            allowed = "folders of pictures, one for each class, or shards NAME-000000.tar"
            raise InputError(str(root), "no pictures", allowed)

    @property
    def largest_label(self) -> int:
        """That of the last folder."""
        return len(self.classes) - 1

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int, /) -> Example:
        index = range(len(self))[index]
        label = bisect_right(self.ends, index)
        name = self.files[label][index - self.ends[label]]
        path = self.root / self.classes[label] / name
        image = center_crop(read_image(path, min_side=1), self.side)
        return Example(name=f"{self.classes[label]}/{name}", image=image, label=label)


def _pictures(folder: Path) -> list[str]:
    """Names of the pictures of a class; other files are told. By strings, for there are 1.3 million."""
    names = sorted(entry.name for entry in os.scandir(folder) if not is_litter(entry.name))
    found = [n for n in names if os.path.splitext(n)[1].lower() in PICTURE_SUFFIXES]  # noqa: PTH122
    say_left_out(folder, [*set(names).difference(found)], ", ".join(PICTURE_SUFFIXES))
    if not found:
        say_once(str(folder), "a class without pictures; it has a label all the same")
    return found


class Shards:
    """Pictures and labels of tar shards, read at random."""

    def __init__(self, index: Index, side: int) -> None:
        self.index, self.side = index, side

    @property
    def largest_label(self) -> int:
        """Of all shards."""
        return int(self.index.label.max())

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int, /) -> Example:
        index = range(len(self))[index]
        name = self.index.name(index)
        image = read_image(name, min_side=1, data=self.index.read(index))
        label = int(self.index.label[index])
        return Example(name=name, image=center_crop(image, self.side), label=label)


def open_imagenet(root: str | Path, side: int = 256) -> Dataset:
    """Pictures with their labels, from class folders or from shards.

    Args:
        root: the folder; where it holds shards, those are read.
        side: of the square that a picture becomes, pixels.

    Raises:
        InputError: no such folder, nothing to read in it, or a damaged shard.
    """
    if not 8 <= side <= MAX_SIDE:
        raise InputError("side", side, f"8 to {MAX_SIDE}")
    root = Path(root)
    if not root.is_dir():
        raise InputError(str(root), "no such folder", "a folder of class folders or of shards")
    return Shards(open_index(root), side) if _shards(root) else Folders(root, side)


def _shards(root: Path) -> list[Path]:
    return [path for path in listed(root) if path.suffix == ".tar"]


def faults(root: Path) -> list[Problem]:
    """What is wrong with the shards of a folder, one problem for each that cannot be read."""
    problems = []
    for number, path in enumerate(_shards(root), start=1):
        try:
            walk(path)
        except InputError as error:
            problems.append(Problem(row=number, field="shard", message=str(error)))
    return problems
