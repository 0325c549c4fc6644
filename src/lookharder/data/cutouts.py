"""Shapes for `collage`: outlines drawn at random, and objects rendered by the embedded world, each in a square."""

from functools import cache

import numpy as np
from jaxtyping import Float

from lookharder.data.procedural import ProceduralWorld
from lookharder.data.world.patterns import SIZE

Cutout = Float[np.ndarray, "y x 4"]  # red, green, blue, coverage


def outline(rng: np.random.Generator) -> Float[np.ndarray, "y x"]:
    """Coverage of a random shape: a smooth closed curve, a polygon, a box or a bar."""
    import cv2

    kind = rng.choice(["curve", "polygon", "box", "bar"], p=[0.5, 0.2, 0.2, 0.1])
    if kind in ("box", "bar"):
        half = np.array([0.95, rng.uniform(0.5, 0.95) if kind == "box" else rng.uniform(0.06, 0.2)])
        points = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    else:
        corners = 96 if kind == "curve" else int(rng.integers(3, 9))
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        if kind == "curve":
            order = np.arange(1, 7)[:, None]
            waves = rng.normal(0, 0.35, (6, 1)) / order
            radius = 1 + (waves * np.cos(order * angle + rng.uniform(0, 7, (6, 1)))).sum(0)
            radius = np.maximum(radius, 0.15)
        else:
            angle = angle + rng.uniform(-0.3, 0.3, corners)
            radius = rng.uniform(0.5, 1, corners)
        points = (radius / radius.max())[:, None] * np.c_[np.cos(angle), np.sin(angle)] * 0.97
    canvas = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    pixels = ((points + 1) * 2 * SIZE).round().astype(np.int32)
    cv2.fillPoly(canvas, [pixels], 255)
    small = cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


@cache
def objects(seed: int, scenes: int) -> tuple[Cutout, ...]:
    """Rendered objects of the embedded world that lie inside their frame, each filling its square."""
    import cv2

    world, found = ProceduralWorld(SIZE, seed), []
    for index in range(scenes):
        example = world[index]
        assert example.amodal is not None and example.whole is not None
        rows, columns = np.flatnonzero(example.amodal.any(1)), np.flatnonzero(example.amodal.any(0))
        if min(len(rows), len(columns)) < 16:
            continue
        top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        if min(top, left) == 0 or max(bottom, right) == SIZE:
            continue
        side = max(bottom - top, right - left) + 2
        square = np.zeros((side, side, 4), np.float32)
        y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
        inside = (slice(y, y + bottom - top), slice(x, x + right - left))
        box = (slice(top, bottom), slice(left, right))
        square[inside] = np.dstack(
            [np.moveaxis(example.whole, 0, -1)[box] / 255, example.amodal[box]]
        )
        found.append(cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))
    return tuple(found)
