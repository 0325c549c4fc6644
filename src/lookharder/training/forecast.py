"""Memory that a run needs on each rank, known before it starts.

Always there: weights, AdamW's two moments (Muon's one), averaged weights, the autoencoder; gradients from the first
backward on. Beside them the largest of four moments of an iteration:

    encode      the autoencoder at work on one share of the batch
    forward     what all blocks keep for the backward, and what the loss holds
    backward    the same blocks, and the gradients inside the last
    update      the gradients, and what the optimiser makes of them

A block keeps, for a token of width D with H heads and MLPs of width M, in numbers of 4 bytes (2 under bfloat16):

    8 D + H       attention; with q and k norms 5 D more, which bfloat16 does not halve
    4 D + 2 M     MLP, or in place of 2 M, for K picks of E experts, K (2 D + 2 M + E); SwiGLU K (2 D + 4 M)

under bfloat16 also its matrices, rounded; with recompute the token alone, and one block's inside at a time.
On a CPU this is within 5 % of the most that torch's allocator gives out, in ten small trainings (10 % is the bound of
`tests/training/test_forecast.py`). That a GPU has norms in float32 under bfloat16, and parts on several ranks, are
reckoned, not measured. Formulas, because a run on the meta device knows neither autocast nor which expert is picked.
"""

import os
from dataclasses import dataclass

import torch
from torch import nn

from lookharder.data.source import sides_of
from lookharder.errors import InputError
from lookharder.hardware import free_memory, pick_device
from lookharder.models.config import DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.moe import MoEConfig
from lookharder.models.stem import held
from lookharder.tasks.base import Task
from lookharder.training.batches import AHEAD, apportion, deal
from lookharder.training.config import task_of
from lookharder.training.cost import TrainingSetup, codec_of
from lookharder.training.optim import OptimConfig, parameter_groups

FLOAT = 4
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
class _Block:
    """Bytes of one block.

    Attributes:
        token: kept of each token for the backward, the token that enters included.
        item: kept of each item.
        stream: a token itself.
        forward: alive beside a token in the forward.
        backward: likewise at the start of the backward.
        gradient: of its last matrix.
        rounded: its matrices in bfloat16.
        params: numbers in it.
    """

    token: int
    item: int
    stream: int
    forward: int
    backward: int
    gradient: int
    rounded: int
    params: int


def forecast(config: TrainingSetup, ranks: int = 1, device: str | None = None) -> TrainingMemory:
    """The memory of a run, from its configuration alone; images have the size that `data.TASK` gives.

    Args:
        config: a `RunConfig`.
        ranks: processes that train together.
        device: "cpu" or "cuda"; None = what the configuration picks on this machine.
    """
    chain, train, runtime, model = config.chain, config.train, config.runtime, config.chain.model
    gpu = (pick_device(config.device).type if device is None else device) == "cuda"
    half, codec = runtime.precision == "bfloat16", codec_of(chain)
    number = 2 if half else FLOAT
    tasks: dict[str, Task] = {task.name: task for task in chain.tasks}
    shares = ranks * runtime.accumulate
    hand = deal(apportion(train.mix, train.batch_size), 0, 0, shares)  # none has more

    items = tokens = latents = pictures = examples = convolved = 0
    for name, positions in hand.items():
        task, count = tasks[task_of(name)], len(positions)
        rows, columns = sides_of(config.data[name])
        cells = (rows // codec.factor) * (columns // codec.factor)
        items += count * task.fields
        tokens += count * task.fields * cells // model.patch_size**2
        latents += count * task.fields * cells * codec.channels
        convolved += count * task.fields * held(model, cells).kept
        if not config.data[name].spec.startswith("latents:"):  # those are encoded already
            pictures = max(pictures, count * max(task.fields, task.sources) * rows * columns)
        # the embedded world gives all that there is
        there = PIXEL if config.data[name].spec.startswith("procedural") else task.reads
        examples += count * rows * columns * sum(PIXEL[field] for field in there)

    sources = config.chain.sources
    with torch.device("meta"):
        network = DiT(model)
    params = sum(p.numel() for p in network.parameters())
    block = _block(network.blocks[0], model, half, gpu)
    inside = tokens * block.token + items * block.item
    # items and the patches of the network's input; in the forward stacks of them, x_t, and the input itself
    inputs = latents * (FLOAT * (2 + sources) + number * (sources + 1))
    inputs += number * convolved  # what stem and head keep
    stacks = latents * FLOAT * (4 + 2 * sources)
    # what the last norm, its neighbours and the loss hold; learned variances have a bound of 19 more such arrays
    outputs = latents * (
        (2 * number + 2 * FLOAT) * (1 + model.learn_sigma) + 19 * FLOAT * model.learn_sigma
    )
    ends = number * 3 * model.hidden_size * tokens + stacks + outputs
    if runtime.recompute:
        entries = model.depth * tokens * block.stream
        forward = entries + model.depth * block.rounded + max(ends, tokens * block.forward + stacks)
        backward = entries + inside + block.rounded
    else:
        forward = model.depth * (inside + block.rounded) + ends
        backward = model.depth * (inside + block.rounded)
    backward += tokens * block.backward + block.gradient
    if model.embeddings > 1:  # a map for each item, before any block
        gathered = items * model.hidden_size * model.cut_channels[0] * model.cut**2
        patches = latents * (sources + 1) * (FLOAT + number)
        forward = max(forward, stacks + patches + gathered * (FLOAT + 2 * half))

    parts = runtime.shard > 1
    own = FLOAT * -(-params // runtime.shard)
    moments, update = _optimizer(network, train.optim, runtime.shard)
    return TrainingMemory(
        weights=own,
        gradients=own,
        moments=moments,
        average=own,
        autoencoder=FLOAT * codec.params,
        # the block at work and the next, and gradients of one; and what belongs to no block
        gathered=FLOAT * (params - (model.depth - 3) * block.params) if parts else 0,
        encode=round(codec.live * pictures) + FLOAT * (2 + sources) * latents,
        forward=forward + inputs,
        backward=backward + inputs,
        update=update,
        early=runtime.accumulate > 1 or (ranks > 1 and not parts),
        examples=examples * runtime.accumulate * (AHEAD + 1),
    )


def _block(block: nn.Module, model: DiTConfig, half: bool, gpu: bool) -> _Block:
    """What one block keeps and needs."""
    d, hidden, moe, number = model.hidden_size, model.mlp_hidden, model.moe, 2 if half else FLOAT
    token = number * 12 * d + FLOAT * (model.num_heads + 4)
    if half and gpu:
        token += 2 * FLOAT * d  # norms: what enters is copied, and what leaves stays, in float32
    if model.qk_norm:
        token += FLOAT * 4 * d + number * d + (2 * number * d if half else 0)
    token += number * 2 * hidden if moe is None else _experts(moe, d, hidden, half)
    picks = 1 if moe is None else moe.experts if moe.backend == "padded_bmm" else moe.active
    matrices = [p.numel() for p in block.parameters() if p.ndim > 1]
    largest = max(matrices)
    return _Block(
        token=token,
        item=number * 9 * d,
        stream=number * d,
        forward=number * max(7 * d, 3 * d + 2 * picks * hidden),
        backward=number * (2 * d + picks * (hidden + (d if moe else 0))),
        gradient=(FLOAT + 2 * half) * (largest if moe else d * hidden),
        rounded=2 * sum(matrices) if half else 0,
        params=sum(p.numel() for p in block.parameters()),
    )


def _experts(moe: MoEConfig, d: int, hidden: int, half: bool) -> int:
    """Bytes that a mixture of experts keeps of a token, beside its input and its output."""
    number = 2 if half else FLOAT
    inner = (4 if moe.expert == "swiglu" else 2) * hidden
    routing = 2 * FLOAT * moe.experts + 3 * 8 * moe.active
    shared = number * 4 * moe.shared * d + (number * d if half and moe.shared else 0)
    router = FLOAT * d - number * d * (not half) if half else 0  # its input is a copy in float32
    ways = {
        "grouped": moe.active * (2 * d + inner + (moe.experts if moe.expert == "gelu" else 0)),
        "loop": moe.active * (3 * d + inner),
        "padded_bmm": moe.experts * (d + inner + 1),
    }
    return number * ways[moe.backend] + routing + shared + router


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
