"""Whether the files that a user means can be used, and fit together: asked before any work is done.

A task that needs a companion picture (flow: the second frame, amodal: the visible mask) takes one for each image.
Checking reads every file to its end; the pixels are kept of one question alone, so a thousand photos fit in memory.
What cannot be used is left out with its reason, and the rest goes on.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from lookharder.data.formats import read_image, read_mask
from lookharder.errors import InputError
from lookharder.files import opened, say_once
from lookharder.predict.files.questions import Asked
from lookharder.predict.inputs import TOGETHER
from lookharder.predict.prompts import Prompt
from lookharder.shard import WHOLE, Shard
from lookharder.tasks.base import Task

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
        group: which of those beside it in the whole list may be predicted together with it.
        prompt: what is meant in the picture, in the place of a mask.
        pixels: what `read` gives, where the files are not to be read again.
    """

    name: str
    task: Task
    image: Path
    companions: Mapping[str, Path]
    size: tuple[int, int]
    digest: str
    group: int = 0
    prompt: Prompt | None = None
    pixels: Mapping[str, np.ndarray] | None = field(default=None, repr=False, compare=False)

    def read(self) -> dict[str, np.ndarray]:
        """The pixels: "image" (3, H, W) uint8, and each of the task's inputs by its argument."""
        if self.pixels is not None:
            return dict(self.pixels)
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


def check(
    task: Task, questions: Sequence[Asked], shard: Shard = WHOLE
) -> tuple[list[Input], list[InputError]]:
    """A shard's inputs, each read once to its end.

    Args:
        task: what is asked.
        questions: of all shards, by names that differ.
        shard: whose inputs are wanted.

    Returns:
        What can be used, and why the rest cannot.
    """
    places = range(len(questions))
    groups = [places[first : first + TOGETHER] for first in places[::TOGETHER]]
    inputs: list[Input] = []
    refused: list[InputError] = []
    for place in chain.from_iterable(shard.of(groups)):
        try:
            found = _check(task, questions[place], group=place // TOGETHER)
            inputs.append(found if len(questions) == 1 else replace(found, pixels=None))
        except InputError as error:
            refused.append(error)
    return inputs, refused


def _check(task: Task, question: Asked, group: int) -> Input:
    """An input whose files can be read and fit together."""
    image, given, prompt = question.image, question.companions, question.prompt
    pixels = read_image(image)
    height, width = pixels.shape[1:]
    companions: dict[str, Path] = {}
    found = {"image": pixels}
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
        companions[each.argument], found[each.argument] = path, values
    if prompt is not None:
        found |= {each.argument: prompt.mask(pixels) for each in task.inputs}
    digests = [_digest(path) for path in (image, *companions.values())]
    if digests[1:] == digests[:1]:
        say_once(str(image), "the frame and the next frame are the same")
    meant = "" if prompt is None else str(prompt)
    digest = hashlib.sha256("".join([*digests, meant]).encode()).hexdigest()
    return Input(
        name=question.name,
        task=task,
        image=image,
        companions=companions,
        size=(height, width),
        digest=digest,
        group=group,
        prompt=prompt,
        pixels=found,
    )


def _digest(path: Path) -> str:
    with opened(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
