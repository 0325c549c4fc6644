"""Unit models as triangles inside the cube [-1/2, 1/2]^3, y up.

Four builders make them: `lathe` turns a profile about the y axis, `boxes` joins boxes, `prism` extrudes a polygon
and `sheet` raises a square. A vertex attribute is, on each triangle, an affine function of the point p on it, so

    (u, v, nx, ny, nz) = A p + a,          A (5, 3) and a (5,) stored per triangle,

and neither barycentric coordinates nor vertex indices are needed to shade a hit. Labels come from the flat triangles;
only the shading normal is smooth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

CREASE = 0.8  # faces whose normals have a smaller cosine keep their edge (37 degrees: 10 sides and more are round)

Corners = Float[np.ndarray, "F 3 3"]
Chart = tuple[Corners, Float[np.ndarray, "F 3 2"]]
Real = float | int
Point2D = tuple[Real, Real]
Cuboid = tuple[Real, Real, Real, Real, Real, Real]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mesh:
    """One unit model.

    Attributes:
        corners: (F, 3, 3) triangle, corner, xyz.
        normals: (F, 3) of the flat triangles, not normalised; offsets (F,): normal . p = offset on the triangle.
        attributes: (F, 5, 4) the affine maps [A | a] of u, v and the smooth normal.
        side: (F,) which of the six axis directions the flat normal is nearest to.
        wrapped: whether (u, v) are angle and arc in 0..1 (lathes); else lengths along the two axes of the side.
        convex: whether it can not shadow itself.
        part: (F,) which of a body's materials covers it.
    """

    corners: np.ndarray
    normals: np.ndarray
    offsets: np.ndarray
    attributes: np.ndarray
    side: np.ndarray
    wrapped: bool
    convex: bool
    part: np.ndarray


def smooth_normals(corners: Corners) -> Float[np.ndarray, "F 3 3"]:
    """Normal at each corner: the mean over the faces that meet there within the crease angle, weighted by area."""
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = area / np.linalg.norm(area, axis=1, keepdims=True)
    _, vertex = np.unique(np.round(corners.reshape(-1, 3), 6), axis=0, return_inverse=True)
    order = np.argsort(vertex.ravel(), kind="stable")
    result: np.ndarray = np.empty((len(order), 3))
    for group in np.split(order, np.flatnonzero(np.diff(vertex.ravel()[order])) + 1):
        face = group // 3
        result[group] = (unit[face] @ unit[face].T > CREASE) @ area[face]
    result /= np.linalg.norm(result, axis=1, keepdims=True)
    return result.reshape(-1, 3, 3)


def lathe(profile: Sequence[Point2D], sides: int = 32, turn: Real = 0.0) -> Chart:
    """Turn a profile of (radius, height) about the y axis; top to bottom keeps normals outward."""
    radius, height = np.asarray(profile, np.float64).T
    angle = 2 * np.pi * (np.arange(sides + 1) % sides / sides) + turn
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(radius), np.diff(height)))])
    ring = np.stack(
        [
            radius[:, None] * np.cos(angle),
            np.broadcast_to(height[:, None], (len(radius), sides + 1)),
            radius[:, None] * np.sin(angle),
        ],
        -1,
    )
    u, v = np.meshgrid(np.arange(sides + 1) / sides, arc / arc[-1])
    return triangulate(ring, np.stack([u, v], -1))


def triangulate(points: Float[np.ndarray, "m n 3"], uv: Float[np.ndarray, "m n 2"]) -> Chart:
    """Two triangles for every cell of a grid of points, without the degenerate ones at poles."""

    def cells(grid: np.ndarray) -> np.ndarray:
        a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
        return np.concatenate([np.stack([a, b, c], 2), np.stack([a, c, d], 2)]).reshape(
            -1, 3, grid.shape[-1]
        )

    corners, charts = cells(points), cells(uv)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    solid = np.linalg.norm(area, axis=1) > 1e-9
    return corners[solid], charts[solid]


def project(corners: Corners) -> Chart:
    """Chart a flat-sided shape by the two coordinates along the side of each triangle: (z, y), (x, z) or (x, y)."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axes = np.array([[2, 1], [0, 2], [0, 1]])[np.abs(normal).argmax(1)]
    return corners, np.take_along_axis(corners, axes[:, None, :], 2)


def prism(polygon: Sequence[Point2D]) -> Chart:
    """Extrude an (x, y) polygon, star-shaped about its centre, along z."""
    front = np.array([(x, y, -0.5) for x, y in polygon])
    deep = np.array([0.0, 0.0, 1.0])
    back = front + deep
    following = np.roll(front, -1, 0), np.roll(back, -1, 0)
    centre = np.broadcast_to(front.mean(0), front.shape)
    return project(
        np.concatenate(
            [
                np.stack([centre, following[0], front], 1),
                np.stack([centre + deep, back, following[1]], 1),
                np.stack([front, following[0], following[1]], 1),
                np.stack([front, following[1], back], 1),
            ]
        )
    )


def boxes(*parts: Cuboid) -> Chart:
    """Join boxes, each given as (x0, x1, y0, y1, z0, z1)."""
    square = prism([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])[0]
    solids = []
    for part in parts:
        low, high = np.array(part[0::2]), np.array(part[1::2])
        solids.append(square * (high - low) + (low + high) / 2)
    return project(np.concatenate(solids))


def sheet(height: Callable[[np.ndarray, np.ndarray], np.ndarray], cells: int = 24) -> Chart:
    """Raise the square of x, z in [-1/2, 1/2] to height(x, z)."""
    z, x = np.meshgrid(*[np.linspace(-0.5, 0.5, cells + 1)] * 2, indexing="ij")
    points = np.stack([x, height(x, z), z], -1)
    return project(triangulate(points, points[..., ::2])[0][:, ::-1])


def assemble(
    chart: Chart,
    *,
    convex: bool,
    wrapped: bool,
    part: Int[np.ndarray, "F"] | None = None,
) -> Mesh:
    """Plane equations and affine attribute maps of a chart; one part unless `part` says otherwise."""
    corners, uv = chart
    values = np.concatenate([uv, smooth_normals(corners)], 2)
    edges = corners[:, 1:] - corners[:, :1]
    linear = np.swapaxes(np.linalg.pinv(edges) @ (values[:, 1:] - values[:, :1]), 1, 2)
    constant = values[:, 0] - np.einsum("fij,fj->fi", linear, corners[:, 0])
    normals = np.cross(edges[:, 0], edges[:, 1])
    axis = np.abs(normals).argmax(1)
    return Mesh(
        corners=corners,
        normals=normals,
        offsets=np.einsum("fi,fi->f", normals, corners[:, 0]),
        attributes=np.concatenate([linear, constant[..., None]], 2).astype(np.float32),
        side=2 * axis + (np.take_along_axis(normals, axis[:, None], 1)[:, 0] > 0),
        wrapped=wrapped,
        convex=convex,
        part=np.zeros(len(corners), np.int64) if part is None else part,
    )
