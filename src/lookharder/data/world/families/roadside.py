"""Streets down to 80 metres, seen from the road or the pavement."""

from math import pi, radians

import numpy as np

from lookharder.data.world.families.props import PropDraft
from lookharder.data.world.families.shots import CameraView, heading
from lookharder.data.world.scene import Light


def boulevard(stage: PropDraft) -> Light:
    """A road between fronts, with cars, trees, people, down to 80 metres."""
    half, road = stage.uniform(4, 12), 0.0
    road = stage.uniform(2.5, min(half, 7))
    stage.spots = [(road, 0.0, 0.0)]
    stage.panel(
        (-90, 90),
        (-0.2, -0.02),
        (-20, 260),
        stage.plain(
            stage.tone(0.3, 0.7, 0.2) * np.array([0.9, 1, 0.7]), 0.4, ("grass", "clouds"), 4
        ),
    )
    stage.panel(
        (-road, road),
        (-0.1, 0.0),
        (-20, 260),
        stage.plain(
            stage.tone(0.25, 0.6, 0.06), 0.15, ("clouds", "terrazzo", "grass"), stage.uniform(2, 5)
        ),
    )
    for side in (-1, 1):
        kerb, wall = sorted((side * road, side * (half + 0.3)))
        stage.panel(
            (kerb, wall),
            (-0.1, 0.1),
            (-20, 260),
            stage.plain(stage.tone(0.4, 0.8, 0.08), 0.25, ("tiles", "bricks", "clouds"), 1.5),
        )
    if stage.chance(0.6):
        line = stage.plain(np.full(3, 0.88))
        for z in np.arange(-2, 70, 4.5).tolist():
            stage.panel((-0.08, 0.08), (0.0, 0.006), (z, z + 2), line)
    density = stage.rng.random()
    for side in (-1, 1):
        z = -8.0
        while z < 80:
            length, tall, back = stage.uniform(5, 16), stage.uniform(3, 15), stage.uniform(0, 2)
            if stage.chance(0.25 + 0.75 * density):
                x = side * (half + back + 5)
                if stage.chance(0.25):
                    stage.put("gabled house", x + side, z + length / 2, pi / 2, 0.0, movable=False)
                else:
                    stage.add(
                        "box",
                        (x, tall / 2, z + length / 2),
                        (10, tall, length),
                        0.0,
                        [stage.facade()],
                        movable=False,
                    )
                    if stage.chance(0.4):
                        stage.panel(
                            (x - 5.2, x + 5.2),
                            (tall, tall + 0.4),
                            (z - 0.2, z + length + 0.2),
                            stage.plain(stage.tone(0.2, 0.8, 0.1)),
                        )
            z += length + (stage.uniform(0, 5) if stage.chance(0.4) else 0.0)
    line_up(stage, road, half)
    return stage.sun()


def line_up(stage: PropDraft, road: float, half: float) -> None:
    """What stands and drives in a street."""
    rng = stage.rng
    for _ in range(int(rng.integers(1, 12))):
        parked = stage.chance(0.5)
        x = stage.pick((-1, 1)) * (road - 1.0 if parked else road * 0.45)
        turn = stage.pick((-pi / 2, pi / 2)) + float(rng.normal(0, 0.04))
        z = stage.uniform(4, 60)
        if stage.free((x - 1, x + 1, z - 2.6, z + 2.6)):
            stage.taken.append((x - 1, x + 1, z - 2.6, z + 2.6))
            stage.put(stage.model(stage.pick(("sedan", "sedan", "van"))), x, z, turn)
    for name, count, aside, along in (
        ("leafy tree", 12, (road + 1, half + 8), (4, 75)), ("hedge", 4, (road + 0.8, half + 4), (4, 40)),
        ("person", 6, (road * 0.5, half), (4, 35)), ("sign", 3, (road + 0.3, road + 0.6), (4, 35)),
        ("street lamp", 4, (road + 0.3, road + 0.7), (3, 60)), ("pole", 4, (road + 0.3, road + 1), (3, 40)),
        ("bin", 2, (road + 0.5, half), (3, 15)),
    ):  # fmt: skip
        for _ in range(int(rng.integers(0, count + 1))):
            side = stage.pick((-1, 1))
            turn = (0.0 if side < 0 else pi) if name == "street lamp" else stage.uniform(-pi, pi)
            model = stage.model(name)
            size = stage.size(
                model, stage.uniform(0.7, 1.6) if name in ("leafy tree", "hedge", "bin") else 1.0
            )
            stage.put(
                model,
                side * stage.uniform(*aside),
                stage.uniform(*along),
                turn,
                0.05,
                size,
                movable=name in ("person", "hedge", "bin"),
            )


def view_street(stage: PropDraft) -> CameraView:
    """Along the road or the pavement, at the height of eyes or a car's window."""
    road = stage.spots[0][0]
    eye = np.array(
        [
            stage.uniform(-1, 1) * (road + 1),
            max(0.8, stage.rng.normal(1.6, 0.25)),
            stage.uniform(-2, 8),
        ]
    )
    yaw, pitch = float(stage.rng.normal(0, 0.35)), radians(float(stage.rng.normal(-3, 4)))
    return eye, heading(yaw, pitch), radians(stage.uniform(40, 90))
