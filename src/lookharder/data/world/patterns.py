"""Tileable patterns for surfaces: brick, board, stone, cloth, ..., drawn once and the same for every world.

A pattern is two channels in [0, 1] on the unit square that repeat with period 1: the pattern proper, and a variation
per cell (brick, plank, tile). The square is sampled at `SIZE` points a side, at the middles of its texels.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

SIZE = 128

Channel = Float[np.ndarray, "y x"]
Pattern = tuple[Channel, Channel]  # the pattern, the variation per cell

_Y, _X = np.meshgrid(*[(np.arange(SIZE) + 0.5) / SIZE] * 2, indexing="ij")


def noise(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> Channel:
    """Tileable noise with spectrum 1/f^slope, ranked to be uniform in [0, 1]; stretched along x."""
    fy = np.fft.fftfreq(SIZE)[:, None] * SIZE
    fx = np.fft.fftfreq(SIZE)[None, :] * SIZE * stretch
    spectrum = (
        np.fft.fft2(rng.normal(size=(SIZE, SIZE))) / np.maximum(np.hypot(fy, fx), 1.0) ** slope
    )
    values = np.fft.ifft2(spectrum).real
    rank: np.ndarray = values.ravel().argsort().argsort().reshape(SIZE, SIZE)
    return rank / (SIZE * SIZE - 1)


def cells(rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> Channel:
    """A random value for each pair of integer (row, column)."""
    table = rng.uniform(size=(64, 64))
    found: np.ndarray = table[rows.astype(int) % 64, columns.astype(int) % 64]
    return found


def checker(rng: np.random.Generator, n: int) -> Pattern:
    """Squares of two colours; n is even."""
    rows, columns = np.floor(_Y * n), np.floor(_X * n)
    return (rows + columns) % 2, cells(rng, rows, columns)


def stripes(rng: np.random.Generator, n: int) -> Pattern:
    """Upright stripes of unequal width."""
    wave = _X * n + 0.12 * np.sin(2 * np.pi * _X * 2)
    return (wave % 1 < 0.5) * 1.0, cells(rng, 0 * _Y, np.floor(wave) % n)


def diagonal(rng: np.random.Generator, n: int) -> Pattern:
    """Slanted stripes."""
    wave = (_X + _Y) * n
    return (wave % 1 < 0.4) * 1.0, cells(rng, 0 * _Y, np.floor(wave) % n)


def bricks(rng: np.random.Generator, n: int) -> Pattern:
    """Running bond: every second row is shifted by half a brick."""
    rows = np.floor(_Y * 2 * n)
    x = _X * n + 0.5 * (rows % 2)
    mortar = (_Y * 2 * n % 1 < 0.14) | (x % 1 < 0.07)
    return 1.0 - mortar, cells(rng, rows, np.floor(x) % n)


def tiles(rng: np.random.Generator, n: int) -> Pattern:
    """Square tiles with joints."""
    joint = (_Y * n % 1 < 0.06) | (_X * n % 1 < 0.06)
    return 1.0 - joint, cells(rng, np.floor(_Y * n), np.floor(_X * n))


def mosaic(rng: np.random.Generator, n: int) -> Pattern:
    """Squares, each with a grey of its own."""
    rows, columns = np.floor(_Y * n), np.floor(_X * n)
    return cells(rng, rows, columns), cells(rng, columns + 7, rows)


def planks(rng: np.random.Generator, n: int) -> Pattern:
    """Boards along x with grain and butt joints."""
    rows = np.floor(_Y * n)
    x = _X + cells(rng, rows, 0 * rows)
    joint = (_Y * n % 1 < 0.06) | (x % 1 < 0.012)
    return np.where(joint, 0.0, 0.4 + 0.6 * noise(rng, 1.2, 0.15)), cells(rng, rows, np.floor(x))


def wood(rng: np.random.Generator, n: int) -> Pattern:
    """Growth rings cut lengthwise."""
    slow = noise(rng, 2.2, 0.4)
    return 0.5 + 0.5 * np.sin(2 * np.pi * (_Y * n + 2.0 * slow)), noise(rng, 1.0, 0.1)


def marble(rng: np.random.Generator, n: int) -> Pattern:
    """Thin veins between clouds."""
    return 1.0 - np.abs(np.sin(2 * np.pi * (_X * n + 2.5 * noise(rng, 2.0)))) ** 0.6, noise(
        rng, 1.6
    )


def clouds(rng: np.random.Generator, n: int) -> Pattern:
    """Smooth noise, smoother with n."""
    return noise(rng, 1.0 + 0.2 * n), noise(rng, 1.5)


def grass(rng: np.random.Generator, n: int) -> Pattern:
    """Upright blades over patches."""
    return noise(rng, 1.1, 1.0 + n), noise(rng, 2.0)


def points(rng: np.random.Generator, n: int) -> tuple[Channel, Channel, Channel]:
    """Distance to the nearest and second nearest of n random points on the torus, and a value of the nearest."""
    site = rng.uniform(size=(n, 2))
    dy, dx = _Y[..., None] - site[:, 0], _X[..., None] - site[:, 1]
    distance = np.hypot(dy - np.round(dy), dx - np.round(dx))
    two = np.partition(distance, 1, -1)[..., :2]
    return two[..., 0], two[..., 1], rng.uniform(size=n)[distance.argmin(-1)]


def pebbles(rng: np.random.Generator, n: int) -> Pattern:
    """Rounded stones with dark gaps."""
    first, second, value = points(rng, n)
    return np.clip((second - first) * np.sqrt(n) * 2.2, 0.0, 1.0), value


def terrazzo(rng: np.random.Generator, n: int) -> Pattern:
    """Chips of many shades in a matrix."""
    first, second, value = points(rng, n)
    return np.where((second - first) * np.sqrt(n) > 0.18, value, 0.5), (value * 7.31) % 1.0


def dots(rng: np.random.Generator, n: int) -> Pattern:
    """A grid of discs, each with its own shade."""
    y, x = _Y * n, _X * n
    inside = np.hypot(y % 1 - 0.5, x % 1 - 0.5) < 0.3
    return inside * 1.0, cells(rng, np.floor(y), np.floor(x))


def spots(rng: np.random.Generator, n: int) -> Pattern:
    """Discs of random place."""
    first, _, value = points(rng, n)
    return (first * np.sqrt(n) < 0.25 + 0.2 * value) * 1.0, value


def rings(rng: np.random.Generator, n: int) -> Pattern:
    """Circles round the middle of each cell."""
    radius = np.hypot(_Y * 2 % 1 - 0.5, _X * 2 % 1 - 0.5)
    return (np.floor(radius * 2 * n) % 2), cells(rng, np.floor(radius * 2 * n), np.floor(_Y * 2))


def weave(rng: np.random.Generator, n: int) -> Pattern:
    """Over and under threads."""
    rows, columns = np.floor(_Y * n), np.floor(_X * n)
    over = (rows + columns) % 2 < 1
    bulge = np.where(over, np.sin(np.pi * (_Y * n % 1)), np.sin(np.pi * (_X * n % 1)))
    return bulge, cells(rng, np.where(over, rows, 50), np.where(over, 50, columns))


def windows(rng: np.random.Generator, n: int) -> Pattern:
    """A front of a building: panes in a wall, some lit."""
    y, x = _Y * n % 1, _X * n % 1
    pane = (y > 0.25) & (y < 0.8) & (x > 0.22) & (x < 0.78) & (np.abs(x - 0.5) > 0.03)
    return 1.0 - pane, np.where(pane, cells(rng, np.floor(_Y * n), np.floor(_X * n)), 0.5)


def books(rng: np.random.Generator, n: int) -> Pattern:
    """Spines side by side on boards."""
    rows = np.floor(_Y * 2)
    columns = np.floor(_X * n)
    board = _Y * 2 % 1 > 0.9
    spine = np.clip(cells(rng, columns, rows) - 0.5 * (np.abs(_Y * 2 % 1 - 0.25) < 0.05), 0.0, 1.0)
    return np.where(board | (_X * n % 1 < 0.1), 0.0, spine), cells(rng, rows, columns)


def gradient(rng: np.random.Generator, n: int) -> Pattern:
    """Soft waves across."""
    return 0.5 + 0.5 * np.cos(2 * np.pi * (n * _X + 0.3 * np.sin(2 * np.pi * _Y))), noise(rng, 1.4)


# name -> (function, its sizes): each pair is one texture, and their order is fixed
PATTERNS: dict[str, tuple[Callable[[np.random.Generator, int], Pattern], tuple[int, ...]]] = {
    "checker": (checker, (4, 8)),
    "stripes": (stripes, (6, 10)),
    "diagonal": (diagonal, (4, 8)),
    "bricks": (bricks, (3, 5)),
    "tiles": (tiles, (3, 6)),
    "mosaic": (mosaic, (6, 10)),
    "planks": (planks, (4, 6)),
    "wood": (wood, (3, 6)),
    "marble": (marble, (1, 3)),
    "clouds": (clouds, (1, 3)),
    "grass": (grass, (1, 3)),
    "pebbles": (pebbles, (24, 70)),
    "terrazzo": (terrazzo, (40, 110)),
    "dots": (dots, (4, 8)),
    "spots": (spots, (14, 40)),
    "rings": (rings, (3, 5)),
    "weave": (weave, (8, 14)),
    "windows": (windows, (3, 5)),
    "books": (books, (10, 16)),
    "gradient": (gradient, (1, 3)),
}
NAMES = tuple(name for name, (_, sizes) in PATTERNS.items() for _ in sizes)
