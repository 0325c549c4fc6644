"""Which experts a model uses: by layer, by task and by denoising step, over a data set.

    share(e)         picks of e / picks of all                 sums to 1; 1 / E is even
    probability(e)   mean over tokens of the router's p(e)     sums to 1
    entropy          -sum share log share                      nats; over log E it is 1 where use is even
    imbalance        E max share                               1 where use is even, at most E / K
    token entropy    mean over tokens of -sum p log p          nats; 0 where the router is sure of every token
    dropped          picks owed (tokens x K) - picks made

Predictions are ordinary ones: `Predictor.predict` runs with its own noise keys, and its denoiser's network is seen
through a tally that reads the routers' tape. Sums are in float64, so the report does not depend on how the work is
chunked.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.chain import Chain
from lookharder.config import to_json
from lookharder.data.example import Dataset, Example, collate
from lookharder.errors import InputError
from lookharder.hardware import exact_device
from lookharder.models.dit import DiT
from lookharder.models.moe import MoEConfig, Routing
from lookharder.predict.inputs import require
from lookharder.predict.predictor import Options, Predictor


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How the experts of one layer are used in one step of one task.

    Attributes:
        task: name of the task.
        step: denoising step, 0 the first, from the noisiest.
        time: its time t.
        layer: block of the network, 0 the first.
        tokens: tokens routed.
        share: of each expert among the picks, (E,).
        probability: mean router probability of each expert, (E,).
        entropy: of `share`, nats.
        relative_entropy: entropy / log E, in [0, 1]; 1 for a single expert.
        imbalance: E max share.
        token_entropy: mean entropy of a token's router probabilities, nats.
        dropped: picks owed and not made.
    """

    task: str
    step: int
    time: int
    layer: int
    tokens: int
    share: tuple[float, ...]
    probability: tuple[float, ...]
    entropy: float
    relative_entropy: float
    imbalance: float
    token_entropy: float
    dropped: int


@dataclass(frozen=True, kw_only=True)
class RoutingReport:
    """Use of the experts of one model on one data set.

    Attributes:
        resolution: longest edge at which the network worked, pixels; 0 = the images' own.
        pictures: how many were predicted.
        experts: E.
        active: K.
        layers: blocks of the network.
        usage: one entry for each task, step and layer, in this order.
    """

    model: str
    data: str
    pictures: int
    resolution: int
    tasks: tuple[str, ...]
    steps: int
    members: int
    seed: int
    experts: int
    active: int
    layers: int
    usage: tuple[Usage, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(to_json(self))

    def of(self, task: str, step: int) -> tuple[Usage, ...]:
        """The layers of one step of one task, in order."""
        return tuple(use for use in self.usage if (use.task, use.step) == (task, step))

    def shares(self, task: str, step: int) -> Float[np.ndarray, "layers E"]:
        """Share of picks of each expert in each layer."""
        return np.array([use.share for use in self.of(task, step)])


def routing_report(
    predictor: Predictor,
    tasks: Sequence[str],
    dataset: Dataset,
    *,
    data: str,
    steps: int | None = None,
    members: int | None = None,
    seed: int = 0,
    resolution: int | None = None,
    batch_size: int = 16,
    progress: Callable[[int], object] = lambda done: None,
) -> RoutingReport:
    """Predict every image for every task, and count what the routers decide.

    Args:
        predictor: a model with experts.
        tasks: tasks of the model, each once.
        dataset: images, with what the tasks need beside them; ground truth is not read.
        data: what the data set is called in the report.
        steps: denoising steps; None = the model's default.
        members: how many are merged; None = the model's default.
        seed: key of the noise.
        resolution: longest edge at which the network works; None = the model's, 0 = the images' own.
        batch_size: images of one size predicted together.
        progress: called with the number of images done, once for each task.

    Raises:
        InputError: for a dense model, no tasks or one twice, no images, or data that lack what a task needs.
    """
    config = predictor.chain.config
    moe, task_names = experts_of(predictor.chain), tuple(tasks)
    steps = config.steps if steps is None else steps
    members = config.members if members is None else members
    once = len(task_names) == len(set(task_names)) > 0
    require(once, "tasks", list(task_names), "one or more tasks, each once")
    require(len(dataset) > 0, "--data", f"{data}, which is empty", "at least one image")
    for name, count in (("steps", steps), ("members", members), ("batch_size", batch_size)):
        require(count >= 1, name, count, "1 or more")
    options = Options(
        num_inference_steps=steps,
        ensemble_size=members,
        processing_resolution=resolution,
        match_input_resolution=False,
        seed=seed,
    )
    told = predictor.chain.denoiser.tell(torch.arange(config.schedule.steps))
    tallies = {task: _Tally(predictor.chain.network, moe, told) for task in task_names}
    watched = {task: _watched(predictor, tallies[task]) for task in task_names}
    for group in _same_size(map(dataset.__getitem__, range(len(dataset))), batch_size):
        batch = collate([_seen(example) for example in group])
        for task in task_names:
            next(watched[task].predict(task, batch, options))  # all members in one round
            progress(len(group))
    return RoutingReport(
        model=predictor.name,
        data=data,
        pictures=len(dataset),
        resolution=config.resolution if resolution is None else resolution,
        tasks=task_names,
        steps=steps,
        members=members,
        seed=seed,
        experts=moe.experts,
        active=moe.active,
        layers=config.model.depth,
        usage=tuple(use for task in task_names for use in tallies[task].usage(task)),
    )


def experts_of(chain: Chain) -> MoEConfig:
    """The mixture of a model, or a clear error where it is dense."""
    if chain.config.model.moe is None:
        raise InputError("model", "a dense one", "a model with experts")
    return chain.config.model.moe


class _Tally:
    """A network that counts, by time, what the routers of another decide.

    Args:
        network: the other.
        moe: its mixture.
        told: what it is told of each time 0 .. T - 1, see `Denoiser.tell`.
    """

    def __init__(self, network: DiT, moe: MoEConfig, told: Tensor) -> None:
        self.network, self.moe, self.told = network, moe, told
        self.tokens: dict[int, int] = {}
        self.sums: dict[int, np.ndarray] = {}  # (layers, 2 E + 1): picks, probabilities, entropy

    def __call__(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """The network's answer; a sampler asks for one time in a call."""
        tape: list[Routing] = []
        out: Tensor = self.network(x, t, y, tape)
        time = int((self.told - t[0].to(self.told.device)).abs().argmin())
        sums = torch.stack([self._sums(routing) for routing in tape])
        tokens = x[:, 0].numel() // self.network.config.patch_size**2
        self.tokens[time] = self.tokens.get(time, 0) + tokens
        self.sums[time] = self.sums.get(time, 0) + sums.cpu().numpy()
        return out

    def _sums(self, routing: Routing) -> Float[Tensor, "sums"]:
        numbers = torch.arange(self.moe.experts, device=routing.experts.device)
        picks = (routing.experts[..., None] == numbers).sum((0, 1))  # (E,)
        exact = exact_device(picks.device)
        p = routing.probabilities.to(exact).double()
        return torch.cat([picks.to(exact).double(), p.sum(0), torch.special.entr(p).sum()[None]])

    def usage(self, task: str) -> Iterator[Usage]:
        """The sums as shares and means."""
        count = self.moe.experts
        for step, time in enumerate(sorted(self.sums, reverse=True)):
            tokens = self.tokens[time]
            for layer, row in enumerate(self.sums[time]):
                picks = row[:count]
                share = picks / max(picks.sum(), 1)
                entropy = float(-(share[share > 0] * np.log(share[share > 0])).sum())
                yield Usage(
                    task=task,
                    step=step,
                    time=time,
                    layer=layer,
                    tokens=tokens,
                    share=tuple(share.tolist()),
                    probability=tuple((row[count:-1] / tokens).tolist()),
                    entropy=entropy,
                    relative_entropy=entropy / math.log(count) if count > 1 else 1.0,
                    imbalance=float(count * share.max()),
                    token_entropy=float(row[-1] / tokens),
                    dropped=tokens * self.moe.active - int(picks.sum()),
                )


def _watched(predictor: Predictor, tally: _Tally) -> Predictor:
    """The same model, whose network is seen through a tally; the predictor itself is left alone."""
    chain = copy.copy(predictor.chain)
    chain.denoiser = replace(chain.denoiser, network=tally)
    return Predictor(chain, predictor.device, predictor.name)


def _seen(example: Example) -> Example:
    """What a prediction may see of an example."""
    return Example(
        name=example.name,
        image=example.image,
        second=example.second,
        visible=example.visible,
        label=example.label,
    )


def _same_size(examples: Iterable[Example], most: int) -> Iterator[list[Example]]:
    """Runs of neighbours of one size, `most` at the most; one run in memory at a time."""
    for _, run in groupby(examples, key=lambda example: example.image.shape):
        while group := list(islice(run, most)):
            yield group
