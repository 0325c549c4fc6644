"""Examples a second of the embedded world, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks world [--size 64] [--count 200] [--rounds 3] [--out world.json]

Rounds of `frame` (image and depth) and of whole examples (image pair and all labels) take turns; the best round of
each is printed, because other work on the machine can only slow one down.
"""

from pathlib import Path
from typing import Literal

from benchmarks.harness import machine, take_turns
from lookharder.data.procedural import ProceduralWorld
from lookharder.files import write_json


def run(
    *,
    size: int = 64,
    count: int = 200,
    rounds: int = 3,
    samples: int = 4,
    backend: Literal["auto", "embree", "numpy"] = "auto",
    out: Path | None = None,
) -> None:
    world = ProceduralWorld(size, 0, samples=samples, backend=backend)
    world[0]  # models, trees and textures are built once
    times = take_turns(
        {
            "frames": lambda: [world.frame(i) for i in range(count)],
            "examples": lambda: [world[i] for i in range(count)],
        },
        rounds,
        warm_up=0,
    )
    rates = {name: [count / seconds for seconds in turns] for name, turns in times.wall.items()}
    frames, pairs = max(rates["frames"]), max(rates["examples"])
    result = {
        "size": size,
        "samples": samples,
        "backend": world.backend,
        **machine(),
        "frames_per_second": round(frames, 1),
        "examples_per_second": round(pairs, 1),
        "rounds": [[round(f, 1), round(e, 1)] for f, e in zip(*rates.values(), strict=True)],
    }
    print(
        f"{world.backend}, {size} px: {frames:.1f} frames/s with depth, {pairs:.1f} whole examples/s"
    )
    if out:
        write_json(out, result)
