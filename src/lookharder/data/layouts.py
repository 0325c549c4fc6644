"""The families of the embedded world: what is built around the camera, before anything moves.

A family is a function that furnishes a `Draft`: it sets the stage (ground, walls, light), says where the camera stands
and where the hero, the body to be completed, may stand, and scatters other things around. The camera is near x = z = 0
and looks along +z; everything is in metres. `FAMILIES` is the list of labels.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from lookharder.data.scene import Body, Light, Material
from lookharder.data.textures import NAMES

Choice = TypeVar("Choice")

# width, height, depth of a thing, relative to its height; what is not listed is as wide as high
PROPORTIONS: dict[str, tuple[float, float, float]] = {
    "chair": (0.52, 1.0, 0.52), "table": (1.6, 1.0, 1.0), "lamp": (0.36, 1.0, 0.36), "sofa": (2.0, 1.0, 0.95),
    "shelf": (0.75, 1.0, 0.25), "vase": (0.6, 1.0, 0.6), "bottle": (0.34, 1.0, 0.34), "goblet": (0.5, 1.0, 0.5),
    "tree": (0.6, 1.0, 0.6), "bush": (0.8, 1.0, 0.8), "column": (0.3, 1.0, 0.3), "pawn": (0.5, 1.0, 0.5),
    "barrel": (0.75, 1.0, 0.75), "car": (2.3, 1.0, 1.1), "torus": (1.0, 1.0, 0.6), "capsule": (0.5, 1.0, 0.5),
    "star": (1.0, 1.0, 0.3), "gear": (1.0, 1.0, 0.3), "cross": (0.8, 1.0, 0.3), "arch": (1.1, 1.0, 0.4),
    "tower": (0.5, 1.0, 0.5), "house": (1.0, 1.0, 1.2), "rock": (1.3, 1.0, 1.2), "boulder": (1.5, 1.0, 1.2),
}  # fmt: skip
FURNITURE = ("chair", "table", "lamp", "sofa", "shelf", "vase", "barrel", "box", "stairs", "column")
SOLIDS = ("box", "sphere", "cylinder", "cone", "capsule", "torus", "pyramid", "octahedron", "hexagon", "gem", "wedge", "star", "gear", "cross")  # fmt: skip
TABLEWARE = ("vase", "bottle", "goblet", "pawn", "box", "sphere", "cylinder", "barrel", "torus", "capsule", "cone", "gem", "house", "lamp")  # fmt: skip
OUTDOOR = ("tree", "bush", "rock", "boulder", "barrel", "house", "cone", "box", "pawn", "arch")
STREET = ("car", "tree", "bush", "barrel", "box", "lamp", "cone", "tower", "pawn")
GOODS = ("box", "barrel", "hexagon", "cylinder", "stairs", "wedge", "table")


def rotation(vector: Sequence[float] | np.ndarray) -> np.ndarray:
    """(3, 3) rotation by |vector| radians about vector (Rodrigues)."""
    x, y, z = (float(value) for value in vector)
    angle = (x * x + y * y + z * z) ** 0.5
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-8:
        return np.eye(3) + cross
    a, b = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
    return np.eye(3) + a * cross + b * cross @ cross


def hue(h: float, saturation: float, value: float) -> np.ndarray:
    """Display colour (3,) from hue, saturation and value in [0, 1]."""
    ramp = (min(max(abs((6 * h + shift) % 6 - 3) - 1, 0.0), 1.0) for shift in (0, 4, 2))
    return np.array([value * (1 - saturation * (1 - part)) for part in ramp])



@cache
def numbers(kinds: tuple[str, ...]) -> tuple[int, ...]:
    """Textures of some kinds, all for none."""
    return tuple(number for number, name in enumerate(NAMES) if not kinds or name in kinds)


class Draft:
    """A scene in the making. Families call `stage_*` once, then `stand`, `hang` and `scatter`."""

    def __init__(self, rng: np.random.Generator, photos: int) -> None:
        self.rng, self.photos = rng, photos
        self.bodies: list[Body] = []
        self.movable: list[bool] = []
        self.ground = 0.0
        self.eye = np.array([0.0, 1.4, 0.0])
        self.spot = np.array([0.0, 3.0])  # x, z of the hero
        self.heroes: tuple[str, ...] = SOLIDS
        self.afloat = False
        self.sky = False
        self.share = (0.3, 0.6)  # of the frame's height that the hero takes
        self.hue = rng.uniform()

    def uniform(self, low: float, high: float) -> float:
        """A number between."""
        return float(self.rng.uniform(low, high))

    def pick(self, names: Sequence[Choice]) -> Choice:
        """One of some."""
        return names[int(self.rng.integers(len(names)))]

    def material(
        self, mesh_size: np.ndarray, wrapped: bool, kinds: Sequence[str] = (), colour: np.ndarray | None = None, period: float = 0.0
    ) -> Material:  # fmt: skip
        """A pattern or a photograph in colours of the scene's palette; `period` in metres, 0: by the body's size."""
        rng, draw = self.rng, self.rng.uniform(size=12)
        photo = self.photos > 0 and draw[0] < 0.5
        near = (self.hue + self.pick((0.0, 0.08, 0.33, 0.5, 0.58)) + 0.08 * (draw[1] - draw[2])) % 1
        base = hue(near, 0.8 * (draw[3] + draw[4]) / 2, 0.55 + 0.4 * draw[5]) if colour is None else colour
        if photo:
            texture = len(NAMES) + int(rng.integers(self.photos))
            linear = np.diag((0.8 + 0.2 * draw[6]) * (0.75 + 0.25 * base / base.max()))
            constant = np.full(3, 0.08 * draw[7])
        else:
            texture = self.pick(numbers(tuple(kinds)))
            other = hue((near + self.pick((0.0, 0.05, 0.5))) % 1, 0.7 * draw[6], 0.1 + 0.4 * draw[7])
            if draw[8] < 0.3:
                base, other = other, base
            cell, grain = (0.12 + 0.18 * draw[9]) * (base + 0.2), (0.16 + 0.14 * draw[10]) * (base + 0.3)
            linear = np.stack([base - other, cell, grain], 1)
            constant = other - (cell + grain) / 2
        if wrapped and not period:
            around = float(rng.integers(1, 4))
            ratio = mesh_size[1] / (np.pi * (mesh_size[0] + mesh_size[2]) / 2)
            repeat = np.array([around, around * ratio])
        else:
            repeat = np.full(2, 1 / period if period else (0.6 + draw[11]) / mesh_size.max())
        return Material(
            texture=texture, repeat=repeat, colour=np.concatenate([linear, constant[:, None]], 1)
        )

    def hang(
        self, mesh: str, place: Sequence[float] | np.ndarray, size: Sequence[float] | np.ndarray, turn: Sequence[float] = (0.0, 0.0, 0.0), *,
        kinds: Sequence[str] = (), colour: np.ndarray | None = None, period: float = 0.0, movable: bool = True, casts: bool = True,
    ) -> None:  # fmt: skip
        """Put a body's centre at `place`."""
        from lookharder.data.meshes import library

        extent, place = np.asarray(size, np.float64), np.asarray(place, np.float64)
        wrapped = library().meshes[mesh].wrapped
        if wrapped and period:
            period_u = max(1, round(np.pi * (extent[0] + extent[2]) / 2 / period))
            material = self.material(extent, False, kinds, colour, period)
            material = Material(
                texture=material.texture,
                repeat=np.array([period_u, extent[1] / period]),
                colour=material.colour,
            )
        else:
            material = self.material(extent, wrapped, kinds, colour, period)
        pose = rotation(turn)
        self.bodies.append(
            Body(mesh=mesh, size=extent, rotation=np.stack([pose, pose]), position=np.stack([place, place]), material=material, casts=casts)
        )  # fmt: skip
        self.movable.append(movable)

    def stand(
        self,
        mesh: str,
        x: float,
        z: float,
        height: float,
        *,
        ground: float | None = None,
        yaw: float | None = None,
        movable: bool = True,
    ) -> None:
        """Put a thing of natural proportions on the ground."""
        size = (
            height
            * np.array(PROPORTIONS.get(mesh, (1.0, 1.0, 1.0)))
            * self.rng.uniform(0.85, 1.15, 3)
        )
        base = self.ground if ground is None else ground
        turn = self.uniform(-np.pi, np.pi) if yaw is None else yaw
        self.hang(mesh, (x, base + size[1] / 2, z), size, (0, turn, 0), movable=movable)

    def scatter(
        self,
        names: Sequence[str],
        count: int,
        x: tuple[float, float],
        z: tuple[float, float],
        height: tuple[float, float],
        clear: float,
    ) -> None:
        """Stand things about, but not in a lane of half width `clear` from the eye to the hero."""
        for _ in range(count):
            px, pz = self.uniform(*x), self.uniform(*z)
            lane = self.eye[0] + (self.spot[0] - self.eye[0]) * min(1.0, pz / self.spot[1])
            if pz < self.spot[1] + clear and abs(px - lane) < clear:
                px = lane + clear * (1.2 if px > lane else -1.2)
            if x[0] <= px <= x[1]:
                self.stand(self.pick(names), px, pz, self.uniform(*height))

    def slab(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        kinds: Sequence[str],
        *,
        value: float = 0.7,
        saturation: float = 0.3,
        period: float = 1.5,
        casts: bool = False,
    ) -> None:
        """A still box between coordinates: floor, wall, ceiling or building."""
        low, high = np.array([x[0], y[0], z[0]]), np.array([x[1], y[1], z[1]])
        colour = hue((self.hue + self.uniform(-0.1, 0.1)) % 1, saturation, value)
        self.hang(
            "box",
            (low + high) / 2,
            high - low,
            kinds=kinds,
            colour=colour,
            period=period * self.uniform(0.7, 1.3),
            movable=False,
            casts=casts,
        )

    def enclose(
        self,
        width: float,
        height: float,
        depth: float,
        *,
        back: float = 1.0,
        walls: Sequence[str] = (
            "bricks",
            "clouds",
            "stripes",
            "terrazzo",
            "tiles",
            "gradient",
            "planks",
            "spots",
        ),
        floor: Sequence[str] = ("planks", "wood", "tiles", "checker", "mosaic", "marble", "weave"),
        value: float = 0.8,
    ) -> None:
        """A room with floor, ceiling and walls round the eye."""
        half = width / 2
        self.slab(
            (-half, half),
            (-0.05, height + 0.05),
            (-back, depth),
            walls,
            value=value,
            saturation=self.uniform(0.05, 0.45),
            period=1.6,
        )
        self.slab(
            (-half - 0.01, half + 0.01),
            (-0.1, 0.0),
            (-back - 0.01, depth + 0.01),
            floor,
            value=self.uniform(0.4, 0.8),
            saturation=self.uniform(0.1, 0.5),
        )
        self.slab(
            (-half - 0.01, half + 0.01),
            (height, height + 0.1),
            (-back - 0.01, depth + 0.01),
            ("clouds", "tiles", "terrazzo", "planks"),
            value=0.9,
            saturation=0.06,
        )

    def land(self, ground: Sequence[str] = ("grass", "clouds", "pebbles", "terrazzo")) -> None:
        """A plain closed by hills 12 to 19 m away, under the sky."""
        self.sky = True
        self.hang(
            "hills",
            (0, 2.0, 0),
            (38, 4.0, 38),
            (0, self.uniform(0, 6.28), 0),
            kinds=("grass", "clouds", "pebbles"),
            colour=hue(self.uniform(0.15, 0.45), self.uniform(0.2, 0.5), 0.6),
            period=3.5,
            movable=False,
            casts=False,
        )
        self.slab(
            (-17, 17),
            (-0.06, 0.004),
            (-17, 17),
            ground,
            value=self.uniform(0.45, 0.75),
            saturation=self.uniform(0.1, 0.5),
            period=1.6,
        )

    def lamp(self, height: float, depth: float, power: float, ambient: float) -> Light:
        """A lamp inside a room."""
        colour = (1 + self.rng.normal(0, 0.06, 3)) * np.array([1.0, 0.97, 0.9]) * power
        place = np.array([self.uniform(-1, 1), height, self.uniform(0.1, 0.75) * depth])
        tone = ambient * (1 + self.rng.normal(0, 0.05, 3))
        return Light(
            position=place, colour=colour, reach=max(2.0, depth * 0.6), above=tone, below=0.7 * tone
        )

    def sun(self) -> Light:
        """A sun at any hour: low and warm or high and white."""
        rise, round_ = self.uniform(0.35, 1.2), self.uniform(0, 2 * np.pi)
        place = 300 * np.array(
            [np.cos(rise) * np.sin(round_), np.sin(rise), np.cos(rise) * np.cos(round_)]
        )
        warm = np.array([1.0, 0.82 + 0.15 * np.sin(rise), 0.6 + 0.32 * np.sin(rise)])
        above = np.array([0.36, 0.4, 0.48]) * self.uniform(0.7, 1.2)
        return Light(
            position=place,
            colour=warm * self.uniform(0.7, 1.1),
            reach=1e6,
            above=above,
            below=0.65 * above,
        )


def bright_room(draft: Draft) -> Light:
    """A furnished room by day."""
    width, depth = draft.uniform(3.6, 6), draft.uniform(4.2, 7)
    draft.enclose(width, 2.6, depth, value=0.85)
    draft.eye[1] = draft.uniform(1.1, 1.7)
    draft.spot[:] = draft.uniform(-0.5, 0.5), draft.uniform(2.0, depth - 1.3)
    draft.heroes = FURNITURE
    draft.scatter(
        FURNITURE, 5, (0.6 - width / 2, width / 2 - 0.6), (1.6, depth - 0.5), (0.5, 1.4), 0.8
    )
    return draft.lamp(2.4, depth, draft.uniform(1.0, 1.5), draft.uniform(0.3, 0.5))


def dim_room(draft: Draft) -> Light:
    """A room at night with one low warm lamp."""
    width, depth = draft.uniform(3.2, 5), draft.uniform(3.8, 6)
    draft.enclose(width, 2.4, depth, value=0.6)
    draft.eye[1] = draft.uniform(1.0, 1.6)
    draft.spot[:] = draft.uniform(-0.4, 0.4), draft.uniform(1.8, depth - 1.2)
    draft.heroes = FURNITURE
    draft.scatter(
        FURNITURE, 4, (0.5 - width / 2, width / 2 - 0.5), (1.5, depth - 0.4), (0.5, 1.3), 0.8
    )
    light = draft.lamp(
        draft.uniform(1.2, 2.0), depth, draft.uniform(0.7, 1.1), draft.uniform(0.08, 0.14)
    )
    return Light(
        position=light.position,
        colour=light.colour * [1.1, 0.85, 0.55],
        reach=1.8,
        above=light.above,
        below=light.below,
    )


def corridor(draft: Draft) -> Light:
    """A long passage with doors and niches."""
    width, depth = draft.uniform(1.9, 2.8), draft.uniform(9, 14)
    draft.enclose(width, 2.5, depth, walls=("bricks", "stripes", "tiles", "planks", "terrazzo"))
    draft.eye[:2] = draft.uniform(-0.3, 0.3), draft.uniform(1.1, 1.7)
    draft.spot[:] = draft.uniform(-0.3, 0.3), draft.uniform(2.0, 4.5)
    draft.heroes = ("box", "barrel", "chair", "vase", "lamp", "column", "pawn", "cone", "cylinder")
    for side in (-1, 1):
        for z in np.arange(draft.uniform(1, 3), depth - 1, draft.uniform(2.2, 3.5)):
            x = side * width / 2
            draft.slab(
                (x - 0.06, x + 0.06),
                (0, 2.05),
                (z, z + 0.9),
                ("planks", "wood", "windows", "weave"),
                value=0.6,
                saturation=0.5,
                period=1,
            )
    draft.scatter(
        ("box", "barrel", "vase", "chair", "lamp"),
        3,
        (0.3 - width / 2, width / 2 - 0.3),
        (3, depth - 1),
        (0.5, 1.3),
        0.6,
    )
    return draft.lamp(2.3, depth, draft.uniform(0.8, 1.4), draft.uniform(0.25, 0.4))


def table_top(draft: Draft) -> Light:
    """Small things on a table, near."""
    draft.enclose(4.4, 2.6, draft.uniform(2.2, 3.4))
    draft.ground = 0.75
    draft.slab(
        (-0.9, 0.9),
        (0.7, 0.75),
        (0.35, 1.7),
        ("wood", "planks", "weave", "checker", "marble"),
        value=0.7,
        period=0.5,
        casts=True,
    )
    draft.eye[:] = draft.uniform(-0.2, 0.2), draft.uniform(1.05, 1.35), 0
    draft.spot[:] = draft.uniform(-0.15, 0.15), draft.uniform(0.8, 1.15)
    draft.heroes = TABLEWARE
    draft.scatter(TABLEWARE, 6, (-0.7, 0.7), (0.75, 1.6), (0.1, 0.34), 0.22)
    return draft.lamp(2.2, 1.5, draft.uniform(0.9, 1.4), draft.uniform(0.25, 0.4))


def street(draft: Draft) -> Light:
    """Two rows of houses along a road."""
    draft.land(("tiles", "terrazzo", "clouds", "bricks"))
    half = draft.uniform(2.8, 4.2)
    for side in (-1, 1):
        z = -2.0
        while z < 14:
            length, height = draft.uniform(2.5, 5), draft.uniform(2.5, 7)
            inner, outer = sorted((side * half, side * (half + 3)))
            draft.slab(
                (inner, outer),
                (0, height),
                (z, z + length),
                ("windows", "bricks"),
                value=draft.uniform(0.55, 0.95),
                saturation=draft.uniform(0.1, 0.6),
                period=3,
                casts=True,
            )
            z += length + draft.uniform(0, 0.8)
    draft.eye[:2] = draft.uniform(-0.8, 0.8), draft.uniform(1.3, 2.2)
    draft.spot[:] = draft.uniform(-0.8, 0.8), draft.uniform(3, 6)
    draft.heroes = STREET
    draft.scatter(STREET, 4, (0.5 - half, half - 0.5), (3, 12), (0.8, 1.8), 1.1)
    return draft.sun()


def field(draft: Draft) -> Light:
    """Open country with trees and rocks."""
    draft.land()
    draft.eye[1] = draft.uniform(1.2, 2.0)
    draft.spot[:] = draft.uniform(-0.6, 0.6), draft.uniform(2.8, 5.5)
    draft.heroes = OUTDOOR
    draft.scatter(("tree", "bush", "rock", "boulder"), 9, (-6, 6), (3.5, 12), (0.7, 3.0), 1.0)
    return draft.sun()


def columns(draft: Draft) -> Light:
    """A hall of columns."""
    draft.enclose(
        9,
        draft.uniform(3.2, 4.2),
        draft.uniform(9, 12),
        walls=("marble", "bricks", "tiles"),
        floor=("checker", "marble", "tiles", "mosaic"),
    )
    gap, shift = draft.uniform(1.9, 2.8), draft.uniform(-0.5, 0.5)
    for z in np.arange(draft.uniform(2, 3), 9, gap):
        for x in (-1.5 * gap, -gap / 2, gap / 2, 1.5 * gap):
            draft.hang(
                "column",
                (x + shift, 1.6, z),
                (0.55, 3.2, 0.55),
                kinds=("marble", "clouds", "stripes", "terrazzo"),
                movable=False,
            )
    draft.eye[1] = draft.uniform(1.2, 1.9)
    draft.spot[:] = shift + draft.uniform(-0.3, 0.3), draft.uniform(2.6, 5)
    draft.heroes = ("vase", "pawn", "arch", "barrel", "goblet", "chair", "cross", "tower", "rock")
    draft.scatter(("vase", "pawn", "barrel", "box"), 2, (-2.5, 2.5), (3, 7), (0.5, 1.3), 0.8)
    return draft.lamp(3.0, 7, draft.uniform(1.0, 1.6), draft.uniform(0.25, 0.4))


def rooftops(draft: Draft) -> Light:
    """A town seen from above."""
    draft.land(("clouds", "tiles", "grass"))
    for x in np.arange(-6, 6.1, 1.7):
        for z in np.arange(1.5, 12, 1.9):
            if draft.rng.uniform() < 0.55 and np.hypot(x - draft.spot[0], z - 5) > 1.5:
                w, d = draft.uniform(0.9, 1.5) / 2, draft.uniform(0.9, 1.6) / 2
                px, pz = x + draft.uniform(-0.1, 0.1), z + draft.uniform(-0.1, 0.1)
                draft.slab(
                    (px - w, px + w),
                    (0, draft.uniform(0.5, 2.4) * (1 if z > 4 else 0.5)),
                    (pz - d, pz + d),
                    ("windows", "bricks"),
                    value=draft.uniform(0.5, 0.95),
                    saturation=draft.uniform(0.1, 0.6),
                    period=1.2,
                    casts=True,
                )
    draft.eye[1] = draft.uniform(3.5, 5.5)
    draft.spot[:] = draft.uniform(-0.3, 0.3), draft.uniform(4.4, 5.4)
    draft.heroes = ("tower", "house", "tree", "column", "pyramid", "cone", "barrel")
    return draft.sun()


def floating(draft: Draft) -> Light:
    """Solids in the air before a wall."""
    depth = draft.uniform(4, 7)
    draft.enclose(8, 5, depth, walls=())
    draft.eye[:2] = 0, 2.3
    draft.afloat = True
    draft.spot[:] = draft.uniform(-0.4, 0.4), draft.uniform(1.8, 3.2)
    for _ in range(8):
        size = draft.uniform(0.35, 1.0) * draft.rng.uniform(0.6, 1.2, 3)
        side = draft.rng.choice([-1, 1]) * draft.uniform(0.5, 2.2)
        draft.hang(
            draft.pick(SOLIDS),
            (side, draft.uniform(1.0, 3.8), draft.uniform(2, depth - 0.8)),
            size,
            draft.rng.normal(0, 1.2, 3),
        )
    return draft.lamp(4.5, 2, draft.uniform(1.0, 1.6), draft.uniform(0.3, 0.45))


def shelves(draft: Draft) -> Light:
    """A wall of shelves with things on them."""
    depth = draft.uniform(2.6, 3.6)
    draft.enclose(5, 2.8, depth)
    draft.hang(
        "shelf",
        (0, 1.2, depth - 0.25),
        (3.4, 2.4, 0.5),
        kinds=("wood", "planks", "clouds"),
        period=1.0,
        movable=False,
    )
    for level in (0.12, 0.9, 1.68):
        for x in np.arange(-1.4, 1.5, 0.4):
            if draft.rng.uniform() < 0.55:
                draft.stand(
                    draft.pick(TABLEWARE),
                    x + draft.uniform(-0.07, 0.07),
                    depth - 0.32,
                    draft.uniform(0.2, 0.5),
                    ground=level,
                )
    draft.eye[1] = draft.uniform(1.1, 1.6)
    draft.spot[:] = draft.uniform(-0.5, 0.5), depth - draft.uniform(0.9, 1.3)
    draft.heroes = FURNITURE
    return draft.lamp(2.6, 1.2, draft.uniform(0.9, 1.4), draft.uniform(0.3, 0.45))


def terraces(draft: Draft) -> Light:
    """A great flight of steps under the sky."""
    draft.land(("tiles", "pebbles", "bricks"))
    start, height = draft.uniform(4.2, 5.5), draft.uniform(1.8, 3.2)
    draft.hang(
        "stairs",
        (0, height / 2, start + 2),
        (9, height, 4),
        kinds=("bricks", "marble", "terrazzo", "tiles"),
        period=1.3,
        movable=False,
    )
    draft.hang(
        "box",
        (0, height / 2 - 0.01, start + 6),
        (9, height - 0.02, 4),
        kinds=("bricks", "tiles"),
        period=1.3,
        movable=False,
    )
    for step in range(6):
        for _ in range(int(draft.rng.integers(0, 3))):
            draft.stand(
                draft.pick(OUTDOOR),
                draft.uniform(-3, 3),
                start + (step + 0.5) * 4 / 6,
                draft.uniform(0.4, 0.9),
                ground=height * (step + 1) / 6,
            )
    draft.eye[1] = draft.uniform(1.2, 2.2)
    draft.spot[:] = draft.uniform(-0.5, 0.5), draft.uniform(2.5, start - 0.8)
    draft.heroes = ("vase", "pawn", "bush", "tree", "rock", "arch", "barrel", "goblet")
    return draft.sun()


def clutter(draft: Draft) -> Light:
    """A heap of things close by."""
    depth = draft.uniform(2.0, 3.0)
    draft.enclose(3.6, 2.4, depth)
    draft.eye[:2] = 0, draft.uniform(0.7, 1.2)
    draft.spot[:] = draft.uniform(-0.2, 0.2), draft.uniform(1.1, 1.6)
    draft.heroes = SOLIDS
    draft.scatter(SOLIDS, 10, (-1.3, 1.3), (1.0, depth - 0.2), (0.2, 0.55), 0.35)
    return draft.lamp(2.0, 1.0, draft.uniform(0.8, 1.3), draft.uniform(0.25, 0.4))


def tunnel(draft: Draft) -> Light:
    """A round passage with arches."""
    radius, depth = draft.uniform(1.5, 2.0), draft.uniform(10, 15)
    draft.hang(
        "cylinder",
        (0, radius * 0.6, depth / 2 - 1),
        (2 * radius, depth + 2, 2 * radius),
        (np.pi / 2, 0, 0),
        kinds=("bricks", "tiles", "stripes", "pebbles", "planks"),
        period=1.2,
        movable=False,
        casts=False,
    )
    draft.slab(
        (-radius, radius), (-0.3, 0), (-2, depth + 0.2), ("pebbles", "tiles", "planks", "checker")
    )
    for z in np.arange(draft.uniform(3, 4.5), depth, draft.uniform(2, 3)):
        draft.hang(
            "arch",
            (0, radius * 0.75, z),
            (2 * radius, 1.7 * radius, 0.3),
            kinds=("bricks", "marble", "terrazzo"),
            movable=False,
        )
    draft.eye[:2] = draft.uniform(-0.2, 0.2), draft.uniform(1.0, 1.5)
    draft.spot[:] = draft.uniform(-0.3, 0.3), draft.uniform(2.0, 4.0)
    draft.heroes = ("barrel", "box", "pawn", "lamp", "rock", "car", "cone")
    draft.scatter(GOODS, 2, (0.4 - radius, radius - 0.4), (3, 8), (0.4, 0.9), 0.5)
    return draft.lamp(1.9, depth, draft.uniform(1.0, 1.6), draft.uniform(0.15, 0.3))


def garden(draft: Draft) -> Light:
    """A walled garden."""
    draft.land(("grass", "pebbles", "tiles"))
    depth, height = draft.uniform(6, 9), draft.uniform(1.2, 2.6)
    for x, z in (
        ((-5, 5), (depth, depth + 0.3)),
        ((-5.3, -5), (-1, depth)),
        ((5, 5.3), (-1, depth)),
    ):
        draft.slab(x, (0, height), z, ("bricks", "pebbles", "terrazzo"), saturation=0.4, casts=True)
    draft.eye[1] = draft.uniform(1.2, 1.8)
    draft.spot[:] = draft.uniform(-0.5, 0.5), draft.uniform(2.3, 4.2)
    draft.heroes = ("vase", "bush", "goblet", "chair", "table", "pawn", "tree", "rock")
    draft.scatter(
        ("bush", "tree", "vase", "rock", "table", "chair"),
        7,
        (-4, 4),
        (2.5, depth - 0.6),
        (0.5, 1.8),
        0.9,
    )
    return draft.sun()


def warehouse(draft: Draft) -> Light:
    """Stacks of crates in a hall."""
    depth = draft.uniform(7, 11)
    draft.enclose(
        7, 4, depth, walls=("stripes", "bricks", "tiles"), floor=("clouds", "terrazzo", "tiles")
    )
    for side in (-1, 1):
        for z in np.arange(2, depth - 1, 1.4):
            edge = draft.uniform(0.7, 1.1)
            for level in range(int(draft.rng.integers(1, 4))):
                draft.hang(
                    "box",
                    (side * draft.uniform(1.9, 2.2), (level + 0.5) * edge, z),
                    (edge,) * 3,
                    (0, draft.uniform(-0.15, 0.15), 0),
                    kinds=("planks", "wood", "weave", "diagonal"),
                    movable=False,
                )
    draft.eye[1] = draft.uniform(1.2, 2.0)
    draft.spot[:] = draft.uniform(-0.4, 0.4), draft.uniform(2.4, 4.5)
    draft.heroes = GOODS
    draft.scatter(GOODS, 3, (-1.3, 1.3), (3, depth - 1), (0.5, 1.2), 0.8)
    return draft.lamp(3.6, depth, draft.uniform(1.0, 1.5), draft.uniform(0.25, 0.4))


def desert(draft: Draft) -> Light:
    """Dunes with scattered stones and pyramids."""
    draft.sky = True
    sand = hue(draft.uniform(0.06, 0.13), draft.uniform(0.25, 0.55), 0.85)
    draft.hang(
        "hills",
        (0, 1.6, 0),
        (38, 4.0, 38),
        (0, draft.uniform(0, 6.28), 0),
        kinds=("clouds", "gradient"),
        colour=sand,
        period=4,
        movable=False,
        casts=False,
    )
    draft.hang(
        "dunes",
        (0, 0, 9),
        (30, draft.uniform(0.5, 1.2), 30),
        (0, draft.uniform(0, 6.28), 0),
        kinds=("clouds", "grass", "terrazzo"),
        colour=sand,
        period=2.5,
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


LAYOUTS: tuple[Callable[[Draft], Light], ...] = (
    bright_room, dim_room, corridor, table_top, street, field, columns, rooftops,
    floating, shelves, terraces, clutter, tunnel, garden, warehouse, desert,
)  # fmt: skip
FAMILIES: tuple[str, ...] = tuple(layout.__name__.replace("_", " ") for layout in LAYOUTS)
