"""Spend a budget: of the measured settings that it affords, take the cheapest whose error is near the least.

    MACs       closed form (`cost`), so never over
    seconds    the same work at the speed of this machine, measured at this size; members are sampled in rounds, and no
               round is begun that would not end in time, which guards against what the measurement missed
    bytes      peak memory of as many inputs at a time as fit, and the members that are held

A budget is for one image; several in one call have that much each, but for bytes, which they share.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from lookharder.chain import Chain
from lookharder.data.example import Batch
from lookharder.errors import InputError, counted
from lookharder.predict.cost import ImageCost
from lookharder.predict.effort import Budget, Effort, level_sizes
from lookharder.predict.memory import FLOAT, PeakMemory
from lookharder.predict.options import SamplingPlan
from lookharder.predict.settings import Setting, SettingsTable
from lookharder.shapes import HeightWidth

MARGIN = 0.9  # of a budget of seconds is planned with: a measured speed is not a promise
ROUNDS = 5  # against the clock: the work may be stopped after each
NO_TABLE = "none, for this model has no table of measured settings (frontier.json)"


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds of a forward and of the autoencoder on this machine, at one size.

    Attributes:
        alone: a forward of one input.
        full: a forward of `chunk` inputs.
        chunk: how many those are.
        encode: of one image.
        decode: of one image.
    """

    alone: float
    full: float
    chunk: int
    encode: float
    decode: float

    def forwards(self, inputs: int) -> float:
        """One step of that many inputs, in chunks; between `alone` and `full` along a straight line."""
        whole, rest = divmod(inputs, self.chunk)
        slope = (self.full - self.alone) / max(1, self.chunk - 1)
        return whole * self.full + (self.alone + slope * (rest - 1) if rest else 0.0)


@torch.inference_mode()
def measure_speed(chain: Chain, size: tuple[int, int], chunk: int) -> Speed:
    """Time a forward of one input and one of a full chunk, each after a first that warms up, and the autoencoder once.

    A chunk that would take long is not run: it is taken for as many forwards of one input.
    """
    device = chain.device
    rows, columns = (side // chain.autoencoder.factor for side in size)
    zero = torch.zeros(1, dtype=torch.long, device=device)

    clock = partial(_clock, device=device)

    def forward(inputs: int) -> float:
        x = torch.zeros(inputs, chain.config.model.in_channels, rows, columns, device=device)
        return clock(lambda: chain.denoiser.network(x, zero, zero))

    first = forward(1)
    alone = forward(1) if first < 1 else first
    full = alone * chunk if alone * chunk > 0.5 else min(forward(chunk) for _ in range(2))
    image = torch.zeros(1, 3, *size, device=device)
    latent = torch.zeros(1, chain.autoencoder.channels, rows, columns, device=device)
    return Speed(
        alone=alone,
        full=max(full, alone),
        chunk=chunk,
        encode=clock(lambda: chain.autoencoder.encode(image)),
        decode=clock(lambda: chain.autoencoder.decode(latent)),
    )


@torch.inference_mode()
def measure_joining(chain: Chain, task_name: str, size: tuple[int, int]) -> float:
    """Seconds a pixel, on this machine, of what a task does between looks: warping, blending, refining.

    Args:
        chain: whose task.
        task_name: its name.
        size: (height, width) of a window; the picture is twice as large, as at the second level.
    """
    task = chain.task(task_name)
    device = chain.device
    height, width = (2 * side for side in size)
    image = torch.zeros(1, 3, height, width, device=device)
    mask = torch.ones(1, height, width, dtype=torch.bool, device=device)
    given = {each.field: mask if each.kind == "mask" else image for each in task.inputs}
    answer = torch.zeros(1, task.fields, 3, *size, device=device)

    def join() -> None:
        batch, joined = task.look_again(Batch(name=("",), image=image, **given), answer, size)
        joined(answer.expand(len(batch.name), -1, -1, -1, -1))

    join()
    return min(_clock(join, device) for _ in range(2)) / (height * width)


def _clock(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What an effort, with the network at a size, costs for one image of a call.

    Attributes:
        images: how many the call has.
        native: (height, width) of them.
        sources: images that are encoded for each.
        cost: (effort, size) -> multiply-adds.
        memory: (size, steps) -> peak memory of one image, one member, one field.
        speed: size -> how fast this machine is there.
        joining: size -> seconds a pixel between looks.
    """

    images: int
    native: tuple[int, int]
    sources: int
    cost: Callable[[Effort, HeightWidth], ImageCost]
    memory: Callable[[HeightWidth, int], PeakMemory]
    speed: Callable[[HeightWidth], Speed]
    joining: Callable[[HeightWidth], float]

    def macs(self, effort: Effort, size: HeightWidth) -> float:
        """Multiply-adds."""
        cost = self.cost(effort, size)
        return float(cost.condition + effort.members * cost.member)

    def seconds(self, effort: Effort, size: HeightWidth) -> float:
        """Time at the speed of this machine."""
        cost, speed = self.cost(effort, size), self.speed(size)
        every, members = round_size(effort), effort.members
        inputs = self.images * every * cost.fields * cost.looks[-1]
        # evaluations that reuse blocks count by their share of a full one
        forwards = cost.network[-1] / cost.forward
        work = members / every * (forwards * speed.forwards(inputs) + inputs * speed.decode)
        between = members * cost.joined * self.joining(size) if cost.joined else 0.0
        return work / self.images + between + cost.views * self.sources * speed.encode

    def bytes(self, effort: Effort, size: HeightWidth) -> float:
        """Memory of all images together, with one input at a time."""
        memory = self.memory(size, effort.steps)
        return self._held(effort, size) + max(memory.encode * self.images, memory.input)

    def chunk(self, effort: Effort, size: HeightWidth, limit: float, most: int) -> int:
        """Inputs at a time that fit into so many bytes."""
        room = limit - self._held(effort, size)
        return max(1, min(most, int(room / self.memory(size, effort.steps).input)))

    def _held(self, effort: Effort, size: HeightWidth) -> float:
        """Weights; the members, as images and as what they mean, and their merged answer."""
        height, width = level_sizes(size, self.native, effort.levels)[-1]
        maps = 3 * (effort.members + 1) * self.cost(effort, size).fields * self.images
        return float(self.memory(size, effort.steps).weights + maps * FLOAT * 3 * height * width)


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a prediction of one image is expected to cost.

    Attributes:
        macs: multiply-adds.
        seconds: at the speed of this machine.
    """

    macs: float
    seconds: float

    def __str__(self) -> str:
        spent = Budget(kind="MACs", amount=self.macs), Budget(kind="seconds", amount=self.seconds)
        return "{}, about {} on this machine".format(*spent)


def round_size(effort: Effort) -> int:
    """Members of an image in a round against the clock."""
    return -(-effort.members // ROUNDS)


def spend(
    budget: Budget,
    prices: Prices,
    table: SettingsTable | None,
    task: str,
    chunk: int,
    size_of: Callable[[Setting], HeightWidth],
) -> SamplingPlan:
    """Turn a budget into what is done for a batch.

    Args:
        budget: what one image may cost.
        prices: what settings cost.
        table: measured settings of the model; None where it has none.
        task: name of the task.
        chunk: network inputs at a time, at the most.
        size_of: setting -> (height, width) at which the network would work.

    Raises:
        InputError: for a model without a table, or a budget below the cheapest setting.
    """
    if table is None:
        raise InputError("budget", str(budget), NO_TABLE)
    price = {"MACs": prices.macs, "seconds": prices.seconds, "bytes": prices.bytes}[budget.kind]

    def cost(setting: Setting) -> float:
        return price(setting.effort, size_of(setting))

    timed = budget.kind == "seconds"
    setting = table.choose(task, budget, cost, MARGIN if timed else 1.0)
    effort, (height, width) = setting.effort, size_of(setting)
    expected = replace(budget, amount=cost(setting))
    mirrored = ", every second one of the mirror image" if effort.mirror else ""
    choice = (
        f"{budget}: {counted(effort.steps, 'step')} x {counted(effort.members, 'member')}{mirrored}, "
        f"{effort.sampler}, {effort.spacing}, at {width} x {height}, "
        f"{counted(effort.levels, 'level')}, about {expected}; {table.errors[task]} {setting.error:.3g} on {table.data}"
    )
    if budget.kind == "bytes":
        chunk = prices.chunk(effort, (height, width), budget.amount, chunk)
    return SamplingPlan(
        effort=effort,
        size=(height, width),
        native=prices.native,
        chunk=chunk,
        codec_chunk=chunk,
        every=round_size(effort) if timed else None,
        seconds=budget.amount * prices.images if timed else None,
        choice=choice,
    )
