"""Space-to-depth: every f x f block of pixels becomes one cell of 3 f^2 channels; nothing is lost.

    latent[c f^2 + f dy + dx, y, x] = scale * image[c, f y + dy, f x + dx]

The inverse is bit-exact whenever `scale` is a power of two. Images in [-1, 1] have a standard
deviation of about 0.5, so `scale=2` gives latents of about unit variance; 1 leaves pixels alone.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch.nn import functional as F

from lookharder.autoencoder.base import check_sides
from lookharder.config import from_json
from lookharder.errors import InputError
from lookharder.shapes import Images, Latents


@dataclass(frozen=True)
class Pixel:
    """The exact autoencoder; it has no weights.

    Attributes:
        factor: pixels per latent cell, along each side.
        scale: latent units per image unit.
    """

    factor: int = 4
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= 256:
            raise InputError("factor", self.factor, "1 to 256")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError("scale", self.scale, "a finite number > 0")

    @property
    def channels(self) -> int:
        """3 f^2."""
        return 3 * self.factor**2

    def encode(self, images: Images) -> Latents:
        """Images (B, 3, H, W) -> latents (B, 3 f^2, H/f, W/f)."""
        check_sides(images, self.factor)
        return F.pixel_unshuffle(images, self.factor) * self.scale

    def decode(self, latents: Latents) -> Images:
        """Latents (B, 3 f^2, h, w) -> images (B, 3, h f, w f)."""
        return F.pixel_shuffle(latents, self.factor) / self.scale

    def macs(self, height: int, width: int) -> tuple[int, int]:
        """Multiply-adds to encode and to decode one image: none, it only moves numbers."""
        return 0, 0

    def config(self) -> dict[str, Any]:
        """What `build` needs."""
        return {"kind": "pixel", **asdict(self)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], folder: Path | None = None) -> "Pixel":
        """Rebuild from `config()` without its kind; without weights, no folder is needed."""
        return from_json(cls, config, "autoencoder")
