"""Models of several parts, in metres: furniture, things of a household, what stands in streets.

Every model is a list of (part, chart). The floor is y = 0 and the front looks along -z.
"""

import numpy as np

from lookharder.data.world.meshes import Chart, Cuboid, Real, boxes, lathe, prism

Parts = list[tuple[int, tuple[np.ndarray, np.ndarray]]]  # part, chart


def cut(*parts: Cuboid) -> Chart:
    """Boxes."""
    return boxes(*parts)


def legs(w: Real, d: Real, h: Real, t: Real) -> list[Cuboid]:
    """Four legs under a top of w by d."""
    x, z = w / 2 - 1.5 * t, d / 2 - 1.5 * t
    return [(a - t / 2, a + t / 2, 0, h, b - t / 2, b + t / 2) for a in (-x, x) for b in (-z, z)]


def fronts(
    w: Real, low: Real, high: Real, front: Real, columns: int, rows: int
) -> tuple[Chart, Chart]:
    """Doors or drawers on a front, with gaps between them, and their handles."""
    doors: list[Cuboid] = []
    knobs: list[Cuboid] = []
    for i in range(columns):
        for j in range(rows):
            x0, x1 = (-w / 2 + w * k / columns for k in (i + 0.03, i + 0.97))
            y0, y1 = (low + (high - low) * k / rows for k in (j + 0.03, j + 0.97))
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            doors.append((x0, x1, y0, y1, front - 0.02, front))
            side = x if rows > 1 else (x1 - 0.06 if i % 2 == 0 else x0 + 0.06)
            wide = 0.05 if rows > 1 else 0.01
            knobs.append(
                (side - wide, side + wide, y - 0.015, y + 0.06 - wide, front - 0.05, front - 0.02)
            )
    return boxes(*doors), boxes(*knobs)


def at(chart: Chart, x: Real, y: Real, z: Real, lying: bool = False) -> Chart:
    """A chart moved; `lying` turns the y axis to z first."""
    corners, uv = chart
    if lying:
        corners = corners[..., [0, 2, 1]][:, ::-1]
        uv = uv[:, ::-1]
    return corners + np.array([x, y, z], float), uv


def blob(seed: int, x: Real, y: Real, z: Real, radius: Real, squash: Real = 1.0) -> Chart:
    """A lumpy ball."""
    rng = np.random.Generator(np.random.PCG64(seed))
    angle = np.linspace(0, np.pi, 7)
    corners, uv = lathe(list(zip(np.sin(angle).tolist(), np.cos(angle).tolist(), strict=True)), 10)
    wave = rng.normal(size=(4, 3)) * 3
    bump = 1 + 0.13 * np.sin(corners @ wave.T + rng.uniform(0, 6, 4)).sum(-1, keepdims=True)
    return corners * bump * radius * [1, squash, 1] + np.array([x, y, z]), uv * [2, 1]


def cushioned(w: Real, seats: int) -> Parts:
    """A couch for some seats."""
    a, s = 0.16, (w - 0.36) / seats
    pads: list[Cuboid] = []
    for i in range(seats):
        x0, x1 = -w / 2 + 0.18 + s * i + 0.01, -w / 2 + 0.18 + s * (i + 1) - 0.01
        pads += [(x0, x1, 0.3, 0.46, -0.44, 0.2), (x0, x1, 0.46, 0.8, 0.12, 0.3)]
    frame = cut(
        (-w / 2, w / 2, 0.06, 0.3, -0.42, 0.45), (-w / 2, w / 2, 0.3, 0.74, 0.28, 0.45),
        (-w / 2, -w / 2 + a, 0.3, 0.6, -0.42, 0.3), (w / 2 - a, w / 2, 0.3, 0.6, -0.42, 0.3),
        *legs(w, 0.85, 0.06, 0.05),
    )  # fmt: skip
    return [(0, frame), (1, cut(*pads))]


def case(w: Real, h: Real, d: Real, columns: int, rows: int, plinth: Real = 0.06) -> Parts:
    """A body with doors or drawers."""
    doors, knobs = fronts(w, plinth, h - 0.03, -d / 2, columns, rows)
    body = cut(
        (-w / 2, w / 2, plinth, h, -d / 2, d / 2),
        (-w / 2 + 0.03, w / 2 - 0.03, 0, plinth, -d / 2 + 0.04, d / 2),
    )
    return [(0, body), (1, doors), (2, knobs)]


def indoors() -> dict[str, Parts]:
    """What stands on floors and hangs on walls."""
    return (
        _beds_and_shelves() | _tables_and_chairs() | _kitchens_and_screens() | _lamps_and_fittings()
    )


def _beds_and_shelves() -> dict[str, Parts]:
    """What one lies and sits on, and what things are kept in."""
    spine = [
        (
            -0.42 + 0.84 * i / 2,
            -0.42 + 0.84 * (i + 0.7 + 0.2 * (j % 2)) / 2,
            0.05 + 0.37 * j,
            0.27 + 0.37 * j + 0.04 * i,
            -0.1,
            0.1,
        )
        for i in range(2)
        for j in range(5)
    ]
    return {
        "couch": cushioned(2.0, 3), "armchair": cushioned(0.95, 1),
        "bed": [
            (0, cut((-0.8, 0.8, 0.1, 0.32, -1.0, 1.0), (-0.82, 0.82, 0, 0.95, 0.98, 1.05))),
            (1, cut((-0.78, 0.78, 0.32, 0.52, -1.0, 0.97), (-0.7, -0.06, 0.52, 0.64, 0.5, 0.93), (0.06, 0.7, 0.52,
                0.64, 0.5, 0.93))),
            (2, cut((-0.81, 0.81, 0.22, 0.56, -1.02, 0.35)))],
        "sideboard": case(1.4, 0.75, 0.42, 3, 1), "wardrobe": case(1.5, 2.0, 0.6, 3, 1), "chest": case(0.9, 0.95,
            0.45, 1, 4),
        "bookcase": [
            (0, cut((-0.45, -0.42, 0, 1.9, -0.15, 0.15), (0.42, 0.45, 0, 1.9, -0.15, 0.15), (-0.45, 0.45, 0, 1.9,
                0.13, 0.15),
                    *((-0.45, 0.45, 0.37 * j + 0.02, 0.37 * j + 0.05, -0.15, 0.15) for j in range(6)))),
            (1, cut(*spine))],
    }  # fmt: skip


def _tables_and_chairs() -> dict[str, Parts]:
    """Tables, and seats for one."""
    return {
        "desk": [(0, cut((-0.7, 0.7, 0.71, 0.74, -0.35, 0.35), (0.25, 0.66, 0.1, 0.71, -0.3, 0.32))), (1,
            cut(*legs(1.4, 0.7, 0.71, 0.05)))],
        "dining table": [(0, cut((-0.8, 0.8, 0.71, 0.75, -0.45, 0.45))), (1, cut(*legs(1.6, 0.9, 0.71, 0.07), (-0.7,
            0.7, 0.62, 0.71, -0.36, 0.36)))],
        "round table": [(0, lathe([(0, 0.74), (0.5, 0.74), (0.5, 0.7), (0.05, 0.68), (0.05, 0.06), (0.28, 0.03),
            (0.28, 0), (0, 0)], 20))],
        "side table": [(0, cut((-0.45, 0.45, 0.38, 0.42, -0.28, 0.28), (-0.4, 0.4, 0.12, 0.14, -0.24, 0.24),
            *legs(0.9, 0.56, 0.4, 0.045)))],
        "seat": [
            (0, cut(*legs(0.46, 0.46, 0.44, 0.04), *((x - 0.02, x + 0.02, 0.44, 0.92, 0.18, 0.22) for x in (-0.19,
                0.19)),
                    *((-0.19, 0.19, y, y + 0.07, 0.185, 0.215) for y in (0.58, 0.7, 0.83)))),
            (1, cut((-0.22, 0.22, 0.43, 0.48, -0.22, 0.22)))],
        "swivel chair": [
            (0, lathe([(0, 0.42), (0.03, 0.42), (0.03, 0.12), (0.3, 0.05), (0.3, 0), (0, 0)], 10)),
            (1, cut((-0.25, 0.25, 0.42, 0.52, -0.25, 0.25), (-0.22, 0.22, 0.6, 1.05, 0.2, 0.27), (-0.03, 0.03, 0.45,
                0.7, 0.24, 0.28)))],
        "stool": [(0, lathe([(0, 0.46), (0.18, 0.46), (0.18, 0.42), (0.12, 0.4), (0.16, 0), (0, 0)], 12))],
    }  # fmt: skip


def _kitchens_and_screens() -> dict[str, Parts]:
    """Kitchen units, a fridge, and screens."""
    unit = case(0.6, 0.86, 0.58, 1, 1)
    units = [(1, unit[0][1]), (1, unit[1][1]), (2, unit[2][1])]
    return {
        "kitchen unit": [(0, cut((-0.3, 0.3, 0.86, 0.9, -0.31, 0.3))), *units],
        "wall unit": [(0, cut((-0.3, 0.3, 0, 0.7, -0.16, 0.17))), (0, fronts(0.6, 0, 0.7, -0.16, 2, 1)[0]), (1,
            fronts(0.6, 0, 0.7, -0.16, 2, 1)[1])],
        "fridge": [(0, cut((-0.32, 0.32, 0.03, 1.8, -0.3, 0.32))), (1, cut((-0.32, 0.32, 0.05, 1.15, -0.34, -0.3),
            (-0.32, 0.32, 1.17, 1.8, -0.34, -0.3))), (2, cut((0.24, 0.27, 0.8, 1.1, -0.38, -0.34), (0.24, 0.27,
                1.22, 1.5, -0.38, -0.34)))],
        "television": [(0, cut((-0.55, 0.55, 0.06, 0.7, -0.02, 0.03), (-0.2, 0.2, 0, 0.02, -0.1, 0.1), (-0.04, 0.04,
            0, 0.1, -0.02, 0.04))), (1, cut((-0.53, 0.53, 0.08, 0.68, -0.03, -0.02)))],
        "monitor": [(0, cut((-0.27, 0.27, 0.1, 0.43, -0.015, 0.03), (-0.12, 0.12, 0, 0.015, -0.08, 0.1), (-0.025,
            0.025, 0, 0.14, 0.01, 0.05))), (1, cut((-0.255, 0.255, 0.115, 0.415, -0.02, -0.015)))],
    }  # fmt: skip


def _lamps_and_fittings() -> dict[str, Parts]:
    """Lamps, and what belongs to walls and windows."""
    pole = [(0, 1.55), (0.02, 1.55), (0.02, 0.04), (0.16, 0.03), (0.16, 0), (0, 0)]
    shade = [(0.13, 1.7), (0.22, 1.4), (0.21, 1.4), (0.12, 1.69), (0.13, 1.7)]
    leaves = [
        blob(i, 0.2 * np.cos(2.4 * i), 0.55 + 0.12 * i, 0.2 * np.sin(2.4 * i), 0.24 - 0.015 * i)
        for i in range(5)
    ]
    waves = [(0.03 * i, 0.05 * np.sin(1.6 * i)) for i in range(-10, 11)]
    fold = [(x - 0.0, z) for x, z in waves]
    curtain = [(x - 0.016, x + 0.016, 0, 2.2, z - 0.02, z + 0.02) for x, z in fold]
    return {
        "floor lamp": [(0, lathe(pole, 10)), (1, lathe(shade, 14))],
        "table lamp": [(0, lathe([(0, 0.3), (0.02, 0.3), (0.02, 0.2), (0.08, 0.12), (0.06, 0), (0, 0)], 12)), (1,
            lathe([(0.08, 0.48), (0.15, 0.28), (0.14, 0.28), (0.07, 0.47), (0.08, 0.48)], 14))],
        "ceiling lamp": [(0, lathe([(0, 0.5), (0.01, 0.5), (0.01, 0.2), (0, 0.2)], 6)), (1, lathe([(0, 0.2), (0.1,
            0.18), (0.22, 0), (0, 0.03)], 14))],
        "potted plant": [(0, lathe([(0, 0.32), (0.18, 0.34), (0.13, 0), (0, 0)], 14)), *((1,
            leaf) for leaf in leaves)],
        "radiator": [(0, cut((-0.5, 0.5, 0.02, 0.04, -0.03, 0.03), (-0.5, 0.5, 0.5, 0.52, -0.03, 0.03), *((x - 0.03,
            x + 0.03, 0, 0.54, -0.05, 0.05) for x in np.arange(-0.45, 0.5, 0.1).tolist())))],
        "door": [(0, cut((-0.48, -0.4, 0, 2.08, -0.04, 0.04), (0.4, 0.48, 0, 2.08, -0.04, 0.04), (-0.48, 0.48, 2.0,
            2.08, -0.04, 0.04))),
                 (1, cut((-0.4, 0.4, 0, 2.0, -0.01, 0.02), *((x - 0.13, x + 0.13, y, y + 0.75, -0.02,
                0.0) for x in (-0.19, 0.19) for y in (0.15, 1.05)))), (2, cut((0.28, 0.36, 0.98, 1.01, -0.07,
                -0.01)))],
        "window": [(0, cut(*((x - 0.04, x + 0.04, 0, 1.2, -0.06, 0.02) for x in (-0.56, 0, 0.56)), *((-0.6, 0.6,
            y - 0.04, y + 0.04, -0.06, 0.02) for y in (0.04, 1.16)), (-0.66, 0.66, -0.05, 0, -0.14, 0.02))),
                   (1, cut((-0.56, 0.56, 0.04, 1.16, 0, 0.01)))],
        "curtain": [(0, cut(*curtain))],
        "picture": [(0, cut((-0.5, 0.5, 0, 0.7, -0.005, 0.02))), (1, cut((-0.46, 0.46, 0.04, 0.66, -0.012, -0.005)))],
        "bin": [(0, lathe([(0, 0.02), (0.09, 0.02), (0.13, 0.32), (0.14, 0.33), (0.1, 0), (0, 0)], 14))],
    }  # fmt: skip


def household() -> dict[str, Parts]:
    """Small things that stand on others."""
    return {
        "mug": [(0, lathe([(0, 0.02), (0.036, 0.02), (0.04, 0.1), (0.042, 0.1), (0.038, 0), (0, 0)], 14)), (0,
            cut((0.04, 0.07, 0.02, 0.03, -0.006, 0.006), (0.04, 0.07, 0.07, 0.08, -0.006, 0.006), (0.062, 0.072,
                0.02, 0.08, -0.006, 0.006)))],
        "bowl": [(0, lathe([(0, 0.02), (0.1, 0.08), (0.12, 0.085), (0.06, 0), (0, 0)], 18))],
        "book": [(0, cut((-0.11, 0.11, 0, 0.004, -0.15, 0.15), (-0.11, 0.11, 0.03, 0.034, -0.15, 0.15), (-0.11,
            -0.105, 0, 0.034, -0.15, 0.15))), (1, cut((-0.105, 0.105, 0.004, 0.03, -0.145, 0.145)))],
        "laptop": [(0, cut((-0.17, 0.17, 0, 0.015, -0.12, 0.12), (-0.17, 0.17, 0.01, 0.24, 0.12, 0.13))), (1,
            cut((-0.16, 0.16, 0.025, 0.23, 0.116, 0.12)))],
        "can": [(0, lathe([(0, 0.12), (0.03, 0.12), (0.034, 0.115), (0.034, 0.005), (0.03, 0), (0, 0)], 14))],
        "carton": [(0, cut((-0.1, 0.1, 0, 0.28, -0.035, 0.035)))],
        "cushion": [(0, blob(5, 0, 0.09, 0, 0.22, 0.42))],
        "plate": [(0, lathe([(0, 0.008), (0.08, 0.01), (0.13, 0.022), (0.13, 0.016), (0.07, 0), (0, 0)], 18))],
        "jar": [(0, lathe([(0, 0.16), (0.05, 0.15), (0.055, 0.13), (0.055, 0.01), (0.05, 0), (0, 0)], 14)), (1,
            lathe([(0, 0.19), (0.045, 0.19), (0.045, 0.155), (0, 0.155)], 14))],
    }  # fmt: skip


def outdoors() -> dict[str, Parts]:
    """What stands in streets."""
    wheel = lathe([(0, 0.1), (0.33, 0.1), (0.33, -0.1), (0, -0.1)], 14)
    wheels = [(2, at(wheel, x, 0.33, z, True)) for x in (-1.35, 1.35) for z in (-0.75, 0.75)]

    def hull(polygon: list[tuple[Real, Real]], width: Real) -> Chart:
        corners, uv = prism([(x, y) for x, y in polygon])
        return corners * [1, 1, width], uv

    shell = hull(
        [
            (-2.2, 0.3),
            (2.2, 0.3),
            (2.25, 0.65),
            (2.0, 0.85),
            (0.0, 0.95),
            (-2.1, 0.95),
            (-2.25, 0.6),
        ],
        1.75,
    )
    glass = hull([(-1.7, 0.93), (1.2, 0.93), (0.45, 1.38), (-1.1, 1.4)], 1.5)
    roof = hull([(-1.2, 1.36), (0.55, 1.34), (0.4, 1.44), (-1.05, 1.46)], 1.46)
    pillars = hull([(-0.35, 0.9), (-0.2, 0.9), (-0.25, 1.4), (-0.38, 1.4)], 1.53)
    bumper = cut(
        (2.18, 2.28, 0.55, 0.68, -0.8, -0.45),
        (2.18, 2.28, 0.55, 0.68, 0.45, 0.8),
        (-2.28, -2.2, 0.6, 0.75, -0.8, 0.8),
    )
    van = hull([(-2.4, 0.35), (2.4, 0.35), (2.4, 1.0), (1.7, 1.2), (1.3, 2.0), (-2.4, 2.1)], 1.9)
    crown = [
        blob(20 + i, 1.1 * np.cos(2.2 * i), 3.2 + 0.5 * (i % 3), 1.1 * np.sin(2.2 * i), 1.3)
        for i in range(6)
    ]
    limb = [(0, 0.85), (0.09, 0.83), (0.07, 0.1), (0.05, 0), (0, 0)]
    arm = [(0, 1.45), (0.06, 1.42), (0.045, 0.85), (0, 0.8)]
    head = at(
        lathe([(0.11 * np.sin(a), 0.13 * np.cos(a)) for a in np.linspace(0, np.pi, 8)], 10),
        0,
        1.62,
        0,
    )
    torso = lathe([(0, 1.5), (0.13, 1.47), (0.2, 1.38), (0.17, 1.05), (0.18, 0.8), (0, 0.78)], 10)
    return {
        "sedan": [(0, shell), (1, glass), (0, roof), (0, pillars), *wheels, (3, bumper)],
        "van": [(0, van), (1, hull([(1.32, 1.25), (1.72, 1.25), (1.36, 1.95), (1.3, 1.95)], 1.8)), (1, cut((0.4,
            1.2, 1.25, 1.85, -0.96, 0.96))), *((p, at(c, 0.25 if c[0].mean() > 0 else -0.1, 0, 0)) for p,
                c in wheels)],
        "pole": [(0, lathe([(0, 4), (0.06, 4), (0.08, 0), (0, 0)], 8))],
        "street lamp": [(0, lathe([(0, 6), (0.05, 6), (0.09, 0), (0, 0)], 8)), (0, cut((-0.04, 1.4, 5.92, 6.0,
            -0.04, 0.04))), (1, cut((0.9, 1.5, 5.85, 5.95, -0.12, 0.12)))],
        "sign": [(0, lathe([(0, 2.6), (0.03, 2.6), (0.03, 0), (0, 0)], 8)), (1, at(lathe([(0, 0.015), (0.32, 0.015),
            (0.32, -0.015), (0, -0.015)], 16), 0, 2.4, -0.04, True))],
        "leafy tree": [(0, lathe([(0, 3.2), (0.12, 3.0), (0.2, 0), (0, 0)], 9)), *((1, part) for part in crown)],
        "hedge": [(0, blob(40 + i, 0.55 * i, 0.45, 0, 0.55)) for i in range(-2, 3)],
        "person": [(0, at(lathe(limb, 9), x, 0, 0)) for x in (-0.09, 0.09)] + [(1, torso), (1, at(lathe(arm, 8),
            -0.24, 0, 0)), (1, at(lathe(arm, 8), 0.24, 0, 0)), (2, head)],
        "gabled house": [(0, cut((-5, 5, 0, 5.5, -4, 4))), (1, hull([(-5.4, 5.4), (5.4, 5.4), (0, 8.6)], 8.6))],
    }  # fmt: skip
