"""Predictions against ground truth, under a protocol that is written down, beside answers that need no network.

A score means nothing without its protocol: how predictions are aligned, clipped and masked. A protocol is a frozen
dataclass; its hash stands in every result, so that two numbers are compared only where they may be. Beside each score
stands that of the trivial answers: the best map that ignores the picture (depth), no motion (flow), the visible mask.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from lookharder.chain import Chain
from lookharder.config import to_json
from lookharder.data.example import Dataset, Example
from lookharder.diffusion.schedule import ScheduleName, Spacing
from lookharder.diffusion.steps import SamplerName
from lookharder.errors import InputError
from lookharder.metrics import depth as depth_metrics
from lookharder.metrics import flow as flow_metrics
from lookharder.metrics import segmentation
from lookharder.metrics.statistics import bootstrap_mean
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.tasks.depth import Depth

MAP_SIDE = 64  # side of the mean map among the depth baselines


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How predictions of a task are scored on a data set.

    Attributes:
        name: what a table calls it.
        task: the task.
        min_depth: depth below which ground truth is not scored and predictions are clipped, metres.
        max_depth: likewise above.
        depth_space: where scale and shift are fitted: depth, or log depth for a model that predicts that.
        max_flow: motion above which ground truth is not scored, pixels; None scores all.
    """

    name: str
    task: str
    min_depth: float = 1e-3
    max_depth: float = 80.0
    depth_space: Literal["linear", "log"] = "linear"
    max_flow: float | None = None

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of everything the protocol says."""
        text = json.dumps(to_json(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


PROTOCOLS = {  # published valid ranges (facts of Marigold's and RAFT's evaluation); other sets use the defaults
    ("depth", "hypersim"): Protocol(
        name="hypersim-depth", task="depth", min_depth=1e-5, max_depth=65.0
    ),
    ("depth", "kitti_depth"): Protocol(
        name="kitti-depth", task="depth", min_depth=1e-5, max_depth=80.0
    ),
}


def protocol(task: str, reader: str, chain: Chain | None = None) -> Protocol:
    """The protocol of a task on the data of a reader, for the task as this system (None: any) understands it."""
    rules = PROTOCOLS.get((task, reader), Protocol(name=f"{reader}-{task}", task=task))
    if chain is not None and isinstance(depth := chain.tasks.get(task), Depth):
        rules = replace(rules, depth_space=depth.space)
    return rules


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of one model on one data set.

    Attributes:
        rows: one dictionary per picture: its name, metrics, and `trivial.*`, the metrics of the trivial answers.
        options: of the sampling, where they are not the model's own: sampler, spacing, noise_schedule.
        means: {metric: {"mean", "low", "high", "count"}}, the interval by bootstrap over pictures.
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
    options: Mapping[str, Any] = field(default_factory=dict)
    means: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the hash of the protocol beside the protocol."""
        return {**to_json(self), "protocol_hash": self.protocol.hash}


def evaluate(
    predictor: Predictor,
    task: str,
    dataset: Dataset,
    *,
    data: str,
    rules: Protocol,
    steps: int | None = None,
    members: int | None = None,
    seed: int = 0,
    resolution: int | None = None,
    batch_size: int = 16,
    watch: Callable[[Sequence[Example], Prediction], object] = lambda examples, result: None,
    sampler: SamplerName | None = None,
    spacing: Spacing | None = None,
    noise_schedule: ScheduleName | None = None,
) -> Evaluation:
    """Score a model on a data set; every picture is predicted as a user's would be, and scored at its own size.

    Args:
        predictor: the model.
        task: "depth", "flow" or "amodal".
        dataset: pictures with ground truth for the task.
        data: what the data set is called in the result.
        rules: the protocol.
        steps: denoising steps; None = the model's default.
        members: draws; None = the model's default.
        seed: key of the noise.
        resolution: longest edge at which the network works; None = the model's default.
        batch_size: pictures of one size predicted together.
        watch: called after each batch with its examples and what was predicted for them.
        sampler: None = the model's default, as of `Request`.
        spacing: likewise.
        noise_schedule: likewise.

    Raises:
        InputError: for a task that cannot be scored, or data without ground truth for it.
    """
    if task not in SCORES:
        raise InputError("--task", repr(task), f"one of {sorted(SCORES)}")
    examples = [dataset[i] for i in range(len(dataset))]
    if not examples:
        raise InputError("--data", f"{data}, which is empty", "at least one picture")
    options: dict[str, Any] = {
        "sampler": sampler,
        "spacing": spacing,
        "noise_schedule": noise_schedule,
    }
    trivial = TRIVIAL[task](examples, rules)
    rows: list[dict[str, Any]] = []
    macs = 0
    for group in _same_size(examples, batch_size):
        result = predictor(
            [example.image for example in group],
            task=task,
            second=[example.second for example in group] if task == "flow" else None,
            mask=[example.visible for example in group] if task == "amodal" else None,
            num_inference_steps=steps,
            ensemble_size=members,
            processing_resolution=resolution,
            seed=seed,
            **options,
        )
        macs += result.macs
        for i, example in enumerate(group):
            prediction = np.moveaxis(result.prediction[i], -1, 0)
            scores = SCORES[task](prediction, example, rules)
            for name, answer in trivial.items():
                scores |= {
                    f"trivial.{name}.{k}": v
                    for k, v in SCORES[task](answer(example), example, rules).items()
                }
            rows.append({"name": example.name, **scores})
        watch(group, result)
    return Evaluation(
        model=predictor.name,
        task=task,
        data=data,
        protocol=rules,
        steps=result.steps,
        members=result.members,
        seed=seed,
        macs_per_image=macs / len(rows),
        rows=rows,
        options={name: value for name, value in options.items() if value is not None},
        means=_means(rows, seed),
    )


def _same_size(examples: list[Example], most: int) -> Iterator[list[Example]]:
    """Runs of neighbours of one size, `most` at the most."""
    group: list[Example] = []
    for example in examples:
        if group and (len(group) == most or group[0].image.shape != example.image.shape):
            yield group
            group = []
        group.append(example)
    yield group


def _means(rows: list[dict[str, Any]], seed: int) -> dict[str, dict[str, float]]:
    means = {}
    for key in rows[0]:
        values = [row[key] for row in rows if key != "name" and row.get(key) is not None]
        if values:
            mean, low, high = bootstrap_mean(values, seed)
            means[key] = {"mean": mean, "low": low, "high": high, "count": len(values)}
    return means


def _need(example: Example, name: str) -> np.ndarray:
    value = getattr(example, name)
    if value is None:
        raise InputError(
            f"--data ({example.name})", f"no `{name}`", f"a set that annotates `{name}`"
        )
    return np.asarray(value)


def _depth_mask(example: Example, rules: Protocol) -> np.ndarray:
    depth = _need(example, "depth")
    return _need(example, "depth_valid") & (depth > rules.min_depth) & (depth < rules.max_depth)


def _score_depth(prediction: np.ndarray, example: Example, rules: Protocol) -> dict[str, Any]:
    target, mask = _need(example, "depth"), _depth_mask(example, rules)
    if rules.depth_space == "log":
        known = np.where(mask, target, 1.0)
        aligned = np.exp(depth_metrics.align_affine(prediction[0], np.log(known), mask)[0])
    else:
        aligned = np.asarray(depth_metrics.align_affine(prediction[0], target, mask)[0])
    return depth_metrics.evaluate(np.clip(aligned, rules.min_depth, rules.max_depth), target, mask)


def _score_flow(prediction: np.ndarray, example: Example, rules: Protocol) -> dict[str, Any]:
    target, valid = _need(example, "flow"), _need(example, "flow_valid")
    if rules.max_flow is not None:
        valid = valid & (np.hypot(*target) <= rules.max_flow)
    return flow_metrics.evaluate(prediction, target, valid)


def _score_amodal(prediction: np.ndarray, example: Example, rules: Protocol) -> dict[str, Any]:
    return segmentation.evaluate(prediction[0], _need(example, "amodal"), _need(example, "visible"))


def _depth_trivial(
    examples: list[Example], rules: Protocol
) -> dict[str, Callable[[Example], np.ndarray]]:
    """Maps that do not depend on the picture: flat, a vertical ramp, and the mean of this very ground truth.

    The mean map sees the answers, so with many pictures it is a bound on what ignoring the picture can reach.
    """
    mean = np.mean([_normalised(example, rules) for example in examples], axis=0)

    def fit(values: np.ndarray, example: Example) -> np.ndarray:
        size = example.image.shape[-2:]
        return F.interpolate(torch.from_numpy(values)[None, None], size=size, mode="bilinear")[
            0
        ].numpy()

    ramp = np.linspace(1, 0, MAP_SIDE)[:, None].repeat(MAP_SIDE, 1)
    return {
        "flat": lambda example: np.ones((1, *example.image.shape[-2:])),
        "ramp": lambda example: fit(ramp, example),
        "mean_map": lambda example: fit(mean, example),
    }


def _normalised(example: Example, rules: Protocol) -> np.ndarray:
    """Ground truth by its quantiles in [0, 1] at the size of the mean map; unknown pixels take the median."""
    depth, mask = _need(example, "depth").astype(np.float64), _depth_mask(example, rules)
    low, high = np.quantile(depth[mask], [0.02, 0.98])
    depth = np.where(mask, depth, np.median(depth[mask]))
    values = torch.from_numpy(np.clip((depth - low) / max(high - low, 1e-6), 0, 1))
    return F.interpolate(values[None, None], size=(MAP_SIDE, MAP_SIDE), mode="bilinear")[
        0, 0
    ].numpy()


SCORES = {"depth": _score_depth, "flow": _score_flow, "amodal": _score_amodal}

TRIVIAL: dict[
    str, Callable[[list[Example], Protocol], dict[str, Callable[[Example], np.ndarray]]]
] = {
    "depth": _depth_trivial,
    "flow": lambda examples, rules: {"zero": lambda example: np.zeros_like(_need(example, "flow"))},
    "amodal": lambda examples, rules: {"visible": lambda example: _need(example, "visible")[None]},
}
