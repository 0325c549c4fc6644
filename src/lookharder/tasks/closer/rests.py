"""Pairs as a further look at flow shows them: the second frame moved by a rough answer, and the motion that is left.

    guess      the mean motion of each cell of a coarse grid, and an error that changes slowly
    shown      first frame, second frame moved by the guess      learnt: motion - guess

The guess stands in for the answer of a coarser look, so the network meets in training what levels ask of it: small
rests, and what a wrong guess leaves at the edges of things.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.data.example import Example
from lookharder.tasks.closer.matching import warp

CELLS = (1.0, 4.0)  # log2 of the cells along a side
KNOTS = (1, 4)  # of the error, along a side
ERROR = (-8.0, -4.0)  # log2 of the error's standard deviation, in widths of the frame


def rest(example: Example, generator: np.random.Generator) -> Example:
    """A pair with a rough answer already taken in; one without motion or second frame stays as it is.

    Args:
        example: with `second` and `flow`.
        generator: of the guess.
    """
    if example.second is None or example.flow is None or example.flow_valid is None:
        return example
    flow, known = torch.from_numpy(example.flow), torch.from_numpy(example.flow_valid)
    about = guess(flow, known, generator)
    second = warp(torch.from_numpy(example.second)[None].float(), about[None])[0]
    return replace(
        example,
        second=second.round().clamp(0, 255).to(torch.uint8).numpy(),
        flow=torch.where(known, flow - about, 0.0).numpy(),
    )


def guess(
    flow: Float[Tensor, "2 H W"], known: Bool[Tensor, "H W"], generator: np.random.Generator
) -> Float[Tensor, "2 H W"]:
    """Motion in pixels as a coarse look may have it.

    Args:
        flow: the motion.
        known: where it is; a cell without any has the mean motion of the frame.
        generator: draws the grid and the error.
    """
    size = (known.shape[0], known.shape[1])
    cells, knots = (
        int(2 ** generator.uniform(*CELLS)),
        int(generator.integers(*KNOTS, endpoint=True)),
    )
    share = F.adaptive_avg_pool2d(known[None].float(), cells)
    sums = F.adaptive_avg_pool2d(torch.where(known, flow, 0.0), cells)
    mean = sums.sum((1, 2), keepdim=True) / share.sum().clamp_min(1e-6)
    coarse = torch.where(share > 0, sums / share.clamp_min(1e-6), mean)
    spread = size[1] * 2 ** generator.uniform(*ERROR)
    error = torch.from_numpy(generator.normal(0, spread, (2, knots, knots))).float()
    return _stretch(coarse, size) + _stretch(error, size)


def _stretch(field: Float[Tensor, "2 h w"], size: tuple[int, int]) -> Float[Tensor, "2 H W"]:
    """A coarse field at the size of the frame."""
    return F.interpolate(field[None], size, mode="bilinear", align_corners=False)[0]
