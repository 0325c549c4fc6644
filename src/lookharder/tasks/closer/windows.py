"""A picture in overlapping windows of one size, and one map out of what was seen in them.

    grid = Grid(size=(H, W), window=(h, w))
    parts = grid.cut(pictures)          # (B, C, H, W) -> (B V, C, h, w), all windows of a picture side by side
    whole = grid.blend(parts)           # back again; exact where the windows agree

Neighbours share half of a window, and each counts by a Hann window: fully in its middle, hardly at its border, where a
network sees least. So no border shows.
"""

from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lookharder.shapes import HeightWidth


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Windows at the corners of a grid, spread evenly, half a window apart at the most.

    Attributes:
        size: (H, W) of the picture.
        window: (h, w), no larger than the picture.
    """

    size: HeightWidth
    window: HeightWidth

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each window, row by row."""
        tops, lefts = (
            _starts(whole, part) for whole, part in zip(self.size, self.window, strict=True)
        )
        return [(top, left) for top in tops for left in lefts]

    def cut(self, pictures: Float[Tensor, "B C H W"]) -> Float[Tensor, "BV C h w"]:
        """The windows of each picture."""
        height, width = self.window
        parts = [
            pictures[..., top : top + height, left : left + width] for top, left in self.corners
        ]
        return torch.stack(parts, dim=1).flatten(0, 1)

    def blend(self, parts: Float[Tensor, "BV C h w"]) -> Float[Tensor, "B C H W"]:
        """The weighted mean of the windows at each pixel."""
        corners, (height, width) = self.corners, self.window
        weight = _hann(height)[:, None] * _hann(width)
        weight = weight.to(parts)
        windows = parts.unflatten(0, (-1, len(corners))) * weight
        total = parts.new_zeros(len(windows), parts.shape[1], *self.size)
        share = parts.new_zeros(self.size)
        for index, (top, left) in enumerate(corners):
            here = slice(top, top + height), slice(left, left + width)
            total[:, :, *here] += windows[:, index]
            share[here] += weight
        return total / share


def fit_to(
    windows: Float[Tensor, "BV 1 h w"], whole: Float[Tensor, "BV 1 h w"]
) -> Float[Tensor, "BV 1 h w"]:
    """Each window with the scale and shift that bring it nearest to the same place of the whole, by least squares.

    The scale is small where the two are unlike, so a window that contradicts the whole says little; never below 0.
    """
    middle, level = (each.mean((2, 3), keepdim=True) for each in (windows, whole))
    rest, wanted = windows - middle, whole - level
    spread = rest.square().mean((2, 3), keepdim=True).clamp_min(1e-8)
    scale = (rest * wanted).mean((2, 3), keepdim=True) / spread
    return rest * scale.clamp_min(0) + level


def low_pass(values: Float[Tensor, "B C H W"], side: int) -> Float[Tensor, "B C H W"]:
    """What changes slowly: twice a mean over a square, its side made odd; the border goes on."""
    half = max(1, side // 2)
    for _ in range(2):
        wide = F.pad(values, (half,) * 4, mode="replicate")
        values = F.avg_pool2d(wide, 2 * half + 1, stride=1)
    return values


def _starts(whole: int, part: int) -> list[int]:
    """Where windows begin along one side."""
    gaps = ceil(2 * (whole - part) / part)
    return [round(i * (whole - part) / gaps) for i in range(gaps + 1)] if gaps else [0]


def _hann(length: int) -> Float[Tensor, "length"]:
    """A Hann window that is not quite 0 at its ends: at the border of the picture a window is alone."""
    return torch.hann_window(length + 2, periodic=False)[1:-1] + 1e-3
