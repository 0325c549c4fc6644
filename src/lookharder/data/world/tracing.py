"""What each ray of a frame hits, body by body; depth and masks follow exactly.

Rays through pixel (x, y) have the direction d = ((x - cx) / f, (y - cy) / f, 1), so the t of a hit c + t R d *is* the
depth along the optical axis, in every body's frame too, because affine maps keep t. A ray is tried against the unit
model in the body's own frame, and only where the body's box projects to; the backend names the triangle, and

    1 / depth = g . d,   g = n / (offset - n . c)          (n . X = offset: the plane of the triangle, float64)

Labels come from the rays through the pixels' centres. Pixels on an edge have more rays, which only smooth the picture.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.data.world.merged import cast_merged
from lookharder.data.world.raycast import caster_of_model
from lookharder.data.world.scene import (
    Finder,
    FrameSize,
    Hits,
    Scene,
    focal,
    from_camera,
    rays,
    ring,
    windows,
)

SLACK = 1.001  # a backend looks a little beyond the nearest hit so far: it is less exact than depth


def cast(
    scene: Scene,
    frame: int,
    direction: Float[np.ndarray, "k 3"],
    candidates: Sequence[Int[np.ndarray, "_"]],
    backend: Finder,
) -> tuple[Float[np.ndarray, "k"], Int[np.ndarray, "k"], Int[np.ndarray, "k"]]:
    """Depth, body and triangle of the nearest hits; `candidates` gives for each body the rays that may hit it.

    The last bodies go first, because the first ones are the stage, behind all others; of equals the first is seen.
    """
    nearest = np.full(len(direction), np.inf)
    owner, face = np.full(len(direction), -1), np.zeros(len(direction), np.int32)
    turn, origin = from_camera(scene, frame)
    into = np.swapaxes(turn, 1, 2).astype(np.float32)
    single = direction.astype(np.float32)
    for index in reversed(range(len(candidates))):
        ray = candidates[index]
        if not len(ray):
            continue
        name, reach = scene.bodies[index].mesh, nearest.take(ray)
        mesh = scene.library.meshes[name]
        triangle = caster_of_model(mesh, backend).first(
            origin[index], single.take(ray, 0) @ into[index], SLACK * reach
        )
        hit = (triangle >= 0).nonzero()[0]
        ray, triangle = ray.take(hit), triangle.take(hit)
        normal = mesh.normals.take(triangle, 0)
        offset = mesh.offsets.take(triangle) - normal @ origin[index]
        slope = (normal @ turn[index]) / offset[:, None]
        depth = 1.0 / np.einsum("ki,ki->k", slope, direction.take(ray, 0))
        nearer = depth <= reach.take(hit)
        if not nearer.all():
            ray, triangle, depth = ray[nearer], triangle[nearer], depth[nearer]
        nearest[ray], face[ray], owner[ray] = depth, triangle, index
    return nearest, owner, face


def trace(
    scene: Scene,
    frame: int,
    size: FrameSize,
    *,
    samples: int = 1,
    backend: Finder = "auto",
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
    length = focal(scene.camera, size)
    direction = rays(scene.camera, size)
    inside = within(windows(scene, frame, size), size)
    if only is not None:
        inside = [ray if index == only else ray[:0] for index, ray in enumerate(inside)]
    merged = scene.photograph is not None and only is None
    depth, body, triangle = (
        cast_merged(scene, frame, direction, backend)
        if merged
        else cast(scene, frame, direction, inside, backend)
    )
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
    near = neighbours(body, edge, size, len(scene.bodies))
    more = np.tile(direction[edge], (samples - 1, 1, 1))
    more[..., :2] += ring(samples - 1)[:, None] / length
    more = more.reshape(-1, 3)
    every = np.arange(len(more)).reshape(samples - 1, -1)
    second = (
        cast_merged(scene, frame, more, backend)
        if merged
        else cast(scene, frame, more, [every.take(one, 1).ravel() for one in near], backend)
    )
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


def within(bounds: Float[np.ndarray, "n 4"], size: FrameSize) -> list[Int[np.ndarray, "_"]]:
    """The pixels inside each of some windows."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in size)
    left, top = x.searchsorted(bounds[:, 0]).tolist(), y.searchsorted(bounds[:, 2]).tolist()
    right = x.searchsorted(bounds[:, 1], "right").tolist()
    bottom = y.searchsorted(bounds[:, 3], "right").tolist()
    pixel = np.arange(size[0] * size[1]).reshape(size)
    return [
        pixel[y0:y1, x0:x1].ravel() for x0, x1, y0, y1 in zip(left, right, top, bottom, strict=True)
    ]


def neighbours(
    body: Int[np.ndarray, "HW"], pixel: Int[np.ndarray, "m"], size: FrameSize, count: int
) -> list[Int[np.ndarray, "_"]]:
    """For each body, which of some pixels see it or are next to one that does.

    More rays through a pixel are tried against these bodies only.
    """
    padded = np.pad(body.reshape(size), 1, mode="edge").ravel()
    row, column = np.divmod(pixel, size[1])
    start, width = row * (size[1] + 2) + column, size[1] + 2
    around = padded.take(start + np.add.outer([0, width, 2 * width], [0, 1, 2]).reshape(-1, 1))
    near = np.zeros((count + 1) * len(pixel), bool)  # the first row is the sky's
    near[(around + 1) * len(pixel) + np.arange(len(pixel))] = True
    return [one.nonzero()[0] for one in near.reshape(count + 1, -1)[1:]]
