"""Memory that a run needs on each rank, known before it starts.

Always there: weights, AdamW's two moments (Muon's one), averaged weights, the autoencoder; gradients from the first
backward on. Beside them the largest of four moments of an iteration:

    encode      the autoencoder at work on one share of the batch
    forward     what all blocks keep for the backward, and what the loss holds
    backward    the same blocks, and the gradients inside the last
    update      the gradients, and what the optimiser makes of them

What a block keeps and needs is counted in `block_memory`; with recompute it keeps its tokens alone, and the inside of
one block is there at a time. On a CPU the sum is within 5 % of the most that torch's allocator gives out, in ten small
trainings (10 % is the bound of `tests/training/test_forecast.py`). That a GPU has norms in float32 under bfloat16, and
parts on several ranks, are reckoned, not measured.
"""

import os
from dataclasses import dataclass

import torch

from lookharder.data.source import sides_of
from lookharder.errors import InputError
from lookharder.hardware import free_memory, pick_device
from lookharder.models.dit import DiT
from lookharder.models.stem import held
from lookharder.tasks.base import Task
from lookharder.training.batches import AHEAD, apportion, deal
from lookharder.training.block_memory import FLOAT, BlockMemory, block_memory
from lookharder.training.config import task_of
from lookharder.training.cost import TrainingSetup, codec_of
from lookharder.training.optim import OptimConfig, parameter_groups

MASKS = ("depth_valid", "flow_valid", "occluded", "visible", "amodal")
# bytes of a pixel of an example that was read: pictures are floats; a name and a label are of the whole
PIXEL = {"name": 0, "label": 0, "depth": FLOAT, "flow": 2 * FLOAT, **dict.fromkeys(MASKS, 1)}
PIXEL |= dict.fromkeys(("image", "second", "whole"), 3 * FLOAT)


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Bytes on one rank.

    Attributes:
        weights: of the network.
        gradients: of the weights.
        moments: of the optimiser.
        average: the averaged weights.
        autoencoder: its weights.
        gathered: whole weights and gradients of the blocks at work, where ranks hold parts.
        encode: alive beside all these while a share is encoded.
        forward: likewise at the end of the forward.
        backward: likewise in the backward of the last block.
        update: likewise in the optimiser.
        early: gradients are there before the backward: of other micro-batches, or (assumed) where ranks hold copies.
        examples: in the host's memory, those that are read ahead.
    """

    weights: int
    gradients: int
    moments: int
    average: int
    autoencoder: int
    gathered: int
    encode: int
    forward: int
    backward: int
    update: int
    early: bool
    examples: int

    @property
    def state(self) -> int:
        """What is always there."""
        return self.weights + self.moments + self.average + self.autoencoder

    @property
    def peak(self) -> int:
        """The most at once, where the network is; `examples` not counted."""
        before = self.gradients if self.early else 0
        working = self.gathered + max(self.forward, self.backward)
        return self.state + max(
            before + max(self.encode, working), self.gradients + max(self.update, self.gathered)
        )


@dataclass(frozen=True, kw_only=True)
class _Load:
    """What the rank that has most holds of one micro-batch.

    Attributes:
        items: fields that are denoised: a picture of a task has one or more.
        tokens: of all items.
        latents: numbers of all items' latents.
        pixels: of the pictures that the autoencoder sees at once.
        convolved: numbers that stem and head keep for the backward.
        examples: bytes of what was read, in the host's memory.
    """

    items: int
    tokens: int
    latents: int
    pixels: int
    convolved: int
    examples: int


def forecast(config: TrainingSetup, ranks: int = 1, device: str | None = None) -> TrainingMemory:
    """The memory of a run, from its configuration alone; images have the size that `data.TASK` gives.

    Args:
        config: a `RunConfig`.
        ranks: processes that train together.
        device: "cpu" or "cuda"; None = what the configuration picks on this machine.
    """
    runtime, model, codec = config.runtime, config.chain.model, codec_of(config.chain)
    gpu = (pick_device(config.device).type if device is None else device) == "cuda"
    load = _load(config, ranks)
    with torch.device("meta"):
        network = DiT(model)
    params = sum(p.numel() for p in network.parameters())
    block = block_memory(network.blocks[0], model, runtime.precision == "bfloat16", gpu)
    forward, backward = _activations(config, load, block)
    parts = runtime.shard > 1
    own = FLOAT * -(-params // runtime.shard)
    moments, update = _optimizer(network, config.train.optim, runtime.shard)
    return TrainingMemory(
        weights=own,
        gradients=own,
        moments=moments,
        average=own,
        autoencoder=FLOAT * codec.params,
        # the block at work and the next, and gradients of one; and what belongs to no block
        gathered=FLOAT * (params - (model.depth - 3) * block.params) if parts else 0,
        encode=round(codec.live * load.pixels) + FLOAT * (2 + config.chain.sources) * load.latents,
        forward=forward,
        backward=backward,
        update=update,
        early=runtime.accumulate > 1 or (ranks > 1 and not parts),
        examples=load.examples * runtime.accumulate * (AHEAD + 1),
    )


def _load(config: TrainingSetup, ranks: int) -> _Load:
    """What a rank holds of a micro-batch."""
    train, model, codec = config.train, config.chain.model, codec_of(config.chain)
    tasks: dict[str, Task] = {task.name: task for task in config.chain.tasks}
    shares = ranks * config.runtime.accumulate
    hand = deal(apportion(train.mix, train.batch_size), 0, 0, shares)  # none has more
    items = tokens = latents = pixels = convolved = examples = 0
    for name, positions in hand.items():
        task, count = tasks[task_of(name)], len(positions)
        rows, columns = sides_of(config.data[name])
        cells = (rows // codec.factor) * (columns // codec.factor)
        items += count * task.fields
        tokens += count * task.fields * cells // model.patch_size**2
        latents += count * task.fields * cells * codec.channels
        convolved += count * task.fields * held(model, cells).kept
        if not config.data[name].spec.startswith("latents:"):  # those are encoded already
            pixels = max(pixels, count * max(task.fields, task.sources) * rows * columns)
        # the embedded world gives all that there is
        there = PIXEL if config.data[name].spec.startswith("procedural") else task.reads
        examples += count * rows * columns * sum(PIXEL[field] for field in there)
    return _Load(
        items=items,
        tokens=tokens,
        latents=latents,
        pixels=pixels,
        convolved=convolved,
        examples=examples,
    )


def _activations(config: TrainingSetup, load: _Load, block: BlockMemory) -> tuple[int, int]:
    """Bytes that are alive at the end of the forward, and in the backward of the last block."""
    model, sources = config.chain.model, config.chain.sources
    half = config.runtime.precision == "bfloat16"
    number = 2 if half else FLOAT
    inside = load.tokens * block.token + load.items * block.item
    # items and the patches of the network's input; in the forward stacks of them, x_t, and the input itself
    inputs = load.latents * (FLOAT * (2 + sources) + number * (sources + 1))
    inputs += number * load.convolved
    stacks = load.latents * FLOAT * (4 + 2 * sources)
    # what the last norm, its neighbours and the loss hold; learned variances have a bound of 19 more such arrays
    outputs = load.latents * (
        (2 * number + 2 * FLOAT) * (1 + model.learn_sigma) + 19 * FLOAT * model.learn_sigma
    )
    ends = number * 3 * model.hidden_size * load.tokens + stacks + outputs
    if config.runtime.recompute:
        entries = model.depth * load.tokens * block.stream
        rounded = model.depth * block.rounded
        forward = entries + rounded + max(ends, load.tokens * block.forward + stacks)
        backward = entries + inside + block.rounded
    else:
        forward = model.depth * (inside + block.rounded) + ends
        backward = model.depth * (inside + block.rounded)
    backward += load.tokens * block.backward + block.gradient
    if model.embeddings > 1:  # a map for each item, before any block
        gathered = load.items * model.hidden_size * model.cut_channels[0] * model.cut**2
        patches = load.latents * (sources + 1) * (FLOAT + number)
        forward = max(forward, stacks + patches + gathered * (FLOAT + 2 * half))
    return forward + inputs, backward + inputs


def _optimizer(network: DiT, optim: OptimConfig, shard: int) -> tuple[int, int]:
    """Bytes of moments, and of what an update makes on its way: nothing, by AdamW's fused kernel."""
    moments = update = 0
    for group in parameter_groups(network, optim.weight_decay, muon=optim.optimizer == "muon"):
        sizes: dict[torch.Size, int] = {}
        for p in group["params"]:
            sizes[p.shape] = sizes.get(p.shape, 0) + p.numel()
        if group["orthogonal"]:
            moments += FLOAT * sum(sizes.values()) // shard
            # stacks of one shape, whole: ahead, stacked, before and after a round; three squares of the short side
            for shape, n in sizes.items():
                squares = 3 * n * min(shape[-2:]) // max(shape[-2:])
                update = max(update, FLOAT * (4 * n + squares))
        else:
            moments += 2 * FLOAT * sum(sizes.values()) // shard
    return moments, update


def available(device: str) -> int | None:
    """Bytes that are free on "cuda" or in the host's memory; None where it is not known."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    return free_memory()


def refuse_if_too_large(config: TrainingSetup, ranks: int = 1) -> TrainingMemory:
    """The forecast of a run on this machine, before it starts; call it when the network is built, in the host's memory.

    On a CPU what is built is no longer free, the copy that is being saved lies there too, and all local ranks share.

    Raises:
        InputError: it needs more than is free.
    """
    device = pick_device(config.device).type
    memory, free = forecast(config, ranks, device), available(device)
    needed = memory.peak
    if device == "cpu":
        copy = memory.weights + memory.moments + memory.average
        needed += memory.examples + copy - memory.weights - memory.autoencoder
        needed *= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if free is not None and needed > free:
        got = f"{needed / 1e9:.1f} GB needed on {device} for {config.train.batch_size} examples an update"
        ways = "runtime.accumulate, runtime.recompute or runtime.shard make it less"
        raise InputError("memory", got, f"the {free / 1e9:.1f} GB that are free; {ways}")
    return memory
