"""Answers to the pictures of a set, a model's or anyone's, become rows of scores beside those of trivial answers."""

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lookharder.data.example import Dataset, Example
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.evaluate.survey import Survey, truth_of
from lookharder.hardware import free_memory
from lookharder.metrics.protocol import Protocol
from lookharder.metrics.scores import BEST, SCORES, MetricValues, Score, TrivialAnswer
from lookharder.metrics.statistics import bootstrap_mean

PIXELS = (
    "pixels"  # of a row: how many of the image are scored; with _NAME, of the part of that name
)
KEPT = 2**28  # bytes of examples that are not made twice, at most
Row = dict[str, Any]


class Judge:
    """Scores of one set: which pictures can be scored, and the rows of those that have been.

    Args:
        task: a row of `SCORES`.
        dataset: images with ground truth for the task; read once here, to see what can be scored and what trivial
            answers are, and once more by whoever answers.
        data: what the set is called in errors.
        rules: the protocol.
        tick: called after each picture that was looked at.

    Attributes:
        survey: the pictures that can be scored.
        trivial: trivial answers by name.
        rows: one for each picture that was scored: its name, metrics, and those of trivial answers.

    Raises:
        InputError: a task that cannot be scored, or no picture that can.
    """

    def __init__(
        self,
        task: str,
        dataset: Dataset,
        data: str,
        rules: Protocol,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        if task not in SCORES:
            raise InputError("--task", repr(task), f"one of {sorted(SCORES)}")
        self.score: Score = SCORES[task]
        self.rules, self.data = rules, data
        self.survey = Survey(Remembered(dataset, _room()), self.score, rules, tick)
        truths = self.survey.truths()
        if (first := next(truths, None)) is None:
            raise self.survey.refusal(data)
        self.trivial: dict[str, TrivialAnswer] = dict(
            self.score.trivial(itertools.chain([first], truths), rules)
        )
        deque(truths, maxlen=0)  # to the end, also where no trivial answer looks at them
        self.rows: list[Row] = []

    def add(self, example: Example, answer: np.ndarray, **more: float | None) -> None:
        """Score an answer (C, H, W) to one picture; `more` are metrics of it that are known already."""
        truth = truth_of(example, self.score)
        row: Row = {"name": example.name, **self.scored(example, answer), **more}
        if self.rules.pooled:
            row[PIXELS] = int(self.score.judged(truth, self.rules).sum())
            parts = self.score.regions(truth, self.rules)
            row |= {f"{PIXELS}_{name}": int(mask.sum()) for name, mask in parts.items()}
        for name, trivial in self.trivial.items():
            scored = self.score.evaluate(trivial(truth), truth, self.rules)
            row |= {f"trivial.{name}.{metric}": value for metric, value in scored.items()}
        self.rows.append(row)

    def scored(self, example: Example, answer: np.ndarray) -> MetricValues:
        """Metrics of an answer (C, H, W) to one picture."""
        return self.score.evaluate(answer, truth_of(example, self.score), self.rules)

    def best(self, example: Example, answers: Sequence[np.ndarray]) -> dict[str, float | None]:
        """What the best of several answers reaches by each of the main metrics; who picks it must know the truth."""
        if len(answers) < 2:
            return {}
        scored = [self.scored(example, answer) for answer in answers]
        found: dict[str, float | None] = {}
        for metric in self.score.main:
            values = [value for row in scored if (value := row[metric]) is not None]
            pick = max if metric in self.score.higher else min
            found[f"{metric}{BEST}{len(answers)}"] = pick(values) if values else None
        return found

    def means(self, seed: int) -> dict[str, dict[str, float]]:
        """Of each metric with its interval, over the rows.

        Raises:
            InputError: there is no row.
        """
        if not self.rows:
            raise self.survey.refusal(self.data)
        means = {}
        for key in self.rows[0]:
            if key == "name" or key.startswith(PIXELS):
                continue
            known = [row for row in self.rows if row.get(key) is not None]
            if known:
                values = [row[key] for row in known]
                mean, low, high = bootstrap_mean(
                    values, seed, weights=weights(key, known, self.rules.pooled)
                )
                means[key] = {"mean": mean, "low": low, "high": high, "count": len(values)}
        return means


def _room() -> int:
    """Bytes for examples that are not made twice: of what is free an eighth, for the model needs the rest."""
    free = free_memory()
    return KEPT if free is None else min(KEPT, free // 8)


def weights(key: str, rows: Sequence[Row], pooled: Sequence[str]) -> list[float] | None:
    """How much each row counts in the mean of a metric: its pixels, if a protocol pools it; None = all alike."""
    metric = key.rpartition(".")[2]
    if metric not in pooled:
        return None
    own = f"{PIXELS}_{metric.rpartition('_')[2]}"
    return [float(row[own if own in row else PIXELS]) for row in rows]
