"""Unit models: every shape of the embedded world, as triangles inside the cube [-1/2, 1/2]^3, y up.

Four builders make them all: `lathe` turns a profile about the y axis, `boxes` joins boxes, `prism` extrudes a polygon and
`sheet` raises a square. A vertex attribute is, on each triangle, an affine function of the point p on it, so

    (u, v, nx, ny, nz) = A p + a,          A (5, 3) and a (5,) stored per triangle,

and neither barycentric coordinates nor vertex indices are needed to shade a hit. Labels come from the flat triangles;
only the shading normal is smooth. All triangles of all models stand in one table, so that a picture is shaded at once:
triangle k of model m is row `first[m] + k`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

CREASE = 0.8  # faces whose normals have a smaller cosine keep their edge (37 degrees: 10 sides and more are round)

Corners = Float[np.ndarray, "F 3 3"]
Chart = tuple[Corners, Float[np.ndarray, "F 3 2"]]


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
    """

    corners: np.ndarray
    normals: np.ndarray
    offsets: np.ndarray
    attributes: np.ndarray
    side: np.ndarray
    wrapped: bool
    convex: bool


def smooth_normals(corners: Corners) -> Float[np.ndarray, "F 3 3"]:
    """Normal at each corner: the mean over the faces that meet there within the crease angle, weighted by area."""
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = area / np.linalg.norm(area, axis=1, keepdims=True)
    _, vertex = np.unique(np.round(corners.reshape(-1, 3), 6), axis=0, return_inverse=True)
    order = np.argsort(vertex.ravel(), kind="stable")
    result = np.empty((len(order), 3))
    for group in np.split(order, np.flatnonzero(np.diff(vertex.ravel()[order])) + 1):
        face = group // 3
        result[group] = (unit[face] @ unit[face].T > CREASE) @ area[face]
    return (result / np.linalg.norm(result, axis=1, keepdims=True)).reshape(-1, 3, 3)


def lathe(profile: Sequence[tuple[float, float]], sides: int = 32, turn: float = 0.0) -> Chart:
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


def prism(polygon: Sequence[tuple[float, float]]) -> Chart:
    """Extrude an (x, y) polygon, star-shaped about its centre, along z."""
    front = np.array([(x, y, -0.5) for x, y in polygon])
    back = front + [0.0, 0.0, 1.0]
    following = np.roll(front, -1, 0), np.roll(back, -1, 0)
    centre = np.broadcast_to(front.mean(0), front.shape)
    return project(
        np.concatenate(
            [
                np.stack([centre, following[0], front], 1),
                np.stack([centre + [0.0, 0.0, 1.0], back, following[1]], 1),
                np.stack([front, following[0], following[1]], 1),
                np.stack([front, following[1], back], 1),
            ]
        )
    )


def boxes(*parts: tuple[float, float, float, float, float, float]) -> Chart:
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


def circle(radius: float, centre: tuple[float, float], points: int) -> list[tuple[float, float]]:
    """A profile round a circle, from the top clockwise and closed."""
    angle = np.pi / 2 - 2 * np.pi * np.arange(points + 1) / points
    x, y = centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def rock(seed: int) -> Chart:
    """A sphere dented by planes: a boulder."""
    normal = np.random.Generator(np.random.PCG64(seed)).normal(size=(14, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    corners, uv = lathe(circle(0.5, (0.0, 0.0), 24)[:13], 20)
    unit = corners / 0.5
    return corners * np.minimum(1.0, 0.74 / np.maximum(unit @ normal.T, 1e-6).max(-1))[
        ..., None
    ], uv


def hills(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A plain of height -1/2 whose rim rises to hills."""
    waves = (
        np.sin(9 * x + 1) * np.cos(7 * z)
        + 0.6 * np.sin(17 * z + 13 * x)
        + 0.3 * np.cos(31 * x - 23 * z)
    )
    rim = np.clip((np.hypot(x, z) - 0.33) / 0.15, 0.0, 1.0)
    return -0.5 + rim * (0.55 + 0.24 * waves)


def dunes(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rolling ground about height 0."""
    return (
        0.25 * np.sin(11 * x + 2 * np.sin(6 * z))
        + 0.2 * np.cos(13 * z + 2)
        + 0.05 * np.sin(41 * x + 37 * z)
    )


def star(points: int, inner: float) -> list[tuple[float, float]]:
    """A star polygon, counter-clockwise."""
    angle = np.pi * np.arange(2 * points) / points + np.pi / 2
    radius = np.where(np.arange(2 * points) % 2, inner, 0.5)
    return list(
        zip((radius * np.cos(angle)).tolist(), (radius * np.sin(angle)).tolist(), strict=True)
    )


def _charts() -> dict[str, tuple[Chart, bool]]:
    """Every model: name -> (chart, convex)."""
    half = circle(0.5, (0.0, 0.0), 32)[:17]
    cap = [(0.5 * np.sin(a), 0.22 + 0.28 * np.cos(a)) for a in np.linspace(0, np.pi / 2, 9)]
    diagonal = 0.5 * 2**0.5
    legs = [(x, x + 0.1, -0.5, 0.4, z, z + 0.1) for x in (-0.46, 0.36) for z in (-0.46, 0.36)]
    seat = [(x, x + 0.12, -0.5, 0.0, z, z + 0.12) for x in (-0.46, 0.34) for z in (-0.46, 0.34)]
    planks = [(-0.5, 0.5, y, y + 0.05, -0.5, 0.5) for y in (-0.5, -0.175, 0.15, 0.45)]
    steps = [(-0.5, 0.5, -0.5, -0.5 + (i + 1) / 6, i / 6 - 0.5, 0.5) for i in range(6)]
    wheels = [(x, x + 0.2, -0.5, -0.2, z, z + 0.12) for x in (-0.38, 0.18) for z in (-0.5, 0.38)]
    return {
        "box": (boxes((-0.5, 0.5) * 3), True),
        "sphere": (lathe(half), True),
        "cylinder": (lathe([(0, 0.5), (0.5, 0.5), (0.5, -0.5), (0, -0.5)]), True),
        "cone": (lathe([(0, 0.5), (0.5, -0.5), (0, -0.5)]), True),
        "capsule": (lathe([*cap, *[(r, -h) for r, h in reversed(cap)]]), True),
        "torus": (lathe([(r, 2.5 * h) for r, h in circle(0.17, (0.33, 0.0), 20)], 40), False),
        "pyramid": (lathe([(0, 0.5), (diagonal, -0.5), (0, -0.5)], 4, np.pi / 4), True),
        "octahedron": (lathe([(0, 0.5), (0.5, 0), (0, -0.5)], 4), True),
        "hexagon": (lathe([(0, 0.5), (0.5, 0.5), (0.5, -0.5), (0, -0.5)], 6), True),
        "gem": (lathe([(0, 0.5), (0.3, 0.5), (0.5, 0.2), (0, -0.5)], 8), True),
        "wedge": (prism([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5)]), True),
        "house": (prism([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.1), (0, 0.5), (-0.5, 0.1)]), True),
        "star": (prism(star(5, 0.22)), False),
        "gear": (prism(star(9, 0.36)), False),
        "vase": (
            lathe([(0, 0.5), (0.2, 0.5), (0.24, 0.46), (0.13, 0.3), (0.3, 0.12), (0.46, -0.1), (0.48, -0.2), (0.4, -0.38), (0.25, -0.5), (0, -0.5)]),
            False,
        ),
        "bottle": (lathe([(0, 0.5), (0.14, 0.5), (0.14, 0.2), (0.3, 0.1), (0.5, -0.05), (0.5, -0.5), (0, -0.5)]), False),
        "lamp": (lathe([(0, 0.5), (0.26, 0.5), (0.5, 0.16), (0.05, 0.16), (0.05, -0.45), (0.4, -0.46), (0.4, -0.5), (0, -0.5)]), False),
        "goblet": (lathe([(0, 0.5), (0.45, 0.5), (0.5, 0.3), (0.36, 0.06), (0.08, -0.06), (0.08, -0.38), (0.4, -0.46), (0.4, -0.5), (0, -0.5)]), False),
        "tree": (lathe([(0, 0.5), (0.3, 0.16), (0.18, 0.16), (0.42, -0.1), (0.26, -0.1), (0.5, -0.33), (0.09, -0.33), (0.1, -0.5), (0, -0.5)], 16), False),
        "bush": (lathe([(0, 0.5), (0.3, 0.44), (0.48, 0.2), (0.5, 0.05), (0.36, -0.16), (0.09, -0.22), (0.1, -0.5), (0, -0.5)], 12), False),
        "column": (lathe([(0, 0.5), (0.5, 0.5), (0.5, 0.45), (0.38, 0.41), (0.42, -0.41), (0.5, -0.45), (0.5, -0.5), (0, -0.5)], 24), False),
        "barrel": (lathe([(0, 0.5), (0.38, 0.5), (0.47, 0.25), (0.5, 0), (0.47, -0.25), (0.38, -0.5), (0, -0.5)], 24), True),
        "pawn": (lathe([(0, 0.5), (0.17, 0.45), (0.22, 0.34), (0.17, 0.22), (0.1, 0.17), (0.26, 0.13), (0.12, 0.06), (0.2, -0.25), (0.46, -0.38), (0.5, -0.5), (0, -0.5)], 24), False),
        "rock": (rock(3), True),
        "boulder": (rock(8), True),
        "table": (boxes(*legs, (-0.5, 0.5, 0.4, 0.5, -0.5, 0.5)), False),
        "chair": (boxes(*seat, (-0.5, 0.5, -0.04, 0.06, -0.5, 0.5), (-0.5, 0.5, 0.06, 0.5, 0.4, 0.5)), False),
        "shelf": (boxes(*planks, (-0.5, -0.46, -0.5, 0.5, -0.5, 0.5), (0.46, 0.5, -0.5, 0.5, -0.5, 0.5)), False),
        "stairs": (boxes(*steps), False),
        "sofa": (boxes((-0.5, 0.5, -0.5, 0.0, -0.5, 0.5), (-0.5, 0.5, 0.0, 0.5, 0.2, 0.5), (-0.5, -0.36, 0, 0.24, -0.5, 0.2), (0.36, 0.5, 0, 0.24, -0.5, 0.2)), False),
        "arch": (boxes((-0.5, -0.3, -0.5, 0.3, -0.5, 0.5), (0.3, 0.5, -0.5, 0.3, -0.5, 0.5), (-0.5, 0.5, 0.3, 0.5, -0.5, 0.5)), False),
        "cross": (boxes((-0.5, 0.5, 0.0, 0.25, -0.5, 0.5), (-0.14, 0.14, -0.5, 0.5, -0.5, 0.5)), False),
        "car": (boxes((-0.5, 0.5, -0.36, 0.08, -0.5, 0.5), (-0.3, 0.26, 0.08, 0.5, -0.44, 0.44), *wheels), False),
        "tower": (boxes((-0.5, 0.5, -0.5, 0.1, -0.5, 0.5), (-0.36, 0.36, 0.1, 0.38, -0.36, 0.36), (-0.14, 0.14, 0.38, 0.5, -0.14, 0.14)), False),
        "hills": (sheet(hills, 40), False),
        "dunes": (sheet(dunes, 32), False),
    }  # fmt: skip


def assemble(chart: Chart, convex: bool, wrapped: bool) -> Mesh:
    """Plane equations and affine attribute maps of a chart."""
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
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """All models, and the table of all their triangles: row `first[name] + k` is triangle k of `name`."""

    meshes: dict[str, Mesh]
    first: dict[str, int]
    attributes: np.ndarray
    side: np.ndarray


@cache
def library() -> Library:
    """The models, built once per process."""
    flat = ("box", "wedge", "house", "star", "gear", "table", "chair", "shelf", "stairs", "sofa", "arch", "cross", "car", "tower", "hills", "dunes")  # fmt: skip
    meshes = {
        name: assemble(chart, convex, name not in flat)
        for name, (chart, convex) in _charts().items()
    }
    starts = np.cumsum([0, *[len(mesh.corners) for mesh in meshes.values()]])
    return Library(
        meshes=meshes,
        first=dict(zip(meshes, starts[:-1].tolist(), strict=True)),
        attributes=np.concatenate([mesh.attributes for mesh in meshes.values()]),
        side=np.concatenate([mesh.side for mesh in meshes.values()]),
    )
