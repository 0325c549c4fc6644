"""Which triangle does a ray hit first? Two backends, one question.

`embree` asks Intel's Embree (one cached tree of boxes per unit model, float32); `numpy` walks a tree of its own with
whole arrays of (ray, box) pairs and the test of Moeller and Trumbore (1997), in float64. A backend answers only with
the number of a triangle: depth, normals and flow are computed from that triangle by the caller, in float64, so labels
do not depend on the backend. All models are built at the first question, so that a process forked later builds none.
"""

from functools import cache
from importlib.util import find_spec
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.data.world.meshes import Corners, Mesh
from lookharder.errors import InputError

Rays = Float[np.ndarray, "k 3"]
Origins = Float[np.ndarray, "k 3"] | Float[np.ndarray, "3"]
Reach = float | Float[np.ndarray, "k"]


@runtime_checkable
class Caster(Protocol):
    """Rays origin + t direction against one unit model."""

    def first(
        self, origins: Origins, directions: Rays, reach: Reach = np.inf
    ) -> Int[np.ndarray, "k"]:
        """The triangle hit first at 0 < t < reach, or -1."""
        ...

    def blocked(self, origins: Origins, directions: Rays, reach: float) -> Bool[np.ndarray, "k"]:
        """Whether any triangle is hit at 0 < t < reach."""
        ...


class EmbreeCaster:
    """Embree through its wheel `embreex`."""

    def __init__(self, corners: Corners) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene = EmbreeScene(robust=True)
        TriangleMesh(self._scene, np.ascontiguousarray(corners, np.float32))

    def first(
        self, origins: Origins, directions: Rays, reach: Reach = np.inf
    ) -> Int[np.ndarray, "k"]:
        """The triangle hit first at 0 < t < reach, or -1."""
        first: np.ndarray = self._scene.run(*_single(origins, directions, reach))
        return first

    def blocked(self, origins: Origins, directions: Rays, reach: float) -> Bool[np.ndarray, "k"]:
        """Whether any triangle is hit at 0 < t < reach."""
        rays = _single(origins, directions, reach)
        hit: np.ndarray = self._scene.run(*rays, query="OCCLUDED") >= 0
        return hit


def _single(
    origins: Origins, directions: Rays, reach: Reach
) -> tuple[Rays, Rays, Float[np.ndarray, "k"]]:
    """What Embree reads: an origin, a direction and a reach for each ray, in float32."""
    starts = np.empty(directions.shape, np.float32)
    reaches = np.empty(len(directions), np.float32)
    starts[:], reaches[:] = origins, reach
    return starts, np.ascontiguousarray(directions, np.float32), reaches


class NumpyCaster:
    """A complete binary tree over the triangles: level l has 2^l boxes, the last one `LEAF` triangles each."""

    LEAF = 4

    def __init__(self, corners: Corners) -> None:
        count, middle = len(corners), corners.mean(1)
        depth = max(0, int(np.ceil(np.log2(count / self.LEAF))))
        order = np.minimum(np.arange(self.LEAF << depth), count - 1)
        for level in range(depth):  # halve every group along its longest axis
            groups = order.reshape(1 << level, -1)
            axis = np.ptp(middle[groups], axis=1).argmax(1)
            rank = np.take_along_axis(middle[groups], axis[:, None, None], 2)[..., 0].argsort(1)
            order = np.take_along_axis(groups, rank, 1)
        self._triangles = order.reshape(-1, self.LEAF)
        self._corners = corners[self._triangles]
        groups_of = [corners[order.reshape(1 << level, -1)] for level in range(depth + 1)]
        self._boxes = [(g.min((1, 2)) - 1e-9, g.max((1, 2)) + 1e-9) for g in groups_of]

    def _hits(
        self, origins: Origins, directions: Rays
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ray, triangle and t of every hit."""
        directions = np.asarray(directions, np.float64)
        origins = np.broadcast_to(np.asarray(origins, np.float64), directions.shape)
        with np.errstate(divide="ignore"):
            inverse = 1.0 / directions
        ray = np.arange(len(directions))
        box = np.zeros_like(ray)
        for level, (low, high) in enumerate(self._boxes):
            if level:
                ray, box = np.repeat(ray, 2), (2 * box[:, None] + np.arange(2)).ravel()
            with np.errstate(
                invalid="ignore"
            ):  # a ray within a face's plane: 0 * inf, and not outside
                near = (low[box] - origins[ray]) * inverse[ray]
                far = (high[box] - origins[ray]) * inverse[ray]
            enter = np.fmin(near, far).max(1, initial=0.0)
            inside = ~(enter > np.fmax(near, far).min(1))
            ray, box = ray[inside], box[inside]
        a, b, c = np.moveaxis(self._corners[box], 2, 0)
        d = directions[ray][:, None]
        ab, ac, oa = b - a, c - a, origins[ray][:, None] - a
        with np.errstate(divide="ignore", invalid="ignore"):
            p, q = np.cross(d, ac), np.cross(oa, ab)
            scale = 1.0 / (ab * p).sum(-1)
            u, v, t = (oa * p).sum(-1) * scale, (d * q).sum(-1) * scale, (ac * q).sum(-1) * scale
            hit = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (t > 0)
        pair, slot = np.nonzero(hit)
        return ray[pair], self._triangles[box[pair], slot], t[pair, slot]

    def first(
        self, origins: Origins, directions: Rays, reach: Reach = np.inf
    ) -> Int[np.ndarray, "k"]:
        """The triangle hit first at 0 < t < reach, or -1."""
        ray, triangle, t = self._hits(origins, directions)
        within = t < np.broadcast_to(reach, len(directions))[ray]
        ray, triangle, t = ray[within], triangle[within], t[within]
        order = np.lexsort((t, ray))
        ray, start = np.unique(ray[order], return_index=True)
        result = np.full(len(directions), -1, np.int32)
        result[ray] = triangle[order][start]
        return result

    def blocked(self, origins: Origins, directions: Rays, reach: float) -> Bool[np.ndarray, "k"]:
        """Whether any triangle is hit at 0 < t < reach."""
        ray, _, t = self._hits(origins, directions)
        result = np.zeros(len(directions), bool)
        result[ray[t < reach]] = True
        return result


def resolve(backend: str) -> Literal["embree", "numpy"]:
    """Name the backend that will be used.

    Raises:
        InputError: `backend` is unknown, or `embree` is asked for and its wheel `embreex` is not installed.
    """
    if backend not in ("auto", "embree", "numpy"):
        raise InputError("backend", repr(backend), "auto, embree, numpy")
    present = find_spec("embreex") is not None
    if backend == "embree" and not present:
        raise InputError("backend", "embree without the package embreex", "auto, numpy")
    return "embree" if present and backend != "numpy" else "numpy"


def caster_of(corners: Corners, backend: str) -> Caster:
    """A caster of triangles; `backend` as for `resolve`."""
    return EmbreeCaster(corners) if resolve(backend) == "embree" else NumpyCaster(corners)


@cache
def caster_of_model(mesh: Mesh, backend: str) -> Caster:
    """The caster of a model, built once per process; `backend` as for `resolve`."""
    return caster_of(mesh.corners, backend)
