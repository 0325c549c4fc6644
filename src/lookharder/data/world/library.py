"""Every model of the embedded world, from a box to a flight of stairs.

All triangles of all models stand in one table, so that a whole picture can be shaded at once: triangle k of model m is
row `first[m] + k`.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from lookharder.data.world.furniture import furniture
from lookharder.data.world.meshes import (
    Chart,
    Cuboid,
    Mesh,
    Point2D,
    assemble,
    boxes,
    lathe,
    prism,
    sheet,
)

# profiles (radius, height) from top to bottom, and how many sides
PROFILES: dict[str, tuple[int, list[Point2D]]] = {
    "cylinder": (32, [(0, 0.5), (0.5, 0.5), (0.5, -0.5), (0, -0.5)]),
    "cone": (32, [(0, 0.5), (0.5, -0.5), (0, -0.5)]),
    "octahedron": (4, [(0, 0.5), (0.5, 0), (0, -0.5)]),
    "hexagon": (6, [(0, 0.5), (0.5, 0.5), (0.5, -0.5), (0, -0.5)]),
    "gem": (8, [(0, 0.5), (0.3, 0.5), (0.5, 0.2), (0, -0.5)]),
    "vase": (32, [
        (0, 0.5), (0.2, 0.5), (0.24, 0.46), (0.13, 0.3), (0.3, 0.12), (0.46, -0.1), (0.48, -0.2), (0.4, -0.38),
        (0.25, -0.5), (0, -0.5)]),
    "bottle": (32, [(0, 0.5), (0.14, 0.5), (0.14, 0.2), (0.3, 0.1), (0.5, -0.05), (0.5, -0.5), (0, -0.5)]),
    "lamp": (32, [
        (0, 0.5), (0.26, 0.5), (0.5, 0.16), (0.05, 0.16), (0.05, -0.45), (0.4, -0.46), (0.4, -0.5), (0, -0.5)]),
    "goblet": (32, [
        (0, 0.5), (0.45, 0.5), (0.5, 0.3), (0.36, 0.06), (0.08, -0.06), (0.08, -0.38), (0.4, -0.46), (0.4, -0.5),
        (0, -0.5)]),
    "tree": (16, [
        (0, 0.5), (0.3, 0.16), (0.18, 0.16), (0.42, -0.1), (0.26, -0.1), (0.5, -0.33), (0.09, -0.33), (0.1, -0.5),
        (0, -0.5)]),
    "bush": (12, [
        (0, 0.5), (0.3, 0.44), (0.48, 0.2), (0.5, 0.05), (0.36, -0.16), (0.09, -0.22), (0.1, -0.5), (0, -0.5)]),
    "column": (24, [
        (0, 0.5), (0.5, 0.5), (0.5, 0.45), (0.38, 0.41), (0.42, -0.41), (0.5, -0.45), (0.5, -0.5), (0, -0.5)]),
    "barrel": (24, [(0, 0.5), (0.38, 0.5), (0.47, 0.25), (0.5, 0), (0.47, -0.25), (0.38, -0.5), (0, -0.5)]),
    "pawn": (24, [
        (0, 0.5), (0.17, 0.45), (0.22, 0.34), (0.17, 0.22), (0.1, 0.17), (0.26, 0.13), (0.12, 0.06), (0.2, -0.25),
        (0.46, -0.38), (0.5, -0.5), (0, -0.5)]),
}  # fmt: skip
# joined boxes, each (x0, x1, y0, y1, z0, z1)
JOINERY: dict[str, list[Cuboid]] = {
    "box": [(-0.5, 0.5, -0.5, 0.5, -0.5, 0.5)],
    "table": [
        (-0.5, 0.5, 0.4, 0.5, -0.5, 0.5),
        *((x, x + 0.1, -0.5, 0.4, z, z + 0.1) for x in (-0.46, 0.36) for z in (-0.46, 0.36))],
    "chair": [
        (-0.5, 0.5, -0.04, 0.06, -0.5, 0.5), (-0.5, 0.5, 0.06, 0.5, 0.4, 0.5),
        *((x, x + 0.12, -0.5, 0.0, z, z + 0.12) for x in (-0.46, 0.34) for z in (-0.46, 0.34))],
    "shelf": [
        (-0.5, -0.46, -0.5, 0.5, -0.5, 0.5), (0.46, 0.5, -0.5, 0.5, -0.5, 0.5),
        *((-0.5, 0.5, y, y + 0.05, -0.5, 0.5) for y in (-0.5, -0.175, 0.15, 0.45))],
    "stairs": [(-0.5, 0.5, -0.5, (step + 1) / 6 - 0.5, step / 6 - 0.5, 0.5) for step in range(6)],
    "sofa": [
        (-0.5, 0.5, -0.5, 0.0, -0.5, 0.5), (-0.5, 0.5, 0.0, 0.5, 0.2, 0.5),
        (-0.5, -0.36, 0, 0.24, -0.5, 0.2), (0.36, 0.5, 0, 0.24, -0.5, 0.2)],
    "arch": [
        (-0.5, -0.3, -0.5, 0.3, -0.5, 0.5), (0.3, 0.5, -0.5, 0.3, -0.5, 0.5), (-0.5, 0.5, 0.3, 0.5, -0.5, 0.5)],
    "cross": [(-0.5, 0.5, 0.0, 0.25, -0.5, 0.5), (-0.14, 0.14, -0.5, 0.5, -0.5, 0.5)],
    "car": [
        (-0.5, 0.5, -0.36, 0.08, -0.5, 0.5), (-0.3, 0.26, 0.08, 0.5, -0.44, 0.44),
        *((x, x + 0.2, -0.5, -0.2, z, z + 0.12) for x in (-0.38, 0.18) for z in (-0.5, 0.38))],
    "tower": [
        (-0.5, 0.5, -0.5, 0.1, -0.5, 0.5), (-0.36, 0.36, 0.1, 0.38, -0.36, 0.36),
        (-0.14, 0.14, 0.38, 0.5, -0.14, 0.14)],
}  # fmt: skip
CONVEX = (
    "box", "sphere", "cylinder", "cone", "capsule", "pyramid", "octahedron", "hexagon", "gem", "wedge", "house",
    "barrel", "rock", "boulder",
)  # fmt: skip


def circle(radius: float, centre: Point2D, points: int) -> list[Point2D]:
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
    height: np.ndarray = -0.5 + rim * (0.55 + 0.24 * waves)
    return height


def dunes(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rolling ground about height 0."""
    height: np.ndarray = (
        0.25 * np.sin(11 * x + 2 * np.sin(6 * z))
        + 0.2 * np.cos(13 * z + 2)
        + 0.05 * np.sin(41 * x + 37 * z)
    )
    return height


def star(points: int, inner: float) -> list[Point2D]:
    """A star polygon, counter-clockwise."""
    angle = np.pi * np.arange(2 * points) / points + np.pi / 2
    radius = np.where(np.arange(2 * points) % 2, inner, 0.5)
    return list(
        zip((radius * np.cos(angle)).tolist(), (radius * np.sin(angle)).tolist(), strict=True)
    )


def turned() -> dict[str, Chart]:
    """The models that a lathe makes."""
    cap = [(0.5 * np.sin(a), 0.22 + 0.28 * np.cos(a)) for a in np.linspace(0, np.pi / 2, 9)]
    tube = [(radius, 2.5 * height) for radius, height in circle(0.17, (0.33, 0.0), 20)]
    return {
        "sphere": lathe(circle(0.5, (0.0, 0.0), 32)[:17]),
        "capsule": lathe([*cap, *((radius, -height) for radius, height in reversed(cap))]),
        "torus": lathe(tube, 40),
        "pyramid": lathe([(0, 0.5), (0.5**0.5, -0.5), (0, -0.5)], 4, np.pi / 4),
        "rock": rock(3),
        "boulder": rock(8),
        **{name: lathe(profile, sides) for name, (sides, profile) in PROFILES.items()},
    }


def joined() -> dict[str, Chart]:
    """The models with flat sides, and the ground."""
    return {
        "wedge": prism([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5)]),
        "house": prism([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.1), (0, 0.5), (-0.5, 0.1)]),
        "star": prism(star(5, 0.22)),
        "gear": prism(star(9, 0.36)),
        "hills": sheet(hills, 40),
        "dunes": sheet(dunes, 32),
        **{name: boxes(*parts) for name, parts in JOINERY.items()},
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """All models, and the table of all their triangles: entry `first[name] + k` is triangle k of `name`.

    Attributes:
        attributes: (5, 4, rows), those of the models with the triangles last: numpy is fast along the last axis.
        side: (rows,).
        part: (rows,).
    """

    meshes: dict[str, Mesh]
    first: dict[str, int]
    attributes: np.ndarray
    side: np.ndarray
    part: np.ndarray


@cache
def library() -> Library:
    """The built-in models, built once per process."""
    meshes = {
        name: assemble(chart, convex=name in CONVEX, wrapped=wrapped)
        for charts, wrapped in ((turned(), True), (joined(), False))
        for name, chart in charts.items()
    }
    return tabulate(meshes | furniture())


@lru_cache(maxsize=8)
def extended(more: tuple[tuple[str, Mesh], ...]) -> Library:
    """The built-in models and some others, by name."""
    return tabulate(library().meshes | dict(more))


def tabulate(meshes: dict[str, Mesh]) -> Library:
    """The table of all triangles of some models."""
    starts = np.cumsum([0, *[len(mesh.corners) for mesh in meshes.values()]])
    return Library(
        meshes=meshes,
        first=dict(zip(meshes, starts[:-1].tolist(), strict=True)),
        attributes=np.moveaxis(
            np.concatenate([mesh.attributes for mesh in meshes.values()]), 0, -1
        ).copy(),
        side=np.concatenate([mesh.side for mesh in meshes.values()]),
        part=np.concatenate([mesh.part for mesh in meshes.values()]),
    )
