"""The whole of a partly hidden object: its appearance on white, from which the mask is read.

    mask = grey(whole) <= threshold           8-bit grey; pix2gestalt (2401.14398) publishes 250
    whole = 2 span (colour + 1) / 2 - 1       inside the object; 1, white, outside

The condition is the picture and the visible mask of the object that is meant. What is visible is known: its pixels are
kept in the painting, and its mask in the answer, at the size at which the network looked last; in a larger picture thin
parts of it may be lost. With `span` below 1 the object's colours keep a distance from white, so that a bright object
can be told from what surrounds it, and an uncertain edge lies where it is as likely as not.
Most of what is hidden of an object lies inside the convex hull of what is visible: with `beyond_hull` the network has
to be surer of what it paints outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.data.example import Batch
from lookharder.errors import InputError
from lookharder.metrics.segmentation import convex_hull
from lookharder.shapes import FieldDraws, Fields, HeightWidth, Mask, Sources
from lookharder.tasks.base import Given, Join, TargetImage, Task, mask_to_rgb, resize_map
from lookharder.tasks.closer.around import box_around
from lookharder.tasks.merge import median, vote

ROOM = 2.0  # sides of the window around an object, as multiples of those of what is visible of it
NEARER = 1.25  # times: a window that is hardly nearer than the whole picture shows nothing new
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the weights of every common grey conversion


AmodalMerging = Literal["vote", "median"]


@dataclass(frozen=True, kw_only=True)
class Amodal(Task):
    """Amodal mask of one object.

    Attributes:
        threshold: grey value (0..255) up to which a pixel of the whole-object image belongs to the object.
        span: share of the range from black to white that the object's colours take.
        merging: "vote", the majority of the masks (pix2gestalt), or "median", the mask of the median of the paintings,
            colour by colour (the release).
        beyond_hull: the threshold outside the convex hull of what is visible; None = the same.
    """

    name: Literal["amodal"] = "amodal"
    threshold: float = 250.0
    span: float = 1.0
    merging: AmodalMerging = "vote"
    beyond_hull: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 255:
            raise InputError("amodal.threshold", self.threshold, "0 <= threshold < 255")
        if not 0 < self.span <= 1:
            raise InputError("amodal.span", self.span, "0 < span <= 1")
        if self.beyond_hull is not None and not 0 <= self.beyond_hull <= self.threshold:
            allowed = f"0 <= beyond_hull <= threshold, {self.threshold}"
            raise InputError("amodal.beyond_hull", self.beyond_hull, allowed)

    @property
    def inputs(self) -> tuple[Given, ...]:
        """The visible mask of the object that is meant."""
        return (Given(argument="mask", field="visible", kind="mask"),)

    @property
    def pipeline(self) -> str:
        """The hub's word."""
        return "image-segmentation"

    @property
    def reads(self) -> tuple[str, ...]:
        """The picture, the object that is meant, and all of it, as a picture and as a mask."""
        return ("image", "visible", "whole", "amodal")

    def condition(self, batch: Batch) -> Sources:
        """(B, 2, 3, H, W): the image and the visible mask, white on black."""
        return torch.stack([batch.image, mask_to_rgb(batch.need("visible"))], dim=1)

    def to_image(self, batch: Batch) -> TargetImage:
        """The whole object on white, (B, 1, 3, H, W)."""
        whole = batch.need("whole")
        if self.span < 1:
            inside = batch.need("amodal")[:, None]
            whole = torch.where(inside, self.span * (whole + 1) - 1, 1.0)
        return TargetImage(
            images=whole[:, None], known=torch.ones_like(whole[:, 0], dtype=torch.bool)
        )

    def from_image(
        self, images: FieldDraws
    ) -> Bool[Tensor, "N B H W"] | Float[Tensor, "N B 3 H W"]:
        """The published rule, on the predicted whole object; to take the median of paintings, these as they are."""
        return images[:, :, 0] if self.merging == "median" else self._inside(images[:, :, 0])

    def mirror(self, images: FieldDraws) -> FieldDraws:
        """Left and right exchanged."""
        return images.flip(-1)

    def keep_given(self, images: FieldDraws, batch: Batch) -> FieldDraws:
        """The visible pixels as they are, those too bright for the threshold at the brightest that it lets pass.

        What is painted outside their hull, and not surely, is white.
        """
        given = self.span * (batch.image + 1) - 1
        bright = ~self._inside(given)[:, None]
        given = torch.where(bright, self.threshold / 127.5 - 1, given)
        visible = batch.need("visible")
        painted = torch.where(visible[None, :, None, None], given[:, None], images)
        if self.beyond_hull is None:
            return painted
        hulls = np.stack([convex_hull(mask) for mask in visible.cpu().numpy()])
        near = torch.from_numpy(hulls).to(visible.device)[None, :, None]
        sure = self._grey(painted) <= self.beyond_hull
        return torch.where((near | sure)[..., None, :, :], painted, 1.0)

    def to_colours(self, images: Fields) -> Fields:
        """The object's colours over their whole range, on white."""
        if self.span == 1:
            return images
        colours = ((images + 1) / self.span - 1).clamp(max=1)
        return torch.where(self._inside(images)[..., None, :, :], colours, 1.0)

    def looks(self, sizes: Sequence[HeightWidth]) -> tuple[HeightWidth, ...]:
        """Once, at twice the size of the last."""
        return tuple(sizes[-1:])

    def look_again(self, batch: Batch, answer: Fields, window: HeightWidth) -> tuple[Batch, Join]:
        """A window around the object takes the place of the answer there, where it is nearer than the whole picture."""
        given, size = batch.need("visible"), (batch.image.shape[-2], batch.image.shape[-1])
        boxes = [box_around(mask, window, ROOM) for mask in given]
        before = resize_map(answer[:, 0], *size)
        image = [box.cut(each, window) for box, each in zip(boxes, batch.image, strict=True)]
        mask = [box.cut(m[None].float(), window)[0] for box, m in zip(boxes, given, strict=True)]

        def join(seen: Float[Tensor, "B F 3 h w"]) -> Float[Tensor, "B F 3 H W"]:
            pasted = [
                box.paste(old, new) if box.height * NEARER <= size[0] else old
                for box, old, new in zip(boxes, before, seen[:, 0], strict=True)
            ]
            return self.keep_given(torch.stack(pasted)[None, :, None], batch)[0]

        shown = torch.stack(image), torch.stack(mask) > 0.5
        return Batch(name=batch.name, image=shown[0], visible=shown[1]), join

    @property
    def mergings(self) -> tuple[str, ...]:
        """Of masks, or of paintings."""
        return get_args(AmodalMerging)

    def merge(
        self, draws: Bool[Tensor, "N B H W"] | Float[Tensor, "N B 3 H W"]
    ) -> tuple[Mask, Float[Tensor, "B H W"]]:
        """Majority vote, or the mask of the median painting; uncertainty is the share of members that disagree."""
        if self.merging == "vote":
            return vote(draws)
        merged = self._inside(median(draws)[0])
        return merged, (self._inside(draws) != merged).float().mean(0)

    def masks(self, draws: Tensor) -> Mask:
        """Votes are masks; of paintings, where they are of the object."""
        return draws if draws.dtype == torch.bool else self._inside(draws)

    def _inside(self, image: Float[Tensor, "*N 3 H W"]) -> Bool[Tensor, "*N H W"]:
        """Where a painting is of the object."""
        return self._grey(image) <= self.threshold

    def _grey(self, image: Float[Tensor, "*N 3 H W"]) -> Float[Tensor, "*N H W"]:
        """Its grey values, 0 to 255, rounded as an 8-bit picture's are."""
        grey = torch.einsum("...chw,c->...hw", image, image.new_tensor(LUMA))
        return ((grey + 1) * 127.5).round()

    def resize(self, prediction: Mask, height: int, width: int) -> Bool[Tensor, "B h w"]:
        """Bilinear on the mask, cut at one half."""
        return resize_map(prediction[:, None].float(), height, width)[:, 0] > 0.5
