"""What each ray of a frame hits, body by body; depth and masks follow exactly.

Rays through pixel (x, y) have the direction d = ((x - cx) / f, (y - cy) / f, 1), so the t of a hit c + t R d *is* the
depth along the optical axis, in every body's frame too, because affine maps keep t. A ray is tried against the unit
model in the body's own frame, and only where the body's box projects to; the backend names the triangle, and

    1 / depth = g . d,   g = n / (offset - n . c)          (n . X = offset: the plane of the triangle, float64)

Labels come from the rays through the pixels' centres. Pixels on an edge have more rays, which only smooth the picture.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.data.library import library
from lookharder.data.raycast import casters
from lookharder.data.scene import (
    Finder,
    Hits,
    Scene,
    Size,
    centres,
    focal,
    from_camera,
    ring,
    windows,
)


@lru_cache(maxsize=256)
def planes(scene: Scene, frame: int, index: int) -> Float[np.ndarray, "3 F"]:
    """The vector g of each triangle of a body: 1 / depth = g . d. Shared: do not write."""
    mesh = library().meshes[scene.bodies[index].mesh]
    turn, origin = from_camera(scene, frame)
    offset = mesh.offsets - mesh.normals @ origin[index]
    with np.errstate(divide="ignore", invalid="ignore"):  # planes through the eye: no ray hits them
        return np.ascontiguousarray((mesh.normals @ turn[index] / offset[:, None]).T)


def cast(
    scene: Scene,
    frame: int,
    direction: Float[np.ndarray, "k 3"],
    candidates: Iterable[Int[np.ndarray, "r"]],
    backend: Finder,
) -> tuple[Float[np.ndarray, "k"], Int[np.ndarray, "k"], Int[np.ndarray, "k"]]:
    """Depth, body and triangle of the nearest hits; `candidates` gives for each body the rays that may hit it."""
    nearest = np.full(len(direction), np.inf)
    owner, face = np.full(len(direction), -1), np.zeros(len(direction), np.int32)
    turn, origin = from_camera(scene, frame)
    x, y = np.ascontiguousarray(direction[:, :2].T)
    single = direction.astype(np.float32)
    for index, (body, ray) in enumerate(zip(scene.bodies, candidates, strict=True)):
        if not len(ray):
            continue
        local = single.take(ray, 0) @ turn[index].T.astype(np.float32)
        triangle = casters(backend)[body.mesh].first(origin[index], local)
        hit = np.flatnonzero(triangle >= 0)
        ray, triangle = ray.take(hit), triangle.take(hit)
        g0, g1, g2 = planes(scene, frame, index)
        depth = 1.0 / (
            g0.take(triangle) * x.take(ray) + g1.take(triangle) * y.take(ray) + g2.take(triangle)
        )
        nearer = np.flatnonzero(depth < nearest.take(ray))
        place = ray.take(nearer)
        nearest[place], face[place], owner[place] = depth.take(nearer), triangle.take(nearer), index
    return nearest, owner, face


def trace(
    scene: Scene,
    frame: int,
    size: Size,
    *,
    samples: int = 1,
    backend: Finder = "embree",
    only: int | None = None,
) -> Hits:
    """Cast the rays of one frame: pixel centres, then more where the side that is seen changes between neighbours.

    Args:
        scene: what is seen.
        frame: 0 or 1, the instant.
        size: (H, W).
        samples: rays for each pixel on an edge; the others have one.
        backend: which one finds the triangles.
        only: see this body as if it stood alone.
    """
    shown = range(len(scene.bodies)) if only is None else (only,)
    length = focal(scene.camera, size)
    direction = np.concatenate([centres(size) / length, np.ones((size[0] * size[1], 1))], 1)
    x, y = centres(size).T
    inside = (
        np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom) & (index in shown))
        for index, (left, right, top, bottom) in enumerate(windows(scene, frame, size))
    )
    depth, body, triangle = cast(scene, frame, direction, inside, backend)
    hits = Hits(
        direction=direction,
        edge=np.zeros(0, np.int64),
        extra=0,
        depth=depth,
        body=body,
        triangle=triangle,
    )
    if samples == 1:
        return hits
    edge = np.flatnonzero(changes(hits.side(scene).reshape(size)))
    around = neighbours(body, edge, size)
    more = np.tile(direction[edge], (samples - 1, 1, 1))
    more[..., :2] += ring(samples - 1)[:, None] / length
    more = more.reshape(-1, 3)
    every = np.arange(len(more)).reshape(samples - 1, -1)
    near = (every[:, (around == index).any(0)].ravel() for index in range(len(scene.bodies)))
    second = cast(scene, frame, more, near, backend)
    return Hits(
        direction=np.concatenate([direction, more]),
        edge=edge,
        extra=samples - 1,
        depth=np.concatenate([depth, second[0]]),
        body=np.concatenate([body, second[1]]),
        triangle=np.concatenate([triangle, second[2]]),
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


def neighbours(
    body: Int[np.ndarray, "HW"], pixel: Int[np.ndarray, "m"], size: Size
) -> Int[np.ndarray, "9 m"]:
    """The bodies at each pixel and the eight round it: the only ones that more rays through it are tested against."""
    padded = np.pad(body.reshape(size), 1, mode="edge").ravel()
    row, column = np.divmod(pixel, size[1])
    start = row * (size[1] + 2) + column
    return padded[
        start + np.add.outer([0, size[1] + 2, 2 * (size[1] + 2)], [0, 1, 2]).reshape(-1, 1)
    ]
