"""Geometry of a scene at two instants, and what follows from it exactly: depth, flow, occlusion, masks.

World axes are right-handed with y up; camera axes are x right, y down, z forward. A pose is a rotation R and a place p,
X_world = R X + p. A body is a unit model m scaled by `size`: X_world = R (size * X_local) + p, and it moves rigidly, so
a point keeps its X_local. With rays d = ((x - cx) / f, (y - cy) / f, 1) through pixel (x, y), the t of a hit c + t R d
*is* the depth along the optical axis, in every body's local frame too, because affine maps keep t:

    1 / depth = 1 / t = g . d,   g = n / (offset - n . c)         (n . X = offset: the plane of the triangle hit)
    flow  = project(camera_2, body_2(X_local)) - (x, y)

Pixel centres have integer coordinates; the frame reaches from -1/2 to W - 1/2. Labels come from the ray through the
centre; more rays in pixels on an edge only smooth the picture.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.data.meshes import library
from lookharder.data.raycast import casters

Size = tuple[int, int]
Finder = Literal["embree", "numpy"]
CLEARANCE = 2e-3  # a point counts as seen when nothing is nearer than this share of its depth
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
class Samples:
    """The rays of one frame: one through each pixel's centre, in reading order, then more for pixels on an edge.

    Attributes:
        direction: (k, 3) in camera axes with z = 1, so that t is the depth.
        edge: (m,) the pixels with more rays, numbered in reading order.
        extra: how many more each of them has; their rays follow the H * W centres, in the order (extra, m).
    """

    direction: np.ndarray
    edge: np.ndarray
    extra: int

    @property
    def pixel(self) -> Int[np.ndarray, "k"]:
        """The pixel of each ray."""
        centres = len(self.direction) - self.extra * len(self.edge)
        return np.concatenate([np.arange(centres), np.tile(self.edge, self.extra)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """What each ray sees.

    Attributes:
        depth: (k,) float64 metres, inf where nothing is hit.
        body: (k,) index into the bodies, -1 where nothing is hit.
        triangle: (k,) of that body's model.
    """

    depth: np.ndarray
    body: np.ndarray
    triangle: np.ndarray

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


def from_camera(scene: Scene, frame: int) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"]]:
    """Directions in camera axes -> local ones, and the camera's place, for each body."""
    local = to_local(scene, frame)
    turn = local[:, :, :3] @ scene.camera.rotation[frame]
    return turn, local[:, :, :3] @ scene.camera.position[frame] + local[:, :, 3]


def windows(scene: Scene, frame: int, size: Size) -> Float[np.ndarray, "n 4"]:
    """Bounds (x0, x1, y0, y1), from the optical centre, of the pixels that each body can touch.

    It is the box of the projected corners; everything for a body that reaches behind the camera.
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


def cast(
    scene: Scene,
    frame: int,
    direction: Float[np.ndarray, "k 3"],
    candidates: Iterable[Int[np.ndarray, "r"]],
    backend: Finder,
    alone: Collection[int] = (),
) -> tuple[Hits, dict[int, Hits]]:
    """Nearest hits of rays from the camera, and for each body in `alone` the hits on it as if it stood alone.

    `candidates` gives for each body the rays that may hit it.
    """
    camera, count = scene.camera, len(direction)
    layers = {
        index: Hits(
            depth=np.full(count, np.inf),
            body=np.full(count, -1, np.int64),
            triangle=np.zeros(count, np.int32),
        )
        for index in (-1, *alone)
    }
    turn, origin = from_camera(scene, frame)
    x, y = np.ascontiguousarray(direction[:, :2].T)
    single = direction.astype(np.float32)
    for index, (body, ray) in enumerate(zip(scene.bodies, candidates, strict=True)):
        if not len(ray):
            continue
        mesh = library().meshes[body.mesh]
        local = single.take(ray, 0) @ turn[index].T.astype(np.float32)
        triangle = casters(backend)[body.mesh].first(origin[index], local)
        hit = np.flatnonzero(triangle >= 0)
        ray, triangle = ray.take(hit), triangle.take(hit)
        with np.errstate(divide="ignore", invalid="ignore"):  # planes through the eye, which no ray hits
            g = (mesh.normals @ turn[index] / (mesh.offsets - mesh.normals @ origin[index])[:, None]).T
            depth = 1.0 / (g[0].take(triangle) * x.take(ray) + g[1].take(triangle) * y.take(ray) + g[2].take(triangle))
        for layer in (layers[-1], layers[index]) if index in alone else (layers[-1],):
            nearer = np.flatnonzero(depth < layer.depth.take(ray))
            place = ray.take(nearer)
            layer.depth[place] = depth.take(nearer)
            layer.triangle[place] = triangle.take(nearer)
            layer.body[place] = index
    return layers.pop(-1), layers


def trace(
    scene: Scene,
    frame: int,
    size: Size,
    *,
    samples: int = 1,
    backend: Finder = "embree",
    alone: Collection[int] = (),
) -> tuple[Samples, Hits, dict[int, Hits]]:
    """Cast the rays of one frame: pixel centres, then more where the side that is seen changes between neighbours.

    Args:
        scene: what is seen.
        frame: 0 or 1, the instant.
        size: (H, W).
        samples: rays for each pixel on an edge; the others have one.
        backend: which one finds the triangles.
        alone: indices of bodies whose own hits, hidden ones included, are wanted too.

    Returns:
        The rays, the nearest hits, and for each body in `alone` the hits on it as if it stood alone.
    """
    length = focal(scene.camera, size)
    direction = np.concatenate([centres(size) / length, np.ones((size[0] * size[1], 1))], 1)
    x, y = centres(size).T
    inside = (
        np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom))
        for left, right, top, bottom in windows(scene, frame, size)
    )
    nearest, own = cast(scene, frame, direction, inside, backend, alone)
    if samples == 1:
        return Samples(direction=direction, edge=np.zeros(0, np.int64), extra=0), nearest, own
    layers = [nearest, *own.values()]
    edge = np.flatnonzero(sum(changes(layer.side(scene).reshape(size)) for layer in layers))
    around = np.concatenate([neighbours(layer.body, edge, size) for layer in layers])
    more = np.tile(direction[edge], (samples - 1, 1, 1))
    more[..., :2] += ring(samples - 1)[:, None] / length
    more = more.reshape(-1, 3)
    every = np.arange(len(more)).reshape(samples - 1, -1)
    seen = (every[:, (around == index).any(0)].ravel() for index in range(len(scene.bodies)))
    second, second_own = cast(scene, frame, more, seen, backend, alone)
    return (
        Samples(direction=np.concatenate([direction, more]), edge=edge, extra=samples - 1),
        join(nearest, second),
        {index: join(own[index], second_own[index]) for index in own},
    )


def changes(side: Int[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels that differ from the pixel above, below, left or right."""
    result = np.zeros(side.shape, bool)
    across, down = side[:, 1:] != side[:, :-1], side[1:] != side[:-1]
    result[:, 1:] |= across
    result[:, :-1] |= across
    result[1:] |= down
    result[:-1] |= down
    return result


def neighbours(body: Int[np.ndarray, "HW"], pixel: Int[np.ndarray, "m"], size: Size) -> Int[np.ndarray, "9 m"]:
    """The bodies at each pixel and the eight round it: the only ones that more rays through it are tested against."""
    padded = np.pad(body.reshape(size), 1, mode="edge").ravel()
    row, column = np.divmod(pixel, size[1])
    start = row * (size[1] + 2) + column
    return padded[start + np.add.outer([0, size[1] + 2, 2 * (size[1] + 2)], [0, 1, 2]).reshape(-1, 1)]


def join(a: Hits, b: Hits) -> Hits:
    """Hits of two lists of rays, one after the other."""
    return Hits(
        depth=np.concatenate([a.depth, b.depth]),
        body=np.concatenate([a.body, b.body]),
        triangle=np.concatenate([a.triangle, b.triangle]),
    )


def follow(scene: Scene, hits: Hits, size: Size) -> Float[np.ndarray, "HW 3"]:
    """Where the point behind each pixel of frame 1 is at the second instant, in the axes of camera 2.

    The sky is infinitely far: there the result is a direction.
    """
    camera, pixels = scene.camera, size[0] * size[1]
    body, depth = hits.body[:pixels], hits.depth[:pixels]
    back = camera.rotation[1].T
    first = np.stack([item.rotation[0] for item in scene.bodies])
    turn = np.stack([item.rotation[1] for item in scene.bodies]) @ np.swapaxes(first, 1, 2)
    before, after = np.swapaxes(np.stack([item.position for item in scene.bodies]), 0, 1)
    shift = (turn @ (camera.position[0] - before)[..., None])[..., 0] + after - camera.position[1]
    # camera 1 -> world -> local -> world -> camera 2; the last row, which -1 reads, is the sky's
    turn = np.concatenate([back @ turn @ camera.rotation[0], (back @ camera.rotation[0])[None]])
    shift = np.concatenate([shift @ back.T, np.zeros((1, 3))])
    direction = np.concatenate([centres(size) / focal(camera, size), np.ones((pixels, 1))], 1)
    point = direction * np.where(body >= 0, depth, 1.0)[:, None]
    return np.einsum("kij,kj->ki", turn[body], point) + shift[body]


def project(camera: Camera, point: Float[np.ndarray, "k 3"], size: Size) -> Float[np.ndarray, "k 2"]:
    """Pixels (x, y) from the optical centre of points in camera axes."""
    return point[:, :2] / np.maximum(point[:, 2:], 1e-6) * focal(camera, size)


def flow_of(camera: Camera, point: Float[np.ndarray, "HW 3"], size: Size) -> Float[np.ndarray, "2 H W"]:
    """Displacement in pixels from each pixel's centre to the projection of `point` (see `follow`)."""
    return (project(camera, point, size) - centres(size)).T.reshape(2, *size)


def hidden(
    scene: Scene, hits: Hits, point: Float[np.ndarray, "HW 3"], size: Size, backend: Finder = "embree"
) -> Bool[np.ndarray, "H W"]:
    """Whether `point` (see `follow`) is out of view of camera 2 or behind something there: one ray to each point."""
    camera = scene.camera
    x, y = np.ascontiguousarray(project(camera, point, size).T)
    result = (point[:, 2] <= 1e-6) | (np.abs(x) > size[1] / 2) | (np.abs(y) > size[0] / 2)
    ray = point * np.where(hits.body[: len(point)] >= 0, 1.0, 1e6)[:, None]
    turn, origin = from_camera(scene, 1)
    for index, (body, bounds) in enumerate(zip(scene.bodies, windows(scene, 1, size), strict=True)):
        inside = (x >= bounds[0]) & (x <= bounds[1]) & (y >= bounds[2]) & (y <= bounds[3])
        todo = np.flatnonzero(inside & ~result)
        if len(todo):
            caster = casters(backend)[body.mesh]
            result[todo] = caster.blocked(origin[index], ray.take(todo, 0) @ turn[index].T, 1.0 - CLEARANCE)
    return result.reshape(size)
