"""Measurements in 16-bit PNG: depth (one channel) and KITTI's flow (three).

    depth   stored = metres x scale                         1000: millimetres; 0: no measurement
    flow    R = 64 u + 2^15, G = 64 v + 2^15, B = known     u, v in [-512, 512) at 1/64 pixel
    Virtual KITTI 2's flow:  R, G = (1 + (u / (W - 1), v / (H - 1))) (2^16 - 1) / 2, B = known

Pillow reads 16-bit RGB as 8-bit and says nothing, so flow goes through OpenCV; both decoders
forgive damage, so the file is checked first, to the last byte (see `png`).
"""

import io
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image

from lookharder.data.formats.guard import check_extent, decoding
from lookharder.data.formats.png import PNG_EFFORT, critical, read_header, whole_png
from lookharder.errors import InputError
from lookharder.files import atomic, opened

GREY, RGB = 0, 2
NAMES = {GREY: "a whole 16-bit grey PNG", RGB: "a whole 16-bit RGB PNG"}
FLOW_ZERO, FLOW_UNIT = 2**15, 64


def _whole_png(
    path: str | Path, colour: int, content: bytes | None = None
) -> tuple[bytes, tuple[int, int]]:
    """A 16-bit PNG that is complete, undamaged and of the colour type asked for: its bytes, and (H, W)."""
    with opened(path) if content is None else nullcontext(io.BytesIO(content)) as handle:
        head = handle.read(33)
        header = read_header(path, head)
        if (header.bits, header.colour) != (16, colour):
            got = f"{header.bits} bits, colour type {header.colour}"
            raise InputError(str(path), got, NAMES[colour])
        limit = 2 * header.raw_bytes + 2**20  # twice the raw size, and room for text
        data = head + handle.read(limit)
        if len(data) > limit:
            raise InputError(str(path), f"more than {limit} bytes", f"at most {limit} bytes")
    chunks = whole_png(path, data)
    return critical(data, chunks), (header.height, header.width)


def _check_decoded(
    path: str | Path, stored: np.ndarray | None, shape: tuple[int, ...], colour: int
) -> np.ndarray:
    """What a decoder made of a file, refused if it is not what the header promised."""
    if stored is None or stored.shape != shape or stored.dtype.kind not in "iu":
        got = "nothing" if stored is None else f"{stored.dtype} of shape {stored.shape}"
        raise InputError(str(path), f"{got}, decoded", f"{NAMES[colour]} of shape {shape}")
    return stored


def _check_scale(scale: float) -> None:
    if not 0 < scale < float("inf"):
        raise InputError("scale", scale, "a positive number: stored value / scale = metres")


def read_depth_png(
    path: str | Path, scale: float = 1000.0, data: bytes | None = None
) -> Float32[np.ndarray, "H W"]:
    """Depth in metres from a 16-bit grey PNG; 0 (no measurement) stays 0.

    Args:
        path: the file.
        scale: stored value / scale = metres; 1000 for millimetres, 256 for KITTI, 5000 for TUM.
        data: the bytes of the file where they lie elsewhere, in an archive; `path` then names them in errors.

    Raises:
        InputError: not a whole 16-bit grey PNG, or a scale that is not positive.
    """
    _check_scale(scale)
    data, size = _whole_png(path, GREY, data)
    with decoding(path, NAMES[GREY]), Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        stored = _check_decoded(path, np.asarray(image), size, GREY)
    return stored.astype(np.float32) / np.float32(scale)


def write_depth_png(path: str | Path, depth: np.ndarray, scale: float = 1000.0) -> None:
    """Write depth (H, W) in metres, rounded to 1 / scale; NaN and infinity (unknown) become 0.

    Raises:
        InputError: negative depth, or depth beyond 65535 / scale metres, which 16 bits cannot hold.
    """
    _check_scale(scale)
    if depth.ndim != 2:
        raise InputError("depth", f"shape {depth.shape}", "(H, W)")
    check_extent(path, depth.shape[1], depth.shape[0])
    stored = np.round(np.where(np.isfinite(depth), depth, 0).astype(np.float64) * scale)
    if stored.min() < 0 or stored.max() > 65535:
        got = f"{depth[np.isfinite(depth)].min():g} to {depth[np.isfinite(depth)].max():g} m"
        raise InputError("depth", got, f"0 to {65535 / scale:g} m at scale {scale:g}")
    with atomic(path) as aside:
        Image.fromarray(stored.astype(np.uint16)).save(aside, format="PNG", **PNG_EFFORT)


def _stored_flow(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """R and G of a flow PNG as floats (2, H, W), exact, and where B says that they are known."""
    import cv2

    data, size = _whole_png(path, RGB)
    with decoding(path, NAMES[RGB]):
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    stored = _check_decoded(path, decoded, (*size, 3), RGB)
    known, v, u = stored.transpose(2, 0, 1)  # OpenCV's order is B, G, R
    return np.stack([u, v]).astype(np.float32), known > 0


def read_kitti_flow(
    path: str | Path,
) -> tuple[Float32[np.ndarray, "2 H W"], Bool[np.ndarray, "H W"]]:
    """Flow in pixels (0 where it is not known) and where it is known, from a KITTI flow PNG.

    Source: Menze and Geiger, Object Scene Flow for Autonomous Vehicles (CVPR 2015), its kit.

    Raises:
        InputError: not a whole 16-bit RGB PNG.
    """
    stored, valid = _stored_flow(path)
    return np.where(valid, (stored - FLOW_ZERO) / FLOW_UNIT, np.float32(0)), valid


def read_vkitti_flow(
    path: str | Path,
) -> tuple[Float32[np.ndarray, "2 H W"], Bool[np.ndarray, "H W"]]:
    """Flow in pixels (0 where it is not known) and where it is known, from a Virtual KITTI 2 flow PNG.

    Source: Cabon et al., Virtual KITTI 2 (2001.10773), its page on formats.

    Raises:
        InputError: not a whole 16-bit RGB PNG.
    """
    stored, valid = _stored_flow(path)
    height, width = valid.shape
    farthest = np.array([width - 1, height - 1], np.float32)[:, None, None]
    return np.where(valid, (stored * (2 / 65535) - 1) * farthest, np.float32(0)), valid


def write_kitti_flow(path: str | Path, flow: np.ndarray, valid: np.ndarray | None = None) -> None:
    """Write flow (2, H, W) in pixels, rounded to 1/64, and where it is known (H, W; None: all).

    Raises:
        InputError: known flow outside [-512, 512), or not finite: the format cannot hold it.
    """
    import cv2

    if flow.ndim != 3 or flow.shape[0] != 2:
        raise InputError("flow", f"shape {flow.shape}", "(2, H, W)")
    check_extent(path, flow.shape[2], flow.shape[1])
    known = np.ones(flow.shape[1:], dtype=bool) if valid is None else valid.astype(bool)
    if known.shape != flow.shape[1:]:
        raise InputError("valid", f"shape {known.shape}", f"{flow.shape[1:]}, as the flow")
    stored = np.round(np.where(known, flow, 0).astype(np.float64) * FLOW_UNIT + FLOW_ZERO)
    if not ((stored >= 0) & (stored <= 65535)).all():
        got = f"up to {np.abs(flow[:, known]).max():g} pixels"
        raise InputError("flow", got, "known flow in [-512, 512)")
    u, v = np.where(known, stored, 0).astype(np.uint16)
    done, data = cv2.imencode(".png", np.stack([known.astype(np.uint16), v, u], axis=-1))
    assert done, "OpenCV encodes every 16-bit RGB array"
    with atomic(path) as aside:
        aside.write_bytes(data.tobytes())
