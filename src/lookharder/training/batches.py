"""Which examples an iteration sees, and their way to the network.

    positions of a task in iteration i      [i * count, (i + 1) * count) of its endless order
    share s of n                            every n-th of the iteration's (task, position), from s on

Everything random about an item is keyed by (seed, task, position), so neither the number of ranks nor that of
micro-batches, which between them are the n shares, changes what the items of an iteration are.

An item is one field of one example. `read` needs no device and runs in a thread, some iterations ahead; `encode` is
the autoencoder's part, and is already done where the data set is of latents: those are mirrored where the examples
would have been. They cannot be recoloured; `check_teaching` says where pictures would be.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

from lookharder.autoencoder.base import weights_digest
from lookharder.chain import Chain
from lookharder.config import to_json
from lookharder.data.augment import augment, mirrored
from lookharder.data.example import Batch, Dataset, collate, order
from lookharder.data.latents import LatentSet
from lookharder.diffusion.loss import multi_resolution_noise
from lookharder.seeding import keyed_seed, numpy_generator, torch_generator
from lookharder.training.config import TrainConfig, task_of

T = TypeVar("T")
AHEAD = 2  # iterations that are read before they are needed


@dataclass(frozen=True, kw_only=True, eq=False)
class Items:
    """Inputs of the loss for M items of one task.

    Attributes:
        names: "task/name" of the example of each item.
        x0: target latents.
        known: cells whose annotation is known.
        condition: S source images as latents.
        labels: label row of each.
        t: time of each.
        noise: eps of each.
    """

    names: tuple[str, ...]
    x0: Tensor  # (M, c, h, w)
    known: Tensor  # (M, 1, h, w)
    condition: Tensor  # (M, S c, h, w)
    labels: Tensor  # (M,)
    t: Tensor  # (M,)
    noise: Tensor  # (M, c, h, w)


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The examples of one task in one share, read, augmented and stacked, with what is drawn for each.

    Attributes:
        batch: B examples, on the CPU.
        t: time of each, (B,).
        noise: (B, F, c, h, w).
        dropped: whose label becomes the null label, (B,).
        latents: target, where it is known, and condition, if they were encoded beforehand; `batch` then has no picture.
    """

    batch: Batch
    t: Tensor
    noise: Tensor
    dropped: Tensor
    latents: tuple[Tensor, Tensor, Tensor] | None = None


def apportion(mix: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in the proportions of `mix` that sum to `total`: floors, then the largest remainders."""
    exact = {name: share * total / sum(mix.values()) for name, share in mix.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return {name: count for name, count in counts.items() if count}


def deal(
    counts: Mapping[str, int], iteration: int, share: int, shares: int
) -> dict[str, tuple[int, ...]]:
    """Positions by task that fall to one share of an iteration; a task of which none does is left out.

    They are dealt like cards, task after task, so that shares differ by at most one example, in all and of each task.
    """
    cards = [(name, iteration * count + j) for name, count in counts.items() for j in range(count)]
    hand = cards[share::shares]
    positions = {name: tuple(p for other, p in hand if other == name) for name in counts}
    return {name: found for name, found in positions.items() if found}


def read(
    config: TrainConfig,
    chain: Chain,
    datasets: Mapping[str, Dataset],
    hand: Mapping[str, Sequence[int]],
) -> dict[str, Examples]:
    """The examples at the positions of a share, by task."""
    found = {}
    for name, positions in hand.items():
        data_seed, dataset = keyed_seed(config.seed, "data", name), datasets[name]
        indices = [order(data_seed, p, len(dataset)) for p in positions]
        generators = [numpy_generator(data_seed, p) for p in positions]
        latents = None
        if isinstance(dataset, LatentSet):
            flips = [config.augment and mirrored(generator) for generator in generators]
            *arrays, classes = dataset.group(indices, flips)
            names = tuple(f"{dataset.folder.name}/{index}" for index in indices)
            label = classes if bool((classes >= 0).all()) else None
            batch = Batch(name=names, image=arrays[0], label=label)
            latents = (arrays[0], arrays[1], arrays[2])
        else:
            examples = [dataset[index] for index in indices]
            if config.augment:
                colours = recolours(config, chain, name)
                pairs = zip(examples, generators, strict=True)
                examples = [augment(e, g, config.camera, colours) for e, g in pairs]
            if config.further_looks:
                look = chain.task(task_of(name)).further_look
                pairs = zip(examples, generators, strict=True)
                examples = [
                    look(e, g) if g.random() < config.further_looks else e for e, g in pairs
                ]
            batch = collate(examples)
        if batch.label is not None and not chain.task(task_of(name)).label_rows:
            chain.check_labels(batch.label, f"data.{name}")
        factor = chain.autoencoder.factor if latents is None else 1
        size = batch.image.shape[-2] // factor, batch.image.shape[-1] // factor
        t, noise, dropped = _draw(config, chain, name, size, positions)
        found[name] = Examples(batch=batch, t=t, noise=noise, dropped=dropped, latents=latents)
    return found


def recolours(config: TrainConfig, chain: Chain, name: str) -> bool:
    """Whether a source's pictures change their colours."""
    task = chain.task(task_of(name))
    return config.augment and (task.recoloured if config.recolour is None else config.recolour)


def size_of(chain: Chain, name: str, dataset: Dataset) -> tuple[int, int]:
    """Height and width, in latents, of what a data set holds for a task; its first example tells.

    Raises:
        InputError: the latents of a data set are of another task or autoencoder than the system's.
    """
    if isinstance(dataset, LatentSet):
        codec, task = chain.autoencoder, to_json(chain.task(task_of(name)))
        dataset.require(task, codec.config(), weights_digest(codec))
        return dataset.facts.target[-2], dataset.facts.target[-1]
    height, width = dataset[0].image.shape[-2:]
    return height // chain.autoencoder.factor, width // chain.autoencoder.factor


def _draw(
    config: TrainConfig,
    chain: Chain,
    name: str,
    size: tuple[int, int],
    positions: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Time, noise and whether the label is dropped, for each example; drawn on the CPU, in this order."""
    task, steps = chain.task(task_of(name)), chain.config.schedule.steps
    times, noises, dropped = [], [], []
    for position in positions:
        generator = torch_generator(config.seed, "noise", name, position)
        u = torch.rand((), generator=generator, dtype=torch.float64)
        u = config.time_shift * u / (1 + (config.time_shift - 1) * u)
        t = min(int(u * steps), steps - 1)
        dropped.append(
            not task.label_rows and bool(torch.rand((), generator=generator) < task.label_dropout)
        )
        strength = config.multi_resolution_noise * (t + 1) / steps  # annealed, as Marigold does
        shape = (task.fields, chain.autoencoder.channels, *size)
        noises.append(multi_resolution_noise(generator, shape, strength))
        times.append(t)
    return torch.tensor(times), torch.stack(noises), torch.tensor(dropped)


def encode(chain: Chain, name: str, examples: Examples) -> Items:
    """The items of the examples of one source, on the device of the network."""
    task, device = chain.task(task_of(name)), chain.device
    batch = examples.batch.to(device)
    if examples.latents is not None:
        target, known, condition = (part.to(device) for part in examples.latents)
        condition = chain.padded(condition)
    else:
        with torch.no_grad():
            target, known = chain.target(task, batch)  # (B, F, c, h, w), (B, 1, h, w)
            condition = chain.condition(task, batch)  # (B, S c, h, w)
    labels = chain.labels(task, batch)  # (B, F)
    labels = labels.masked_fill(examples.dropped.to(device)[:, None], chain.config.model.null_label)
    fields = target.shape[1]
    return Items(
        names=tuple(f"{name}/{example}" for example in batch.name for _ in range(fields)),
        x0=target.flatten(0, 1),
        known=known.repeat_interleave(fields, 0),
        condition=condition.repeat_interleave(fields, 0),
        labels=labels.flatten(),
        t=examples.t.to(device).repeat_interleave(fields),
        noise=examples.noise.to(device).flatten(0, 1),
    )


def ahead(jobs: Iterable[Callable[[], T]], depth: int = AHEAD) -> Generator[T, None, None]:
    """What the jobs return, in order; one thread does them, up to `depth` before they are asked for.

    It stops when the generator is closed. An error of a job is raised where its result is asked for.
    """
    waiting: deque[Future[T]] = deque()
    todo = iter(jobs)
    with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
        try:
            waiting.extend(reader.submit(job) for job in islice(todo, depth))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(reader.submit(job) for job in islice(todo, 1))
                yield result
        finally:
            reader.shutdown(wait=True, cancel_futures=True)
