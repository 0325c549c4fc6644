"""What rooms, streets and tables that are photographed have in common: lamps, things on tops, close views."""

from math import cos, pi, sin

import numpy as np

from lookharder.data.world.families.draft import TABLEWARE
from lookharder.data.world.families.props import PACKED, PropDraft, Top
from lookharder.data.world.furniture import natural
from lookharder.data.world.meshes import Real
from lookharder.data.world.scene import Light

CameraView = tuple[
    np.ndarray, np.ndarray, float
]  # eye, direction, horizontal field of view in radians
SMALL = (
    "mug",
    "bowl",
    "book",
    "laptop",
    "can",
    "carton",
    "plate",
    "jar",
    "table lamp",
    "monitor",
    "potted plant",
    *TABLEWARE,
)


def bulb(
    stage: PropDraft,
    place: np.ndarray,
    power: Real,
    reach: Real,
    radius: Real,
    tint: np.ndarray | None = None,
) -> Light:
    """A lamp without ambient light of its own."""
    colour = np.array([1.0, 0.9, 0.74]) ** stage.uniform(0, 1.4) if tint is None else tint
    return Light(
        position=place,
        colour=power * colour,
        reach=float(reach),
        radius=float(radius),
        above=np.zeros(3),
        below=np.zeros(3),
    )


def set_out(stage: PropDraft, tops: list[Top], most: int) -> None:
    """Things on tops, beside each other."""
    for x, z, turn, half_x, half_z, height in tops:
        placed: list[tuple[float, float, float]] = []
        for _ in range(int(stage.rng.integers(0, most + 1))):
            a, b = stage.uniform(-0.85, 0.85) * half_x, stage.uniform(-0.8, 0.8) * half_z
            name = stage.pick(SMALL)
            if "household" in stage.pack.roles and stage.chance(PACKED):
                name = stage.model("household")
            real = name in natural() or name in stage.pack
            radius = 0.5 * float(np.hypot(*stage.measures(name)[[0, 2]])) if real else 0.09
            if radius > 1.1 * min(half_x, half_z) or any(
                np.hypot(a - p, b - q) < radius + r for p, q, r in placed
            ):
                continue
            px, pz = x + a * cos(turn) + b * sin(turn), z - a * sin(turn) + b * cos(turn)
            placed.append((a, b, stage.thing(name, px, pz, height, stage.uniform(0.08, 0.28))))


def heading(yaw: float, pitch: float) -> np.ndarray:
    """Unit vector."""
    return np.array([cos(pitch) * sin(yaw), sin(pitch), cos(pitch) * cos(yaw)])


def close_view(
    stage: PropDraft, reach: tuple[float, float], rise: tuple[float, float], fov: float
) -> CameraView:
    """Towards one of the spots from nearby."""
    spot = np.array(stage.pick(stage.spots)) + stage.rng.normal(0, 0.08, 3)
    angle, up, r = stage.uniform(-pi, pi), stage.uniform(*rise), stage.uniform(*reach)
    eye = spot + r * np.array([cos(up) * sin(angle), sin(up), -cos(up) * cos(angle)])
    if stage.bounds[0]:
        width, depth, height = stage.bounds
        eye = np.clip(eye, [0.2, 0.2, 0.2], [width - 0.2, height - 0.2, depth - 0.2])
    toward = spot + stage.rng.normal(0, 0.1, 3) - eye
    return eye, toward / np.linalg.norm(toward), fov
