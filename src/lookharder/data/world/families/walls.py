"""The walls of a room and what hangs on them."""

from math import pi

import numpy as np

from lookharder.data.world.families.props import PropDraft
from lookharder.data.world.families.shots import bulb
from lookharder.data.world.scene import Material


def wall_place(
    stage: PropDraft, wall: int, along: float, inward: float
) -> tuple[float, float, float]:
    """x, z and turn of something whose back is to a wall."""
    width, depth, _ = stage.bounds
    return (
        (along, depth - inward, 0.0), (along, inward, pi), (width - inward, along, pi / 2), (inward, along, -pi / 2),
    )[wall]  # fmt: skip


def shell(stage: PropDraft) -> None:
    """Floor, walls, ceiling and skirting of the room; most walls are painted plain and alike."""
    width, depth, height = stage.bounds
    floor = (
        stage.wood()
        if stage.chance(0.5)
        else stage.plain(
            stage.tone(0.2, 0.85, 0.3),
            stage.pick((0.06, 0.15, 0.4)),
            stage.pick((("clouds", "grass"), ("tiles",), ("checker",), ("marble",))),
            stage.uniform(0.8, 2.4),
        )
    )
    stage.panel((-0.1, width + 0.1), (-0.1, 0), (-0.1, depth + 0.1), floor)
    stage.panel(
        (-0.1, width + 0.1),
        (height, height + 0.1),
        (-0.1, depth + 0.1),
        stage.plain(stage.tone(0.75, 0.95, 0.05)),
    )
    paint, skirting = stage.tone(0.5, 0.95, 0.25), stage.chance(0.6)
    trim = stage.plain(stage.tone(0.3, 0.95, 0.06))
    for wall in range(4):
        draw = stage.rng.random()
        colour = paint if stage.chance(0.8) else stage.tone(0.3, 0.95, 0.5)
        surface: Material = stage.plain(colour, 0.04, period=2.5)
        if draw > 0.94:
            surface = stage.photo(np.full(2, 1 / stage.uniform(1, 3)))
        elif draw > 0.84:
            surface = stage.plain(
                colour, 0.3, ("bricks", "tiles", "stripes", "planks"), stage.uniform(0.5, 1.5)
            )
        for y, thick, cover in (
            ((0.0, height), 0.0, surface),
            ((0.0, stage.uniform(0.06, 0.13)), 0.015, trim),
        ):
            if thick and not skirting:
                continue
            x = ((0, width), (0, width), (width - thick, width + 0.1), (-0.1, thick))[wall]
            z = ((depth - thick, depth + 0.1), (-0.1, thick), (0, depth), (0, depth))[wall]
            stage.panel(x, y, z, cover)


def hang(stage: PropDraft, open_to_day: bool) -> None:
    """Doors, windows with curtains and radiators, pictures, each on its stretch of wall."""
    width, depth, height = stage.bounds
    for wall in range(4):
        length, at = (width if wall < 2 else depth), 0.2
        while at < length - 0.6:
            kind = stage.pick(
                (
                    "window",
                    "picture",
                    "door",
                    "none",
                    "none",
                    "wall unit" if stage.chance(0.3) else "picture",
                )
            )
            if kind == "none":
                at += stage.uniform(0.4, 1.5)
                continue
            size = stage.size(
                kind, 1.0 if kind in ("door", "wall unit") else stage.uniform(0.5, 1.5)
            )
            low = {"door": 0.0, "window": stage.uniform(0.75, 1.1), "wall unit": 1.35}.get(
                kind, stage.uniform(1.1, 1.6)
            )
            if at + size[0] > length - 0.1 or low + size[1] > height - 0.1:
                at += 0.3
                continue
            x, z, turn = wall_place(stage, wall, at + size[0] / 2, size[2] / 2)
            if kind == "window" and not open_to_day and stage.chance(0.7):
                kind = "picture"
                size[2] = 0.03
            stage.put(kind, x, z, turn, low, size, movable=kind in ("picture", "wall unit"))
            if kind == "window":
                dress(stage, wall, at, low, size)
            elif kind == "door":  # nothing stands before it
                box = (x - 0.5, x + 0.5, z - 0.5, z + 0.5)
                stage.taken.append(box)
            at += size[0] + stage.uniform(0.2, 1.0)


def dress(stage: PropDraft, wall: int, at: float, low: float, size: np.ndarray) -> None:
    """The light of a window, and curtains and a radiator about it."""
    x, z, _ = wall_place(stage, wall, at + size[0] / 2, 0.35)
    if len(stage.lamps) < 2:
        tint = np.array([0.9, 0.97, 1.06])
        stage.lamps.append(
            bulb(
                stage,
                np.array([x, low + size[1] / 2, z]),
                stage.uniform(0.8, 2.6),
                stage.uniform(1.0, 2.6),
                0.3,
                tint,
            )
        )
    if stage.chance(0.5):
        cloth = stage.plain(stage.tone(0.4, 0.95, 0.4), 0.15, ("weave", "stripes", "clouds"), 0.6)
        for side in (at - 0.12, at + size[0] + 0.12):
            px, pz, turn = wall_place(stage, wall, side, 0.16)
            top = low + size[1] + 0.15
            stage.add("curtain", (px, top / 2 + 0.02, pz), (0.45, top, 0.13), turn, [cloth])
    if stage.chance(0.35):
        px, pz, turn = wall_place(stage, wall, at + size[0] / 2, 0.1)
        stage.put("radiator", px, pz, turn, 0.1)
