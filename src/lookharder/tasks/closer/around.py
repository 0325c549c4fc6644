"""A window around an object: as near as is allowed, with room for what is hidden.

box = box_around(visible, least=(h, w), room=2.0)       # (H, W) bool -> Box
part = box.cut(picture, (h, w))                         # (C, H, W) -> (C, h, w)
picture = box.paste(picture, part)                      # back, at the box's own size
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.shapes import HeightWidth
from lookharder.tasks.base import resize_map


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def cut(self, picture: Float[Tensor, "C H W"], size: HeightWidth) -> Float[Tensor, "C h w"]:
        """What is inside, at a size (height, width)."""
        return resize_map(picture[:, *self.place][None], *size)[0]

    def paste(
        self, picture: Float[Tensor, "C H W"], part: Float[Tensor, "C h w"]
    ) -> Float[Tensor, "C H W"]:
        """The picture with another inside."""
        pasted = picture.clone()
        pasted[:, *self.place] = resize_map(part[None], self.height, self.width)[0]
        return pasted


def box_around(visible: Bool[Tensor, "H W"], least: HeightWidth, room: float) -> Box:
    """The smallest box with the sides' ratio of `least` that is no smaller and leaves room around an object.

    Args:
        visible: the object, or the part that is seen of it; not empty.
        least: (height, width) below which no box is, no larger than the picture.
        room: sides of the box, as a multiple of the object's.

    Returns:
        A box inside the picture, centred on the object as far as the border lets.
    """
    rows, columns = (torch.nonzero(visible.any(axis)).flatten().tolist() for axis in (1, 0))
    spans = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    sides = [room * (stop - start) for start, stop in spans]
    scale = max(1.0, *(side / short for side, short in zip(sides, least, strict=True)))
    found = []
    for (start, stop), short, whole in zip(spans, least, visible.shape, strict=True):
        length = min(whole, round(scale * short))
        first = round((start + stop - length) / 2)
        found.append((min(max(first, 0), whole - length), length))
    (top, height), (left, width) = found
    return Box(top=top, left=left, height=height, width=width)
