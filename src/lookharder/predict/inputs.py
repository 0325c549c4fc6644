"""Pictures as callers have them -> a `Batch`; what cannot be used is refused by the name of its argument."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lookharder.data.example import Batch, to_float
from lookharder.errors import InputError
from lookharder.tasks.base import Task, resize_map

MAX_PIXELS = 8192 * 8192
ImageInput = Any  # PIL image, or uint8 array or tensor (3, H, W) or (H, W, 3)


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


def _pictures(argument: str, value: Any) -> Tensor:
    """One picture or several -> (B, 3, H, W) uint8."""
    several = value if isinstance(value, list | tuple) else [value]
    require(len(several) > 0, argument, "an empty list", "at least one picture")
    tensors = []
    for picture in several:
        if hasattr(picture, "convert"):  # PIL, without importing it
            picture = picture.convert("RGB")
        tensor = picture if isinstance(picture, Tensor) else torch.from_numpy(np.array(picture))
        if tensor.ndim == 3 and tensor.shape[0] != 3 and tensor.shape[-1] == 3:
            tensor = tensor.permute(2, 0, 1)
        good = tensor.dtype == torch.uint8 and tensor.ndim == 3 and tensor.shape[0] == 3
        require(
            good,
            argument,
            f"{tensor.dtype} of shape {tuple(tensor.shape)}",
            "uint8 (3, H, W) or (H, W, 3), or PIL",
        )
        require(
            tensor.shape[1] * tensor.shape[2] <= MAX_PIXELS,
            argument,
            f"{tuple(tensor.shape)}",
            f"{MAX_PIXELS} pixels",
        )
        tensors.append(tensor)
    sizes = sorted({tuple(t.shape[-2:]) for t in tensors})
    require(len(sizes) == 1, argument, f"sizes {sizes}", "pictures of one size in one call")
    return torch.stack(tensors)


def _masks(argument: str, value: Any) -> Tensor:
    """One mask or several -> (B, H, W) bool."""
    several = value if isinstance(value, list | tuple) else [value]
    tensors = [torch.from_numpy(np.array(mask)) for mask in several]
    for tensor in tensors:
        good = tensor.dtype == torch.bool and tensor.ndim == 2
        require(good, argument, f"{tensor.dtype} of shape {tuple(tensor.shape)}", "bool (H, W)")
        require(bool(tensor.any()), argument, "an empty mask", "at least one visible pixel")
    return torch.stack(tensors)


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
    return replace(batch, **changes)  # type: ignore[arg-type]


def require(good: bool, argument: str, got: object, allowed: str) -> None:
    """Raise InputError unless `good`."""
    if not good:
        raise InputError(argument, got, allowed)
