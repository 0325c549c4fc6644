"""Floats behind a short header: optical flow as .flo (Middlebury), maps as .pfm.

    .flo   float32 202021.25, int32 width, int32 height, u, v by pixel; little-endian, rows DOWN
    .pfm   "Pf" or "PF", width height, scale (its sign is the byte order), then rows UP

Values are returned as stored, NaN and infinity included. Flow that nobody knows is stored as 1e10:
see `known_flow`.
"""

import re
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from lookharder.data.formats.guard import check_extent, read_exactly
from lookharder.errors import InputError
from lookharder.files import atomic, file_size, opened

FLO_MAGIC = struct.pack("<f", 202021.25)  # the bytes "PIEH"
FLO_UNKNOWN = 1e9
PFM_HEADER = re.compile(
    rb"P([Ff])\s+(\d{1,9})\s+(\d{1,9})\s+([-+]?\d*\.?\d+(?:[eE][-+]?\d{1,2})?)[ \t]*\r?\n"
)


def read_flo(path: str | Path) -> Float32[np.ndarray, "2 H W"]:
    """Optical flow in pixels (u right, v down) from a .flo file, values as stored.

    Source: Baker et al., A Database and Evaluation Methodology for Optical Flow (Middlebury, 2007).

    Raises:
        InputError: no .flo file, or its size differs from what its header promises.
    """
    with opened(path) as handle:
        header = handle.read(12)
        if len(header) < 12 or header[:4] != FLO_MAGIC:
            raise InputError(
                str(path),
                f"a file that begins with {header[:4]!r}",
                "a .flo file (begins with b'PIEH')",
            )
        width, height = struct.unpack("<ii", header[4:])
        check_extent(path, width, height)
        what = f"a {width} x {height} .flo"
        data = read_exactly(handle, path, 12, file_size(handle), 8 * width * height, what)
    flow = np.frombuffer(data, dtype="<f4").reshape(height, width, 2)
    return np.ascontiguousarray(flow.transpose(2, 0, 1), dtype=np.float32)


def write_flo(path: str | Path, flow: np.ndarray) -> None:
    """Write flow (2, H, W), in pixels, as float32; read_flo returns the same, bit for bit."""
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise InputError("flow", f"shape {flow.shape}", "(2, H, W)")
    _, height, width = flow.shape
    check_extent(path, width, height)
    pixels = np.ascontiguousarray(flow.transpose(1, 2, 0), dtype="<f4")
    with atomic(path) as aside:
        aside.write_bytes(FLO_MAGIC + struct.pack("<ii", width, height) + pixels.tobytes())


def known_flow(flow: Float32[np.ndarray, "2 H W"]) -> Bool[np.ndarray, "H W"]:
    """Where flow is known: finite and not beyond 1e9, the Middlebury mark for unknown."""
    known: np.ndarray = (np.abs(flow) <= FLO_UNKNOWN).all(axis=0)  # NaN compares false
    return known


def read_pfm(path: str | Path) -> Float32[np.ndarray, "..."]:
    """A .pfm map: (H, W) of a grey file (Pf), (3, H, W) of a colour file (PF), first row on top.

    The size of the scale in the header is a hint for display and is not applied: Middlebury stereo
    sets write 1/255 or so beside disparities that are already in pixels.

    Raises:
        InputError: no .pfm file, or its size differs from what its header promises.
    """
    with opened(path) as handle:
        header = PFM_HEADER.match(handle.read(128))
        if header is None or float(header[4]) == 0:
            raise InputError(
                str(path), "no PFM header", "a .pfm file (Pf or PF, width height, scale)"
            )
        channels = 3 if header[1] == b"F" else 1
        width, height, scale = int(header[2]), int(header[3]), float(header[4])
        check_extent(path, width, height)
        handle.seek(header.end())
        what = f"a {width} x {height} .pfm of {channels} channels"
        count = 4 * channels * width * height
        data = read_exactly(handle, path, header.end(), file_size(handle), count, what)
    stored = np.frombuffer(data, dtype="<f4" if scale < 0 else ">f4").reshape(
        height, width, channels
    )
    values = stored[::-1].transpose(2, 0, 1).astype(np.float32, order="C")
    return values if channels == 3 else values[0]


def write_pfm(path: str | Path, values: np.ndarray) -> None:
    """Write (H, W) or (3, H, W) as a little-endian .pfm of float32, scale 1."""
    if not (values.ndim == 2 or (values.ndim == 3 and values.shape[0] == 3)):
        raise InputError("values", f"shape {values.shape}", "(H, W) or (3, H, W)")
    height, width = values.shape[-2:]
    check_extent(path, width, height)
    rows = values[::-1] if values.ndim == 2 else values[:, ::-1].transpose(1, 2, 0)
    kind = "Pf" if values.ndim == 2 else "PF"
    with atomic(path) as aside:
        aside.write_bytes(
            f"{kind}\n{width} {height}\n-1.0\n".encode() + rows.astype("<f4").tobytes()
        )
