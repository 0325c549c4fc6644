"""A scene in the making: the tools that the families build with.

The camera stands near x = z = 0 and looks along +z, y is up, and lengths are metres. Colours are drawn from a palette
of the scene's own: one hue, its neighbours and its opposites.
"""

from collections.abc import Sequence
from functools import cache
from math import cos, pi, sin, sqrt
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from lookharder.data.world.library import library
from lookharder.data.world.meshes import Real
from lookharder.data.world.patterns import NAMES
from lookharder.data.world.scene import Body, Light, Material

Choice = TypeVar("Choice")
Span = tuple[Real, Real]
Colour = tuple[float, float, float]

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
SOLIDS = (
    "box", "sphere", "cylinder", "cone", "capsule", "torus", "pyramid", "octahedron", "hexagon", "gem", "wedge",
    "star", "gear", "cross",
)  # fmt: skip
TABLEWARE = (
    "vase", "bottle", "goblet", "pawn", "box", "sphere", "cylinder", "barrel", "torus", "capsule", "cone", "gem",
    "house", "lamp",
)  # fmt: skip
OUTDOOR = ("tree", "bush", "rock", "boulder", "barrel", "house", "cone", "box", "pawn", "arch")
STREET = ("car", "tree", "bush", "barrel", "box", "lamp", "cone", "tower", "pawn")
GOODS = ("box", "barrel", "hexagon", "cylinder", "stairs", "wedge", "table")


def rotation(vector: Sequence[Real] | np.ndarray) -> Float[np.ndarray, "3 3"]:
    """Rotation by |vector| radians about vector (Rodrigues)."""
    x, y, z = (float(value) for value in vector)
    angle = sqrt(x * x + y * y + z * z)
    if angle < 1e-9:
        return np.eye(3)
    x, y, z, c, s = x / angle, y / angle, z / angle, cos(angle), sin(angle)
    d = 1 - c
    return np.array(
        [
            [c + x * x * d, x * y * d - z * s, x * z * d + y * s],
            [y * x * d + z * s, c + y * y * d, y * z * d - x * s],
            [z * x * d - y * s, z * y * d + x * s, c + z * z * d],
        ]
    )


def hue(h: Real, saturation: Real, value: Real) -> Colour:
    """Display colour from hue, saturation and value in [0, 1]."""

    def part(shift: int) -> float:
        ramp = min(max(abs((6 * h + shift) % 6 - 3) - 1, 0.0), 1.0)
        return value * (1 - saturation * (1 - ramp))

    return part(0), part(4), part(2)


@cache
def numbers(kinds: tuple[str, ...]) -> tuple[int, ...]:
    """Textures of some kinds, all for none."""
    return tuple(number for number, name in enumerate(NAMES) if not kinds or name in kinds)


class Draft:
    """What a family furnishes; `photos` more textures than the procedural ones may be used.

    Attributes:
        bodies: so far; movable says which of them may move.
        ground: height of what the hero stands on; afloat: whether it stands on nothing.
        eye: (3,) the camera; spot: (2,) x and z of the hero; heroes: what it may be.
    """

    def __init__(self, rng: np.random.Generator, photos: int) -> None:
        self.rng, self.photos = rng, photos
        self.bodies: list[Body] = []
        self.movable: list[bool] = []
        self.ground, self.afloat = 0.0, False
        self.eye, self.spot = np.array([0.0, 1.4, 0.0]), np.array([0.0, 3.0])
        self.heroes: tuple[str, ...] = SOLIDS
        self.hue = float(rng.uniform())

    def uniform(self, low: Real, high: Real) -> float:
        """A number between."""
        return low + (high - low) * self.rng.random()

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of some."""
        return choices[int(self.rng.integers(len(choices)))]

    def material(
        self, repeat: Real | np.ndarray, kinds: tuple[str, ...] = (), colour: Colour | None = None
    ) -> Material:
        """A pattern of these kinds, or a photograph, in `colour` or one of the palette."""
        draw = self.rng.random(10).tolist()
        near = (self.hue + self.pick((0.0, 0.08, 0.33, 0.5, 0.58)) + 0.08 * (draw[0] - draw[1])) % 1
        base = (
            hue(near, 0.75 * (draw[2] + draw[3]) / 2, 0.6 + 0.4 * draw[4])
            if colour is None
            else colour
        )
        if self.photos and draw[5] < 0.5:
            texture = len(NAMES) + int(self.rng.integers(self.photos))
            gain, lift = 0.8 + 0.2 * draw[6], 0.08 * draw[7]
            gains = [gain * (0.75 + 0.25 * part / max(base)) for part in base]
            rows = [[gains[0], 0, 0, lift], [0, gains[1], 0, lift], [0, 0, gains[2], lift]]
        else:
            texture = self.pick(numbers(kinds))
            other = hue(
                (near + self.pick((0.0, 0.05, 0.5))) % 1, 0.7 * draw[6], 0.12 + 0.4 * draw[7]
            )
            if draw[5] > 0.85:
                base, other = other, base
            cell, grain = 0.12 + 0.18 * draw[8], 0.16 + 0.14 * draw[9]
            rows = []
            for b, o in zip(base, other, strict=True):
                c, g = cell * (b + 0.2), grain * (b + 0.3)
                rows.append([b - o, c, g, o - (c + g) / 2])
        return Material(texture=texture, repeat=np.zeros(2) + repeat, colour=np.array(rows))

    def place(
        self,
        mesh: str,
        centre: Sequence[Real],
        size: Sequence[Real],
        turn: Sequence[Real] = (0.0, 0.0, 0.0),
        *,
        kinds: tuple[str, ...] = (),
        colour: Colour | None = None,
        period: Real | None = None,
        movable: bool = True,
        casts: bool = True,
    ) -> None:
        """Put a body somewhere; `period` of its texture is in metres, by its size when not given."""
        width, height, depth = (float(length) for length in size)
        around = pi * (width + depth) / 2
        if not library().meshes[mesh].wrapped:
            repeat = 1 / period if period else self.uniform(0.6, 1.6) / max(width, height, depth)
            material = self.material(repeat, kinds, colour)
        else:  # whole periods round the body
            turns = max(1, round(around / period)) if period else int(self.rng.integers(1, 4))
            material = self.material(np.array([turns, turns * height / around]), kinds, colour)
        pose, point = rotation(turn), [float(value) for value in centre]
        self.bodies.append(
            Body(
                mesh=mesh,
                size=np.array([width, height, depth]),
                rotation=np.array([pose, pose]),
                position=np.array([point, point]),
                material=material,
                casts=casts,
            )
        )
        self.movable.append(movable)

    def stand(self, mesh: str, x: Real, z: Real, height: Real, ground: Real | None = None) -> None:
        """Put a thing of natural proportions on the ground, turned at will."""
        scale = self.rng.uniform(0.85, 1.15, 3) * height
        size = [
            a * b
            for a, b in zip(PROPORTIONS.get(mesh, (1.0, 1.0, 1.0)), scale.tolist(), strict=True)
        ]
        base = self.ground if ground is None else ground
        self.place(mesh, (x, base + size[1] / 2, z), size, (0, self.uniform(-pi, pi), 0))

    def scatter(
        self, names: Sequence[str], count: int, x: Span, z: Span, height: Span, clear: Real
    ) -> None:
        """Stand things about, but not in the lane of half width `clear` from the eye to the hero."""
        for _ in range(count):
            px, pz = self.uniform(*x), self.uniform(*z)
            lane = self.eye[0] + (self.spot[0] - self.eye[0]) * min(1.0, pz / self.spot[1])
            if pz < self.spot[1] + clear and abs(px - lane) < clear:
                px = lane + clear * (1.2 if px > lane else -1.2)
            if x[0] <= px <= x[1]:
                self.stand(self.pick(names), px, pz, self.uniform(*height))

    def slab(
        self,
        x: Span,
        y: Span,
        z: Span,
        kinds: tuple[str, ...],
        tone: Span = (0.3, 0.75),
        period: Real = 1.5,
        *,
        casts: bool = False,
    ) -> None:
        """A still box between coordinates: floor, wall or building; `tone` is saturation and value."""
        centre, size = [sum(span) / 2 for span in (x, y, z)], [b - a for a, b in (x, y, z)]
        colour = hue((self.hue + self.uniform(-0.1, 0.1)) % 1, *tone)
        period *= self.uniform(0.7, 1.3)
        self.place(
            "box",
            centre,
            size,
            kinds=kinds,
            colour=colour,
            period=period,
            movable=False,
            casts=casts,
        )

    def lamp(self, height: Real, depth: Real, power: Span, ambient: Span) -> Light:
        """A lamp inside a room."""
        tint = 1 + self.rng.normal(0, 0.06, 3)
        tone = self.uniform(*ambient) * (1 + self.rng.normal(0, 0.05, 3))
        return Light(
            position=np.array([self.uniform(-1, 1), height, self.uniform(0.1, 0.75) * depth]),
            colour=self.uniform(*power) * tint * [1.0, 0.97, 0.9],
            reach=max(2.0, 0.6 * depth),
            above=tone,
            below=0.7 * tone,
        )

    def sun(self) -> Light:
        """A sun at any hour: low and warm, or high and white."""
        rise, azimuth = self.uniform(0.35, 1.2), self.uniform(0, 2 * pi)
        above = np.array([0.4, 0.44, 0.52]) * self.uniform(0.7, 1.2)
        warm = np.array([1.0, 0.82 + 0.15 * sin(rise), 0.6 + 0.32 * sin(rise)])
        return Light(
            position=300
            * np.array([cos(rise) * sin(azimuth), sin(rise), cos(rise) * cos(azimuth)]),
            colour=self.uniform(0.8, 1.3) * warm,
            reach=1e6,
            above=above,
            below=0.65 * above,
        )
