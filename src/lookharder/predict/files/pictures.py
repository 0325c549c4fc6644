"""Whether the files that a user means can be used, and fit together: asked before any work is done.

A task that needs a companion picture (flow: the second frame, amodal: the visible mask) takes one for each image.
Checking reads every file to its end; the pixels are not kept, so a thousand photos fit in memory. What cannot be used
is left out with its reason, and the rest goes on.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookharder.data.formats import read_image, read_mask
from lookharder.errors import InputError
from lookharder.files import opened, say_once
from lookharder.predict.files.walk import expand, pair, unique_names
from lookharder.predict.prompts import Prompt
from lookharder.tasks.base import Task
from lookharder.visualize.views import VIEWS

READERS: dict[str, Callable[[Path], np.ndarray]] = {"picture": read_image, "mask": read_mask}


@dataclass(frozen=True, kw_only=True)
class Input:
    """One question to the model: files that exist, can be read and belong together.

    Attributes:
        name: of the image, unique among the inputs; names of results are built from it.
        task: what is asked.
        image: the picture.
        companions: the files of the task's inputs, by the arguments that name them.
        size: (H, W) pixels.
        digest: of what the files hold.
        prompt: what is meant in the picture, in the place of a mask.
    """

    name: str
    task: Task
    image: Path
    companions: Mapping[str, Path]
    size: tuple[int, int]
    digest: str
    prompt: Prompt | None = None

    def read(self) -> dict[str, np.ndarray]:
        """The pixels: "image" (3, H, W) uint8, and each of the task's inputs by its argument."""
        found = {"image": read_image(self.image)}
        for given in self.task.inputs:
            if given.argument in self.companions:
                found[given.argument] = READERS[given.kind](self.companions[given.argument])
            elif self.prompt is not None:
                found[given.argument] = self.prompt.mask(found["image"])
        return found

    @property
    def files(self) -> set[Path]:
        """All of them, resolved."""
        return {path.resolve() for path in (self.image, *self.companions.values())}


def gather(
    task: Task,
    images: Sequence[str],
    companions: Mapping[str, Sequence[str] | None],
    *,
    recursive: bool = False,
    names: Mapping[Path, str] | None = None,
    prompts: Sequence[Prompt] = (),
) -> tuple[list[Input], list[InputError]]:
    """The inputs that arguments name, each read once to its end.

    Args:
        task: what is asked.
        images: files, folders or patterns.
        companions: likewise, one file for each image, of every argument that any task may need ("second", "mask").
        recursive: look into folders of folders.
        names: of earlier results, by their image.
        prompts: one for each image, in the place of its mask; none = masks are files.

    Returns:
        What can be used, and why the rest cannot.

    Raises:
        InputError: arguments that make no list of inputs.
    """
    if task.name not in VIEWS:
        raise InputError("TASK", repr(task.name), f"one of {sorted(VIEWS)}")
    if "" in images:
        raise InputError("IMAGE", "''", "files, folders or patterns")
    found = expand("IMAGE", images, recursive=recursive, photos=True)
    needed = {given.argument for given in task.inputs}
    for argument, patterns in companions.items():
        if patterns and argument not in needed:
            got, allowed = repr(patterns[0]), f"nothing, with task {task.name!r}"
            raise InputError(f"--{argument}", got, allowed)
    if prompts:
        if "mask" not in needed or companions.get("mask"):
            allowed = "with task 'amodal', and no --mask"
            raise InputError("--box, --point", "given", allowed)
        if len(prompts) != len(found):
            allowed = f"{len(found)}, one for each IMAGE"
            raise InputError("--box, --point", f"{len(prompts)} of them", allowed)
        needed.discard("mask")
    partners: dict[str, list[Path | None]] = {}
    for argument in sorted(needed):
        others = expand(f"--{argument}", companions.get(argument) or [], recursive=recursive)
        partners[argument] = pair(f"--{argument}", found, others)
    inputs: list[Input] = []
    refused: list[InputError] = []
    for i, (name, each) in enumerate(zip(unique_names(found, names or {}), found, strict=True)):
        given = {argument: paths[i] for argument, paths in partners.items()}
        try:
            prompt = prompts[i] if prompts else None
            inputs.append(_check(name, task, each.path, given, prompt))
        except InputError as error:
            refused.append(error)
    return inputs, refused


def _check(
    name: str, task: Task, image: Path, given: Mapping[str, Path | None], prompt: Prompt | None
) -> Input:
    """An input whose files can be read and fit together."""
    pixels = read_image(image)
    height, width = pixels.shape[1:]
    if prompt is not None:
        prompt.mask(pixels)
    companions: dict[str, Path] = {}
    for each in (each for each in task.inputs if each.argument in given):
        path = given[each.argument]
        if path is None:
            raise InputError(str(image), "no namesake", f"a file of its name in --{each.argument}")
        values, argument = READERS[each.kind](path), f"--{each.argument} {path}"
        if values.shape[-2:] != (height, width):
            got = f"{values.shape[-1]} x {values.shape[-2]} pixels"
            raise InputError(argument, got, f"{width} x {height}, as {image}")
        if each.kind == "mask" and not values.any():
            raise InputError(argument, "an empty mask", "at least one visible pixel")
        companions[each.argument] = path
    digests = [_digest(path) for path in (image, *companions.values())]
    if digests[1:] == digests[:1]:
        say_once(str(image), "the frame and the next frame are the same")
    meant = "" if prompt is None else str(prompt)
    digest = hashlib.sha256("".join([*digests, meant]).encode()).hexdigest()
    return Input(
        name=name,
        task=task,
        image=image,
        companions=companions,
        size=(height, width),
        digest=digest,
        prompt=prompt,
    )


def _digest(path: Path) -> str:
    with opened(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
