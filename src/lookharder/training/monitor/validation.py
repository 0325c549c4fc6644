"""What the averaged weights can do, every so many iterations: scores on held-out data, beside the trivial answers.

    RUN/validation.jsonl             one line a validation: depth.abs_rel, depth.rmse, ..., depth.ratio, flow.epe, ...
    RUN/validation/00001000.png      the first scenes: input, truth and prediction of every task

Scores are those of `lookharder evaluate`, protocol included. `TASK.ratio` is the error beside that of the best trivial
answer: 1 says that nothing has been seen, 0 that nothing is left to learn.

A validation is a function of weights and configuration alone, noise included. It changes nothing of the training, and
there is no time in its files: a run that was killed and resumed leaves the very bytes of one that never stopped.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lookharder.chain import Chain
from lookharder.data.example import Example
from lookharder.data.source import open_spec
from lookharder.errors import InputError
from lookharder.files import atomic, make_inside
from lookharder.jsons import read_lines
from lookharder.metrics.scores import SCORES

if TYPE_CHECKING:
    from lookharder.evaluate.evaluation import Evaluation
    from lookharder.predict.predictor import Prediction
    from lookharder.visualize.views import View

CELL = 128  # pixels: smaller pictures are enlarged to about this, larger ones shrunk to it


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """When and on what the averaged weights are scored.

    Attributes:
        every: iterations between validations; 0 for none.
        data: held-out data, `procedural[:COUNT[:SEED]]` or `READER:PATH`.
        specs: by task, data in place of `data`, for sets that do not annotate everything.
        steps: denoising steps; None = the model's default.
        scenes: how many examples of each set are used, its first ones.
        pictures: how many of these are shown.
        seed: key of the noise.
    """

    every: int = 0
    data: str = "procedural:16"
    specs: Mapping[str, str] = field(default_factory=dict)
    steps: int | None = None
    scenes: int = 64
    pictures: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("every", 0), ("scenes", 1), ("pictures", 0)):
            if getattr(self, name) < least:
                raise InputError(f"validation.{name}", getattr(self, name), f"{least} or more")
        if self.steps is not None and self.steps < 1:
            raise InputError("validation.steps", self.steps, "1 or more, or null")
        if unknown := sorted(set(self.specs) - set(SCORES)):
            raise InputError("validation.specs", unknown, f"tasks of {sorted(SCORES)}")


def validate(
    chain: Chain,
    config: ValidationConfig,
    iteration: int,
    folder: Path,
    tasks: Sequence[str] | None = None,
) -> dict[str, float]:
    """Score a system and show what it predicts; again for the same iteration, it replaces what it wrote.

    Args:
        chain: the system with the averaged weights, as `loop.averaged` gives it.
        config: on what.
        iteration: names the validation.
        folder: of the run.
        tasks: which to score, of those that the system has; others are left out. None = all.

    Returns:
        The means by `TASK.METRIC`, and `TASK.ratio`, as they stand in the line; without those that are not finite.

    Raises:
        InputError: data that cannot be read or lack an annotation, or no task to score.
    """
    from lookharder.evaluate.evaluation import evaluate, protocol
    from lookharder.predict.predictor import Predictor
    from lookharder.visualize.views import VIEWS

    sets = held_out(chain, config, tasks)
    network, found = chain.network, dict[str, float]()
    columns: list[list[np.ndarray]] = []
    mode, device = network.training, next(network.parameters()).device
    predictor = Predictor(chain, device, name=f"iteration {iteration}")  # which sets it to `eval`
    try:
        for task, examples in sets.items():
            strip = _Strip(VIEWS[task], config.pictures)
            spec = config.specs.get(task, config.data)
            scores = evaluate(
                predictor,
                task,
                examples,
                data=spec,
                rules=protocol(task, spec.partition(":")[0], chain),
                steps=config.steps,
                seed=config.seed,
                watch=strip.add,
            )
            found |= _means(scores)
            columns += strip.columns()
    finally:
        network.train(mode)
    if columns:
        titles = [title for task in sets for title in VIEWS[task].strip.values()]
        pictures = make_inside(folder, "validation")
        _draw(columns, titles, pictures / f"{iteration:08d}.png")
    others = [row for row in rows_of(folder) if row["iteration"] != iteration]
    _write(folder, sorted([*others, {"iteration": iteration, **found}], key=_iteration))
    return found


class _Strip:
    """The first examples of a task as they are scored: a row each; input, truth and prediction are its cells."""

    def __init__(self, view: "View", count: int) -> None:
        self.view, self.count = view, count
        self.rows: list[list[np.ndarray]] = []

    def add(self, examples: Sequence[Example], result: "Prediction") -> None:
        for i, example in enumerate(examples[: self.count - len(self.rows)]):
            values = np.moveaxis(result.prediction[i], -1, 0)
            cells = self.view.panel(example, values, result.painting[i])
            self.rows.append([_sized(cells[k][1]) for k in self.view.strip])

    def columns(self) -> list[list[np.ndarray]]:
        return [list(column) for column in zip(*self.rows, strict=True)]


def held_out(
    chain: Chain, config: ValidationConfig, tasks: Sequence[str] | None = None
) -> dict[str, tuple[Example, ...]]:
    """The examples that each task is scored on; made once a process. Call it before training: mistakes show here.

    Raises:
        InputError: data that cannot be read, or no task to score.
    """
    wanted = set(SCORES if tasks is None else tasks)
    scored = [task for task in SCORES if task in wanted and task in chain.tasks]
    if not scored:
        got = f"{config.every} for {sorted(wanted)}"
        raise InputError("validation.every", got, f"0, or one of the tasks {list(SCORES)}")
    size = chain.config.resolution
    return {
        task: _examples(config.specs.get(task, config.data), size, config.scenes) for task in scored
    }


@lru_cache(maxsize=8)
def _examples(spec: str, size: int, most: int) -> tuple[Example, ...]:
    dataset = open_spec(spec, size)
    return tuple(dataset[i] for i in range(min(most, len(dataset))))


def ratio(scores: "Evaluation") -> float:
    """Error beside that of the best trivial answer; of a metric that grows with skill, the error is what 1 lacks."""
    score = SCORES[scores.task]
    metric = score.main[0]
    errors = {key: score.error(metric, row["mean"]) for key, row in scores.means.items()}
    trivial = [
        value
        for key, value in errors.items()
        if key.startswith("trivial.") and key.endswith(f".{metric}")
    ]
    return errors[metric] / min(trivial) if min(trivial) > 0 else math.inf


def _means(scores: "Evaluation") -> dict[str, float]:
    means, task = scores.means, scores.task
    found = {f"{task}.{key}": means[key]["mean"] for key in SCORES[task].main if key in means}
    found[f"{task}.ratio"] = ratio(scores)
    return {key: float(value) for key, value in found.items() if math.isfinite(value)}


def _draw(columns: Sequence[Sequence[np.ndarray]], titles: Sequence[str], path: Path) -> None:
    """Write the columns as one picture; those of a task with fewer scenes end in white."""
    from lookharder.data.formats import write_image
    from lookharder.visualize.colours import montage

    blank = np.full((1, 1, 3), 255, np.uint8)
    rows = [list(row) for row in zip_longest(*columns, fillvalue=blank)]
    write_image(path, np.moveaxis(montage(rows, titles), -1, 0))


def _sized(picture: np.ndarray) -> np.ndarray:
    """A picture as large as a cell, about: each pixel a square, or shrunk."""
    longest = max(picture.shape[:2])
    if longest <= CELL:
        return picture.repeat(CELL // longest, axis=0).repeat(CELL // longest, axis=1)
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(picture))
    small.thumbnail((CELL, CELL))
    return np.asarray(small)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The validations of a run so far, oldest first."""
    path = folder / "validation.jsonl"
    if not path.exists():
        return []
    return [row for _, row in read_lines(path)]


def cut_back(folder: Path, iteration: int) -> None:
    """Remove the validations after `iteration`, pictures included: when a run resumes there."""
    rows = rows_of(folder)
    kept = [row for row in rows if row["iteration"] <= iteration]
    if len(kept) < len(rows):
        _write(folder, kept)
    for path in (folder / "validation").glob("*.png"):
        torn = path.name.startswith(".")  # what a kill has left of a picture
        if torn or (path.stem.isdecimal() and int(path.stem) > iteration):
            path.unlink()


def _iteration(row: Mapping[str, Any]) -> int:
    return int(row["iteration"])


def _write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """All lines, whole or not at all."""
    with atomic(folder / "validation.jsonl") as aside:
        lines = [json.dumps(row, allow_nan=False) + "\n" for row in rows]
        aside.write_text("".join(lines), encoding="utf-8")
