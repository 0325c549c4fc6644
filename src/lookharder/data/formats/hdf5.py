"""Arrays of HDF5 files: the labelled set of NYUv2 (MATLAB 7.3), flow of Spring (.flo5). Needs the extra `hdf5`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lookharder.data.formats.guard import check_extent, decoding
from lookharder.errors import InputError
from lookharder.files import opened

if TYPE_CHECKING:
    import h5py


@contextmanager
def open_hdf5(path: str | Path, *names: str) -> Iterator[list["h5py.Dataset"]]:
    """The data sets of a file by name, still on disk.

    Raises:
        InputError: no HDF5 file, or none of these data sets of numbers; or h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(str(path), "no h5py", "an installation with the extra `hdf5`") from error
    with opened(path) as handle, decoding(path, "an HDF5 file"), h5py.File(handle, "r") as file:
        found = [file.get(name) for name in names]
        for name, each in zip(names, found, strict=True):
            if not isinstance(each, h5py.Dataset) or each.dtype.kind not in "biuf":
                raise InputError(f"{path}[{name}]", "no array of numbers", ", ".join(names))
        yield found


def read_flo5(path: str | Path) -> np.ndarray:
    """Flow (2, H, W) float32 of a .flo5 file, values as stored: not a number where it is not known.

    Raises:
        InputError: no HDF5 file with a data set `flow` (H, W, 2).
    """
    with open_hdf5(path, "flow") as (stored,):
        if stored.ndim != 3 or stored.shape[2] != 2:
            raise InputError(str(path), f"shape {stored.shape}", "(H, W, 2)")
        check_extent(path, stored.shape[1], stored.shape[0])
        return np.ascontiguousarray(np.moveaxis(stored[()], -1, 0), dtype=np.float32)
