"""Which picture files a user means, and whether all of them can be used: asked before any work is done.

An argument is a file, a folder (its pictures, by name) or a pattern (`*`, `?`, `[...]`, `**`). A task that needs a
companion picture (flow: the second frame, amodal: the visible mask) takes one for each image, matched by order.
Checking reads every file to its end; the pixels are not kept, so a thousand photos fit in memory.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookharder.data.formats import PICTURE_SUFFIXES, read_image, read_mask
from lookharder.errors import InputError

COMPANION = {"flow": "--second", "amodal": "--mask"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """The pixels of one input.

    Attributes:
        image: (3, H, W) uint8.
        second: (3, H, W) uint8, the next frame, for flow.
        mask: (H, W) bool, the visible part of the object that is meant, for amodal.
    """

    image: np.ndarray
    second: np.ndarray | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Input:
    """One question to the model: files that exist, can be read and belong together.

    Attributes:
        name: stem of the image, made unique among the inputs; names of results are built from it.
        task: what is asked.
        image: the picture.
        companion: the second frame for flow, the visible mask for amodal.
        size: (H, W) pixels.
    """

    name: str
    task: str
    image: Path
    companion: Path | None
    size: tuple[int, int]

    def read(self) -> Pixels:
        """The pixels."""
        image = read_image(self.image)
        if self.companion is None:
            return Pixels(image=image)
        if self.task == "flow":
            return Pixels(image=image, second=read_image(self.companion))
        return Pixels(image=image, mask=read_mask(self.companion))


def gather(
    task: str,
    images: Sequence[str],
    second: Sequence[str] | None = None,
    mask: Sequence[str] | None = None,
) -> list[Input]:
    """The inputs that arguments name, each read once to its end.

    Args:
        task: "depth", "flow" or "amodal".
        images: files, folders or patterns.
        second: the next frame of each image, for flow.
        mask: the visible mask for each image, for amodal.

    Raises:
        InputError: for the first thing that is wrong with any of them.
    """
    paths = expand("IMAGE", images)
    companions: Sequence[Path | None] = [None] * len(paths)
    for argument, given in (("--second", second), ("--mask", mask)):
        if COMPANION.get(task) == argument:
            companions = expand(argument, given or [])
            if len(companions) != len(paths):
                raise InputError(
                    argument,
                    f"{len(companions)} images",
                    f"{len(paths)}, one for each IMAGE, with task {task!r}",
                )
        elif given:
            raise InputError(argument, repr(given[0]), f"nothing, with task {task!r}")
    names = unique_names(paths)
    return [
        _check(name, task, image, companion)
        for name, image, companion in zip(names, paths, companions, strict=True)
    ]


def expand(argument: str, patterns: Sequence[str]) -> list[Path]:
    """The files that arguments name, in the order given; folders and patterns give theirs sorted.

    Raises:
        InputError: for a folder without pictures, or a pattern without files. A missing file is left to its reader.
    """
    found: list[Path] = []
    for pattern in patterns:
        paths = [Path(pattern)]
        if set("*?[") & set(pattern) and not Path(pattern).exists():
            # Path.glob takes no absolute pattern
            paths = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
            if not paths:
                raise InputError(argument, f"{pattern!r}, which matches nothing", "files")
        for path in paths:
            found += _inside(argument, path) if path.is_dir() else [path]
    return found


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each path: its stem, with -2, -3 ... where it is taken (also where only case differs)."""
    taken: set[str] = set()
    names = []
    for path in paths:
        name, count = path.stem, 1
        while name.casefold() in taken:
            count += 1
            name = f"{path.stem}-{count}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _inside(argument: str, folder: Path) -> list[Path]:
    pictures = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    )
    if not pictures:
        raise InputError(
            argument, f"{folder}, a folder without images", "images: " + ", ".join(PICTURE_SUFFIXES)
        )
    return pictures


def _check(name: str, task: str, image: Path, companion: Path | None) -> Input:
    height, width = read_image(image).shape[1:]
    if companion is not None:
        values = read_image(companion) if task == "flow" else read_mask(companion)
        argument = f"{COMPANION[task]} {companion}"
        if values.shape[-2:] != (height, width):
            got = f"{values.shape[-1]} x {values.shape[-2]} pixels"
            raise InputError(argument, got, f"{width} x {height}, as {image}")
        if task == "amodal" and not values.any():
            raise InputError(argument, "an empty mask", "at least one visible pixel")
    return Input(name=name, task=task, image=image, companion=companion, size=(height, width))
