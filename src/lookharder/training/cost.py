"""What a run costs, known before it starts: MACs, FLOPs, hours.

    MACs      of one forward, in closed form (`models.flops`)
    FLOPs     2 x 3 x MACs x items          an item is one field of one example; a backward costs two forwards
    paper's   2 x MACs x items              without backward and without the products between tokens (2411.08034)
    hours     FLOPs x (4/3 if insides are recomputed) / (peak x MFU)

The autoencoder's part, to encode S sources and F targets of every example, stands beside: a cache of latents saves it.
A peak is what the vendor says of dense bfloat16. The MFU, the share of it that is reached, is an assumption. Both are
those of `hardware`.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn

from lookharder import autoencoder
from lookharder.chain import ChainConfig
from lookharder.data.source import DataConfig, sides_of
from lookharder.errors import InputError
from lookharder.hardware import ACCELERATORS, MFU
from lookharder.models.flops import breakdown
from lookharder.tasks.base import Task
from lookharder.training.batches import apportion
from lookharder.training.config import TrainConfig, task_of
from lookharder.training.distributed.runtime import RuntimeConfig

DEVICES = {name.upper(): ACCELERATORS[name].half for name in ("a100", "h100", "h200")}  # FLOP/s


@runtime_checkable
class TrainingSetup(Protocol):
    """What is read of a `RunConfig`."""

    @property
    def chain(self) -> ChainConfig:
        """The system that learns."""
        ...

    @property
    def data(self) -> Mapping[str, DataConfig]:
        """A data set for each task."""
        ...

    @property
    def train(self) -> TrainConfig:
        """How it learns."""
        ...

    @property
    def runtime(self) -> RuntimeConfig:
        """How the work is laid out."""
        ...

    @property
    def device(self) -> str:
        """Where."""
        ...


class Codec(NamedTuple):
    """An autoencoder in numbers, so that Stable Diffusion's is known without its weights.

    Of its encoder's MACs, `per_pixel` are those of convolutions and projections, `pairs` times the square of the
    pixels those between latent cells. `live` bytes of a pixel are alive at once while it encodes.
    """

    factor: int
    channels: int
    params: int
    per_pixel: float
    pairs: float
    live: float

    def encode_macs(self, pixels: int) -> int:
        """Multiply-adds to encode one image."""
        return round(self.per_pixel * pixels + self.pairs * pixels**2)


# AutoencoderKL of Stable Diffusion 1 and 2, counted and followed on the meta device (`tests/training/test_cost.py`)
STABLE_DIFFUSION = Codec(8, 4, 83_653_863, 2_064_321, 0.25, 2572)


def codec_of(config: ChainConfig) -> Codec:
    """The autoencoder of a system in numbers; one of kind "kl" is taken to be Stable Diffusion's."""
    if config.autoencoder.get("kind") == "kl":
        return STABLE_DIFFUSION
    codec = autoencoder.build(dict(config.autoencoder))
    params = sum(p.numel() for p in codec.parameters()) if isinstance(codec, nn.Module) else 0
    side = 8 * codec.factor
    macs = codec.macs(side, side)[0] / side**2
    live = (
        12.0 if params == 0 else 120.0
    )  # an image of floats; `Tiny` has 16 channels at half the sides
    return Codec(codec.factor, codec.channels, params, macs, 0.0, live)


@dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """Cost of a whole run.

    Attributes:
        params: parameters of the network.
        active_params: of these, in use for one token of one task.
        macs: multiply-adds of one forward of one item, on average over a batch.
        images: examples seen.
        items: network inputs seen: a task of F fields makes F of an example.
        flops: of the network, forward and backward.
        paper_flops: in the convention of 2411.08034's figures.
        encode_flops: of the autoencoder, where every iteration encodes its examples.
        recomputed: FLOPs that `recompute` adds to `flops`.
    """

    params: int
    active_params: int
    macs: int
    images: int
    items: int
    flops: float
    paper_flops: float
    encode_flops: float
    recomputed: float

    def hours(self, device: str, mfu: float = MFU, cached: bool = True) -> float:
        """Hours on one device of that name; without `cached` latents the autoencoder's included.

        Raises:
            InputError: an unknown device, or an MFU that is no share.
        """
        if device not in DEVICES:
            raise InputError("device", repr(device), f"one of {sorted(DEVICES)}")
        if not 0 < mfu <= 1:
            raise InputError("mfu", mfu, "a share above 0, up to 1")
        return self.hours_at(DEVICES[device], mfu, cached)

    def hours_at(self, peak: float, mfu: float = MFU, cached: bool = True) -> float:
        """Hours at a share `mfu` of a peak of so many FLOP/s."""
        work = self.flops + self.recomputed + (0.0 if cached else self.encode_flops)
        return work / (peak * mfu) / 3600


def cpu_peak(side: int = 512, tries: int = 30) -> float:
    """FLOP/s of this machine's processor, by torch's threads: the best of many products of two matrices."""
    matrix, best = torch.ones(side, side), math.inf
    for _ in range(tries):
        began = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def cost(config: TrainingSetup) -> TrainingCost:
    """The cost of a run, from its configuration alone; images have the size that `data.TASK` gives."""
    chain, train, model = config.chain, config.train, config.chain.model
    codec = codec_of(chain)
    tasks: dict[str, Task] = {task.name: task for task in chain.tasks}
    items = macs = linear = encode = 0
    for name, count in apportion(train.mix, train.batch_size).items():
        (rows, columns), task = sides_of(config.data[name]), tasks[task_of(name)]
        groups = breakdown(model, rows // codec.factor, columns // codec.factor)
        every = sum(group.macs for group in groups.values())
        items += count * task.fields
        macs += count * task.fields * every
        linear += count * task.fields * (every - groups["attention"].macs)
        encode += count * (task.fields + task.sources) * codec.encode_macs(rows * columns)
    flops = 6.0 * macs * train.iterations
    return TrainingCost(
        params=sum(group.params for group in groups.values()),
        active_params=sum(group.active_params for group in groups.values()),
        macs=round(macs / items),
        images=train.iterations * train.batch_size,
        items=train.iterations * items,
        flops=flops,
        paper_flops=2.0 * linear * train.iterations,
        encode_flops=2.0 * encode * train.iterations,
        recomputed=flops / 3 if config.runtime.recompute else 0.0,
    )
