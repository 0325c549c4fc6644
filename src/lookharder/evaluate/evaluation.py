"""Predictions against ground truth, under a written protocol, beside trivial answers, which need no network.

How a task is scored, and by which trivial answers, is its row of `metrics.scores.SCORES`; a protocol says how
predictions are aligned, clipped and masked, and its hash stands in every result.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import or_
from typing import Any

import numpy as np

from lookharder.chain import Chain, FitName
from lookharder.config import to_json
from lookharder.data.example import Dataset, Example
from lookharder.diffusion.schedule import ScheduleName, Spacing
from lookharder.diffusion.steps import SamplerName
from lookharder.evaluate.card import Card
from lookharder.evaluate.cards import rules_of
from lookharder.evaluate.judge import Judge
from lookharder.evaluate.parts import Parts, ScoredGroup
from lookharder.files import as_utf8
from lookharder.metrics.protocol import Protocol
from lookharder.predict.info import fingerprint
from lookharder.predict.inputs import together
from lookharder.predict.predictor import Prediction, Predictor


def protocol(
    task: str, reader: str, chain: Chain | None = None, rules: Protocol | None = None
) -> Protocol:
    """The protocol of a task on the data of a reader, for the task as this system (None: any) understands it.

    `rules`, of a card, take the place of those of the reader.
    """
    rules = rules or rules_of(task, reader)
    if chain is None or task not in chain.tasks:
        return rules
    return replace(rules, **chain.tasks[task].scoring)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of one model on one data set.

    Attributes:
        rows: one dictionary per image: its name, metrics, and `trivial.*`, the metrics of the trivial answers.
        left_out: name and reason of each image that cannot be scored.
        options: of the sampling, where they are not the model's own: processing_resolution, fit, sampler, spacing,
            noise_schedule, merge, mirror; beside them precision, where the command line rounds the weights.
        card: the benchmark's card, where it was scored under one.
        means: {metric: {"mean", "low", "high", "count"}}, the interval by bootstrap over images.
        weights: digest of the model, where the command line has scored one.
    """

    model: str
    task: str
    data: str
    protocol: Protocol
    steps: int
    members: int
    seed: int
    macs_per_image: float
    rows: list[dict[str, Any]]
    levels: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    card: Card | None = None
    means: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    weights: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; hashes beside the protocol and the card, and one of the names of what was scored."""
        said = as_utf8(to_json(self))
        names = "\n".join(sorted(row["name"] for row in said["rows"]))
        hashes = {
            "protocol_hash": self.protocol.hash,
            "pictures_sha256": hashlib.sha256(names.encode()).hexdigest(),
        }
        if self.card is not None:
            hashes["card_hash"] = self.card.hash
        return {**said, **hashes}


def evaluate(
    predictor: Predictor,
    task: str,
    dataset: Dataset,
    *,
    data: str,
    rules: Protocol,
    steps: int | None = None,
    members: int | None = None,
    levels: int | None = None,
    mirror: bool = False,
    seed: int = 0,
    resolution: int | None = None,
    fit: FitName | None = None,
    batch_size: int = 16,
    output_uncertainty: bool = False,
    watch: Callable[[Sequence[Example], Prediction], object] = lambda examples, result: None,
    tick: Callable[[], object] = lambda: None,
    sampler: SamplerName | None = None,
    spacing: Spacing | None = None,
    noise_schedule: ScheduleName | None = None,
    merge: str | None = None,
    card: Card | None = None,
    parts: Parts | None = None,
) -> Evaluation:
    """Score a model on a data set; every image is predicted as a user's would be, and scored at its own size.

    The set is read twice, first to see what can be scored and what trivial answers are, and it is not kept.

    Args:
        predictor: the model.
        task: a row of `SCORES`.
        dataset: images with ground truth for the task.
        data: what the data set is called in the result.
        rules: the protocol.
        steps: denoising steps; None = the model's default.
        members: how many are merged; None = the model's default.
        levels: looks, each further one at twice the size; None = the model's default.
        mirror: every second member sees the mirror image, as of `Options`.
        seed: key of the noise.
        resolution: longest edge at which the network works; None = the model's default.
        fit: how a picture is brought to that, as of `Options`; None = the model's default.
        batch_size: images of one size predicted together.
        output_uncertainty: give `watch` the uncertainty too, as `evaluate.calibration` needs it.
        watch: called after each batch with its examples and what was predicted for them.
        tick: called after each picture that was read to see whether it can be scored.
        sampler: None = the model's default, as of `Options`.
        spacing: likewise.
        noise_schedule: likewise.
        merge: likewise.
        card: what the scores are reported under; `rules` and the options above are what it says.
        parts: of which shard the pictures are predicted here, and what other shards have scored.

    Raises:
        InputError: for a task that cannot be scored, or data without ground truth for it.
        Unfinished: other shards have not scored theirs yet.
    """
    options: dict[str, Any] = {
        "processing_resolution": resolution,
        "fit": fit,
        "sampler": sampler,
        "spacing": spacing,
        "noise_schedule": noise_schedule,
        "merge": merge,
        **({"mirror": True} if mirror else {}),
    }
    effort = {"num_inference_steps": steps, "ensemble_size": members, "levels": levels}
    how = {"seed": seed, "output_uncertainty": output_uncertainty, **effort, **options}
    predict = partial(predictor.predict_examples, task=task, **how)
    judge = Judge(task, dataset, data, rules, tick)
    unusable = dict(judge.survey.left_out)
    groups = _same_size(judge.survey.sizes, batch_size)
    score = partial(_score, judge, predict, watch)
    if parts is None:
        scored = [score(group) for group in groups]
    else:
        about = (fingerprint(predictor.chain), task, to_json(rules), to_json(card), data, seed)
        asked = (steps, members, levels, options, batch_size, judge.survey.names, unusable)
        run = hashlib.sha256(json.dumps([about, asked]).encode()).hexdigest()
        scored = parts.complete(run, groups, score)
    judge.rows = [row for group in scored for row in group.rows]
    means = judge.means(seed)  # refuses where nothing could be predicted
    whole = _join(scored)
    return Evaluation(
        model=predictor.name,
        task=task,
        data=data,
        protocol=rules,
        steps=whole.steps,
        members=whole.members,
        levels=whole.levels,
        seed=seed,
        macs_per_image=whole.macs / len(whole.rows),
        rows=whole.rows,
        options={name: value for name, value in options.items() if value is not None},
        left_out=unusable | whole.left_out,
        card=card,
        means=means,
    )


def _score(
    judge: Judge,
    predict: Callable[[Sequence[Example]], Prediction],
    watch: Callable[[Sequence[Example], Prediction], object],
    places: Sequence[int],
) -> ScoredGroup:
    """Predict pictures together and score them."""
    first, before = len(judge.rows), set(judge.survey.left_out)
    macs, effort = 0, (0, 0, 0)
    for examples, result in judge.survey.attempt(predict, list(judge.survey.examples(places))):
        macs, effort = macs + result.macs, (result.steps, result.members, result.effort.levels)
        for place, (example, prediction) in enumerate(
            zip(examples, result.prediction, strict=True)
        ):
            several = [] if result.masks is None else list(result.masks[place].numpy())
            best = judge.best(example, several)
            judge.add(example, np.moveaxis(prediction, -1, 0), **best)
        watch(examples, result)
    left_out = {name: why for name, why in judge.survey.left_out.items() if name not in before}
    steps, members, levels = effort
    return ScoredGroup(
        rows=judge.rows[first:],
        left_out=left_out,
        macs=macs,
        steps=steps,
        members=members,
        levels=levels,
    )


def _join(groups: Sequence[ScoredGroup]) -> ScoredGroup:
    """All groups as one; how much was done for a picture is that of the last one that could be predicted."""
    last = [group for group in groups if group.rows][-1]
    return replace(
        last,
        rows=[row for group in groups for row in group.rows],
        left_out=reduce(or_, (group.left_out for group in groups)),
        macs=sum(group.macs for group in groups),
    )


def _same_size(sizes: Sequence[tuple[int, int]], most: int) -> list[list[int]]:
    """Places of neighbours of one size, `most` at the most, fewer of large ones."""
    groups: list[list[int]] = []
    for place, size in enumerate(sizes):
        if (
            not groups
            or sizes[groups[-1][0]] != size
            or len(groups[-1]) >= min(most, together(*size))
        ):
            groups.append([])
        groups[-1].append(place)
    return groups
