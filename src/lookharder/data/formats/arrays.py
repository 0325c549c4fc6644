"""numpy's own files, .npy and .npz, read without trust: numbers only, never pickled objects.

The header of an array (type, order, shape) is parsed here, as a literal, and must agree with the
number of bytes that follow before any memory is asked for. An .npz is a zip of arrays: its members
declare their sizes, which bound what is decompressed.
"""

import ast
import math
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lookharder.data.formats.guard import Stream, decoding, read_exactly
from lookharder.errors import InputError
from lookharder.files import atomic, file_size, opened

MAX_BYTES = 2**30
MAX_MEMBERS = 64
ALLOWED = "an array file of booleans, integers or floats"
HEADER_KEYS = {"descr", "fortran_order", "shape"}


def _header(handle: Stream, path: str) -> tuple[int, np.dtype, bool, tuple[int, ...]]:
    """Bytes of header, type, whether columns come first, shape; the numbers follow."""
    start = handle.read(8)
    versions = ((1, 0), (2, 0), (3, 0))
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or (start[6], start[7]) not in versions:
        raise InputError(path, f"a file that begins with {start[:6]!r}", ALLOWED)
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(handle.read(width), "little")
    text = handle.read(length) if length <= 4096 else b""
    with decoding(path, ALLOWED):
        fields = ast.literal_eval(text.decode("latin1").strip())
        if not isinstance(fields, dict) or fields.keys() != HEADER_KEYS:
            raise InputError(path, "a header without type, order and shape", ALLOWED)
        kind, columns_first, shape = fields["descr"], fields["fortran_order"], fields["shape"]
        if type(columns_first) is not bool:
            raise InputError(path, f"order {str(columns_first)[:40]!r}", "True or False")
        if not (isinstance(kind, str) and re.fullmatch("[<>|=][biuf][1248]", kind)):
            raise InputError(path, f"type {str(kind)[:40]!r}", ALLOWED)
        sizes = shape if isinstance(shape, tuple) and len(shape) <= 8 else (-1,)
        if not all(type(size) is int and 0 <= size <= MAX_BYTES for size in sizes):
            raise InputError(
                path, f"shape {str(shape)[:40]}", f"up to eight sizes of 0 to {MAX_BYTES}"
            )
        return 8 + width + length, np.dtype(kind), columns_first, shape


def _array(handle: Stream, path: str, size: int) -> np.ndarray:
    header, dtype, columns_first, shape = _header(handle, path)
    count = math.prod(shape) * dtype.itemsize
    if size > MAX_BYTES:
        raise InputError(path, f"{size:,} bytes", f"at most {MAX_BYTES:,} bytes")
    data = read_exactly(handle, path, header, size, count, f"shape {shape} of {dtype}")
    with decoding(path, ALLOWED):  # no number at all, of sides beyond any array
        stored = np.frombuffer(data, dtype=dtype).reshape(
            shape, order="F" if columns_first else "C"
        )
    return stored.astype(dtype.newbyteorder("="), order="C")


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an .npy file, in native byte order and C order.

    Raises:
        InputError: no .npy file, one that holds objects or records, or one whose size differs
            from what its header promises.
    """
    with opened(path) as handle:
        return _array(handle, str(path), file_size(handle))


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write an array of numbers or booleans as .npy."""
    if array.dtype.kind not in "biuf":
        raise InputError("array", f"type {array.dtype}", "booleans, integers or floats")
    with atomic(path) as aside, aside.open("wb") as handle:
        np.lib.format.write_array(handle, np.asarray(array, order="C"), allow_pickle=False)


def write_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of numbers or booleans by name, deflated."""
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise InputError(name, f"type {array.dtype}", "booleans, integers or floats")
    with atomic(path) as aside, aside.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name.

    Raises:
        InputError: no .npz file, a member that is not an array of numbers, more than 64 members,
            or more than 1 GiB.
    """
    with opened(path) as handle, decoding(path, "an .npz file"), zipfile.ZipFile(handle) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if len(members) > MAX_MEMBERS or total > MAX_BYTES:
            allowed = f"at most {MAX_MEMBERS} arrays, {MAX_BYTES:,} bytes"
            raise InputError(str(path), f"{len(members)} arrays, {total:,} bytes", allowed)
        arrays: dict[str, np.ndarray] = {}
        for member in members:
            where = f"{os.fspath(path)}[{member.filename}]"
            if member.filename.removesuffix(".npy") in arrays:
                raise InputError(where, "a second array of that name", "each name once")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(where, f"compression {member.compress_type}", "stored or deflated")
            with archive.open(member) as stream:
                array = _array(stream, where, member.file_size)
                stream.read(1)  # the end of the stream is where zipfile compares the checksum
            arrays[member.filename.removesuffix(".npy")] = array
        return arrays
