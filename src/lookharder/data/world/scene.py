"""A scene at two instants: bodies, a camera, a light; and how their axes map onto each other.

World axes are right-handed with y up; camera axes are x right, y down, z forward. A pose is a rotation R and a place p,
X_world = R X + p. A body is a unit model scaled by `size`, X_world = R (size * X_local) + p, and it moves rigidly, so
that a point keeps its X_local. Pixel centres have integer coordinates; the frame reaches from -1/2 to W - 1/2.
"""

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from lookharder.data.world.library import Library, extended, library
from lookharder.data.world.meshes import Mesh

FrameSize = tuple[int, int]  # height, width in pixels
Finder = Literal["auto", "embree", "numpy"]
NEAR, FAR = 0.3, 20.0  # metres: depths outside are not valid
_CUBE = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_EDGES = np.array([(i, i + step) for step in (1, 2, 4) for i in range(8) if not i & step]).T
_CLIP = 1e-3  # metres before the camera


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
        glow: light that it gives off, as a multiple of its albedo's.
    """

    texture: int
    repeat: np.ndarray
    colour: np.ndarray
    glow: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """A unit model with size (3,) in metres, rotation (2, 3, 3) and position (2, 3); `casts` a shadow or not.

    `material` covers part 0 of the model, `others` its further parts. `model` is what `mesh` names, where it is not
    built in.
    """

    mesh: str
    size: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    material: Material
    casts: bool = True
    others: tuple[Material, ...] = ()
    model: Mesh | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Light:
    """A lamp at `position` (3,) of `colour` (3,), halved at the distance `reach`; a sun is a lamp far away.

    `above` and `below` (3,) are the ambient light on surfaces that face up and down. `radius` is half the
    lamp's breadth, metres, which softens the shadows of photographs.
    """

    position: np.ndarray
    colour: np.ndarray
    reach: float
    above: np.ndarray
    below: np.ndarray
    radius: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Photograph:
    """How a scene is lit and exposed when it is to look like a photograph.

    Attributes:
        lamps: lamps beside the scene's own; only their place, colour, reach and radius count.
        crevice: metres within which other surfaces take ambient light away.
        exposure: factor on the automatic exposure.
        shoulder: whether bright light is compressed like on film, or clipped.
    """

    lamps: tuple[Light, ...]
    crevice: float
    exposure: float
    shoulder: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Bodies before a camera; `chosen` is the one to complete, `sky` covers what no body does.

    Depths beyond `far` metres are not valid. `photograph` is None where the plain shading is wanted.
    """

    family: str
    camera: Camera
    bodies: tuple[Body, ...]
    light: Light
    sky: Material
    chosen: int
    far: float = FAR
    photograph: Photograph | None = None

    @cached_property
    def library(self) -> Library:
        """The models of its bodies, and all others that are built in."""
        own = {body.mesh: body.model for body in self.bodies if body.model is not None}
        return extended(tuple(own.items())) if own else library()


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
        table = scene.library
        first = np.array([table.first[body.mesh] for body in scene.bodies])
        row = np.where(self.body >= 0, first.take(self.body, mode="wrap") + self.triangle, 0)
        side: np.ndarray = self.body * 6 + table.side.take(row)
        return side


def focal(camera: Camera, size: FrameSize) -> float:
    """Focal length in pixels."""
    length: float = size[0] / (2 * np.tan(camera.fov / 2))
    return length


@cache
def centres(size: FrameSize) -> Float[np.ndarray, "HW 2"]:
    """Pixel centres (x, y) from the optical centre, in reading order."""
    y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in size], indexing="ij")
    return np.stack([x.ravel(), y.ravel()], -1)


@lru_cache(maxsize=8)
def rays(camera: Camera, size: FrameSize) -> Float[np.ndarray, "HW 3"]:
    """Directions with z = 1 through the pixel centres, in camera axes. Shared: do not write."""
    return np.concatenate([centres(size) / focal(camera, size), np.ones((size[0] * size[1], 1))], 1)


def ring(count: int) -> Float[np.ndarray, "count 2"]:
    """Places of the extra rays in a pixel: a circle about its centre, turned so that four make a rotated grid."""
    angle = 2 * np.pi * (np.arange(count) / max(1, count) + 0.0738)
    return 0.37 * np.stack([np.cos(angle), np.sin(angle)], 1)


@lru_cache(maxsize=8)
def poses(
    scene: Scene, frame: int
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"]]:
    """Size, rotation and place of each body. The result is shared: do not write to it."""
    bodies = scene.bodies
    return (
        np.array([body.size for body in bodies]),
        np.array([body.rotation[frame] for body in bodies]),
        np.array([body.position[frame] for body in bodies]),
    )


@lru_cache(maxsize=8)
def to_local(scene: Scene, frame: int) -> Float[np.ndarray, "n 3 4"]:
    """World point -> local point of each body. Shared: do not write."""
    size, rotation, place = poses(scene, frame)
    turn = np.swapaxes(rotation, 1, 2) / size[:, :, None]
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
def windows(scene: Scene, frame: int, size: FrameSize) -> Float[np.ndarray, "n 4"]:
    """Bounds (x0, x1, y0, y1), from the optical centre, of the pixels that each body can touch.

    It is the box of the projected corners; of a body that reaches behind the camera only the part before it counts.
    Shared: do not write.
    """
    camera = scene.camera
    lengths, rotation, place = poses(scene, frame)
    axes = lengths[:, :, None] * np.swapaxes(rotation, 1, 2) @ camera.rotation[frame]
    origin = (place - camera.position[frame]) @ camera.rotation[frame]
    corners = _CUBE @ axes + origin[:, None]  # (n, 8, 3)
    bounds = extent(corners)
    front = corners[..., 2] > _CLIP
    astride = front.any(1) & ~front.all(1)
    if astride.any():
        bounds[astride] = extent(clip(corners[astride]))
    return bounds * focal(camera, size) + [-1e-3, 1e-3, -1e-3, 1e-3]


def clip(corners: Float[np.ndarray, "n 8 3"]) -> Float[np.ndarray, "n 20 3"]:
    """With the corners, where the edges of boxes pierce the plane z = _CLIP."""
    start, end = corners[:, _EDGES[0]], corners[:, _EDGES[1]]
    z, step = start[..., 2], end[..., 2] - start[..., 2]
    pierced = (z > _CLIP) != (z + step > _CLIP)
    share = np.where(pierced, _CLIP - z, 0) / np.where(pierced, step, 1)
    return np.concatenate([corners, start + share[..., None] * (end - start)], 1)


def extent(points: Float[np.ndarray, "n p 3"]) -> Float[np.ndarray, "n 4"]:
    """Bounds (x0, x1, y0, y1) of x / z and y / z over the points before the camera; inf, -inf where there are none."""
    front = points[..., 2:] > _CLIP / 2
    point = points[..., :2] / np.where(front, points[..., 2:], 1.0)
    low, high = np.where(front, point, np.inf).min(1), np.where(front, point, -np.inf).max(1)
    return np.stack([low, high], 2).reshape(-1, 4)
