"""Things on a table close by, and the room behind."""

from math import radians

import numpy as np

from lookharder.data.world.families.lived_in import ALONG
from lookharder.data.world.families.props import PropDraft
from lookharder.data.world.families.shots import CameraView, bulb, close_view, set_out
from lookharder.data.world.scene import Light


def set_table(stage: PropDraft) -> Light:
    """Things on a table close by, a room behind."""
    width, depth = stage.uniform(0.9, 2.2), stage.uniform(0.6, 1.4)
    floor = -stage.uniform(0.4, 0.95)
    _place_top(stage, width, depth, floor)
    back = _build_room(stage, depth, floor)
    spread = stage.uniform(0.5, 1.0)
    for _ in range(3):
        set_out(stage, [(0.0, 0.0, 0.0, spread * width / 2, spread * depth / 2, 0.0)], 6)
    stage.spots = stage.spots or [(0.0, 0.1, 0.0)]
    for _ in range(int(stage.rng.integers(1, 3))):
        place = np.array(
            [
                stage.uniform(-1.8, 1.8),
                stage.uniform(0.8, 2.2),
                stage.uniform(-2, min(1.5, back - 0.2)),
            ]
        )
        stage.lamps.append(
            bulb(
                stage, place, stage.uniform(0.5, 1.8), stage.uniform(1, 3), stage.uniform(0.05, 0.3)
            )
        )
    ambient = stage.uniform(0.15, 0.6) * np.ones(3)
    return Light(
        position=np.array([0, 2.0, 0]),
        colour=0.2 * ambient,
        reach=2.0,
        radius=0.6,
        above=ambient,
        below=0.6 * ambient,
    )


def _place_top(stage: PropDraft, width: float, depth: float, floor: float) -> None:
    """The table itself: its top, at height 0, and four legs."""
    top = (
        stage.wood()
        if stage.chance(0.5)
        else stage.plain(stage.tone(0.2, 0.95, 0.3), 0.1)
        if stage.chance(0.7)
        else stage.photo(np.full(2, 1 / stage.uniform(0.5, 2)))
    )
    stage.panel((-width / 2, width / 2), (-0.04, 0), (-depth / 2, depth / 2), top)
    for x in (-0.45 * width, 0.45 * width):
        for z in (-0.42 * depth, 0.42 * depth):
            stage.panel((x - 0.03, x + 0.03), (floor, -0.04), (z - 0.03, z + 0.03), stage.wood())


def _build_room(stage: PropDraft, depth: float, floor: float) -> float:
    """A floor, four walls, and at times what stands along the back wall; where that wall is."""
    stage.panel(
        (-6, 6),
        (floor - 0.1, floor),
        (-6, 6),
        stage.wood() if stage.chance(0.4) else stage.plain(stage.tone(0.2, 0.8, 0.3), 0.2),
    )
    back = depth / 2 + (stage.uniform(0.02, 0.3) if stage.chance(0.4) else stage.uniform(0.8, 4))
    wall = (
        stage.photo(np.full(2, 1 / stage.uniform(1, 3)))
        if stage.chance(0.2)
        else stage.plain(stage.tone(0.35, 0.95, 0.3), 0.06)
    )
    stage.panel((-6, 6), (floor, floor + 3.4), (back, back + 0.1), wall)
    stage.panel((-6, 6), (floor, floor + 3.4), (-4.1, -4), wall)
    for side in (-1, 1):
        x = side * stage.uniform(2, 5)
        stage.panel(
            (x - 0.05, x + 0.05),
            (floor, floor + 3.4),
            (-4, back),
            stage.plain(stage.tone(0.35, 0.95, 0.3)),
        )
    if back > depth / 2 + 0.7:
        for _ in range(int(stage.rng.integers(0, 6))):
            name = stage.model(stage.pick(ALONG))
            away = back - float(stage.measures(name)[2]) / 2 - 0.1
            stage.put(name, stage.uniform(-2.5, 2.5), away, 0.0, floor)
        if stage.chance(0.4):
            stage.put("window", stage.uniform(-2, 2), back - 0.1, 0.0, floor + 0.9, movable=False)
    return back


def view_table(stage: PropDraft) -> CameraView:
    """From a seat, or from above."""
    eye, toward, fov = close_view(
        stage, (0.45, 1.6), (radians(5), radians(70)), radians(stage.uniform(40, 72))
    )
    if eye[2] > 0.3:
        eye, toward = eye * [1, 1, -1], toward * [1, 1, -1]
    return eye, toward, fov
