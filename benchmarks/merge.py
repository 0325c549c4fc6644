"""Merging the draws of a depth map: ours, its plain baseline, and Marigold's `ensemble_depth` as diffusers has it.

    python benchmarks/merge.py [--size 768] [--draws 10] [--threads 2] [--out docs/results/merge.json]

Same draws for all; each gives the merged map and its uncertainty. They take turns, round after round, in one process;
diffusers with its defaults takes part in the first `--slow-rounds` only. On a busy machine read `cpu_ratios`.

    ours            merge_affine, "gram": closed form, true median
    zscore          the same with equal weights: the trivial baseline
    ours_marigold   our reproduction of the published solver at max_res = 50
    diffusers       ensemble_depth with its defaults (max_res = 1024: the solver sees full size here)
    diffusers_50    ensemble_depth with max_res = 50

Error: root mean square to the planted truth in [0, 1], after the best scale and shift, as mean over `--scenes` scenes
at `--scene-size`, and at the timed size. Members differ in noise; two of ten follow another map by half.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from lookharder.files import write_json
from lookharder.seeding import torch_generator
from lookharder.tasks.merge import Marigold, merge_affine

Merge = Callable[[Tensor], tuple[Tensor, Tensor]]
GOALS = {"diffusers_over_ours": 300.0, "diffusers_50_over_ours": 10.0}  # of the times, at least
SLOW = "diffusers"


def published() -> Callable[..., tuple[Tensor, Tensor]]:
    """The function itself; of transformers its module needs the names of two types, for annotations."""
    import_module("diffusers")  # looks for transformers, and must not find the stand-in
    stand_in = None if find_spec("transformers") else ModuleType("transformers")
    if stand_in is not None:
        vars(stand_in).update(CLIPTextModel=object, CLIPTokenizer=object)
        sys.modules["transformers"] = stand_in
    try:
        module = import_module("diffusers.pipelines.marigold.pipeline_marigold_depth")
    finally:
        if stand_in is not None:
            del sys.modules["transformers"]
    return module.MarigoldDepthPipeline.ensemble_depth


def contestants() -> dict[str, Merge]:
    ensemble_depth = published()

    def diffusers(draws: Tensor, **options: int) -> tuple[Tensor, Tensor]:
        merged, spread = ensemble_depth(draws[:, None], output_uncertainty=True, **options)
        return merged[0, 0], spread[0, 0]

    return {
        "ours": merge_affine,
        "zscore": lambda draws: merge_affine(draws, solver="zscore"),
        "ours_marigold": lambda draws: merge_affine(draws, solver=Marigold(max_res=50)),
        "diffusers_50": lambda draws: diffusers(draws, max_res=50),
        SLOW: diffusers,
    }


def smooth(size: int, cells: int, count: int, generator: torch.Generator) -> Tensor:
    """Random hills, (count, size, size), about `cells` a side."""
    coarse = torch.rand(count, 1, cells, cells, generator=generator)
    return F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)[:, 0]


def scene(seed: int, size: int, count: int) -> tuple[Tensor, Tensor]:
    """Planted truth (H, W) in [0, 1] with edges, and draws (N, H, W) of it in [0, 1]."""
    generator = torch_generator("merge", seed)
    hills, layers = smooth(size, 6, 2, generator)
    truth = hills + (4 * layers).round() / 4
    low, high = truth.aminmax()
    truth = (truth - low) / (high - low)
    sigma = 0.02 + 0.08 * torch.rand(count, 1, 1, generator=generator)
    noise = smooth(size, 12, count, generator) - 0.5
    noise = noise + 0.3 * torch.randn(count, size, size, generator=generator)
    draws = truth + sigma * noise
    others = count // 5
    draws[:others] = 0.5 * draws[:others] + 0.5 * smooth(size, 5, others, generator)
    scale = 0.4 + 0.4 * torch.rand(count, 1, 1, generator=generator)
    shift = 0.2 * torch.rand(count, 1, 1, generator=generator)
    return truth, (scale * draws + shift).clamp(0, 1)


def error(merged: Tensor, truth: Tensor) -> float:
    """Root mean square after the best scale and shift of `merged`."""
    x, y = merged.double().flatten(), truth.double().flatten()
    x, y = x - x.mean(), y - y.mean()
    return (y - x * (x @ y) / (x @ x)).square().mean().sqrt().item()


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of this process."""
    begin, cpu_begin = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - begin, time.process_time() - cpu_begin


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def over_ours(seconds: dict[str, float]) -> dict[str, float]:
    return {
        f"{name}_over_ours": s / seconds["ours"] for name, s in seconds.items() if name != "ours"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9, help="timed turns of each")
    parser.add_argument("--slow-rounds", type=int, default=1, help="of diffusers with its defaults")
    parser.add_argument("--scenes", type=int, default=12, help="for the mean error")
    parser.add_argument("--scene-size", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/results/merge.json"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)

    merges = contestants()
    errors = {name: [] for name in merges}
    for seed in range(given.scenes):
        truth, draws = scene(seed, given.scene_size, given.draws)
        for name, merge in merges.items():
            errors[name].append(error(merge(draws)[0], truth))
    mean_errors = {name: statistics.mean(found) for name, found in errors.items()}

    truth, draws = scene(given.scenes, given.size, given.draws)
    seconds, cpu_seconds = ({name: [] for name in merges} for _ in range(2))
    answers: dict[str, Tensor] = {}
    for turn in range(1 + given.rounds):  # the first is a warm-up
        for name, merge in merges.items():
            if name == SLOW and not 0 < turn <= given.slow_rounds:
                continue

            def run(name: str = name, merge: Merge = merge) -> None:
                answers[name] = merge(draws)[0]

            wall, cpu = timed(run)
            if turn > 0:
                seconds[name].append(wall)
                cpu_seconds[name].append(cpu)

    medians = {name: statistics.median(found) for name, found in seconds.items()}
    cpu_medians = {name: statistics.median(found) for name, found in cpu_seconds.items()}
    found = over_ours(medians)
    full_errors = {name: error(answer, truth) for name, answer in answers.items()}
    met = {name: found[name] >= goal for name, goal in GOALS.items()} | {
        f"error_no_worse_than_{other}": all(
            found_errors["ours"] <= found_errors[other]
            for found_errors in (mean_errors, full_errors)
        )
        for other in (SLOW, "diffusers_50", "zscore")
    }
    result = {
        "what": "seconds to merge the draws of one depth map and their uncertainty, median; error to planted truth",
        "size": given.size,
        "draws": given.draws,
        "rounds": {name: len(times) for name, times in seconds.items()},
        "seconds": medians,
        "quartiles": {
            name: statistics.quantiles(times, n=4)
            for name, times in seconds.items()
            if len(times) > 1
        },
        "cpu_seconds": cpu_medians,
        "ratios": found,
        "cpu_ratios": over_ours(cpu_medians),
        "rmse": full_errors,
        "rmse_mean_of_scenes": mean_errors,
        "scenes": given.scenes,
        "scene_size": given.scene_size,
        "goals": GOALS,
        "met": met,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
    }
    write_json(given.out, result)
    print(f"{'':16} {'ms':>10} {'cpu ms':>10} {'times ours':>10} {'rmse':>9} {'mean rmse':>9}")
    for name in merges:
        print(f"{name:16} {1e3 * medians[name]:10.1f} {1e3 * cpu_medians[name]:10.1f}", end=" ")
        print(f"{medians[name] / medians['ours']:10.1f}", end=" ")
        print(f"{full_errors[name]:9.5f} {mean_errors[name]:9.5f}")
    for name, reached in met.items():
        print(f"{name} {GOALS.get(name, '')}: {'met' if reached else 'missed'}")
    print(f"-> {given.out}")


if __name__ == "__main__":
    main()
