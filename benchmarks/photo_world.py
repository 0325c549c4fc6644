"""How the embedded worlds are laid out beside real rooms: depth in the middle, its range, the share of sky.

    python -m benchmarks photo_world --count 300 --real nyuv2:FOLDER?split=train

prints a row for each family of the world of photographs, for the classic world and for the set named, if any; and how
many pictures a second of one core makes at 96 x 128, with depth alone and with every field.
"""

import time
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import open_spec


def layout(example: Example) -> tuple[float, float, float]:
    """Middle ninth ÷ median, 98 % ÷ 2 % quantile of valid depth, and the share that is not valid."""
    depth, valid = example.depth, example.depth_valid
    assert depth is not None and valid is not None
    h, w = depth.shape
    middle = (slice(h // 3, h - h // 3), slice(w // 3, w - w // 3))
    low, median, high = np.quantile(depth[valid], [0.02, 0.5, 0.98])
    centre = np.median(depth[middle][valid[middle]]) if valid[middle].any() else high
    return float(centre / median), float(high / low), float(1 - valid.mean())


def show(name: str, rows: Iterable[tuple[float, float, float]]) -> None:
    """One row: the means, of the range the median."""
    table = np.array(list(rows))
    print(
        f"{name:16} {table[:, 0].mean():7.2f} {np.median(table[:, 1]):7.1f} {table[:, 2].mean():6.1%} {len(table):6}"
    )


def run(*, count: int = 100, real: str | None = None) -> None:
    photo = ProceduralWorld((96, 128), 11, world="photo", samples=1)
    classic = ProceduralWorld((96, 128), 11, samples=1)
    families: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for index in range(count):
        families[photo.scene(index, moving=False).family].append(layout(photo.frame(index)))
    print(f"{'':16} {'middle':>7} {'range':>7} {'sky':>6} {'scenes':>6}")
    for name, rows in sorted(families.items()):
        show(name, rows)
    show("photo world", [row for rows in families.values() for row in rows])
    show("classic world", (layout(classic.frame(index)) for index in range(count)))
    if real is not None:
        found = open_spec(real, 128)
        frames = range(min(count, len(found)))
        show(real.partition(":")[0], (layout(found[index]) for index in frames))
    for fields in (1, 2):
        world = ProceduralWorld((96, 128), 12, world="photo", frames=fields)
        world[0]
        start = time.process_time()
        for index in range(1, 41):
            world[index]
        print(f"{40 / (time.process_time() - start):.1f} pictures a second with {fields} frame(s)")
