"""What surfaces of photographed scenes are covered with: plain colours, timber, cloth, photographs."""

from collections.abc import Sequence
from math import pi

import numpy as np

from lookharder.data.world.families.draft import Draft, numbers
from lookharder.data.world.furniture import FACING, FINISHES
from lookharder.data.world.meshes import Real
from lookharder.data.world.pack import Pack
from lookharder.data.world.patterns import NAMES
from lookharder.data.world.scene import Material

WOODS = (
    (0.76, 0.58, 0.4),
    (0.5, 0.34, 0.22),
    (0.85, 0.72, 0.55),
    (0.3, 0.2, 0.14),
    (0.92, 0.9, 0.87),
)
LEAVES, BARK, SKIN = (0.3, 0.42, 0.18), (0.36, 0.28, 0.22), (0.75, 0.56, 0.46)
REDONE = 0.3  # of the models of a pack are in other colours than their makers gave them


class FinishDraft(Draft):
    """A draft whose surfaces look like those of real things; `pack` has models beside the built-in ones."""

    def __init__(self, rng: np.random.Generator, photos: int, pack: Pack | None = None) -> None:
        super().__init__(rng, photos)
        self.pack = Pack(()) if pack is None else pack
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

    def covers(self, name: str, lengths: np.ndarray) -> list[Material]:
        """What covers each part of a model of that size."""
        if name not in self.pack:
            return [self.finish(kind, lengths.tolist()) for kind in FINISHES[name]]
        redone = self.tone(0.15, 0.95, 0.5) if self.chance(REDONE) else None
        result = []
        for colour in self.pack[name].colours:
            shade = np.array(colour) * self.uniform(0.8, 1.15)
            if redone is not None:  # as bright as it was, in another colour
                shade = redone * shade.mean() / max(redone.mean(), 0.1)
            kinds = ("clouds", "weave", "wood", "gradient", "grass")
            result.append(
                self.plain(np.clip(shade, 0.03, 0.95), self.uniform(0.02, 0.3), kinds, 0.5)
            )
        return result
