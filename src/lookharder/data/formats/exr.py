"""OpenEXR, the part of it that holds maps of floats: one scan-line image, float32 channels, no compression.

    header    magic, version 2, attributes: channels, compression, windows, order, ratio, centre, width
    offsets   of each row, uint64
    rows      y, bytes, then each channel's row of little-endian floats; channels in the order of their names

Every program that reads OpenEXR reads these files. The reader is for what the writer writes, and says so of others.
Source: openexr.com, "OpenEXR File Layout".
"""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from lookharder.data.formats.guard import check_extent
from lookharder.errors import InputError
from lookharder.files import atomic, file_size, opened

MAGIC = struct.pack("<II", 20000630, 2)
FLOAT = 2  # type of a channel
ALLOWED = "an OpenEXR file as this package writes it: scan lines of float32, not compressed"


def write_exr(path: str | Path, channels: Mapping[str, Float32[np.ndarray, "H W"]]) -> None:
    """Write maps of one size, by the names of their channels: "Y" for one map, "R", "G" and "B" for colours."""
    names = sorted(channels)
    planes = np.stack([channels[name].astype("<f4") for name in names], axis=1)  # (H, C, W)
    height, count, width = planes.shape
    check_extent(path, width, height)
    head = _header(names, width, height)
    row = 8 + 4 * count * width
    first = len(head) + 8 * height
    with atomic(path) as aside, aside.open("wb") as handle:
        handle.write(head)
        handle.write((first + row * np.arange(height, dtype="<u8")).tobytes())
        for y in range(height):
            handle.write(struct.pack("<iI", y, row - 8) + planes[y].tobytes())


def read_exr(path: str | Path) -> dict[str, Float32[np.ndarray, "H W"]]:
    """The channels of a file of `write_exr` by name.

    Raises:
        InputError: no such file, or another kind of OpenEXR.
    """
    with opened(path) as handle:
        size = file_size(handle)
        start = handle.read(min(size, 4096))
        try:
            names, width, height = _shape(start)
            check_extent(path, width, height)
            head = _header(names, width, height)
        except (struct.error, ValueError, KeyError) as error:
            raise InputError(str(path), "another kind of file", ALLOWED) from error
        row = 8 + 4 * len(names) * width
        if not start.startswith(head) or size != len(head) + 8 * height + row * height:
            raise InputError(str(path), "another kind of file, or one cut short", ALLOWED)
        handle.seek(len(head) + 8 * height)
        rows = np.frombuffer(handle.read(), np.uint8).reshape(height, row)[:, 8:]
    planes = np.ascontiguousarray(rows).view("<f4").reshape(height, len(names), width)
    return {name: planes[:, i].astype(np.float32) for i, name in enumerate(names)}


def _header(names: list[str], width: int, height: int) -> bytes:
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    listed = b"".join(name.encode() + b"\0" + struct.pack("<4i", FLOAT, 0, 1, 1) for name in names)
    attributes = (
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    )
    parts = [
        f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value
        for name, kind, value in attributes
    ]
    return MAGIC + b"".join(parts) + b"\0"


def _shape(start: bytes) -> tuple[list[str], int, int]:
    """Names of the channels, width and height of a header that `_header` wrote."""
    opening = MAGIC + b"channels\0chlist\0"
    if not start.startswith(opening):
        raise ValueError
    place = len(opening)
    (length,) = struct.unpack_from("<i", start, place)
    listed = start[place + 4 : place + 4 + length]
    names = []
    while listed[:1] not in (b"\0", b""):
        name, _, rest = listed.partition(b"\0")
        names.append(name.decode("ascii"))
        listed = rest[16:]
    box = b"dataWindow\0box2i\0" + struct.pack("<i", 16)
    found = start.index(box) + len(box)
    _, _, right, bottom = struct.unpack_from("<4i", start, found)
    return names, right + 1, bottom + 1
