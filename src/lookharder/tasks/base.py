"""A task is a pair of inverse translations between an annotation and an image, and the words around them.

    training     target image = to_image(batch)            condition = condition(batch)
    prediction   draws = from_image(decoded images)        prediction, uncertainty = merge(draws)

    from_image(to_image(batch)) = the annotation            up to the task's declared invariance

The network only ever sees images. What they mean (quantiles, scale of motion, threshold of the mask) is a frozen
dataclass that is saved with the model.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.data.example import Batch
from lookharder.shapes import FieldDraws, Fields, Sources

SOURCES = (
    2  # images in the condition of every perception task; a task with fewer is padded with zeros
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetImage:
    """What the network learns to denoise: F images and where they are known."""

    images: Fields
    known: Bool[Tensor, "B H W"]


@runtime_checkable
class Task(Protocol):
    """The seam between tasks and everything else; `name` and `fields` are read, the rest is called."""

    @property
    def name(self) -> str:
        """Its key in `TASKS`."""
        ...

    @property
    def fields(self) -> int:
        """F, images predicted for one answer; each has a label of its own."""
        ...

    def condition(self, batch: Batch) -> Sources:
        """The images that the answer depends on, (B, S, 3, H, W) in [-1, 1], S = 0 or `SOURCES`."""
        ...

    def to_image(self, batch: Batch) -> TargetImage:
        """The annotation as images in [-1, 1]; raises InputError where the batch lacks it."""
        ...

    def from_image(self, images: FieldDraws) -> Tensor:
        """Decoded images (N, B, F, 3, H, W) -> draws of the annotation (N, B, ...)."""
        ...

    def merge(self, draws: Tensor) -> tuple[Tensor, Float[Tensor, "B H W"]]:
        """N draws (N, B, ...) -> one answer (B, ...) and its uncertainty (B, H, W), zero for N = 1."""
        ...

    def resize(self, prediction: Tensor, height: int, width: int) -> Tensor:
        """The answer (B, ...) at another size, in the units of that size."""
        ...


def grey_to_rgb(values: Float[Tensor, "B H W"]) -> Float[Tensor, "B 3 H W"]:
    """A scalar map as a grey image, the same value in three channels."""
    return values[:, None].expand(-1, 3, -1, -1)


def resize_map(
    values: Float[Tensor, "B C H W"], height: int, width: int
) -> Float[Tensor, "B C h w"]:
    """Bilinear, antialiased where it shrinks."""
    if values.shape[-2:] == (height, width):
        return values
    return F.interpolate(values, size=(height, width), mode="bilinear", antialias=True)


def mask_to_rgb(mask: Bool[Tensor, "B H W"]) -> Float[Tensor, "B 3 H W"]:
    """True -> white (1), false -> black (-1)."""
    return grey_to_rgb(torch.where(mask, 1.0, -1.0))
