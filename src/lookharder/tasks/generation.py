"""Class-conditional generation: pre-training is one more task, whose condition is empty.

The label of the image takes the place of the task's label; the answer is the image itself. Draws of a generative
model are different images, so merging keeps the first and reports how much they differ.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.data.example import Batch
from lookharder.shapes import FieldDraws, Images, Sources
from lookharder.tasks.base import TargetImage, Task, resize_map


@dataclass(frozen=True, kw_only=True)
class Generation(Task):
    """Images of a class.

    Attributes:
        label_dropout: share of training images whose label becomes the null label (for guidance).
    """

    name: Literal["generation"] = "generation"
    label_dropout: float = 0.1

    @property
    def label_rows(self) -> int:
        """None: the label of an image is its class."""
        return 0

    @property
    def sources(self) -> int:
        """None: nothing is given."""
        return 0

    @property
    def pipeline(self) -> str:
        """The hub's word."""
        return "unconditional-image-generation"

    @property
    def reads(self) -> tuple[str, ...]:
        """The picture and its class."""
        return ("image", "label")

    @property
    def recoloured(self) -> bool:
        """No: pictures of other colours are other pictures."""
        return False

    def condition(self, batch: Batch) -> Sources:
        """(B, 0, 3, H, W): nothing is given."""
        return batch.image[:, None][:, :0]

    def to_image(self, batch: Batch) -> TargetImage:
        """The image itself, (B, 1, 3, H, W)."""
        known = torch.ones_like(batch.image[:, 0], dtype=torch.bool)
        return TargetImage(images=batch.image[:, None], known=known)

    def from_image(self, images: FieldDraws) -> Float[Tensor, "N B 3 H W"]:
        """Images in [-1, 1]."""
        return images[:, :, 0].clamp(-1, 1)

    def merge(self, draws: Float[Tensor, "N B 3 H W"]) -> tuple[Images, Float[Tensor, "B H W"]]:
        """The first member; uncertainty is the standard deviation over members, mean over channels."""
        return draws[0], draws.std(0, correction=0).mean(1)

    def resize(self, prediction: Images, height: int, width: int) -> Float[Tensor, "B 3 h w"]:
        """Bilinear."""
        return resize_map(prediction, height, width)
