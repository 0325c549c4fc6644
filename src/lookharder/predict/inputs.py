"""Pictures as callers have them -> a `Batch`; what cannot be used is refused by the name of its argument."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lookharder.data.example import Batch, Example, to_float
from lookharder.data.formats import Picture, to_mask, to_picture
from lookharder.errors import InputError
from lookharder.tasks.base import Task, resize_map

ImageInput = Picture
TOGETHER = 16  # pictures of one size in one call
PIXELS = 2**22  # of all of them, unless one has more


def together(height: int, width: int) -> int:
    """How many pictures of a size are predicted in one call, so that memory does not grow with their size."""
    return max(1, min(TOGETHER, PIXELS // (height * width)))


def batch_of(task: Task, image: Any, given: Mapping[str, Any]) -> Batch:
    """One picture or several, with what the task needs beside them.

    Args:
        task: what is asked.
        image: a picture, or a list of them.
        given: likewise, by argument, whatever any task may need; None = not given.

    Raises:
        InputError: for another type, sizes that differ, an empty mask, or an argument that the task does not use.
    """
    images = _pictures("image", image)
    inputs = {each.argument: each for each in task.inputs}
    for name in dict.fromkeys((*given, *inputs)):
        value, wanted = given.get(name), name in inputs
        require(
            (value is not None) == wanted,
            name,
            "nothing" if value is None else "something",
            f"{'needed' if wanted else 'not used'} by task {task.name!r}",
        )
    extra: dict[str, Tensor] = {}
    for name, each in inputs.items():
        value = given[name]
        read = _masks(name, value) if each.kind == "mask" else to_float(_pictures(name, value))
        size, expected = (len(read), *read.shape[-2:]), (len(images), *images.shape[-2:])
        require(size == expected, name, f"{size}", f"as the image: {expected} (count, H, W)")
        extra[each.field] = read
    names = tuple(f"image {i}" for i in range(len(images)))
    return Batch(name=names, image=to_float(images), **extra)


def batch_of_examples(task: Task, examples: Sequence[Example]) -> Batch:
    """Examples of one size, with what the task needs of each, and its `hints` where all examples have them.

    Raises:
        InputError: an example lacks it.
    """
    given: dict[str, list[Any]] = {}
    for each in task.inputs:
        given[each.argument] = [getattr(example, each.field) for example in examples]
        for example, value in zip(examples, given[each.argument], strict=True):
            allowed = f"a set that annotates `{each.field}`"
            require(value is not None, f"data ({example.name})", f"no `{each.field}`", allowed)
    batch = batch_of(task, [example.image for example in examples], given)
    for name in task.hints:
        values = [getattr(example, name) for example in examples]
        if all(value is not None for value in values):
            stacked = {name: torch.from_numpy(np.stack(values))}
            batch = replace(batch, **stacked)  # type: ignore[arg-type]  # as in `resize`
    return batch


def size_of(batch: Batch) -> tuple[int, int]:
    """(height, width) of its pictures."""
    return batch.image.shape[-2], batch.image.shape[-1]


def _pictures(argument: str, value: Any) -> Tensor:
    """One picture or several -> (B, 3, H, W) uint8."""
    several = _several(value, alone=3)
    require(len(several) > 0, argument, "an empty list", "at least one picture")
    return _stack(argument, [to_picture(picture, argument) for picture in several])


def _masks(argument: str, value: Any) -> Tensor:
    """One mask or several -> (B, H, W) bool."""
    several = _several(value, alone=2)
    masks = [to_mask(mask, argument) for mask in several]
    for mask in masks:
        require(bool(mask.any()), argument, "an empty mask", "at least one visible pixel")
    return _stack(argument, masks)


def _several(value: Any, alone: int) -> list[Any]:
    """One or several, each by itself: of a list, or of an array with one axis more than `alone`."""
    if isinstance(value, list | tuple):
        return list(value)
    shape = tuple(getattr(value, "shape", ()))
    single = len(shape) <= alone or (len(shape) == 3 and alone == 2 and shape[2] == 1)
    return [value] if single else list(value)


def _stack(argument: str, arrays: list[np.ndarray]) -> Tensor:
    sizes = sorted({array.shape[-2:] for array in arrays})
    require(len(sizes) == 1, argument, f"sizes {sizes}", "pictures of one size in one call")
    return torch.from_numpy(np.stack(arrays))


def resize(batch: Batch, height: int, width: int) -> Batch:
    """Resize the pictures of a batch, and what goes with them.

    Raises:
        InputError: a mask vanishes at that size.
    """
    changes = {"image": resize_map(batch.image, height, width)}
    if batch.second is not None:
        changes["second"] = resize_map(batch.second, height, width)
    if batch.visible is not None:
        changes["visible"] = resize_map(batch.visible[:, None].float(), height, width)[:, 0] > 0.5
        seen = changes["visible"].flatten(1).any(1)
        allowed = "a larger object, or a larger processing_resolution"
        require(bool(seen.all()), "mask", f"nothing left of it at {height}x{width}", allowed)
    if batch.depth_valid is not None:
        valid = batch.depth_valid[:, None].float()
        nearest = F.interpolate(valid, (height, width), mode="nearest-exact")
        changes["depth_valid"] = nearest[:, 0] > 0.5
    return replace(batch, **changes)  # type: ignore[arg-type]


def require(good: bool, argument: str, got: object, allowed: str) -> None:
    """Raise InputError unless `good`."""
    if not good:
        raise InputError(argument, got, allowed)
