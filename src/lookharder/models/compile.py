"""torch.compile of the network's blocks, and the one thing in them that it cannot trace."""

from collections.abc import Callable
from typing import Any

import torch

from lookharder.models.dit import DiTBlock

Forward = Callable[..., Any]


def compile_block(block: DiTBlock) -> Forward:
    """The forward of a block, fused by torch.compile at its first call and again for a new shape.

    The block keeps its class and the names of its parameters. Of grouped products torch traces those in bfloat16 only,
    so the graph of a mixture of experts is cut around them.
    """
    if block.moe is not None:
        untraced: Callable[[Forward], Forward] = torch.compiler.disable
        experts = block.moe.experts
        experts.forward = untraced(experts.forward)  # type: ignore[method-assign]
    compiled: Forward = torch.compile(block.forward, fullgraph=block.moe is None)
    return compiled
