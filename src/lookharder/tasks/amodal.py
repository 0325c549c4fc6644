"""The whole of a partly hidden object: its appearance on white, from which the mask is read.

    mask = grey(whole) <= threshold           8-bit grey; pix2gestalt (2401.14398) publishes 250

The condition is the picture and the visible mask of the object that is meant.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.data.example import Batch
from lookharder.errors import InputError
from lookharder.shapes import FieldDraws, Mask, Sources
from lookharder.tasks.base import Given, TargetImage, Task, mask_to_rgb, resize_map
from lookharder.tasks.merge import vote

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the weights of every common grey conversion


@dataclass(frozen=True, kw_only=True)
class Amodal(Task):
    """Amodal mask of one object.

    Attributes:
        threshold: grey value (0..255) up to which a pixel of the whole-object image belongs to the object.
    """

    name: Literal["amodal"] = "amodal"
    threshold: float = 250.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 255:
            raise InputError("amodal.threshold", self.threshold, "0 <= threshold < 255")

    @property
    def inputs(self) -> tuple[Given, ...]:
        """The visible mask of the object that is meant."""
        return (Given(argument="mask", field="visible", kind="mask"),)

    def condition(self, batch: Batch) -> Sources:
        """(B, 2, 3, H, W): the picture and the visible mask, white on black."""
        return torch.stack([batch.image, mask_to_rgb(batch.need("visible"))], dim=1)

    def to_image(self, batch: Batch) -> TargetImage:
        """The whole object on white, (B, 1, 3, H, W)."""
        whole = batch.need("whole")
        return TargetImage(
            images=whole[:, None], known=torch.ones_like(whole[:, 0], dtype=torch.bool)
        )

    def from_image(self, images: FieldDraws) -> Bool[Tensor, "N B H W"]:
        """The published rule, on the predicted whole object."""
        grey = torch.einsum("nbchw,c->nbhw", images[:, :, 0], images.new_tensor(LUMA))
        return ((grey + 1) * 127.5).round() <= self.threshold  # rounded, as an 8-bit picture is

    def merge(self, draws: Bool[Tensor, "N B H W"]) -> tuple[Mask, Float[Tensor, "B H W"]]:
        """Majority vote; uncertainty is the share of draws that disagree."""
        return vote(draws)

    def resize(self, prediction: Mask, height: int, width: int) -> Bool[Tensor, "B h w"]:
        """Bilinear on the mask, cut at one half."""
        return resize_map(prediction[:, None].float(), height, width)[:, 0] > 0.5
