"""One loop for every stage: pre-training, fine-tuning, one task or many. It yields; the caller logs, saves and stops.

    for step in train(config, state, chain, datasets):
        ...                                   # step.iteration iterations are done; `state` may be saved now

Iteration i is a function of (weights, optimiser, seed, i) alone: which examples, their augmentation, noise levels and
noise are keyed by (seed, task, position). So a run that stops and resumes equals one that never stopped, bit for bit.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from lookharder.chain import Chain
from lookharder.data.augment import augment
from lookharder.data.example import Dataset, collate, order
from lookharder.diffusion.loss import multi_resolution_noise, training_loss
from lookharder.errors import InputError
from lookharder.models.moe import Routing
from lookharder.seeding import keyed_seed, numpy_generator, torch_generator
from lookharder.tasks.registry import AnyTask
from lookharder.training.optim import Ema, OptimConfig, build_optimizer, learning_rate


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a system learns.

    Attributes:
        iterations: length of training, and the horizon of the learning-rate schedule.
        batch_size: examples an iteration, over all tasks.
        mix: share of the batch for each task; shares are made whole by largest remainder.
        weights: factor on the loss of a task, 1 where none is given; flow images have little contrast.
        seed: key of all randomness.
        time_shift: s > 1 trains more at high noise: u -> s u / (1 + (s - 1) u) for uniform u (2403.03206, eq. 23).
        multi_resolution_noise: strength of Marigold's multi-resolution noise, 0 for plain Gaussian noise.
        augment: mirror and recolour the examples.
    """

    iterations: int
    batch_size: int
    mix: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    time_shift: float = 1.0
    multi_resolution_noise: float = 0.0
    augment: bool = True
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.batch_size < 1:
            raise InputError(
                "iterations, batch_size", (self.iterations, self.batch_size), "1 or more"
            )
        if not self.mix or min(self.mix.values()) < 0 or sum(self.mix.values()) <= 0:
            raise InputError("mix", dict(self.mix), "a share of 0 or more for each task, not all 0")
        if unknown := sorted(set(self.weights) - set(self.mix)):
            raise InputError("weights", unknown, f"tasks of the mix: {sorted(self.mix)}")
        if self.time_shift <= 0:
            raise InputError("time_shift", self.time_shift, "a positive number")


@dataclass(kw_only=True)
class TrainState:
    """All that changes during training; with the seed it determines everything that follows.

    Attributes:
        iteration: how many are done.
        optimizer: its moments.
        ema: the averaged weights.
        excluded: spans (first, last), both included, of iterations to pass over without computing anything;
            numbered as `TrainStep.iteration` is, from 1.
    """

    iteration: int
    optimizer: torch.optim.Optimizer
    ema: Ema
    excluded: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """What one iteration did.

    Attributes:
        iteration: counts finished iterations, so the first step says 1.
        loss: what was minimised, the mean over the batch of all ranks.
        losses: by task, before their weights; empty in an excluded iteration.
        routing_loss: that of all routers, 0 for a dense network.
        grad_norm: of the whole gradient, before it is clipped.
        lr: learning rate.
        images: examples seen, by all ranks.
        seconds: wall time of the iteration.
        data_seconds: of these, the time until its batch was ready.
        skipped: not empty where loss or gradient was not finite, on whatever rank, and so nothing was updated:
            "task/name" of the examples whose loss was not finite; of all where it was the gradient alone.
        excluded: the iteration lies in a span of `TrainState.excluded`: nothing was computed, losses are 0.
    """

    iteration: int
    loss: float
    losses: dict[str, float]
    routing_loss: float
    grad_norm: float
    lr: float
    images: int
    seconds: float
    data_seconds: float
    skipped: tuple[str, ...] = ()
    excluded: bool = False


def start(chain: Chain, config: TrainConfig) -> TrainState:
    """The state before the first iteration."""
    return TrainState(
        iteration=0,
        optimizer=build_optimizer(chain.network, config.optim),
        ema=Ema(chain.network, config.optim),
    )


def apportion(mix: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in the proportions of `mix` that sum to `total`: floors, then the largest remainders."""
    exact = {name: share * total / sum(mix.values()) for name, share in mix.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return {name: count for name, count in counts.items() if count}


def train(
    config: TrainConfig, state: TrainState, chain: Chain, datasets: Mapping[str, Dataset]
) -> Iterator[TrainStep]:
    """Train from `state` to the horizon, yielding after each iteration.

    Args:
        config: how to learn.
        state: where to start; changed in place.
        chain: the system; its network is changed in place.
        datasets: a data set for each task of the mix.
    """
    counts = apportion(config.mix, config.batch_size)
    parameters = list(chain.network.parameters())
    chain.network.train()
    while state.iteration < config.iterations:
        began = time.perf_counter()
        groups = {
            name: _prepare(
                config, chain, chain.task(name), datasets[name], state.iteration * count, count
            )
            for name, count in counts.items()
        }
        loaded = time.perf_counter()

        lr = learning_rate(config.optim, state.iteration, config.iterations)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        losses, routing = _losses(chain, groups)  # {task: (items,)}, ()
        weighted = [config.weights.get(name, 1.0) * value for name, value in losses.items()]
        loss = torch.cat(weighted).mean() + routing
        loss.backward()
        limit = math.inf if config.optim.clip_norm is None else config.optim.clip_norm
        grad_norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        if not math.isfinite(
            grad_norm
        ):  # before the update: the weights on disk and here stay good
            raise FloatingPointError(
                f"gradient norm {float(grad_norm)} at iteration {state.iteration + 1}"
            )
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.ema.update(chain.network, state.iteration)
        state.iteration += 1

        yield TrainStep(
            iteration=state.iteration,
            loss=loss.item(),
            losses={name: value.mean().item() for name, value in losses.items()},
            routing_loss=routing.item(),
            grad_norm=float(grad_norm),
            lr=lr,
            images=config.batch_size,
            seconds=time.perf_counter() - began,
            data_seconds=loaded - began,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """Inputs of the loss for the items of one task; an item is one field of one example."""

    x0: Tensor  # (M, c, h, w)
    known: Tensor  # (M, 1, h, w)
    condition: Tensor  # (M, S c, h, w)
    labels: Tensor  # (M,)
    t: Tensor  # (M,)
    noise: Tensor  # (M, c, h, w)


def _prepare(
    config: TrainConfig, chain: Chain, task: AnyTask, dataset: Dataset, position: int, count: int
) -> _Group:
    """The items at positions position..position + count - 1 of a task's endless order."""
    data_seed = keyed_seed(config.seed, "data", task.name)
    examples = []
    for p in range(position, position + count):
        example = dataset[order(data_seed, p, len(dataset))]
        examples.append(
            augment(example, numpy_generator(data_seed, p)) if config.augment else example
        )
    device = next(chain.network.parameters()).device
    batch = collate(examples).to(device)
    with torch.no_grad():
        target, known = chain.target(task, batch)  # (B, F, c, h, w), (B, 1, h, w)
        condition = chain.condition(task, batch)
    labels = chain.labels(task, batch)

    times, noises = [], []
    for p in range(position, position + count):
        generator = torch_generator(config.seed, "noise", task.name, p)
        u = torch.rand((), generator=generator, dtype=torch.float64)
        u = config.time_shift * u / (1 + (config.time_shift - 1) * u)
        t = min(int(u * chain.config.schedule.steps), chain.config.schedule.steps - 1)
        if task.name == "generation" and torch.rand((), generator=generator) < task.label_dropout:
            labels[p - position] = chain.config.model.null_label
        shape = tuple(target.shape[1:])
        fraction = (t + 1) / chain.config.schedule.steps
        strength = config.multi_resolution_noise * fraction  # annealed, as Marigold does
        times.append(t)
        noises.append(multi_resolution_noise(generator, shape, strength))

    fields = target.shape[1]
    return _Group(
        x0=target.flatten(0, 1),
        known=known.repeat_interleave(fields, 0),
        condition=condition.repeat_interleave(fields, 0),
        labels=labels.flatten(),
        t=torch.tensor(times, device=device).repeat_interleave(fields),
        noise=torch.stack(noises).to(device).flatten(0, 1),
    )


def _losses(chain: Chain, groups: Mapping[str, _Group]) -> tuple[dict[str, Tensor], Tensor]:
    """Loss of each item by task, and the routers' own; tasks of one latent size go through the network together."""
    losses: dict[str, Tensor] = {}
    tape: list[Routing] = []
    denoiser = replace(chain.denoiser, network=partial(chain.network, tape=tape))
    for size in {tuple(group.x0.shape[1:]) for group in groups.values()}:
        names = [name for name, group in groups.items() if tuple(group.x0.shape[1:]) == size]
        parts = [groups[name] for name in names]
        terms = training_loss(
            denoiser,
            torch.cat([g.x0 for g in parts]),
            torch.cat([g.t for g in parts]),
            torch.cat([g.noise for g in parts]),
            torch.cat([g.condition for g in parts]),
            torch.cat([g.labels for g in parts]),
            weight=torch.cat([g.known for g in parts]).float(),
        )
        losses |= zip(names, terms.loss.split([len(g.t) for g in parts]), strict=True)
    routing = sum(
        (routing.loss for routing in tape),
        torch.zeros((), device=next(chain.network.parameters()).device),
    )
    return losses, routing
