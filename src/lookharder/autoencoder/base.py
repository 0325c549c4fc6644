"""The seam between images and latents."""

from typing import Any, Protocol, runtime_checkable

from lookharder.errors import InputError
from lookharder.shapes import Images, Latents


@runtime_checkable
class Autoencoder(Protocol):
    """Image <-> latent."""

    @property
    def factor(self) -> int:
        """Pixels per latent cell, along each side."""
        ...

    @property
    def channels(self) -> int:
        """Channels of a latent, c."""
        ...

    def encode(self, images: Images) -> Latents:
        """Images (B, 3, H, W) in [-1, 1] -> latents (B, c, H/factor, W/factor)."""
        ...

    def decode(self, latents: Latents) -> Images:
        """Latents (B, c, h, w) -> images (B, 3, h * factor, w * factor), not clipped."""
        ...

    def macs(self, height: int, width: int) -> tuple[int, int]:
        """Multiply-adds to encode and to decode one image of that size."""
        ...

    def config(self) -> dict[str, Any]:
        """What `lookharder.autoencoder.build` needs to rebuild this one; plain JSON values."""
        ...


def check_sides(images: Images, factor: int) -> None:
    """Refuse images that do not divide into whole cells: padding is the caller's, to undo too."""
    height, width = images.shape[-2:]
    if height % factor or width % factor:
        raise InputError("images", f"{height}x{width} pixels", f"sides that divide by {factor}")
