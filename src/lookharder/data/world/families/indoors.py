"""Families with a roof: each function furnishes a draft and returns its light."""

from math import pi

import numpy as np

from lookharder.data.world.families.draft import FURNITURE, GOODS, SOLIDS, TABLEWARE, Draft
from lookharder.data.world.meshes import Real
from lookharder.data.world.scene import Light

WALLS = ("bricks", "clouds", "stripes", "terrazzo", "tiles", "gradient", "planks", "spots")
FLOORS = ("planks", "wood", "tiles", "checker", "mosaic", "marble", "weave")


def enclose(
    draft: Draft,
    width: Real,
    height: Real,
    depth: Real,
    walls: tuple[str, ...] = WALLS,
    floors: tuple[str, ...] = FLOORS,
    value: Real = 0.85,
) -> None:
    """A room round the eye, with walls, floor and ceiling."""
    x, z = (-width / 2, width / 2), (-1.0, depth)
    wider, deeper = (x[0] - 0.01, x[1] + 0.01), (z[0] - 0.01, z[1] + 0.01)
    draft.slab(x, (-0.05, height + 0.05), z, walls, (draft.uniform(0.05, 0.45), value), 1.6)
    tone = draft.uniform(0.1, 0.5), draft.uniform(0.45, 0.85)
    draft.slab(wider, (-0.1, 0.0), deeper, floors, tone)
    draft.slab(
        wider,
        (height, height + 0.1),
        deeper,
        ("clouds", "tiles", "terrazzo", "planks"),
        (0.06, 0.92),
    )


def bright_room(draft: Draft) -> Light:
    """A furnished room by day."""
    width, depth = draft.uniform(3.6, 6), draft.uniform(4.2, 7)
    enclose(draft, width, 2.6, depth)
    draft.eye[1] = draft.uniform(1.1, 1.7)
    draft.spot[:] = draft.uniform(-0.5, 0.5), draft.uniform(2.0, depth - 1.3)
    draft.heroes = FURNITURE
    draft.scatter(
        FURNITURE, 5, (0.6 - width / 2, width / 2 - 0.6), (1.6, depth - 0.5), (0.5, 1.4), 0.8
    )
    return draft.lamp(2.4, depth, (1.3, 1.9), (0.4, 0.65))


def dim_room(draft: Draft) -> Light:
    """A room at night with one low warm lamp."""
    width, depth = draft.uniform(3.2, 5), draft.uniform(3.8, 6)
    enclose(draft, width, 2.4, depth, value=0.65)
    draft.eye[1] = draft.uniform(1.0, 1.6)
    draft.spot[:] = draft.uniform(-0.4, 0.4), draft.uniform(1.8, depth - 1.2)
    draft.heroes = FURNITURE
    draft.scatter(
        FURNITURE, 4, (0.5 - width / 2, width / 2 - 0.5), (1.5, depth - 0.4), (0.5, 1.3), 0.8
    )
    light = draft.lamp(draft.uniform(1.2, 2.0), depth, (0.9, 1.4), (0.09, 0.16))
    warm = light.colour * [1.1, 0.85, 0.55]
    return Light(
        position=light.position, colour=warm, reach=1.9, above=light.above, below=light.below
    )


def corridor(draft: Draft) -> Light:
    """A long passage with doors."""
    width, depth = draft.uniform(1.9, 2.8), draft.uniform(9, 14)
    enclose(draft, width, 2.5, depth, ("bricks", "stripes", "tiles", "planks", "terrazzo"))
    draft.eye[:2] = draft.uniform(-0.3, 0.3), draft.uniform(1.1, 1.7)
    draft.spot[:] = draft.uniform(-0.3, 0.3), draft.uniform(2.0, 4.5)
    draft.heroes = ("box", "barrel", "chair", "vase", "lamp", "column", "pawn", "cone", "cylinder")
    doors = ("planks", "wood", "windows", "weave")
    for wall in (-width / 2, width / 2):
        for z in np.arange(draft.uniform(1, 3), depth - 1, draft.uniform(2.2, 3.5)).tolist():
            draft.slab((wall - 0.06, wall + 0.06), (0, 2.05), (z, z + 0.9), doors, (0.5, 0.65), 1)
    things = ("box", "barrel", "vase", "chair", "lamp")
    draft.scatter(things, 3, (0.3 - width / 2, width / 2 - 0.3), (3, depth - 1), (0.5, 1.3), 0.6)
    return draft.lamp(2.3, depth, (1.0, 1.7), (0.3, 0.5))


def table_top(draft: Draft) -> Light:
    """Small things on a table, near."""
    enclose(draft, 4.4, 2.6, draft.uniform(2.2, 3.4))
    cloth = ("wood", "planks", "weave", "checker", "marble")
    draft.slab((-0.9, 0.9), (0.7, 0.75), (0.35, 1.7), cloth, period=0.5, casts=True)
    draft.ground = 0.75
    draft.eye[:2] = draft.uniform(-0.2, 0.2), draft.uniform(1.05, 1.35)
    draft.spot[:] = draft.uniform(-0.15, 0.15), draft.uniform(0.8, 1.15)
    draft.heroes = TABLEWARE
    draft.scatter(TABLEWARE, 6, (-0.7, 0.7), (0.75, 1.6), (0.1, 0.34), 0.22)
    return draft.lamp(2.2, 1.5, (1.1, 1.7), (0.3, 0.5))


def columns(draft: Draft) -> Light:
    """A hall of columns."""
    floors = ("checker", "marble", "tiles", "mosaic")
    enclose(
        draft,
        9,
        draft.uniform(3.2, 4.2),
        draft.uniform(9, 12),
        ("marble", "bricks", "tiles"),
        floors,
    )
    gap, shift = draft.uniform(1.9, 2.8), draft.uniform(-0.5, 0.5)
    stone = ("marble", "clouds", "stripes", "terrazzo")
    for z in np.arange(draft.uniform(2, 3), 9, gap).tolist():
        for x in (-1.5 * gap, -gap / 2, gap / 2, 1.5 * gap):
            draft.place(
                "column", (x + shift, 1.6, z), (0.55, 3.2, 0.55), kinds=stone, movable=False
            )
    draft.eye[1] = draft.uniform(1.2, 1.9)
    draft.spot[:] = shift + draft.uniform(-0.3, 0.3), draft.uniform(2.6, 5)
    draft.heroes = ("vase", "pawn", "arch", "barrel", "goblet", "chair", "cross", "tower", "rock")
    draft.scatter(("vase", "pawn", "barrel", "box"), 2, (-2.5, 2.5), (3, 7), (0.5, 1.3), 0.8)
    return draft.lamp(3.0, 7, (1.3, 2.0), (0.3, 0.5))


def floating(draft: Draft) -> Light:
    """Solids in the air of a hall."""
    depth = draft.uniform(4, 7)
    enclose(draft, 8, 5, depth, (), ())
    draft.eye[1] = 2.3
    draft.afloat = True
    draft.spot[:] = draft.uniform(-0.4, 0.4), draft.uniform(1.8, 3.2)
    for _ in range(8):
        side = draft.pick((-1, 1)) * draft.uniform(0.5, 2.2)
        centre = (side, draft.uniform(1.0, 3.8), draft.uniform(2, depth - 0.8))
        size = draft.uniform(0.35, 1.0) * draft.rng.uniform(0.6, 1.2, 3)
        draft.place(draft.pick(SOLIDS), centre, size.tolist(), draft.rng.normal(0, 1.2, 3).tolist())
    return draft.lamp(4.5, 2, (1.3, 2.0), (0.4, 0.6))


def shelves(draft: Draft) -> Light:
    """A wall of shelves with things on them."""
    depth = draft.uniform(2.6, 3.6)
    enclose(draft, 5, 2.8, depth)
    board = ("wood", "planks", "clouds")
    draft.place(
        "shelf", (0, 1.2, depth - 0.25), (3.4, 2.4, 0.5), kinds=board, period=1.0, movable=False
    )
    for level in (0.12, 0.9, 1.68):
        for x in np.arange(-1.4, 1.5, 0.4).tolist():
            if draft.uniform(0, 1) < 0.55:
                x += draft.uniform(-0.07, 0.07)
                draft.stand(draft.pick(TABLEWARE), x, depth - 0.32, draft.uniform(0.2, 0.5), level)
    draft.eye[1] = draft.uniform(1.1, 1.6)
    draft.spot[:] = draft.uniform(-0.5, 0.5), depth - draft.uniform(0.9, 1.3)
    draft.heroes = FURNITURE
    return draft.lamp(2.6, 1.2, (1.2, 1.8), (0.4, 0.6))


def clutter(draft: Draft) -> Light:
    """A heap of things close by."""
    depth = draft.uniform(2.0, 3.0)
    enclose(draft, 3.6, 2.4, depth)
    draft.eye[1] = draft.uniform(0.7, 1.2)
    draft.spot[:] = draft.uniform(-0.2, 0.2), draft.uniform(1.1, 1.6)
    draft.scatter(SOLIDS, 10, (-1.3, 1.3), (1.0, depth - 0.2), (0.2, 0.55), 0.35)
    return draft.lamp(2.0, 1.0, (1.0, 1.6), (0.3, 0.5))


def tunnel(draft: Draft) -> Light:
    """A round passage with arches."""
    radius, depth = draft.uniform(1.5, 2.0), draft.uniform(10, 15)
    draft.place(
        "cylinder",
        (0, 0.6 * radius, depth / 2 - 1),
        (2 * radius, depth + 2, 2 * radius),
        (pi / 2, 0, 0),
        kinds=("bricks", "tiles", "stripes", "pebbles", "planks"),
        period=1.2,
        movable=False,
        casts=False,
    )
    draft.slab(
        (-radius, radius), (-0.3, 0), (-2, depth + 0.2), ("pebbles", "tiles", "planks", "checker")
    )
    for z in np.arange(draft.uniform(3, 4.5), depth, draft.uniform(2, 3)).tolist():
        stone, size = ("bricks", "marble", "terrazzo"), (2 * radius, 1.7 * radius, 0.3)
        draft.place("arch", (0, 0.75 * radius, z), size, kinds=stone, movable=False)
    draft.eye[:2] = draft.uniform(-0.2, 0.2), draft.uniform(1.0, 1.5)
    draft.spot[:] = draft.uniform(-0.3, 0.3), draft.uniform(2.0, 4.0)
    draft.heroes = ("barrel", "box", "pawn", "lamp", "rock", "car", "cone")
    draft.scatter(GOODS, 2, (0.4 - radius, radius - 0.4), (3, 8), (0.4, 0.9), 0.5)
    return draft.lamp(1.9, depth, (1.3, 2.0), (0.2, 0.4))


def warehouse(draft: Draft) -> Light:
    """Stacks of crates in a hall."""
    depth = draft.uniform(7, 11)
    enclose(draft, 7, 4, depth, ("stripes", "bricks", "tiles"), ("clouds", "terrazzo", "tiles"))
    crate = ("planks", "wood", "weave", "diagonal")
    for side in (-1, 1):
        for z in np.arange(2, depth - 1, 1.4).tolist():
            edge = draft.uniform(0.7, 1.1)
            for level in range(int(draft.rng.integers(1, 4))):
                centre = (side * draft.uniform(1.9, 2.2), (level + 0.5) * edge, z)
                turn = (0, draft.uniform(-0.15, 0.15), 0)
                draft.place("box", centre, (edge, edge, edge), turn, kinds=crate, movable=False)
    draft.eye[1] = draft.uniform(1.2, 2.0)
    draft.spot[:] = draft.uniform(-0.4, 0.4), draft.uniform(2.4, 4.5)
    draft.heroes = GOODS
    draft.scatter(GOODS, 3, (-1.3, 1.3), (3, depth - 1), (0.5, 1.2), 0.8)
    return draft.lamp(3.6, depth, (1.3, 2.0), (0.3, 0.5))
