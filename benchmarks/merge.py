"""Merging the draws of a depth map: ours, its plain baseline, and Marigold's `ensemble_depth` as diffusers has it.

    python -m benchmarks merge [--size 768] [--draws 10] [--threads 2] [--out docs/results/merge.json]

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

import statistics
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import machine, take_turns
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


def over_ours(seconds: dict[str, float]) -> dict[str, float]:
    return {
        f"{name}_over_ours": s / seconds["ours"] for name, s in seconds.items() if name != "ours"
    }


def run(
    *,
    size: int = 768,
    draws: int = 10,
    rounds: int = 9,
    slow_rounds: int = 1,
    scenes: int = 12,
    scene_size: int = 96,
    threads: int = 2,
    out: Path = Path("docs/results/merge.json"),
) -> None:
    torch.set_num_threads(threads)

    merges = contestants()
    errors = {name: [] for name in merges}
    for seed in range(scenes):
        truth, members = scene(seed, scene_size, draws)
        for name, merge in merges.items():
            errors[name].append(error(merge(members)[0], truth))
    mean_errors = {name: statistics.mean(found) for name, found in errors.items()}

    truth, draws_of_one = scene(scenes, size, draws)
    answers: dict[str, Tensor] = {}

    def side(name: str, merge: Merge) -> Callable[[], None]:
        def run() -> None:
            answers[name] = merge(draws_of_one)[0]

        return run

    sides = {name: side(name, merge) for name, merge in merges.items()}
    times = take_turns(sides, rounds, warm_up=1, only_rounds={SLOW: slow_rounds})
    medians, cpu_medians = times.medians(), times.cpu_medians()
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
        "size": size,
        "draws": draws,
        "rounds": {name: len(seconds) for name, seconds in times.wall.items()},
        "seconds": medians,
        "quartiles": times.quartiles(),
        "cpu_seconds": cpu_medians,
        "ratios": found,
        "cpu_ratios": over_ours(cpu_medians),
        "rmse": full_errors,
        "rmse_mean_of_scenes": mean_errors,
        "scenes": scenes,
        "scene_size": scene_size,
        "goals": GOALS,
        "met": met,
        **machine(),
    }
    write_json(out, result)
    print(f"{'':16} {'ms':>10} {'cpu ms':>10} {'times ours':>10} {'rmse':>9} {'mean rmse':>9}")
    for name in merges:
        print(f"{name:16} {1e3 * medians[name]:10.1f} {1e3 * cpu_medians[name]:10.1f}", end=" ")
        print(f"{medians[name] / medians['ours']:10.1f}", end=" ")
        print(f"{full_errors[name]:9.5f} {mean_errors[name]:9.5f}")
    for name, reached in met.items():
        print(f"{name} {GOALS.get(name, '')}: {'met' if reached else 'missed'}")
    print(f"-> {out}")
