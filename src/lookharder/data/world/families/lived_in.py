"""Rooms that somebody lives or works in: plain walls with windows, doors and pictures, furniture along them."""

from math import cos, pi, radians, sin

import numpy as np

from lookharder.data.world.families.props import PropDraft
from lookharder.data.world.families.shots import CameraView, bulb, close_view, heading, set_out
from lookharder.data.world.families.walls import hang, shell, wall_place
from lookharder.data.world.scene import Light

TOPS = (
    "dining table",
    "round table",
    "side table",
    "desk",
    "sideboard",
    "chest",
    "kitchen unit",
    "stool",
)
ALONG = (
    "couch",
    "armchair",
    "bed",
    "sideboard",
    "wardrobe",
    "chest",
    "bookcase",
    "desk",
    "seat",
    "potted plant",
    "floor lamp",
    "fridge",
)
FREE = (
    "armchair",
    "round table",
    "dining table",
    "side table",
    "seat",
    "swivel chair",
    "stool",
    "potted plant",
    "bin",
    "couch",
)


def furnish(stage: PropDraft) -> None:
    """Furniture along the walls and in the middle, chairs at tables, things on tops."""
    width, depth, height = stage.bounds
    kitchen = stage.chance(0.2)
    if kitchen:
        wall, at = int(stage.rng.integers(4)), 0.4
        while at < (width if wall < 2 else depth) - 0.4:
            name = "fridge" if stage.chance(0.12) else "kitchen unit"
            model = stage.model(name)
            size = stage.measures(model)
            x, z, turn = wall_place(stage, wall, at, float(size[2]) / 2 + 0.01)
            if stage.claim(model, x, z, turn, size) and name == "kitchen unit":
                stage.tops.append((x, z, turn, 0.28, 0.26, float(size[1])))
                if stage.chance(0.7) and height > 2.15:
                    model = stage.model("wall unit")
                    hung = stage.measures(model)
                    away = 0.18 if model == "wall unit" else float(hung[2]) / 2 + 0.01
                    px, pz, turn = wall_place(stage, wall, at, away)
                    stage.put(model, px, pz, turn, 1.4, hung)
            at += float(size[0]) + 0.005
    standing = ("standing",) * 2 if "standing" in stage.pack.roles else ()
    along_walls, in_the_middle = ALONG + standing, FREE + standing
    most = int(stage.rng.integers(3, 15))
    for _ in range(2 * most):
        if len(stage.taken) > most:
            break
        if stage.chance(0.7):
            name, wall = stage.model(stage.pick(along_walls)), int(stage.rng.integers(4))
            size = stage.size(name)
            length = width if wall < 2 else depth
            if size[0] > length - 0.1:
                continue
            along = stage.uniform(size[0] / 2, length - size[0] / 2)
            x, z, turn = wall_place(
                stage, wall, along, float(size[2]) / 2 + stage.uniform(0.01, 0.1)
            )
        else:
            name = stage.model(stage.pick(in_the_middle))
            size = stage.size(name)
            x, z, turn = (
                stage.uniform(0.5, width - 0.5),
                stage.uniform(0.5, depth - 0.5),
                stage.uniform(-pi, pi),
            )
        if not stage.claim(name, x, z, turn, size):
            continue
        settle(stage, name, x, z, turn, size)
    set_out(stage, stage.tops, 5)
    for _ in range(int(stage.rng.integers(0, 4))):
        stage.thing(
            stage.pick(("carton", "book", "bin", "cushion", "box", "sphere")),
            stage.uniform(0.2, width - 0.2),
            stage.uniform(0.2, depth - 0.2),
            0.0,
            stage.uniform(0.1, 0.4),
        )
    if stage.chance(0.12):
        x, z = stage.uniform(0.6, width - 0.6), stage.uniform(0.6, depth - 0.6)
        if stage.free((x - 0.25, x + 0.25, z - 0.25, z + 0.25)):
            stage.put(stage.model("person"), x, z, stage.uniform(-pi, pi))


def settle(stage: PropDraft, piece: str, x: float, z: float, turn: float, size: np.ndarray) -> None:
    """What belongs to a piece of furniture: its top, chairs round it, a screen, cushions."""
    half_x, half_z, top = 0.42 * size[0], 0.42 * size[2], float(size[1]) * stage.top(piece)
    name = piece.partition("/")[0]
    if name == "round table":
        half_x, half_z = 0.3 * size[0], 0.3 * size[2]
    if name in TOPS:
        stage.tops.append((x, z, turn, half_x, half_z, top))
    if name in ("sideboard", "desk") and stage.chance(0.5):
        screen = "television" if name == "sideboard" else "monitor"
        stage.put(stage.model(screen), x, z, turn, top)
        stage.tops.pop()
    if name in ("dining table", "round table", "desk"):
        around = ((0.0, -1.0), (0.0, 1.0), (1.0, 0.3), (-1.0, -0.2), (0.5, 1.0), (-0.5, -1.0))
        for a, b in around[: 1 if name == "desk" else int(stage.rng.integers(1, 7))]:
            reach_x, reach_z = (
                a * (size[0] / 2 + 0.18 * (abs(a) == 1)),
                b * (size[2] / 2 + 0.2 * (abs(b) == 1)),
            )
            px, pz = (
                x + reach_x * cos(turn) + reach_z * sin(turn),
                z - reach_x * sin(turn) + reach_z * cos(turn),
            )
            facing = (
                turn
                + (pi / 2 * a if abs(a) == 1 else (0.0 if b > 0 else pi))
                + stage.uniform(-0.3, 0.3)
            )
            width, depth, _ = stage.bounds
            if 0.25 < px < width - 0.25 and 0.25 < pz < depth - 0.25:
                chair = "swivel chair" if name == "desk" else "seat"
                stage.put(stage.model(chair), px, pz, facing)
    if name == "couch" and stage.chance(0.6):
        for side in (-0.28, 0.3):
            px, pz = x + side * size[0] * cos(turn), z - side * size[0] * sin(turn)
            seat = 0.53 * float(size[1]) if stage.top(piece) == 1 else top
            stage.put("cushion", px, pz, stage.uniform(-pi, pi), seat)


def furnished_room(stage: PropDraft) -> Light:
    """A room that somebody lives or works in."""
    stage.bounds = width, depth, height = (
        stage.uniform(2.6, 7),
        stage.uniform(3, 8.5),
        stage.uniform(2.3, 3.1),
    )
    day = stage.chance(0.65)
    shell(stage)
    hang(stage, day)
    if stage.chance(0.4):
        x, z, a, b = (
            stage.uniform(0.8, width - 0.8),
            stage.uniform(0.8, depth - 0.8),
            stage.uniform(0.6, 1.4),
            stage.uniform(0.5, 1.1),
        )
        rug = (
            stage.photo(np.full(2, 1 / stage.uniform(1, 2)))
            if stage.chance(0.4)
            else stage.finish("fabric", [1.0])
        )
        stage.panel(
            (max(0.02, x - a), min(width - 0.02, x + a)),
            (0, 0.012),
            (max(0.02, z - b), min(depth - 0.02, z + b)),
            rug,
        )
    furnish(stage)
    for _ in range(int(stage.rng.integers(1, 3))):
        place = np.array(
            [
                stage.uniform(0.2, 0.8) * width,
                height - stage.uniform(0.25, 0.5),
                stage.uniform(0.2, 0.8) * depth,
            ]
        )
        if stage.chance(0.5):
            stage.put("ceiling lamp", place[0], place[2], 0.0, height - 0.5)
            place[1] = height - 0.56
        stage.lamps.append(
            bulb(
                stage,
                place,
                stage.uniform(0.3, 1.0) if day else stage.uniform(0.7, 1.6),
                1.2 + 0.4 * max(width, depth),
                0.12,
            )
        )
    ambient = stage.uniform(0.15, 0.55) * (1 + stage.rng.normal(0, 0.04, 3))
    return Light(
        position=np.array([width / 2, height - 0.1, depth / 2]),
        colour=0.25 * ambient,
        reach=3.0,
        radius=0.6,
        above=ambient,
        below=ambient * stage.uniform(0.5, 0.9),
    )


def view_room(stage: PropDraft) -> CameraView:
    """From somewhere in the room at the height of a person across it, or close to something."""
    width, depth, height = stage.bounds
    fov = radians(stage.uniform(45, 88))
    if stage.spots and stage.chance(0.2):
        return close_view(stage, (0.5, 1.5), (0.1, 0.9), fov)
    tall = stage.rng.normal(1.45, 0.2) if stage.chance(0.7) else stage.uniform(0.5, 1.3)
    eye = np.array(
        [
            stage.uniform(0.25, width - 0.25),
            min(tall, height - 0.3),
            stage.uniform(0.25, depth - 0.25),
        ]
    )
    centre = np.array([width / 2, 0, depth / 2]) + stage.rng.normal(0, 0.8, 3)
    yaw = np.arctan2(centre[0] - eye[0], centre[2] - eye[2]) + stage.rng.normal(0, 0.5)
    pitch = np.radians(np.clip(stage.rng.normal(-12, 12), -55, 18))
    return eye, heading(yaw, pitch), fov
