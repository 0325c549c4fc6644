"""A scene at two instants: bodies, a camera, a light; and how their axes map onto each other.

World axes are right-handed with y up; camera axes are x right, y down, z forward. A pose is a rotation R and a place p,
X_world = R X + p. A body is a unit model scaled by `size`, X_world = R (size * X_local) + p, and it moves rigidly, so
that a point keeps its X_local. Pixel centres have integer coordinates; the frame reaches from -1/2 to W - 1/2.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from lookharder.data.library import library

Size = tuple[int, int]
Finder = Literal["embree", "numpy"]
NEAR, FAR = 0.3, 20.0  # metres: depths outside are not valid
_CUBE = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """A pinhole at two instants: vertical field of view (radians), rotation (2, 3, 3), position (2, 3)."""

    fov: float
    rotation: np.ndarray
    position: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What covers a body.

    Attributes:
        texture: its number in the bank.
        repeat: (2,) periods of the texture per unit of (u, v).
        colour: (3, 4) the affine map from texture channels to albedo, sRGB in [0, 1].
    """

    texture: int
    repeat: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """A unit model with size (3,) in metres, rotation (2, 3, 3) and position (2, 3); `casts` a shadow or not."""

    mesh: str
    size: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    material: Material
    casts: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Light:
    """A lamp at `position` (3,) of `colour` (3,), halved at the distance `reach`; a sun is a lamp far away.

    `above` and `below` (3,) are the ambient light on surfaces that face up and down.
    """

    position: np.ndarray
    colour: np.ndarray
    reach: float
    above: np.ndarray
    below: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Bodies before a camera; `chosen` is the one to complete, `sky` covers what no body does."""

    family: str
    camera: Camera
    bodies: tuple[Body, ...]
    light: Light
    sky: Material
    chosen: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """The rays of one frame and what they see: one through each pixel's centre, then more for pixels on an edge.

    Attributes:
        direction: (k, 3) of each ray in camera axes with z = 1.
        edge: (m,) the pixels with more rays, numbered in reading order.
        extra: how many more each of them has; they follow the H * W centres, in the order (extra, m).
        depth: (k,) float64 metres, inf where nothing is hit.
        body: (k,) index into the bodies, -1 where nothing is hit.
        triangle: (k,) of that body's model.
    """

    direction: np.ndarray
    edge: np.ndarray
    extra: int
    depth: np.ndarray
    body: np.ndarray
    triangle: np.ndarray

    @property
    def pixel(self) -> Int[np.ndarray, "k"]:
        """The pixel of each ray."""
        pixels = len(self.direction) - self.extra * len(self.edge)
        return np.concatenate([np.arange(pixels), np.tile(self.edge, self.extra)])

    def side(self, scene: Scene) -> Int[np.ndarray, "k"]:
        """A number for each side of each body, negative for the sky: an edge is where it changes."""
        first = np.array([library().first[body.mesh] for body in scene.bodies])
        row = np.where(self.body >= 0, first.take(self.body, mode="wrap") + self.triangle, 0)
        return self.body * 6 + library().side.take(row)


def focal(camera: Camera, size: Size) -> float:
    """Focal length in pixels."""
    return size[0] / (2 * np.tan(camera.fov / 2))


@cache
def centres(size: Size) -> Float[np.ndarray, "HW 2"]:
    """Pixel centres (x, y) from the optical centre, in reading order."""
    y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in size], indexing="ij")
    return np.stack([x.ravel(), y.ravel()], -1)


def ring(count: int) -> Float[np.ndarray, "count 2"]:
    """Places of the extra rays in a pixel: a circle about its centre, turned so that four make a rotated grid."""
    angle = 2 * np.pi * (np.arange(count) / max(1, count) + 0.0738)
    return 0.37 * np.stack([np.cos(angle), np.sin(angle)], 1)


@lru_cache(maxsize=8)
def to_local(scene: Scene, frame: int) -> Float[np.ndarray, "n 3 4"]:
    """World point -> local point of each body. The result is shared: do not write to it."""
    turn = np.stack([body.rotation[frame].T for body in scene.bodies])
    turn /= np.stack([body.size for body in scene.bodies])[:, :, None]
    place = np.stack([body.position[frame] for body in scene.bodies])
    return np.concatenate([turn, -turn @ place[..., None]], 2)


@lru_cache(maxsize=8)
def from_camera(
    scene: Scene, frame: int
) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"]]:
    """Directions in camera axes -> local ones, and the camera's place, for each body. Shared: do not write."""
    local = to_local(scene, frame)
    turn = local[:, :, :3] @ scene.camera.rotation[frame]
    return turn, local[:, :, :3] @ scene.camera.position[frame] + local[:, :, 3]


@lru_cache(maxsize=8)
def windows(scene: Scene, frame: int, size: Size) -> Float[np.ndarray, "n 4"]:
    """Bounds (x0, x1, y0, y1), from the optical centre, of the pixels that each body can touch.

    It is the box of the projected corners; everything for a body that reaches behind the camera. Shared: do not write.
    """
    camera = scene.camera
    axes = np.stack([body.rotation[frame] * body.size for body in scene.bodies])
    place = np.stack([body.position[frame] for body in scene.bodies]) - camera.position[frame]
    seen = (_CUBE @ np.swapaxes(axes, 1, 2) + place[:, None]) @ camera.rotation[frame]  # (n, 8, 3)
    front = seen[..., 2] > 1e-3
    point = seen[..., :2] / np.where(front, seen[..., 2], 1.0)[..., None] * focal(camera, size)
    low, high = point.min(1) - 1e-3, point.max(1) + 1e-3
    bounds = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], 1)
    bounds[~front.all(1)] = [-np.inf, np.inf, -np.inf, np.inf]
    bounds[~front.any(1)] = [np.inf, -np.inf, np.inf, -np.inf]
    return bounds
