"""One map of float32 as a TIFF, as maps are exchanged; exact."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from lookharder.data.formats.guard import check_extent, decoding
from lookharder.errors import InputError
from lookharder.files import atomic, opened

ALLOWED = "a TIFF of one channel of float32"


def write_tiff(path: str | Path, values: Float32[np.ndarray, "H W"]) -> None:
    """Write a map."""
    check_extent(path, values.shape[1], values.shape[0])
    with atomic(path) as aside:
        Image.fromarray(values).save(aside, format="TIFF")


def read_tiff(path: str | Path) -> Float32[np.ndarray, "H W"]:
    """Read a map.

    Raises:
        InputError: no such file, or a TIFF of something else.
    """
    with opened(path) as handle, decoding(path, ALLOWED):
        image = Image.open(handle, formats=["TIFF"])
        check_extent(path, *image.size)
        if image.mode != "F":
            raise InputError(str(path), f"mode {image.mode}", ALLOWED)
        return np.asarray(image, np.float32)
