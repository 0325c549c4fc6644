"""Examples a second of the embedded world, on one core.

    OMP_NUM_THREADS=1 python benchmarks/world.py [--size 64] [--count 200] [--rounds 3] [--out world.json]

Rounds of `frame` (image and depth) and of whole examples (image pair and all labels) take turns; the best round of
each is printed, because other work on the machine can only slow one down.
"""

import argparse
import platform
import time
from collections.abc import Callable

from lookharder.data.procedural import ProceduralWorld
from lookharder.files import write_json


def rate(make: Callable[[int], object], count: int) -> float:
    """Calls a second over indices 0 .. count - 1."""
    start = time.perf_counter()
    for index in range(count):
        make(index)
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--backend", choices=("auto", "embree", "numpy"), default="auto")
    parser.add_argument("--out")
    args = parser.parse_args()
    world = ProceduralWorld(args.size, 0, samples=args.samples, backend=args.backend)
    world[0]  # models, trees and textures are built once
    rounds = [
        (rate(world.frame, args.count), rate(world.__getitem__, args.count))
        for _ in range(args.rounds)
    ]
    frames, pairs = (max(column) for column in zip(*rounds, strict=True))
    result = {
        "size": args.size,
        "samples": args.samples,
        "backend": world.backend,
        "machine": platform.processor() or platform.machine(),
        "frames_per_second": round(frames, 1),
        "examples_per_second": round(pairs, 1),
        "rounds": [[round(value, 1) for value in pair] for pair in rounds],
    }
    print(
        f"{world.backend}, {args.size} px: {frames:.1f} frames/s with depth, {pairs:.1f} whole examples/s"
    )
    if args.out:
        write_json(args.out, result)


if __name__ == "__main__":
    main()
