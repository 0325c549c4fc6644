"""Families under the sky: each function furnishes a draft and returns its light. Hills close every view before 20 m."""

from math import hypot, pi

import numpy as np

from lookharder.data.world.families.draft import OUTDOOR, STREET, Draft, hue
from lookharder.data.world.scene import Light


def land(
    draft: Draft, ground: tuple[str, ...] = ("grass", "clouds", "pebbles", "terrazzo")
) -> None:
    """A plain closed by hills 12 to 19 m away."""
    draft.place(
        "hills",
        (0, 2.0, 0),
        (38, 4.0, 38),
        (0, draft.uniform(-pi, pi), 0),
        kinds=("grass", "clouds", "pebbles"),
        colour=hue(draft.uniform(0.12, 0.45), draft.uniform(0.15, 0.5), 0.7),
        period=3.5,
        movable=False,
        casts=False,
    )
    tone = draft.uniform(0.1, 0.5), draft.uniform(0.5, 0.85)
    draft.slab((-17, 17), (-0.06, 0.004), (-17, 17), ground, tone, 1.6)


def street(draft: Draft) -> Light:
    """Two rows of houses along a road."""
    land(draft, ("tiles", "terrazzo", "clouds", "bricks"))
    half = draft.uniform(2.8, 4.2)
    for x in ((-half - 3, -half), (half, half + 3)):
        z = -2.0
        while z < 14:
            end, roof = z + draft.uniform(2.5, 5), draft.uniform(2.5, 7)
            tone = draft.uniform(0.1, 0.6), draft.uniform(0.6, 1.0)
            draft.slab(x, (0, roof), (z, end), ("windows", "bricks"), tone, 3, casts=True)
            z = end + draft.uniform(0, 0.8)
    draft.eye[:2] = draft.uniform(-0.8, 0.8), draft.uniform(1.3, 2.2)
    draft.spot[:] = draft.uniform(-0.8, 0.8), draft.uniform(3, 6)
    draft.heroes = STREET
    draft.scatter(STREET, 4, (0.5 - half, half - 0.5), (3, 12), (0.8, 1.8), 1.1)
    return draft.sun()


def field(draft: Draft) -> Light:
    """Open country with trees and rocks."""
    land(draft)
    draft.eye[1] = draft.uniform(1.2, 2.0)
    draft.spot[:] = draft.uniform(-0.6, 0.6), draft.uniform(2.8, 5.5)
    draft.heroes = OUTDOOR
    draft.scatter(("tree", "bush", "rock", "boulder"), 9, (-6, 6), (3.5, 12), (0.7, 3.0), 1.0)
    return draft.sun()


def rooftops(draft: Draft) -> Light:
    """A town seen from above."""
    land(draft, ("clouds", "tiles", "grass"))
    draft.eye[1] = draft.uniform(3.5, 5.5)
    draft.spot[:] = draft.uniform(-0.3, 0.3), draft.uniform(4.4, 5.4)
    for x in np.arange(-6, 6.1, 1.7).tolist():
        for z in np.arange(1.5, 12, 1.9).tolist():
            if draft.uniform(0, 1) < 0.45 or hypot(x - draft.spot[0], z - draft.spot[1]) < 1.5:
                continue
            w, d, roof = draft.uniform(0.4, 0.75), draft.uniform(0.4, 0.8), draft.uniform(0.5, 2.4)
            roof *= 1 if z > 4 else 0.5
            tone = draft.uniform(0.1, 0.6), draft.uniform(0.55, 1.0)
            draft.slab(
                (x - w, x + w),
                (0, roof),
                (z - d, z + d),
                ("windows", "bricks"),
                tone,
                1.2,
                casts=True,
            )
    draft.heroes = ("tower", "house", "tree", "column", "pyramid", "cone", "barrel")
    return draft.sun()


def terraces(draft: Draft) -> Light:
    """A great flight of steps."""
    land(draft, ("tiles", "pebbles", "bricks"))
    start, height = draft.uniform(4.2, 5.5), draft.uniform(1.8, 3.2)
    stone, middle = ("bricks", "marble", "terrazzo", "tiles"), height / 2
    draft.place(
        "stairs", (0, middle, start + 2), (9, height, 4), kinds=stone, period=1.3, movable=False
    )
    draft.slab(
        (-4.5, 4.5), (0, height - 0.02), (start + 4, start + 8), ("bricks", "tiles"), casts=True
    )
    for step in range(6):
        for _ in range(int(draft.rng.integers(0, 3))):
            z, level = start + (step + 0.5) * 4 / 6, height * (step + 1) / 6
            draft.stand(
                draft.pick(OUTDOOR), draft.uniform(-3, 3), z, draft.uniform(0.4, 0.9), level
            )
    draft.eye[1] = draft.uniform(1.2, 2.2)
    draft.spot[:] = draft.uniform(-0.5, 0.5), draft.uniform(2.5, start - 0.8)
    draft.heroes = ("vase", "pawn", "bush", "tree", "rock", "arch", "barrel", "goblet")
    return draft.sun()


def garden(draft: Draft) -> Light:
    """A walled garden."""
    land(draft, ("grass", "pebbles", "tiles"))
    depth, height = draft.uniform(6, 9), draft.uniform(1.2, 2.6)
    for x, z in (
        ((-5, 5), (depth, depth + 0.3)),
        ((-5.3, -5), (-1, depth)),
        ((5, 5.3), (-1, depth)),
    ):
        draft.slab(x, (0, height), z, ("bricks", "pebbles", "terrazzo"), (0.4, 0.75), casts=True)
    draft.eye[1] = draft.uniform(1.2, 1.8)
    draft.spot[:] = draft.uniform(-0.5, 0.5), draft.uniform(2.3, 4.2)
    draft.heroes = ("vase", "bush", "goblet", "chair", "table", "pawn", "tree", "rock")
    things = ("bush", "tree", "vase", "rock", "table", "chair")
    draft.scatter(things, 7, (-4, 4), (2.5, depth - 0.6), (0.5, 1.8), 0.9)
    return draft.sun()


def desert(draft: Draft) -> Light:
    """Dunes with stones and ruins."""
    sand = hue(draft.uniform(0.06, 0.13), draft.uniform(0.2, 0.5), 0.92)
    stages = (
        ("hills", (0, 1.6, 0), (38, 4.0, 38), ("clouds", "gradient"), 4.0),
        (
            "dunes",
            (0, 0, 9),
            (30, draft.uniform(0.5, 1.2), 30),
            ("clouds", "grass", "terrazzo"),
            2.5,
        ),
    )
    for mesh, centre, size, kinds, period in stages:
        turn = (0, draft.uniform(-pi, pi), 0)
        draft.place(
            mesh,
            centre,
            size,
            turn,
            kinds=kinds,
            colour=sand,
            period=period,
            movable=False,
            casts=False,
        )
    draft.eye[1] = draft.uniform(1.6, 2.3)
    draft.ground = -0.1
    draft.spot[:] = draft.uniform(-0.5, 0.5), draft.uniform(3, 5.5)
    draft.heroes = ("rock", "boulder", "pyramid", "column", "arch", "vase", "house")
    draft.scatter(
        ("rock", "boulder", "pyramid", "column", "arch"), 6, (-6, 6), (4, 11), (0.6, 2.2), 1.2
    )
    return draft.sun()
