"""Depth as a cloud of coloured points, PLY or GLB (glTF 2.0, which browsers and Blender open).

A map up to scale and shift has no shape of its own: its nearest point is put at one distance and its farthest at
another, and the camera is a pinhole with a field of view. All three are given or assumed, and the file says which.

    z = near + depth (far - near)        of disparity: 1 / z = 1 / far + disparity (1 / near - 1 / far)
    x = (u - W / 2) z / f,  y = (v - H / 2) z / f,  f = W / (2 tan(fov / 2))        x right, y down, z ahead

In GLB y is up and z comes towards the viewer, as its rules are.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from lookharder.errors import InputError
from lookharder.files import atomic


@dataclass(frozen=True, kw_only=True)
class Lens:
    """How a map becomes points.

    Attributes:
        fov: horizontal field of view, degrees.
        near: distance of the nearest point.
        far: of the farthest.
        fitted: whether these two are fitted to known distances, in metres.

    Raises:
        InputError: a lens that there cannot be.
    """

    fov: float = 60.0
    near: float = 1.0
    far: float = 5.0
    fitted: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.fov <= 170:
            raise InputError("--fov", self.fov, "1 to 170 degrees")
        if not 0 < self.near < self.far < float("inf"):
            raise InputError("--near-far", f"{self.near:g},{self.far:g}", "0 < NEAR < FAR")

    def of_metres(self, scale: float, shift: float) -> "Lens":
        """The same field of view, with metres = scale x depth + shift.

        Raises:
            InputError: depth 0 would lie behind the camera.
        """
        if shift <= 0:
            got = f"a fit by which the nearest points of a cloud lie at {shift:.3g} m"
            raise InputError("--metric", got, "distances that leave them before the camera")
        return Lens(fov=self.fov, near=shift, far=shift + scale, fitted=True)


def place_points(
    values: Float32[np.ndarray, "H W"], lens: Lens, inverse: bool = False
) -> Float64[np.ndarray, "3 N"]:
    """Where each pixel's point is, row by row: x to the right, y down, z ahead.

    Args:
        values: depth in [0, 1], 1 is far; or disparity, 1 is near.
        lens: distances and field of view.
        inverse: the values are disparity.
    """
    height, width = values.shape
    share = values.astype(np.float64)
    if inverse:
        z = 1 / (1 / lens.far + share * (1 / lens.near - 1 / lens.far))
    else:
        z = lens.near + share * (lens.far - lens.near)
    focal = width / (2 * np.tan(np.radians(lens.fov) / 2))
    v, u = np.mgrid[:height, :width] + 0.5
    placed = np.stack([(u - width / 2) * z / focal, (v - height / 2) * z / focal, z])
    return placed.reshape(3, -1)


def _assumed(lens: Lens) -> tuple[str, str]:
    if lens.fitted:
        return (
            f"metres, fitted to known distances: {lens.near:g} to {lens.far:g} at depth 0 and 1",
            f"field of view {lens.fov:g} degrees is assumed, or given, and not measured",
        )
    return (
        f"distances {lens.near:g} to {lens.far:g} and field of view {lens.fov:g} degrees are assumed",
        "or given, and not measured: scale and shift of the depth are unknown",
    )


def write_ply(
    path: str | Path,
    values: Float32[np.ndarray, "H W"],
    picture: UInt8[np.ndarray, "3 H W"],
    lens: Lens,
    inverse: bool = False,
) -> None:
    """Write a point for each pixel.

    Args:
        path: the file.
        values: depth in [0, 1], 1 is far; or disparity, 1 is near.
        picture: colours of the points.
        lens: distances and field of view.
        inverse: the values are disparity.
    """
    x, y, z = place_points(values, lens, inverse)
    points = np.empty(
        values.size,
        [(n, "<f4") for n in ("x", "y", "z")] + [(n, "u1") for n in ("red", "green", "blue")],
    )
    points["x"], points["y"], points["z"] = x, y, z
    for name, channel in zip(("red", "green", "blue"), picture, strict=True):
        points[name] = channel.ravel()
    head = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {line}" for line in _assumed(lens)),
        f"element vertex {len(points)}",
        *(f"property float {name}" for name in ("x", "y", "z")),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        "end_header\n",
    ]
    with atomic(path) as aside:
        aside.write_bytes("\n".join(head).encode() + points.tobytes())


def write_glb(
    path: str | Path,
    values: Float32[np.ndarray, "H W"],
    picture: UInt8[np.ndarray, "3 H W"],
    lens: Lens,
    inverse: bool = False,
) -> None:
    """Write a point for each pixel; arguments as in `write_ply`."""
    place = place_points(values, lens, inverse) * [[1], [-1], [-1]]
    places = np.ascontiguousarray(place.T, "<f4")  # (N, 3)
    colours = np.full((values.size, 4), 255, np.uint8)  # RGBA: four bytes, as its rules align them
    colours[:, :3] = picture.reshape(3, -1).T
    data = places.tobytes() + colours.tobytes()
    scene = {
        "asset": {"version": "2.0", "generator": "lookharder", "extras": {"note": _assumed(lens)}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 1}, "mode": 0}]}],
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": places.nbytes},
            {"buffer": 0, "byteOffset": places.nbytes, "byteLength": colours.nbytes},
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,  # float32
                "count": len(places),
                "type": "VEC3",
                "min": places.min(0).tolist(),
                "max": places.max(0).tolist(),
            },
            {
                "bufferView": 1,
                "componentType": 5121,  # uint8, a share of 255
                "normalized": True,
                "count": len(colours),
                "type": "VEC4",
            },
        ],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(data))
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0")
    )
    with atomic(path) as aside:
        aside.write_bytes(head + chunks + data)


CLOUDS = {"ply": ("points", write_ply), "glb": ("points_glb", write_glb)}  # role and writer
