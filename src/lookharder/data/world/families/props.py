"""Furnishing scenes that are to look like photographs: plain surfaces, finishes, things along walls and on tops."""

from collections.abc import Sequence
from math import cos, pi, sin

import numpy as np

from lookharder.data.world.families.draft import Draft, Span, numbers, rotation
from lookharder.data.world.furniture import FACING, FINISHES, natural
from lookharder.data.world.library import library
from lookharder.data.world.meshes import Real
from lookharder.data.world.patterns import NAMES
from lookharder.data.world.scene import Body, Light, Material

WOODS = (
    (0.76, 0.58, 0.4),
    (0.5, 0.34, 0.22),
    (0.85, 0.72, 0.55),
    (0.3, 0.2, 0.14),
    (0.92, 0.9, 0.87),
)
LEAVES, BARK, SKIN = (0.3, 0.42, 0.18), (0.36, 0.28, 0.22), (0.75, 0.56, 0.46)
Top = tuple[float, float, float, float, float, float]  # x, z, turn, half width, half depth, height
Rectangle = tuple[float, float, float, float]  # x0, x1, z0, z1


class PropDraft(Draft):
    """A draft of a photograph.

    Attributes:
        taken: ground that is stood on; tops: where things may stand; bounds: the room's width, depth, height, if any.
        lamps: lights beside the first; spots: points that somebody might photograph from close by.
    """

    def __init__(self, rng: np.random.Generator, photos: int) -> None:
        super().__init__(rng, photos)
        self.taken: list[Rectangle] = []
        self.tops: list[Top] = []
        self.lamps: list[Light] = []
        self.spots: list[tuple[float, float, float]] = []
        self.bounds: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self.timber = np.array(self.pick(WOODS)) * self.uniform(0.8, 1.1)

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return bool(self.rng.random() < share)

    def tone(self, low: Real = 0.3, high: Real = 0.95, saturation: Real = 0.25) -> np.ndarray:
        """A muted colour, now and then a strong one."""
        amount = 0.6 * saturation * self.rng.random() * (3.0 if self.chance(0.12) else 1.0)
        wave = np.cos(self.uniform(0, 2 * pi) + np.array([0.0, 2.1, 4.2]))
        colour: np.ndarray = np.clip(self.uniform(low, high) * (1 + amount * wave), 0.03, 0.95)
        return colour

    def plain(
        self,
        colour: np.ndarray,
        contrast: Real = 0.03,
        kinds: tuple[str, ...] = ("clouds", "gradient"),
        period: Real = 1.0,
        glow: Real = 0.0,
    ) -> Material:
        """A colour with a faint pattern of some kind."""
        rows = np.stack(
            [
                contrast * colour,
                0.5 * contrast * colour,
                0.05 * colour,
                colour * (1 - 0.75 * contrast - 0.025),
            ],
            1,
        )
        return Material(
            texture=self.pick(numbers(kinds)),
            repeat=np.full(2, 1 / period),
            colour=rows,
            glow=float(glow),
        )

    def photo(self, repeat: np.ndarray, glow: Real = 0.0) -> Material:
        """A photograph, or a pattern where there is none."""
        if not self.photos:
            material = self.material(repeat)
            return Material(
                texture=material.texture,
                repeat=material.repeat,
                colour=material.colour,
                glow=float(glow),
            )
        gain = self.uniform(0.7, 1.0)
        colour = np.concatenate([gain * np.eye(3), np.full((3, 1), self.uniform(0, 0.06))], 1)
        return Material(
            texture=len(NAMES) + int(self.rng.integers(self.photos)),
            repeat=repeat,
            colour=colour,
            glow=float(glow),
        )

    def wood(self) -> Material:
        """Timber of the scene, or paint."""
        if self.chance(0.25):
            return self.plain(self.tone(0.3, 0.95, 0.2))
        colour = (
            self.timber
            if self.chance(0.65)
            else np.array(self.pick(WOODS)) * self.uniform(0.7, 1.1)
        )
        return self.plain(
            np.clip(colour, 0.03, 0.95),
            self.uniform(0.05, 0.35),
            ("wood", "planks", "grass"),
            self.uniform(0.4, 1.5),
        )

    def finish(self, kind: str, size: Sequence[float]) -> Material:
        """What covers a part of a model of that size."""
        if kind in FACING:
            fit = 1 / np.array(size[:2])
            if kind == "pane":
                return self.photo(fit, self.uniform(0.8, 6.0))
            if kind == "screen":
                return (
                    self.photo(fit, self.uniform(0.5, 2))
                    if self.chance(0.4)
                    else self.plain(np.full(3, 0.05))
                )
            return self.photo(fit)
        if kind == "photo wrap":
            return self.photo(np.full(2, 1 / max(size)))
        if kind == "wood":
            return self.wood()
        if kind == "fabric":
            loud = self.chance(0.2)
            cloth = (
                ("stripes", "checker", "weave", "dots", "diagonal")
                if loud
                else ("weave", "clouds", "grass")
            )
            return self.plain(
                self.tone(0.1, 0.9, 0.5), 0.5 if loud else 0.12, cloth, self.uniform(0.15, 0.8)
            )
        if kind == "books":
            return self.material(1 / self.uniform(0.25, 0.5), ("books",))
        if kind == "facade":
            return self.facade()
        plain = {
            "white": lambda: self.plain(self.tone(0.75, 0.95, 0.06)),
            "metal": lambda: self.plain(self.tone(0.08, 0.7, 0.08), 0.05),
            "paint": lambda: self.plain(self.tone(0.15, 0.95, 0.9), 0.06),
            "gloss": lambda: self.plain(self.tone(0.05, 0.9, 0.6), 0.04),
            "shade": lambda: self.plain(self.tone(0.8, 0.95, 0.15), 0.03, glow=self.pick((0.3, 1.0, 4.0))),
            "stone": lambda: self.plain(self.tone(0.2, 0.85, 0.15), 0.2, ("marble", "terrazzo", "clouds"), 0.6),
            "leaf": lambda: self.plain(np.array(LEAVES) * self.uniform(0.6, 1.5), 0.9, ("pebbles", "grass",
                "terrazzo"), self.uniform(0.4, 1.0)),
            "bark": lambda: self.plain(np.array(BARK) * self.uniform(0.7, 1.3), 0.4, ("grass",), 0.5),
            "glass": lambda: self.plain(np.array([0.12, 0.14, 0.16]) * self.uniform(0.6, 2.2), 0.4, ("gradient",
                "clouds"), 2.0),
            "tyre": lambda: self.plain(np.full(3, 0.07)),
            "tile": lambda: self.plain(np.array([0.55, 0.3, 0.22]) * self.uniform(0.5, 1.2), 0.3, ("tiles",
                "bricks", "planks"), 1.5),
            "skin": lambda: self.plain(np.array(SKIN) * self.uniform(0.4, 1.15)),
        }  # fmt: skip
        return plain[kind]()

    def facade(self) -> Material:
        """A front with windows, or a photograph of anything."""
        if self.photos and self.chance(0.12):
            return self.photo(np.full(2, 1 / self.uniform(4, 9)))
        wall, pane = self.tone(0.4, 0.95, 0.3), self.tone(0.08, 0.35, 0.2)
        rows = np.stack([wall - pane, 0.25 * np.ones(3), 0.06 * wall, pane - 0.125], 1)
        return Material(
            texture=self.pick(numbers(("windows",))),
            repeat=np.full(2, 1 / self.uniform(8, 14)),
            colour=rows,
        )

    def add(
        self,
        mesh: str,
        centre: Sequence[Real],
        size: Sequence[Real],
        turn: Real,
        materials: Sequence[Material],
        *,
        movable: bool = True,
    ) -> None:
        """A body, turned about the vertical."""
        pose, point = rotation((0.0, turn, 0.0)), np.array([float(value) for value in centre])
        self.bodies.append(
            Body(
                mesh=mesh, size=np.array([float(length) for length in size]), rotation=np.array([pose, pose]),
                position=np.array([point, point]), material=materials[0], others=tuple(materials[1:]),
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
        size: np.ndarray = np.array(natural()[name]) * scale * jitter
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
        finishes = [self.finish(kind, lengths.tolist()) for kind in FINISHES[name]]
        self.add(
            name,
            (x, float(base) + lengths[1] / 2, z),
            lengths.tolist(),
            turn,
            finishes,
            movable=movable,
        )
        return lengths

    def thing(self, name: str, x: Real, z: Real, base: Real, height: Real) -> float:
        """A small thing on a top: a model of the household, or a turned or joined shape; its radius."""
        if name in FINISHES:
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
