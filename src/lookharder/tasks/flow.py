"""Optical flow as an image: u is red, v is green, zero motion is mid-grey.

    image = (u / (limit W), v / (limit H), 0)         limit = largest motion, as a fraction of the frame

Motion is stored relative to the frame, so one model serves every resolution and aspect ratio, and `resize` restores
pixels with u and v scaled separately. The paper's encoding is `layout="split"`: two scalar diffusions, each tiled to
three channels, motion divided by a fixed 75 pixels (`limit=75, limit_unit="pixels"`).
Predictions are in pixels and never fitted to ground truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.data.example import Batch, Example
from lookharder.errors import InputError
from lookharder.shapes import FieldDraws, Fields, FlowField, HeightWidth, Sources
from lookharder.tasks.base import Given, Join, TargetImage, Task, grey_to_rgb, resize_map
from lookharder.tasks.closer.matching import fit, warp
from lookharder.tasks.closer.rests import rest
from lookharder.tasks.closer.windows import Grid
from lookharder.tasks.merge import mean, vector_median

FlowMerging = Literal["median", "mean"]


@dataclass(frozen=True, kw_only=True)
class Flow(Task):
    """Forward flow from `image` to `second`, pixels of the frame it is given at.

    Attributes:
        layout: "joint", u and v in one image; "split", one image each.
        limit: motion that becomes 1; larger motion is not learnt from.
        limit_unit: "fraction" of the frame's width (u) and height (v), or "pixels".
        merging: how draws are merged: the geometric "median" of vectors, or their "mean", as in the release.
    """

    name: Literal["flow"] = "flow"
    layout: Literal["joint", "split"] = "joint"
    limit: float = 0.16
    limit_unit: Literal["fraction", "pixels"] = "fraction"
    merging: FlowMerging = "median"

    def __post_init__(self) -> None:
        if self.limit <= 0:
            raise InputError("flow.limit", self.limit, "a positive number")

    @property
    def fields(self) -> int:
        """One image for the joint layout, two for the split one."""
        return 1 if self.layout == "joint" else 2

    @property
    def inputs(self) -> tuple[Given, ...]:
        """The next frame."""
        return (Given(argument="second", field="second", kind="picture"),)

    @property
    def reads(self) -> tuple[str, ...]:
        """Both frames, the motion between them, and where it is known."""
        return ("image", "second", "flow", "flow_valid")

    def uncertainty_scale(self, size: tuple[int, int], other: tuple[int, int]) -> float:
        """A length, which grows with the frame, as u does along a square."""
        return max(b / a for a, b in zip(size, other, strict=True))

    def condition(self, batch: Batch) -> Sources:
        """(B, 2, 3, H, W): both frames."""
        return torch.stack([batch.image, batch.need("second")], dim=1)

    def to_image(self, batch: Batch) -> TargetImage:
        """Flow in pixels -> (B, F, 3, H, W); motion beyond the limit is marked unknown."""
        flow = batch.need("flow") / self._unit(batch.image)
        known = batch.need("flow_valid") & (flow.abs().amax(1) <= 1)
        flow = torch.where(known[:, None], flow, 0.0)
        return TargetImage(images=self._paint(flow), known=known)

    def from_image(self, images: FieldDraws) -> Float[Tensor, "N B 2 H W"]:
        """Images -> pixels of the frame they were predicted at."""
        flow = images[:, :, 0, :2] if self.layout == "joint" else images.mean(3)
        return flow * self._unit(images)

    def mirror(self, images: FieldDraws) -> FieldDraws:
        """Left and right exchanged; motion turns with the frames, so u is -u."""
        images = images.flip(-1)
        u = torch.zeros(images.shape[2:4], dtype=torch.bool, device=images.device)  # (F, 3)
        u[0, 0 if self.layout == "joint" else slice(None)] = True
        return torch.where(u[..., None, None], -images, images)

    @property
    def mergings(self) -> tuple[str, ...]:
        """Of vectors."""
        return get_args(FlowMerging)

    def merge(self, draws: Float[Tensor, "N B 2 H W"]) -> tuple[FlowField, Float[Tensor, "B H W"]]:
        """Geometric median (or mean) of the N vectors at each pixel, uncertainty in pixels."""
        if self.merging == "median":
            return vector_median(draws)
        merged, deviation = mean(draws)
        return merged, deviation.square().sum(1).sqrt()

    def resize(self, prediction: FlowField, height: int, width: int) -> Float[Tensor, "B 2 h w"]:
        """Bilinear, with u scaled by the widths' ratio and v by the heights'."""
        ratio = prediction.new_tensor([width / prediction.shape[-1], height / prediction.shape[-2]])
        return resize_map(prediction, height, width) * ratio[:, None, None]

    def looks(self, sizes: Sequence[HeightWidth]) -> tuple[HeightWidth, ...]:
        """At all sizes again, the whole first: it shows a large motion that was missed, which no window can."""
        return tuple(dict.fromkeys(sizes))

    def windows(self, size: HeightWidth, window: HeightWidth) -> int:
        """Those of a grid over the picture."""
        return len(Grid(size=size, window=window).corners)

    def look_again(self, batch: Batch, answer: Fields, window: HeightWidth) -> tuple[Batch, Join]:
        """The second frame is moved by the answer so far, and the network asked for the motion that is left."""
        first, second = batch.image, batch.need("second")
        size = max(first.shape[-2:], answer.shape[-2:])
        flow = self.resize(self.from_image(answer[None])[0], *size)
        here = self.resize(flow, *first.shape[-2:])
        grid = Grid(size=(first.shape[-2], first.shape[-1]), window=window)
        shown = grid.cut(first), grid.cut(warp(second, here))

        def join(seen: Float[Tensor, "BV F 3 h w"]) -> Float[Tensor, "B F 3 H W"]:
            left = grid.blend(self.from_image(seen[None])[0])
            better = fit(first, second, here, here + left)
            finer = flow + self.resize(better - here, *size)
            return self._paint(finer / self._unit(finer))

        names = tuple(name for name in batch.name for _ in grid.corners)
        return Batch(name=names, image=shown[0], second=shown[1]), join

    def further_look(self, example: Example, generator: np.random.Generator) -> Example:
        """The second frame moved by a rough guess, and the motion that is left."""
        return rest(example, generator)

    @property
    def widest(self) -> float:
        """A frame of fewer rows than half its columns shows the network too few of them to match."""
        return 2.0

    @property
    def leaves_windows_out(self) -> bool:
        """Each look asks for the motion that is left."""
        return True

    def at_rest(self, windows: int, window: HeightWidth) -> Fields:
        """No motion is left."""
        return self._paint(torch.zeros(windows, 2, *window))

    def _paint(self, flow: FlowField) -> Fields:
        """Motion as a share of the limit -> (B, F, 3, H, W)."""
        if self.layout == "joint":
            return torch.cat([flow, torch.zeros_like(flow[:, :1])], dim=1)[:, None]
        return torch.stack([grey_to_rgb(flow[:, 0]), grey_to_rgb(flow[:, 1])], dim=1)

    def _unit(self, frame: Tensor) -> Float[Tensor, "2 1 1"]:
        """Pixels that 1.0 stands for, in a frame of this size."""
        height, width = frame.shape[-2:]
        size = (width, height) if self.limit_unit == "fraction" else (1, 1)
        return frame.new_tensor(size)[:, None, None] * self.limit
