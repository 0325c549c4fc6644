"""Does a further look gain by starting from the answer so far, noised, in place of pure noise; and do steps pay then?

    python -m benchmarks rough_start --flow seven_flow:PATH --depth 'nyuv2:PATH?split=val'

As in SDEdit (2108.01073): the windows of further levels start at a time t with sqrt(1 - sigma^2) of what the answer so
far shows there, and take one or more steps from t to the end. Of depth that is the window of the map so far, brought
to the range that the network paints; of flow, whose further looks ask for the motion that is left, no motion. The
networks are the shipped ones, at two levels; scenes of `levels.measure` and real pictures, differences paired with the
windows that start from noise, by bootstrap over pictures.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Device, machine
from benchmarks.levels import METRICS, errors, spec_of
from lookharder.chain import default_model
from lookharder.data.example import Batch, Dataset
from lookharder.data.source import open_spec
from lookharder.diffusion.sampler import trajectory
from lookharder.diffusion.steps import StepState, find_step
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.files import write_json
from lookharder.metrics.scores import SCORES
from lookharder.metrics.statistics import paired_bootstrap
from lookharder.predict.predictor import Predictor
from lookharder.predict.sampling import BatchSampler, FieldId
from lookharder.tasks.base import Task, grey_to_rgb, resize_map
from lookharder.tasks.closer.windows import Grid
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow

LEVELS, QUANTILES = 2, (0.02, 0.98)


def rough_depth(task: Task, batch: Batch, answer: Tensor, window: tuple[int, int]) -> Tensor:
    """(B V, 3, h, w): the map so far in each window, its quantiles at -1 and 1."""
    size = batch.image.shape[-2], batch.image.shape[-1]
    before = Grid(size=size, window=window).cut(resize_map(answer[:, 0].mean(1, True), *size))
    low, high = before.flatten(1).quantile(torch.tensor(QUANTILES), dim=1)[..., None, None, None]
    return grey_to_rgb((2 * (before - low) / (high - low).clamp(min=1e-6) - 1)[:, 0])


def rough_flow(task: Task, batch: Batch, answer: Tensor, window: tuple[int, int]) -> Tensor:
    """(B V, 3, h, w): no motion."""
    size = batch.image.shape[-2], batch.image.shape[-1]
    count = len(Grid(size=size, window=window).corners) * len(batch.name)
    return task.at_rest(count, window)[:, 0]


def started(at: float, steps: int) -> ExitStack:
    """Windows start from what is rough, at a share of the training's time, and take so many steps."""
    stack, whole = ExitStack(), BatchSampler._trajectory

    def shown(look_again: Callable, rough: Callable) -> Callable:
        def look(task: Task, batch: Batch, answer: Tensor, window: tuple[int, int]) -> Any:
            windows, join = look_again(task, batch, answer, window)
            return replace(windows, whole=rough(task, batch, answer, window)), join

        return look

    def walk(self: BatchSampler, ids: Sequence[FieldId]) -> Iterator[StepState]:
        if self.batch.whole is None or self.batch.depth is not None:
            return whole(self, ids)
        places, schedule = [b for b, _, _ in ids], self.chain.config.schedule
        first = round(at * (schedule.steps - 1))
        times = np.linspace(first, 0, steps, endpoint=False).round().astype(int).tolist()
        alpha, sigma = schedule.alpha_sigma(first)
        noise, condition = self._noise(ids), self.condition[places]
        label = self.labels[ids[0][0], ids[0][2]]
        clean = self.chain.autoencoder.encode(self.batch.whole[places])

        def denoise(x_t: Tensor, t: Tensor) -> Any:
            return self.chain.denoiser(x_t, t[:1], condition, label[None])

        step = find_step(self.effort.sampler)
        return trajectory(denoise, alpha * clean + sigma * noise(0), times, schedule, step, noise)

    for task, rough in ((Depth, rough_depth), (Flow, rough_flow)):
        stack.enter_context(patch.object(task, "look_again", shown(task.look_again, rough)))
    stack.enter_context(patch.object(BatchSampler, "_trajectory", walk))
    return stack


def compare(
    predictor: Predictor, task: str, data: Dataset, times: Sequence[float], steps: Sequence[int]
) -> list[dict[str, Any]]:
    rules, metric = protocol(task, "procedural", predictor.chain), METRICS[task][0]

    def score() -> np.ndarray:
        result = evaluate(predictor, task, data, data="rough", rules=rules, levels=LEVELS)
        return errors(result, metric)

    plain, rows = score(), list[dict[str, Any]]()
    name = SCORES[task].error_name(metric)
    rows.append({"start": "noise", "steps": 1, name: float(plain.mean())})
    for at in times:
        for count in steps:
            with started(at, count):
                found = score()
            gap = paired_bootstrap(found, plain, 0)._asdict()
            rows.append({"start": at, "steps": count, name: float(found.mean()), "less noise": gap})
            print(task, rows[-1], flush=True)
    return rows


def run(
    *,
    flow: str | None = None,
    depth: str | None = None,
    scenes: int = 8,
    times: tuple[float, ...] = (0.9, 0.7, 0.5),
    steps: tuple[int, ...] = (1, 4),
    device: Device = "auto",
    out: Path = Path("docs/results/rough-start.json"),
) -> None:
    found = {}
    for task, real in (("depth", depth), ("flow", flow)):
        predictor = Predictor.from_pretrained(default_model(task), device)
        for spec in filter(None, (spec_of(task, scenes), real)):
            name = spec.partition(":")[0]
            print(task, name, flush=True)
            found[f"{task}, {name}"] = compare(predictor, task, open_spec(spec, 512), times, steps)
    write_json(out, {"levels": LEVELS, "found": found} | machine(device))
