"""Affine-invariant depth: the 2 % and 98 % quantiles of an image's valid depth become -1 and 1 (Marigold, 2312.02145).

    image = clip(2 (d - q02) / (q98 - q02) - 1, -1, 1)      d = depth, log depth, or disparity (1 / depth)
    image = clip(log(d / median) / spread, -1, 1)           "relative": log depth, up to a shift alone

Scale and shift of a scene are lost by design: a prediction is a map in [0, 1], larger = farther, to be aligned to
metres by two numbers (of disparity: larger = nearer, to 1 / metres). Log depth relative to the median keeps ratios of
depths, which quantiles stretch differently in every picture; its answer is turned to depth, or to what `output` asks
for, and only then put between 0 and 1. The second source image ("prompt") is all ones. The paper's release feeds the
ground-truth validity mask there, which leaks. `prompt="validity"` does as it did, in training and in evaluation; a
user's photo has no such mask, and is given ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.data.example import Batch
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.shapes import DepthMap, FieldDraws, Fields, HeightWidth, Sources
from lookharder.tasks.base import SOURCES, Join, TargetImage, Task, grey_to_rgb, resize_map
from lookharder.tasks.closer.windows import Grid, fit_to, low_pass
from lookharder.tasks.merge import Marigold, mean, median, merge_affine

DepthOutput = Literal["depth", "log", "disparity"]
DepthSpace = Literal["linear", "log", "disparity", "relative"]
DepthMerging = Literal["gram", "marigold", "released", "median", "mean"]
VALUES: dict[DepthOutput, Callable[[Tensor], Tensor]] = {  # of log depth
    "depth": torch.exp,
    "log": lambda log_depth: log_depth,
    "disparity": lambda log_depth: torch.exp(-log_depth),
}
SPACES: dict[DepthSpace, Callable[[Tensor], Tensor]] = {  # of depth
    "linear": lambda depth: depth,
    "log": torch.log,
    "disparity": torch.reciprocal,
    "relative": torch.log,
}
EMITTED: dict[DepthSpace, DepthOutput] = {
    "linear": "depth",
    "log": "log",
    "disparity": "disparity",
    "relative": "depth",
}
PLAIN = {"median": median, "mean": mean}
SLOW = 4  # waves longer than this part of a window are the whole picture's to say


@dataclass(frozen=True, kw_only=True)
class Depth(Task):
    """Depth along the optical axis, up to scale and shift.

    Attributes:
        space: "linear"; "log" and "disparity" for affine-invariant log depth and disparity; "relative" for log depth
            less its median.
        low: quantile that becomes -1; of an answer in "relative" the one that becomes 0.
        high: quantile that becomes 1, of either.
        spread: log ratio to the median depth that becomes 1; used by "relative" alone.
        prompt: second source image: "ones", "validity" (the release's; leaks ground truth), or "none": the image is the
            only source, as the paper's text has it.
        output: what an answer is a map of; None = what the network emits, and of "relative" depth. Quantiles do not
            keep ratios, so only "relative" can be turned into another.
        merging: how draws are merged: aligned by "gram" (closed form) or "marigold" (the published optimisation), and
            then the median; "released", the latter on maps of 50 pixels; the plain "median" or "mean", without fit.
    """

    name: Literal["depth"] = "depth"
    space: DepthSpace = "linear"
    low: float = 0.02
    high: float = 0.98
    spread: float = 2.0
    prompt: Literal["ones", "validity", "none"] = "ones"
    output: DepthOutput | None = None
    merging: DepthMerging = "gram"

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise InputError("depth.low, depth.high", (self.low, self.high), "0 <= low < high <= 1")
        if self.spread <= 0:
            raise InputError("depth.spread", self.spread, "a positive number")
        allowed = tuple(VALUES) if self.space == "relative" else (EMITTED[self.space],)
        if self.output not in (None, *allowed):
            raise InputError(
                "output", repr(self.output), f"one of {allowed}, for {self.space} depth"
            )

    @property
    def answer(self) -> DepthOutput:
        """What an answer is a map of."""
        return self.output or EMITTED[self.space]

    @property
    def scoring(self) -> dict[str, str]:
        """Scale and shift are fitted in the space in which the map is affine-invariant."""
        return {"depth_space": "linear" if self.answer == "depth" else self.answer}

    @property
    def view(self) -> str:
        """Disparity has colours, and words, of its own."""
        return self.name if self.answer == "depth" else self.answer

    @property
    def sources(self) -> int:
        """The image, and the prompt if there is one."""
        return 1 if self.prompt == "none" else SOURCES

    @property
    def pipeline(self) -> str:
        """The hub's word."""
        return "depth-estimation"

    @property
    def reads(self) -> tuple[str, ...]:
        """The picture, depth, and where it is known."""
        return ("image", "depth", "depth_valid")

    @property
    def hints(self) -> tuple[str, ...]:
        """The mask of what is known, where it is the prompt."""
        return ("depth_valid",) if self.prompt == "validity" else ()

    def condition(self, batch: Batch) -> Sources:
        """(B, S, 3, H, W): the image, and the prompt if there is one."""
        if self.prompt == "none":
            return batch.image[:, None]
        prompt = torch.ones_like(batch.image)
        if self.prompt == "validity" and batch.depth_valid is not None:
            prompt = prompt * batch.depth_valid[:, None]
        elif self.prompt == "validity":
            say_once("depth", "the model expects a mask of valid depth; photos have none: all ones")
        return torch.stack([batch.image, prompt], dim=1)

    def to_image(self, batch: Batch) -> TargetImage:
        """Depth in metres -> (B, 1, 3, H, W); unknown pixels are far and marked unknown.

        For "relative" depth what is not valid, but no nearer than all that is, is known to be far: the sky.
        """
        depth, valid = batch.need("depth"), batch.need("depth_valid")
        for name, known in zip(batch.name, valid.flatten(1).any(1).tolist(), strict=True):
            if not known:
                raise InputError(
                    f"data ({name})", "no valid depth", "at least one pixel of known depth"
                )
        values = SPACES[self.space](depth)
        known = values.masked_fill(~valid, torch.nan)
        if self.space == "relative":
            scaled = (values - quantiles(known, (0.5,))[0]) / self.spread
        else:
            near, far = quantiles(known, (self.low, self.high))
            scaled = 2 * (values - near) / (far - near).clamp_min(1e-6) - 1
        far_away = -1.0 if self.space == "disparity" else 1.0
        images = torch.where(valid, scaled.clamp(-1, 1), far_away)
        if self.space == "relative":
            farthest = depth.masked_fill(~valid, 0.0).amax((1, 2), keepdim=True)
            valid = valid | (depth >= farthest)  # the sky: no depth to score, but far
        return TargetImage(images=grey_to_rgb(images)[:, None], known=valid)

    def mirror(self, images: FieldDraws) -> FieldDraws:
        """Left and right exchanged."""
        return images.flip(-1)

    def from_image(self, images: FieldDraws) -> Float[Tensor, "N B H W"]:
        """Values in [0, 1]: 0 = the low quantile, 1 = the high one."""
        grey = images[:, :, 0].mean(2).clamp(-1, 1)
        if self.space != "relative":
            return (grey + 1) / 2
        values = VALUES[self.answer](grey * self.spread).flatten(0, 1)
        low, high = quantiles(values, (self.low, self.high))
        scaled = ((values - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
        draws: Tensor = scaled.unflatten(0, grey.shape[:2])
        return draws

    def looks(self, sizes: Sequence[HeightWidth]) -> tuple[HeightWidth, ...]:
        """Once, at the new size; none where the picture has no more to show."""
        return tuple(sizes[-1:]) if sizes[-1] not in sizes[:-1] else ()

    def windows(self, size: HeightWidth, window: HeightWidth) -> int:
        """Those of a grid over the picture."""
        return len(Grid(size=size, window=window).corners)

    def look_again(self, batch: Batch, answer: Fields, window: HeightWidth) -> tuple[Batch, Join]:
        """Windows bring the edges; what changes slowly stays as the whole picture showed it."""
        size = batch.image.shape[-2], batch.image.shape[-1]
        before = resize_map(answer[:, 0].mean(1, keepdim=True), *size)
        grid = Grid(size=size, window=window)

        def join(seen: Float[Tensor, "BV F 3 h w"]) -> Float[Tensor, "B F 3 H W"]:
            windows = fit_to(seen[:, 0].mean(1, keepdim=True), grid.cut(before))
            fine = grid.blend(windows)
            kept = low_pass(before - fine, min(window) // SLOW)
            return grey_to_rgb((fine + kept)[:, 0])[:, None]

        names = tuple(name for name in batch.name for _ in grid.corners)
        valid = batch.depth_valid
        if valid is not None:
            valid = grid.cut(valid[:, None].float())[:, 0] > 0
        return Batch(name=names, image=grid.cut(batch.image), depth_valid=valid), join

    @property
    def mergings(self) -> tuple[str, ...]:
        """Aligned or not."""
        return get_args(DepthMerging)

    def merge(self, draws: Float[Tensor, "N B H W"]) -> tuple[DepthMap, DepthMap]:
        """Align the members to each other (each has its own scale and shift) and take their median, or as `merging`."""
        if len(draws) == 1:
            return draws[0], torch.zeros_like(draws[0])
        if self.merging in PLAIN:
            return PLAIN[self.merging](draws)
        solver = Marigold(max_res=50) if self.merging == "released" else self.merging
        merged = [merge_affine(draws[:, i], solver=solver) for i in range(draws.shape[1])]
        return torch.stack([m for m, _ in merged]), torch.stack([u for _, u in merged])

    def resize(self, prediction: DepthMap, height: int, width: int) -> Float[Tensor, "B h w"]:
        """Bilinear: an affine-invariant map has no units to change."""
        return resize_map(prediction[:, None], height, width)[:, 0]


def quantiles(
    values: Float[Tensor, "B H W"], shares: tuple[float, ...]
) -> Float[Tensor, "Q B 1 1"]:
    """Quantiles of each picture, of what is not NaN; between two of its numbers, on the line through them."""
    flat = values.detach().flatten(1)
    host = flat.device.type == "cpu"  # where numpy's sort is much the quicker
    ordered = torch.from_numpy(np.sort(flat.numpy(), axis=1)) if host else flat.sort(dim=1).values
    last = (~ordered.isnan()).sum(1) - 1  # NaN comes after it
    rank = (flat.new_tensor(shares)[:, None] * last).clamp(min=0)  # (Q, B)
    below, above = (ordered.gather(1, place.long().T).T for place in (rank.floor(), rank.ceil()))
    return torch.lerp(below, above, rank - rank.floor())[..., None, None]
