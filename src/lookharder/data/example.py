"""Ground truth: one `Example` on disk's side (numpy), a `Batch` on the network's side (torch).

What a set does not annotate is None, in the Example and in every Batch made of it. `order` is the endless shuffled
order of a data set: the index at a position is a function of (seed, position) alone, so that training resumes at any
position at once and reads the same batches whatever the number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from lookharder.errors import InputError
from lookharder.seeding import keyed_seed


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One item of ground truth; H and W are shared by all its arrays.

    Attributes:
        name: identifies the item within its set.
        image: (3, H, W) uint8, the frame that is explained.
        second: (3, H, W) uint8, the next frame.
        depth: (H, W) float32, metres along the optical axis; meaningful where `depth_valid`; elsewhere 0, or of the
            sky the farthest that is meaningful.
        depth_valid: (H, W) bool.
        flow: (2, H, W) float32, pixels, from `image` to `second`; meaningful where `flow_valid`.
        flow_valid: (H, W) bool, where the motion is known (also where it is occluded in `second`).
        occluded: (H, W) bool, pixels of `image` whose point is hidden or out of view in `second`.
        visible: (H, W) bool, the visible part of the chosen object.
        amodal: (H, W) bool, all of the chosen object inside the frame; contains `visible`.
        whole: (3, H, W) uint8, the whole chosen object on white.
        label: class of the picture, for class-conditional generation.
    """

    name: str
    image: np.ndarray
    second: np.ndarray | None = None
    depth: np.ndarray | None = None
    depth_valid: np.ndarray | None = None
    flow: np.ndarray | None = None
    flow_valid: np.ndarray | None = None
    occluded: np.ndarray | None = None
    visible: np.ndarray | None = None
    amodal: np.ndarray | None = None
    whole: np.ndarray | None = None
    label: int | None = None


@runtime_checkable
class Dataset(Protocol):
    """Anything with a length and examples by index."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Example: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Examples of one size, stacked: images float in [-1, 1], the rest as in `Example`, with a first axis B."""

    name: tuple[str, ...]
    image: Tensor
    second: Tensor | None = None
    depth: Tensor | None = None
    depth_valid: Tensor | None = None
    flow: Tensor | None = None
    flow_valid: Tensor | None = None
    occluded: Tensor | None = None
    visible: Tensor | None = None
    amodal: Tensor | None = None
    whole: Tensor | None = None
    label: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        moved = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)  # type: ignore[arg-type]

    def select(self, places: Sequence[int]) -> "Batch":
        """Some of the examples, by their place."""
        if list(places) == list(range(len(self.name))):
            return self
        chosen = {
            name: value[list(places)]
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        names = tuple(self.name[place] for place in places)
        return replace(self, name=names, **chosen)

    def mirror(self, chosen: Bool[Tensor, "B"] | None = None) -> "Batch":
        """The left-right mirror images of the chosen examples, motion included, and the others; None = of all."""
        chosen = torch.ones(len(self.name), dtype=torch.bool) if chosen is None else chosen
        changed: dict[str, Tensor] = {}
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and value.ndim > 1:
                turned = value.flip(-1)
                if name == "flow":
                    turned = turned * turned.new_tensor([-1, 1])[:, None, None]
                where = chosen.to(value.device).view(-1, *[1] * (value.ndim - 1))
                changed[name] = torch.where(where, turned, value)
        return replace(self, **changed)  # type: ignore[arg-type]

    def need(self, field: str) -> Tensor:
        """The tensor of a field, or a clear error where the data do not annotate it."""
        value: Tensor | None = getattr(self, field)
        if value is None:
            raise InputError(
                f"data ({self.name[0]})", f"no `{field}`", f"a set that annotates `{field}`"
            )
        return value


def to_float(image: Tensor) -> Tensor:
    """uint8 in 0..255 -> float32 in [-1, 1]."""
    return image.to(torch.float32, copy=True).div_(127.5).sub_(1.0)


def to_uint8(image: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8, rounded, clipped."""
    return image.clamp(-1, 1).add_(1.0).mul_(127.5).round_().to(torch.uint8)


def collate(examples: Sequence[Example]) -> Batch:
    """Stack examples of one size; a field is kept where every example has it."""
    sizes = {example.image.shape for example in examples}
    if len(sizes) != 1:
        raise InputError(
            "data", f"images of sizes {sorted(sizes)} in one batch", "one size per batch"
        )
    stacked: dict[str, Tensor | None] = {}
    for field in fields(Example)[1:]:
        values = [getattr(example, field.name) for example in examples]
        if any(value is None for value in values):
            continue
        tensor = torch.from_numpy(np.stack(values))
        stacked[field.name] = (
            to_float(tensor) if field.name in ("image", "second", "whole") else tensor
        )
    return Batch(name=tuple(example.name for example in examples), **stacked)  # type: ignore[arg-type]


def order(seed: int, position: int, length: int) -> int:
    """Index at `position` of the endless order: epoch after epoch, each a fresh permutation, in O(1).

    The permutation is a four-round Feistel network on the smallest even number of bits that holds `length`, walked
    until it lands inside (cycle walking): a bijection of range(length) for every epoch.
    """
    epoch, value = divmod(position, length)
    half = max(1, ((length - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    keys = [keyed_seed(seed, "order", epoch, round_) for round_ in range(4)]
    while True:
        left, right = value >> half, value & mask
        for key in keys:
            mixed = (right * 0x9E3779B97F4A7C15 + key) & 0xFFFFFFFFFFFFFFFF
            mixed ^= mixed >> 29
            mixed = (mixed * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
            mixed ^= mixed >> 32
            left, right = right, left ^ (mixed & mask)
        value = left << half | right
        if value < length:
            return value
