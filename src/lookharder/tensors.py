"""Tensors in safetensors files, read strictly: a header can be asked alone, and numbers are finite."""

import errno
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lookharder.errors import InputError
from lookharder.files import atomic, opened

Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(path: Path, name: str | None = None) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor, from the header alone; `name` is what an error calls the file.

    Raises:
        InputError: no such file, or none that is whole.
    """
    with opened(path):
        pass
    try:
        with safe_open(path, "pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(name or str(path), error, "a whole safetensors file") from error


def read_tensors(path: Path, name: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the metadata beside them.

    Raises:
        InputError: no such file, none that is whole, or numbers that are not finite: such weights answer nothing.
    """
    with opened(path):
        pass
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise InputError(name or str(path), error, "a whole safetensors file") from error
    if wrong := [key for key, tensor in tensors.items() if not is_finite(tensor)]:
        got = f"numbers that are not finite in {len(wrong)} of {len(tensors)} tensors, e.g. {wrong[0]}"
        raise InputError(name or str(path), got, "finite numbers")
    return tensors, metadata


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, whole or not at all.

    Raises:
        OSError: the disk is full, or fails.
    """
    with atomic(path) as aside:
        try:
            save_file(dict(tensors), aside, metadata={"format": "pt"})
        except SafetensorError as error:  # which is how it reports a disk
            number = errno.ENOSPC if "No space" in str(error) else errno.EIO
            raise OSError(number, f"not written: {error}", str(path)) from error


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are finite; formats of 8 bits, which torch does not ask, by way of float32.

    Of floats the least and the largest are asked, which are NaN where any is: one reading, and no map of answers.
    """
    if not tensor.is_floating_point() or not tensor.numel():
        return bool(torch.isfinite(tensor).all())
    ends = torch.aminmax(tensor.float() if tensor.itemsize == 1 else tensor)
    return bool(torch.stack(ends).isfinite().all())
