"""A budget becomes a plan: of the settings that were measured and fit, the one worth taking.

    MACs       closed form, so never over:   S encodes + N F (forwards x one forward + one decode)
    seconds    the same work at the speed of this machine, probed at this size; draws are made in rounds, and no
               round is begun that would not end in time, which guards what the probe missed
    bytes      weights, the dearest moment of as many inputs at a time as fit, and the draws that are held

A budget is for one picture; several in one call have that much each, but for bytes, which they share.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from lookharder.chain import Chain
from lookharder.errors import InputError
from lookharder.models.flops import count
from lookharder.predict.effort import Budget, Effort
from lookharder.predict.memory import FLOAT, Memory, needed
from lookharder.predict.settings import Frontier, Row
from lookharder.tasks.base import SOURCES

MARGIN = 0.9  # of a budget of seconds is planned with: a probe is not a promise
ROUNDS = 5  # against the clock: the work may be stopped after each
NO_TABLE = "none, for this model has no table of measured settings (frontier.json)"
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a budget is turned into.

    Attributes:
        effort: steps, draws, sampler.
        size: (height, width) at which the network works.
        chunk: network inputs at a time.
        every: draws of each picture in a round; None = all in one.
        seconds: when to stop, after the call began; None = no deadline.
        words: the choice, for people.
    """

    effort: Effort
    size: Size
    chunk: int
    every: int | None = None
    seconds: float | None = None
    words: str | None = None


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds of a forward and of the autoencoder on this machine, at one size.

    Attributes:
        alone: a forward of one input.
        full: a forward of `chunk` inputs.
        chunk: how many those are.
        encode: of one picture.
        decode: of one.
    """

    alone: float
    full: float
    chunk: int
    encode: float
    decode: float

    def forwards(self, inputs: int) -> float:
        """One step of that many inputs, in chunks; in between alone and full a straight line."""
        whole, rest = divmod(inputs, self.chunk)
        slope = (self.full - self.alone) / max(1, self.chunk - 1)
        return whole * self.full + (self.alone + slope * (rest - 1) if rest else 0.0)


@torch.inference_mode()
def probe(chain: Chain, size: Size, chunk: int) -> Speed:
    """Time one forward alone and one of a full chunk, after one that is not timed, and the autoencoder once.

    A chunk that would take long is not tried: then it is taken for as many forwards alone.
    """
    device = next(chain.network.parameters()).device
    rows, columns = (side // chain.autoencoder.factor for side in size)
    zero = torch.zeros(1, dtype=torch.long, device=device)

    def clock(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    def forward(inputs: int) -> float:
        x = torch.zeros(inputs, chain.config.model.in_channels, rows, columns, device=device)
        return clock(lambda: chain.denoiser.network(x, zero, zero))

    first = forward(1)
    alone = forward(1) if first < 1 else first
    full = alone * chunk if alone * chunk > 0.5 else min(forward(chunk) for _ in range(2))
    picture = torch.zeros(1, 3, *size, device=device)
    latent = torch.zeros(1, chain.autoencoder.channels, rows, columns, device=device)
    return Speed(
        alone=alone,
        full=max(full, alone),
        chunk=chunk,
        encode=clock(lambda: chain.autoencoder.encode(picture)),
        decode=clock(lambda: chain.autoencoder.decode(latent)),
    )


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What settings cost, for one picture of a call; a row's resolution gives way to one that the caller insists on.

    Attributes:
        chain: the system.
        task: name of the task.
        pictures: how many the call has.
        sized: resolution -> (height, width) at which the network would work.
        resolution: that the caller insists on; None = any that was measured.
        speed: size -> how fast this machine is there.
    """

    chain: Chain
    task: str
    pictures: int
    sized: Callable[[int], Size]
    resolution: int | None
    speed: Callable[[Size], Speed]

    def size(self, row: Row) -> Size:
        """(height, width) at which the network would work."""
        return self.sized(row.resolution if self.resolution is None else self.resolution)

    def macs(self, row: Row) -> float:
        """Multiply-adds."""
        encode, decode = self.chain.autoencoder.macs(*self.size(row))
        network = row.effort.macs(self.chain.config.model, *self._cells(row))
        return float(SOURCES * encode + row.effort.members * self._fields * (network + decode))

    def seconds(self, row: Row) -> float:
        """Time at the speed of this machine."""
        pace = self.speed(self.size(row))
        model, cells = self.chain.config.model, self._cells(row)
        forwards = row.effort.macs(model, *cells) / count(model, *cells).macs
        inputs = self.pictures * every(row) * self._fields
        rounds = row.effort.members / every(row)
        work = rounds * (forwards * pace.forwards(inputs) + inputs * pace.decode)
        return work / self.pictures + SOURCES * pace.encode

    def bytes(self, row: Row) -> float:
        """Memory of all pictures together, with one input at a time."""
        encode = float(self._memory(row).encode * self.pictures)
        return self._held(row) + max(encode, self._moment(row))

    def chunk(self, row: Row, room: float, most: int) -> int:
        """Inputs at a time that fit into so many bytes."""
        return max(1, min(most, int((room - self._held(row)) / self._moment(row))))

    @property
    def _fields(self) -> int:
        return self.chain.task(self.task).fields

    def _cells(self, row: Row) -> Size:
        height, width = self.size(row)
        factor = self.chain.autoencoder.factor
        return height // factor, width // factor

    def _memory(self, row: Row) -> Memory:
        return needed(self.chain, *self.size(row), row.effort.steps)

    def _moment(self, row: Row) -> float:
        """The dearest moment of one input."""
        return float(max(self._memory(row).network, self._memory(row).decode))

    def _held(self, row: Row) -> float:
        """Weights; the draws, as images and as what they mean, and their merged answer."""
        height, width = self.size(row)
        maps = 3 * (row.effort.members + 1) * self._fields * self.pictures
        return float(self._memory(row).weights + maps * FLOAT * 3 * height * width)


def every(row: Row) -> int:
    """Draws of a picture in a round against the clock."""
    return -(-row.effort.members // ROUNDS)


def plan(prices: Prices, table: Frontier | None, budget: Budget, chunk: int) -> Plan:
    """Spend a budget.

    Args:
        prices: what settings cost.
        table: measured settings of the model; None where it has none.
        budget: what one picture may cost.
        chunk: network inputs at a time, at the most.

    Raises:
        InputError: for a model without a table, or a budget below the cheapest setting.
    """
    if table is None:
        raise InputError("budget", str(budget), NO_TABLE)
    cost = {"MACs": prices.macs, "seconds": prices.seconds, "bytes": prices.bytes}[budget.kind]
    timed = budget.kind == "seconds"
    row = table.choose(prices.task, budget, cost, MARGIN if timed else 1.0)
    effort, (height, width) = row.effort, prices.size(row)
    expected = replace(budget, amount=cost(row))
    words = (
        f"{budget}: {effort.steps} steps x {effort.members} draws, {effort.sampler}, {effort.spacing}, "
        f"at {width} x {height}, about {expected}; "
        f"{table.errors[prices.task]} {row.error:.3g} on {table.data}"
    )
    return Plan(
        effort=effort,
        size=(height, width),
        chunk=prices.chunk(row, budget.amount, chunk) if budget.kind == "bytes" else chunk,
        every=every(row) if timed else None,
        seconds=budget.amount * prices.pictures if timed else None,
        words=words,
    )
