"""Which picture files a user means, and whether all of them can be used: asked before any work is done.

An argument is a file, a folder (its pictures, by name) or a pattern (`*`, `?`, `[...]`, `**`). A task that needs a
companion picture (flow: the second frame, amodal: the visible mask) takes one for each image, matched by order.
Checking reads every file to its end; the pixels are not kept, so a thousand photos fit in memory.
"""

import glob
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookharder.data.formats import PICTURE_SUFFIXES, read_image, read_mask
from lookharder.errors import InputError
from lookharder.files import is_litter, listed, say_left_out, say_once
from lookharder.tasks.base import Task
from lookharder.visualize.views import VIEWS

READERS: dict[str, Callable[[Path], np.ndarray]] = {"picture": read_image, "mask": read_mask}


@dataclass(frozen=True, kw_only=True)
class Input:
    """One question to the model: files that exist, can be read and belong together.

    Attributes:
        name: stem of the image, made unique among the inputs; names of results are built from it.
        task: what is asked.
        image: the picture.
        companions: the files of the task's inputs, by the arguments that name them.
        size: (H, W) pixels.
    """

    name: str
    task: Task
    image: Path
    companions: Mapping[str, Path]
    size: tuple[int, int]

    def read(self) -> dict[str, np.ndarray]:
        """The pixels: "image" (3, H, W) uint8, and each of the task's inputs by its argument."""
        found = {"image": read_image(self.image)}
        for given in self.task.inputs:
            found[given.argument] = READERS[given.kind](self.companions[given.argument])
        return found


def gather(
    task: Task, images: Sequence[str], companions: Mapping[str, Sequence[str] | None]
) -> list[Input]:
    """The inputs that arguments name, each read once to its end.

    Args:
        task: what is asked.
        images: files, folders or patterns.
        companions: likewise, one file for each image, of every argument that any task may need ("second", "mask").

    Raises:
        InputError: for the first thing that is wrong with any of them.
    """
    if task.name not in VIEWS:
        raise InputError("TASK", repr(task.name), f"one of {sorted(VIEWS)}")
    paths = expand("IMAGE", images)
    needed = {given.argument for given in task.inputs}
    for argument, patterns in companions.items():
        if patterns and argument not in needed:
            got, allowed = repr(patterns[0]), f"nothing, with task {task.name!r}"
            raise InputError(f"--{argument}", got, allowed)
    if "" in images:
        raise InputError("IMAGE", "''", "files, folders or patterns")
    files: dict[str, list[Path]] = {}
    for argument in needed:
        files[argument] = expand(f"--{argument}", companions.get(argument) or [])
        if len(files[argument]) != len(paths):
            raise InputError(
                f"--{argument}",
                f"{len(files[argument])} images",
                f"{len(paths)}, one for each IMAGE, with task {task.name!r}",
            )
    for path, other in zip(paths, files.get("second", []), strict=False):
        if path == other:
            say_once(str(path), "the frame and the next frame are one file")
    return [
        _check(name, task, image, {argument: files[argument][i] for argument in needed})
        for i, (name, image) in enumerate(zip(unique_names(paths), paths, strict=True))
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
            paths = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207
            paths = sorted((path for path in paths if not is_litter(path.name)), key=natural)
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


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Key of an order in which frame_2 comes before frame_10, so that two lists of frames pair as their numbers do."""
    parts = re.findall(r"\d+|\D+", str(path).casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], str(path)


def _inside(argument: str, folder: Path) -> list[Path]:
    files = [path for path in listed(folder) if path.is_file()]
    pictures = sorted((p for p in files if p.suffix.lower() in PICTURE_SUFFIXES), key=natural)
    others = [path.name for path in files if path not in set(pictures)]
    say_left_out(folder, others, ", ".join(PICTURE_SUFFIXES))
    if not pictures:
        raise InputError(
            argument, f"{folder}, a folder without images", "images: " + ", ".join(PICTURE_SUFFIXES)
        )
    return pictures


def _check(name: str, task: Task, image: Path, companions: Mapping[str, Path]) -> Input:
    """An input whose files can be read and fit together."""
    height, width = read_image(image).shape[1:]
    for given in task.inputs:
        path = companions[given.argument]
        values, argument = READERS[given.kind](path), f"--{given.argument} {path}"
        if values.shape[-2:] != (height, width):
            got = f"{values.shape[-1]} x {values.shape[-2]} pixels"
            raise InputError(argument, got, f"{width} x {height}, as {image}")
        if given.kind == "mask" and not values.any():
            raise InputError(argument, "an empty mask", "at least one visible pixel")
    return Input(name=name, task=task, image=image, companions=companions, size=(height, width))
