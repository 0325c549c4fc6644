"""One loop for every stage: pre-training, fine-tuning, one task or many. It yields; the caller logs, saves and stops.

    for step in train(config, state, chain, datasets):
        ...                                   # step.iteration iterations are done; `state` may be saved now

Iteration i is a function of (weights, optimiser, seed, i) alone: which examples, their augmentation, noise levels and
noise are keyed by (seed, task, position). So a run that stops and resumes equals one that never stopped, bit for bit,
and one on more ranks or in micro-batches equals it but for the order in which numbers are added:

    gradient = 1 / M * sum over shares, sum over their items, of w_task * d loss         M items in the whole batch

An update whose loss or gradient is not finite is left out, on all ranks, and the step says whose it was.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lookharder.chain import Chain
from lookharder.data.example import Dataset
from lookharder.diffusion.loss import LossForm, training_loss
from lookharder.models.dit import DiT
from lookharder.models.moe import Routing
from lookharder.training.batches import (
    Examples,
    Items,
    ahead,
    apportion,
    deal,
    encode,
    read,
)
from lookharder.training.config import TrainConfig, task_of
from lookharder.training.dealing import check_deal
from lookharder.training.distributed.parallel import Team, routing_loss
from lookharder.training.optim import Ema, build_optimizer, clip, gradient_norm, learning_rate

__all__ = [
    "TrainConfig",
    "TrainState",
    "TrainStep",
    "apportion",
    "averaged",
    "check_deal",
    "start",
    "train",
]


@dataclass(kw_only=True)
class TrainState:
    """All that changes during training; with the seed it determines everything that follows.

    Attributes:
        iteration: how many are done.
        optimizer: its moments.
        ema: the averaged weights.
        network: what is called, as the team has laid it out.
        team: the ranks that train together.
        excluded: spans (first, last), both included, of iterations to pass over without computing anything;
            numbered as `TrainStep.iteration` is, from 1.
    """

    iteration: int
    optimizer: torch.optim.Optimizer
    ema: Ema
    network: nn.Module
    team: Team
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
        data_seconds: of these, the time that was spent waiting for data.
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


def start(chain: Chain, config: TrainConfig, team: Team | None = None) -> TrainState:
    """The state before the first iteration; the chain is on its device, and the same on every rank.

    Args:
        chain: the system; its network is laid out for the team, and stays so.
        config: how it is going to learn.
        team: from `distributed`; None for a single process.
    """
    team = team or Team(device=chain.device)
    network = team.parallelize(chain.network)
    return TrainState(
        iteration=0,
        optimizer=build_optimizer(chain.network, config.optim),
        ema=Ema(chain.network, config.optim),
        network=network,
        team=team,
    )


def train(
    config: TrainConfig, state: TrainState, chain: Chain, datasets: Mapping[str, Dataset]
) -> Iterator[TrainStep]:
    """Train from `state` to the horizon, yielding after each iteration. All ranks of the team go through it together.

    Args:
        config: how to learn.
        state: where to start; changed in place.
        chain: the system that `start` was given; its network is changed in place.
        datasets: a data set for each task of the mix, the same on every rank.

    Raises:
        InputError: the batch is smaller than the team's shares of it, or cannot be dealt.
    """
    team, counts = state.team, apportion(config.mix, config.batch_size)
    check_deal(config, chain, team, datasets)
    chain.network.train()

    def job(iteration: int) -> list[dict[str, Examples]]:
        shares = range(team.rank, team.shares, team.size)
        hands = [deal(counts, iteration, share, team.shares) for share in shares]
        return [read(config, chain, datasets, hand) for hand in hands]

    iterations = range(state.iteration, config.iterations)
    excluded = {i for first, last in state.excluded for i in range(first - 1, last)}
    reader = ahead(partial(job, i) for i in iterations if i not in excluded)
    try:
        for iteration in iterations:
            began = time.perf_counter()
            lr = learning_rate(config.optim, iteration, config.iterations)
            if iteration in excluded:
                state.iteration += 1
                yield _passed_over(state.iteration, lr)
                continue
            micro_batches = next(reader)
            waited = time.perf_counter() - began
            items = ({n: encode(chain, n, e) for n, e in part.items()} for part in micro_batches)
            step = update(config, state, chain, items)
            yield replace(step, seconds=time.perf_counter() - began, data_seconds=waited)
    finally:
        reader.close()


def update(
    config: TrainConfig,
    state: TrainState,
    chain: Chain,
    micro_batches: Iterator[Mapping[str, Items]] | Sequence[Mapping[str, Items]],
) -> TrainStep:
    """One iteration over items that are on the device: gradient, update, average.

    Args:
        config: how to learn.
        state: changed in place.
        chain: the system.
        micro_batches: this rank's shares, as many as the team accumulates.
    """
    team, counts = state.team, apportion(config.mix, config.batch_size)
    totals = {
        name: count * chain.task(task_of(name)).fields for name, count in counts.items()
    }  # items
    sums = torch.zeros(len(totals) + 1, device=team.device)  # of losses by task; routing
    names: list[tuple[str, ...]] = []
    bad: list[Tensor] = []
    for number, groups in enumerate(micro_batches):
        last = number == team.config.accumulate - 1
        with team.micro_batch(state.network, last):
            losses, tape = _losses(state, chain, groups, config.loss)  # {task: (items,)}
            routing = routing_loss(tape, chain.config.model.moe, team) / team.config.accumulate
            weighted = [config.weights.get(name, 1.0) * v.sum() for name, v in losses.items()]
            loss = torch.stack(weighted).sum() / sum(totals.values()) + routing
            (loss * team.size).backward()  # the sum over ranks is divided by their number
        zero = loss.new_zeros(())
        parts = [losses[name].detach().sum() if name in losses else zero for name in totals]
        sums += torch.stack([*parts, routing.detach()])
        names += [group.names for group in groups.values()]
        bad += [~losses[name].detach().isfinite() for name in groups]

    lr = learning_rate(config.optim, state.iteration, config.iterations)
    read = torch.cat([team.sum(sums), gradient_norm(chain.network)[None]])
    *by_task, of_routers, grad_norm = read.tolist()  # one wait for the device, not two
    clip(chain.network, grad_norm, config.optim.clip_norm)
    weights = [config.weights.get(name, 1.0) for name in totals]
    total = sum(w * v for w, v in zip(weights, by_task, strict=True)) / sum(totals.values())
    skipped: tuple[str, ...] = ()
    if math.isfinite(total + of_routers) and math.isfinite(grad_norm):
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        state.optimizer.step()
        state.ema.update(chain.network, state.iteration)
    else:
        skipped = _culprits(team, names, bad)
    state.optimizer.zero_grad(set_to_none=True)
    state.iteration += 1
    return TrainStep(
        iteration=state.iteration,
        loss=total + of_routers,
        losses={name: v / totals[name] for name, v in zip(totals, by_task, strict=True)},
        routing_loss=of_routers,
        grad_norm=grad_norm,
        lr=lr,
        images=config.batch_size,
        seconds=0.0,
        data_seconds=0.0,
        skipped=skipped,
    )


def averaged(chain: Chain, state: TrainState) -> Chain | None:
    """The system with the averaged weights, to be saved; None on ranks other than the first. All ranks call it."""
    weights = state.team.gather(state.ema.state())
    if not state.team.main:
        return None
    with torch.device("meta"):
        network = DiT(chain.config.model)
    network.load_state_dict(weights, assign=True)
    network.to(state.team.device)  # what was in parts comes by way of the CPU
    return Chain(chain.config, network.eval(), chain.autoencoder)


class _Tape(list[Routing]):
    """What the routers of a forward decided; of a plain list FSDP would hand the network a copy."""


def _losses(
    state: TrainState, chain: Chain, groups: Mapping[str, Items], form: LossForm
) -> tuple[dict[str, Tensor], list[Routing]]:
    """Loss of each item by task, and the routers' tape; tasks of one latent size go through the network together."""
    losses: dict[str, Tensor] = {}
    tape = _Tape()
    denoiser = replace(chain.denoiser, network=partial(state.network, tape=tape))
    for size in sorted({tuple(group.x0.shape[1:]) for group in groups.values()}):
        names = [name for name, group in groups.items() if tuple(group.x0.shape[1:]) == size]
        parts = [groups[name] for name in names]
        with state.team.autocast():
            terms = training_loss(
                denoiser,
                torch.cat([g.x0 for g in parts]),
                torch.cat([g.t for g in parts]),
                torch.cat([g.noise for g in parts]),
                torch.cat([g.condition for g in parts]),
                torch.cat([g.labels for g in parts]),
                weight=torch.cat([g.known for g in parts]).float(),
                form=form,
            )
        losses |= zip(names, terms.loss.split([len(g.t) for g in parts]), strict=True)
    return losses, tape


def _culprits(
    team: Team, names: Sequence[tuple[str, ...]], bad: Sequence[Tensor]
) -> tuple[str, ...]:
    """Names of the examples whose loss is not finite, on any rank; of all if there are none."""
    flags = torch.cat(list(bad)).tolist()
    own = [name for group in names for name in group]
    wrong = team.collect(tuple(n for n, flag in zip(own, flags, strict=True) if flag))
    return tuple(dict.fromkeys(wrong or team.collect(tuple(own))))


def _passed_over(iteration: int, lr: float) -> TrainStep:
    """The step of an excluded iteration."""
    zero: dict[str, Any] = {
        "loss": 0.0,
        "routing_loss": 0.0,
        "grad_norm": 0.0,
        "seconds": 0.0,
        "data_seconds": 0.0,
    }
    return TrainStep(iteration=iteration, lr=lr, losses={}, images=0, excluded=True, **zero)
