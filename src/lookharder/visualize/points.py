"""Depth as a cloud of coloured points, PLY.

A map up to scale and shift has no shape of its own: its nearest point is put at one distance and its farthest at
another, and the camera is a pinhole with a field of view. All three are given or assumed, and the file says which.

    z = near + depth (far - near)        of disparity: 1 / z = 1 / far + disparity (1 / near - 1 / far)
    x = (u - W / 2) z / f,  y = (v - H / 2) z / f,  f = W / (2 tan(fov / 2))        x right, y down, z ahead
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from lookharder.errors import InputError
from lookharder.files import atomic


@dataclass(frozen=True, kw_only=True)
class Lens:
    """How a map becomes points.

    Attributes:
        fov: horizontal field of view, degrees.
        near: distance of the nearest point.
        far: of the farthest.

    Raises:
        InputError: a lens that there cannot be.
    """

    fov: float = 60.0
    near: float = 1.0
    far: float = 5.0

    def __post_init__(self) -> None:
        if not 1 <= self.fov <= 170:
            raise InputError("--fov", self.fov, "1 to 170 degrees")
        if not 0 < self.near < self.far < float("inf"):
            raise InputError("--near-far", f"{self.near:g},{self.far:g}", "0 < NEAR < FAR")


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
    height, width = values.shape
    share = values.astype(np.float64)
    if inverse:
        z = 1 / (1 / lens.far + share * (1 / lens.near - 1 / lens.far))
    else:
        z = lens.near + share * (lens.far - lens.near)
    focal = width / (2 * np.tan(np.radians(lens.fov) / 2))
    v, u = np.mgrid[:height, :width] + 0.5
    points = np.empty(
        height * width,
        [(n, "<f4") for n in ("x", "y", "z")] + [(n, "u1") for n in ("red", "green", "blue")],
    )
    for name, place in (
        ("x", (u - width / 2) * z / focal),
        ("y", (v - height / 2) * z / focal),
        ("z", z),
    ):
        points[name] = place.ravel()
    for name, channel in zip(("red", "green", "blue"), picture, strict=True):
        points[name] = channel.ravel()
    head = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment distances {lens.near:g} to {lens.far:g} and field of view {lens.fov:g} degrees are assumed",
        "comment or given, and not measured: scale and shift of the depth are unknown",
        f"element vertex {len(points)}",
        *(f"property float {name}" for name in ("x", "y", "z")),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        "end_header\n",
    ]
    with atomic(path) as aside:
        aside.write_bytes("\n".join(head).encode() + points.tobytes())
