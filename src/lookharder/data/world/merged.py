"""All bodies of a scene at one instant in one tree of triangles, in world axes.

Scenes with a hundred bodies ask one tree faster than a hundred, and soft light asks about all bodies at once. As in
`tracing`, the backend only names a triangle; depth follows from its plane in float64.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from lookharder.data.world.library import library
from lookharder.data.world.raycast import Caster, caster_of
from lookharder.data.world.scene import Body, Finder, Scene


@dataclass(frozen=True, kw_only=True, eq=False)
class MergedTriangles:
    """The triangles: planes normal . X = offset, and which triangle of which body each one is."""

    caster: Caster
    normals: np.ndarray
    offsets: np.ndarray
    body: np.ndarray
    triangle: np.ndarray


def merge(scene: Scene, frame: int, backend: Finder) -> MergedTriangles:
    """The tree of a scene at an instant; views of the same bodies share it. Do not write to it."""
    return _merge(scene.bodies, frame, backend)


@lru_cache(maxsize=4)
def _merge(bodies: tuple[Body, ...], frame: int, backend: Finder) -> MergedTriangles:
    meshes = [body.model or library().meshes[body.mesh] for body in bodies]
    corners = np.concatenate(
        [
            mesh.corners @ (body.size[:, None] * body.rotation[frame].T) + body.position[frame]
            for mesh, body in zip(meshes, bodies, strict=True)
        ]
    )
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    counts = [len(mesh.corners) for mesh in meshes]
    return MergedTriangles(
        caster=caster_of(corners, backend),
        normals=normals,
        offsets=np.einsum("ij,ij->i", normals, corners[:, 0]),
        body=np.repeat(np.arange(len(meshes)), counts),
        triangle=np.concatenate([np.arange(count) for count in counts]),
    )


def cast_merged(
    scene: Scene, frame: int, direction: Float[np.ndarray, "k 3"], backend: Finder
) -> tuple[Float[np.ndarray, "k"], Int[np.ndarray, "k"], Int[np.ndarray, "k"]]:
    """Depth, body and triangle of the nearest hits, as `tracing.cast` gives them."""
    tree, camera = merge(scene, frame, backend), scene.camera
    eye, world = camera.position[frame], direction @ camera.rotation[frame].T
    row = tree.caster.first(eye, world)
    hit = (row >= 0).nonzero()[0]
    row = row.take(hit)
    normal = tree.normals.take(row, 0)
    depth, body = np.full(len(direction), np.inf), np.full(len(direction), -1)
    triangle = np.zeros(len(direction), np.int32)
    away = tree.offsets.take(row) - normal @ eye
    depth[hit] = away / np.einsum("ij,ij->i", normal, world.take(hit, 0))
    body[hit], triangle[hit] = tree.body.take(row), tree.triangle.take(row)
    return depth, body, triangle
