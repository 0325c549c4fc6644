"""Bytes that one block of the network keeps for the backward, and needs while it works.

A block keeps, for a token of width D with H heads and MLPs of width M, in numbers of 4 bytes (2 under bfloat16):

    8 D + H       attention; with q and k norms 5 D more, which bfloat16 does not halve
    4 D + 2 M     MLP, or in place of 2 M, for K picks of E experts, K (2 D + 2 M + E); SwiGLU K (2 D + 4 M)

and under bfloat16 its matrices, rounded. Formulas, because a run on the meta device knows neither autocast nor which
expert is picked; `tests/training/test_forecast.py` holds them against torch's allocator.
"""

from dataclasses import dataclass

from torch import nn

from lookharder.models.config import DiTConfig
from lookharder.models.moe import MoEConfig

FLOAT = 4  # bytes


@dataclass(frozen=True, kw_only=True)
class BlockMemory:
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


def block_memory(block: nn.Module, model: DiTConfig, half: bool, gpu: bool) -> BlockMemory:
    """What one block keeps and needs.

    Args:
        block: of a network that `model` describes; its device may be "meta".
        model: the network.
        half: computes under bfloat16.
        gpu: on one, whose norms are in float32 under bfloat16.
    """
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
    return BlockMemory(
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
