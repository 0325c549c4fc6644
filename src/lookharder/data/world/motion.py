"""Exact optical flow and occlusion: a surface point keeps its place on its body, and the body's pose is known.

    flow = project(camera_2, body_2(X_local)) - (x, y)

A point is occluded when it leaves the frame or when a ray from camera 2 to it meets something else first.
"""

import numpy as np
from jaxtyping import Bool, Float

from lookharder.data.world.merged import merge
from lookharder.data.world.raycast import caster_of_model
from lookharder.data.world.scene import (
    Camera,
    Finder,
    FrameSize,
    Hits,
    Scene,
    centres,
    focal,
    from_camera,
    windows,
)

CLEARANCE = 2e-3  # a point counts as seen when nothing is nearer than this share less of its depth


def follow(scene: Scene, hits: Hits, size: FrameSize) -> Float[np.ndarray, "HW 3"]:
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
    maps = np.moveaxis(np.concatenate([turn, shift[..., None]], 2), 0, -1).take(
        body, 2, mode="wrap"
    )
    point = hits.direction[:pixels].T * np.where(body >= 0, depth, 1.0)
    moved = np.einsum("ijk,jk->ik", maps[:, :3], point) + maps[:, 3]
    return np.ascontiguousarray(moved.T)


def project(
    camera: Camera, point: Float[np.ndarray, "k 3"], size: FrameSize
) -> Float[np.ndarray, "k 2"]:
    """Pixels (x, y) from the optical centre of points in camera axes."""
    plane: np.ndarray = point[:, :2] / np.maximum(point[:, 2:], 1e-6)
    return plane * focal(camera, size)


def flow_of(
    camera: Camera, point: Float[np.ndarray, "HW 3"], size: FrameSize
) -> Float[np.ndarray, "2 H W"]:
    """Displacement in pixels from each pixel's centre to the projection of `point` (see `follow`)."""
    moved: np.ndarray = project(camera, point, size) - centres(size)
    return moved.T.reshape(2, *size)


def hidden(
    scene: Scene,
    hits: Hits,
    point: Float[np.ndarray, "HW 3"],
    size: FrameSize,
    backend: Finder = "auto",
) -> Bool[np.ndarray, "H W"]:
    """Whether `point` (see `follow`) is out of view of camera 2 or behind something there: one ray to each point."""
    camera = scene.camera
    x, y = np.ascontiguousarray(project(camera, point, size).T)
    result: np.ndarray = point[:, 2] <= 1e-6
    result |= (np.abs(x) > size[1] / 2) | (np.abs(y) > size[0] / 2)
    ray = point * np.where(hits.body[: len(point)] >= 0, 1.0, 1e6)[:, None]
    if scene.photograph is not None:
        todo = np.flatnonzero(~result)
        world = ray.take(todo, 0) @ camera.rotation[1].T
        tree = merge(scene, 1, backend)
        result[todo] = tree.caster.blocked(camera.position[1], world, 1.0 - CLEARANCE)
        return result.reshape(size)
    turn, origin = from_camera(scene, 1)
    for index, (body, bounds) in enumerate(zip(scene.bodies, windows(scene, 1, size), strict=True)):
        inside = (x >= bounds[0]) & (x <= bounds[1]) & (y >= bounds[2]) & (y <= bounds[3])
        todo = np.flatnonzero(inside & ~result)
        if len(todo):
            caster = caster_of_model(scene.library.meshes[body.mesh], backend)
            result[todo] = caster.blocked(
                origin[index], ray.take(todo, 0) @ turn[index].T, 1.0 - CLEARANCE
            )
    return result.reshape(size)
