"""Convolutions around the transformer: what patches are cut from, and what makes an image of tokens again.

    x (B, C, H, W) - first -> level 1 at 1/2 - level 2 at 1/4 - ... - level n at 1/2^n -> tokens of patches
                                 |              |                       |                      |
    out (B, out, H, W) <- out - level 1 ------ level 2 --- ... ------ level n <--------- tokens after the blocks

Patches that are cut from the picture itself begin at its edges and end there, so that what is predicted shows them as
tiles; a small transformer also learns sooner behind convolutions that overlap (Xiao et al., 2106.14881). The stem is
shared by all tasks; time and label reach every level by shift and scale, as they do the blocks. The head is the way up
of a feature pyramid (Lin et al., 1612.03144): to each level of the stem the next coarser one is added, enlarged.

Groups of channels are normed within a sample, so a sample's output does not depend on its batch; the last convolution
starts at zero.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lookharder.models.config import NORM_GROUPS, DiTConfig


class ConvBlock(nn.Module):
    """Two 3x3 convolutions around a shift and scale by the condition, added to their input."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.in_norm = nn.GroupNorm(NORM_GROUPS, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(NORM_GROUPS, outputs, affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * outputs))
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.past = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(
        self, x: Float[Tensor, "B i H W"], c: Float[Tensor, "#B D"]
    ) -> Float[Tensor, "B o H W"]:
        """The same image in other channels."""
        shift, scale = self.adaLN_modulation(c)[..., None, None].chunk(2, 1)
        h = self.conv1(F.silu(self.in_norm(x)))
        h = self.conv2(F.silu(self.norm(h) * (1 + scale) + shift))
        out: Tensor = self.past(x) + h
        return out


class Stem(nn.Module):
    """An image at 1/2, 1/4, ... of its sides."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        widths = config.stem_widths
        self.first = nn.Conv2d(config.in_channels, widths[0], 3, stride=2, padding=1)
        inputs = (widths[0], *widths[:-1])
        self.levels = nn.ModuleList(
            ConvBlock(i, o, config.hidden_size) for i, o in zip(inputs, widths, strict=True)
        )

    def forward(
        self, x: Float[Tensor, "B C H W"], c: Float[Tensor, "#B D"]
    ) -> list[Float[Tensor, "B _ _ _"]]:
        """The levels, finest first."""
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        levels: list[Tensor] = []
        for level in self.levels:
            x = level(F.avg_pool2d(x, 2) if levels else x, c)
            levels.append(x)
        return levels


class Head(nn.Module):
    """The levels of the stem and the image of the tokens -> an image at full size."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        widths = config.stem_widths
        coarser = (*widths[1:], widths[-1])
        self.narrow = nn.ModuleList(
            nn.Conv2d(below, own, 1) for own, below in zip(widths, coarser, strict=True)
        )
        self.levels = nn.ModuleList(ConvBlock(own, own, config.hidden_size) for own in widths)
        self.out = nn.Conv2d(widths[0], 4 * config.emitted, 3, padding=1)

    def forward(
        self,
        x: Float[Tensor, "B w h v"],
        stem: Sequence[Float[Tensor, "B _ _ _"]],
        c: Float[Tensor, "#B D"],
    ) -> Float[Tensor, "B out H W"]:
        """From coarse to fine; each cell of the finest level gives 2 x 2 pixels."""
        steps = zip(reversed(self.narrow), reversed(self.levels), reversed(stem), strict=True)
        for narrow, level, own in steps:
            x = narrow(x)
            if x.shape[2:] != own.shape[2:]:
                x = F.interpolate(x, own.shape[2:], mode="bilinear", align_corners=False)
            x = level(own + x, c)
        return F.pixel_shuffle(self.out(x), 2)


class Held(NamedTuple):
    """Numbers in memory, of one sample."""

    levels: int  # of the stem, while the blocks are at work
    forward: int  # at once, where nothing is kept for a way back
    kept: int  # for the way back


def held(config: DiTConfig, cells: int) -> Held:
    """What stem and head hold for a latent of so many cells; nothing where there are none.

    A block from i to o channels keeps for the way back, of each cell, its input, that normed and that activated (3 i);
    four forms of what is between its convolutions, and its output, for what comes next (5 o).
    """
    if config.stem == "patch":
        return Held(0, 0, 0)
    widths = config.stem_widths
    finer = (widths[0], *widths[:-1])
    levels, kept = 0, config.in_channels * cells
    for level, (inputs, outputs) in enumerate(zip(finer, widths, strict=True), start=1):
        own = cells // 4**level
        levels += own * outputs
        kept += own * ((3 * inputs + 5 * outputs) + 8 * outputs)  # the stem's block, the head's
    return Held(levels, levels + 5 * widths[0] * (cells // 4), kept)
