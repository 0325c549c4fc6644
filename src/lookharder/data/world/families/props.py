"""Furnishing scenes that are to look like photographs: things along walls, in the middle and on tops."""

from collections.abc import Sequence
from math import cos, pi, sin

import numpy as np

from lookharder.data.world.families.draft import Span, rotation
from lookharder.data.world.families.finishes import FinishDraft
from lookharder.data.world.furniture import FINISHES, natural
from lookharder.data.world.library import library
from lookharder.data.world.meshes import Mesh, Real
from lookharder.data.world.pack import Pack
from lookharder.data.world.scene import Body, Light, Material

PACKED = 0.75  # of the pieces that a pack has a model for are one of its models
Top = tuple[float, float, float, float, float, float]  # x, z, turn, half width, half depth, height
Rectangle = tuple[float, float, float, float]  # x0, x1, z0, z1


class PropDraft(FinishDraft):
    """A draft of a photograph.

    Attributes:
        taken: ground that is stood on; tops: where things may stand; bounds: the room's width, depth, height, if any.
        lamps: lights beside the first; spots: points that somebody might photograph from close by.
    """

    def __init__(self, rng: np.random.Generator, photos: int, pack: Pack | None = None) -> None:
        super().__init__(rng, photos, pack)
        self.taken: list[Rectangle] = []
        self.tops: list[Top] = []
        self.lamps: list[Light] = []
        self.spots: list[tuple[float, float, float]] = []
        self.bounds: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def model(self, role: str) -> str:
        """The name of a model for a role: that of a pack, ROLE/NAME, or what is built in, ROLE itself."""
        names = self.pack.roles.get(role, ())
        if names and (role not in FINISHES or self.chance(PACKED)):
            return self.pick(names)
        return role

    def measures(self, name: str) -> np.ndarray:
        """Width, height and depth of a model, metres."""
        return np.array(self.pack[name].size if name in self.pack else natural()[name])

    def top(self, name: str) -> float:
        """How high things stand on a model, as a share of its height."""
        return self.pack[name].top if name in self.pack else 1.0

    def add(
        self,
        mesh: str,
        centre: Sequence[Real],
        size: Sequence[Real],
        turn: Real,
        materials: Sequence[Material],
        *,
        movable: bool = True,
        model: Mesh | None = None,
    ) -> None:
        """A body, turned about the vertical."""
        pose, point = rotation((0.0, turn, 0.0)), np.array([float(value) for value in centre])
        self.bodies.append(
            Body(
                mesh=mesh, size=np.array([float(length) for length in size]), rotation=np.array([pose, pose]),
                position=np.array([point, point]), material=materials[0], others=tuple(materials[1:]), model=model,
            )
        )  # fmt: skip
        self.movable.append(movable)

    def panel(self, x: Span, y: Span, z: Span, material: Material) -> None:
        """A still box between coordinates."""
        self.add(
            "box",
            [sum(s) / 2 for s in (x, y, z)],
            [max(b - a, 1e-3) for a, b in (x, y, z)],
            0.0,
            [material],
            movable=False,
        )

    def size(self, name: str, scale: Real = 1.0) -> np.ndarray:
        """Drawn measures of a model."""
        jitter = self.rng.uniform(0.88, 1.14, 3)
        size: np.ndarray = self.measures(name) * scale * jitter
        return size

    def put(
        self,
        name: str,
        x: Real,
        z: Real,
        turn: Real,
        base: Real = 0.0,
        size: np.ndarray | None = None,
        *,
        movable: bool = True,
    ) -> np.ndarray:
        """A model with its finishes, its lowest point at the height `base`."""
        lengths = self.size(name) if size is None else size
        self.add(
            name,
            (x, float(base) + lengths[1] / 2, z),
            lengths.tolist(),
            turn,
            self.covers(name, lengths),
            movable=movable,
            model=self.pack[name].mesh if name in self.pack else None,
        )
        return lengths

    def thing(self, name: str, x: Real, z: Real, base: Real, height: Real) -> float:
        """A small thing on a top: a model of the household, or a turned or joined shape; its radius."""
        if name in FINISHES or name in self.pack:
            lengths = self.put(name, x, z, self.uniform(-pi, pi), base)
        else:
            lengths = height * self.rng.uniform((0.4, 0.7, 0.4), (0.9, 1.3, 0.9))
            wrapped = library().meshes[name].wrapped
            repeat = np.array([2.0, 1.0]) if wrapped else np.full(2, 1 / height)
            material = (
                self.photo(repeat)
                if self.chance(0.35)
                else self.plain(self.tone(0.1, 0.95, 0.7), 0.08)
            )
            if wrapped and not self.photos:
                material = self.plain(self.tone(0.1, 0.95, 0.7), 0.08)
            self.add(
                name,
                (x, float(base) + lengths[1] / 2, z),
                lengths.tolist(),
                self.uniform(-pi, pi),
                [material],
            )
        self.spots.append((float(x), float(base) + float(lengths[1]) / 2, float(z)))
        return float(np.hypot(lengths[0], lengths[2])) / 2

    def free(self, box: Rectangle, gap: float = 0.03) -> bool:
        """Whether nothing stands there yet."""
        return all(
            box[1] + gap <= other[0]
            or other[1] + gap <= box[0]
            or box[3] + gap <= other[2]
            or other[3] + gap <= box[2]
            for other in self.taken
        )

    def claim(self, name: str, x: Real, z: Real, turn: Real, size: np.ndarray) -> bool:
        """Put a model on the floor where it is free and inside the room; its top may bear things."""
        c, s = abs(cos(turn)), abs(sin(turn))
        half_x, half_z = (size[0] * c + size[2] * s) / 2, (size[0] * s + size[2] * c) / 2
        box = (float(x - half_x), float(x + half_x), float(z - half_z), float(z + half_z))
        width, depth, _ = self.bounds
        if box[0] < 0 or box[1] > width or box[2] < 0 or box[3] > depth or not self.free(box):
            return False
        self.taken.append(box)
        self.put(name, x, z, turn, 0.0, size)
        return True
