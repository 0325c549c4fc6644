"""The median of vectors by Newton's steps beside Weiszfeld's iteration, by which members of flow were merged before.

    python -m benchmarks vector_median [--out docs/results/vector-median.json]

Random vectors of 64 x 64 pixels, two of each five of them outliers: how much larger than the least each sum of
distances is, in the worst pixel, and seconds of the processor, in turns. The least is that of the better of the two and
of Newton's steps to the last bit. Both end a pixel by the same rule, a step below 1e-4; Weiszfeld's takes 50 at most.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness import machine, timed
from lookharder.files import write_json
from lookharder.tasks.merge import vector_median

STILL, SMOOTH = 1e-4, 1e-3


def weiszfeld(draws: Tensor, iterations: int = 50) -> Tensor:
    """The mean of the draws, each weighted by 1 / its distance, smoothed at 0; from the median of u and of v."""
    here = vector_median(draws, component_wise=True)[0].flatten(1)
    vectors = draws.flatten(2)
    found, moving = here.clone(), torch.arange(here.shape[1])
    for _ in range(iterations):
        away = vectors - here
        weight = (away.square().sum(1) + SMOOTH**2).rsqrt()
        following = (weight[:, None] * vectors).sum(0) / weight.sum(0)
        moved = (following - here).abs().amax(0) > STILL
        found[:, moving] = following
        here, moving, vectors = following[:, moved], moving[moved], vectors[..., moved]
        if not len(moving):
            break
    return found.view(draws.shape[1:])


def cost(draws: Tensor, point: Tensor) -> Tensor:
    return (draws - point).square().sum(1).sqrt().sum(0)


def run(
    *,
    counts: tuple[int, ...] = (3, 4, 5, 10, 16, 50),
    spreads: tuple[float, ...] = (0.02, 1.0, 30.0),
    rounds: int = 5,
    out: Path = Path("docs/results/vector-median.json"),
) -> None:
    rows = []
    for spread in spreads:
        for count in counts:
            generator = torch.Generator().manual_seed(count)
            draws = spread * torch.randn(count, 2, 64, 64, generator=generator, dtype=torch.double)
            draws[: count * 2 // 5] *= 10
            ways: dict[str, Callable[[], Tensor]] = {
                "newton": lambda draws=draws: vector_median(draws)[0],
                "weiszfeld": lambda draws=draws: weiszfeld(draws),
            }
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    seconds[name].append(timed(way, "cpu")[1])
            found = {name: cost(draws, way()) for name, way in ways.items()}
            best = cost(draws, vector_median(draws, iterations=1000, still=1e-14)[0])
            least = torch.stack([best, *found.values()]).amin(0)
            row = {"draws": count, "spread": spread}
            row |= {f"{name}_excess": float((found[name] - least).max()) for name in ways}
            row |= {f"{name}_seconds": sorted(each)[rounds // 2] for name, each in seconds.items()}
            rows.append(row)
            print({k: float(f"{v:.2g}") for k, v in row.items()}, flush=True)
    write_json(out, {"rows": rows} | machine())
