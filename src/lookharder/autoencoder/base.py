"""The seam between images and latents."""

import copy
import hashlib
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

from lookharder.errors import InputError
from lookharder.shapes import Images, Latents

Module = TypeVar("Module", bound=nn.Module)


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


def on_meta(module: Module) -> Module:
    """The same module on the meta device, where shapes are worked out and nothing else; no weight is copied."""
    known: dict[int, Any] = {}  # what `deepcopy` takes for copied
    for parameter in module.parameters():
        ghost = torch.empty_like(parameter, device="meta")
        known[id(parameter)] = nn.Parameter(ghost, parameter.requires_grad)
    for buffer in module.buffers():
        known[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, known)


def weights_digest(codec: Autoencoder) -> str | None:
    """SHA-256 of all weights by name, type and shape; None where there are none."""
    if not isinstance(codec, nn.Module):
        return None
    found = hashlib.sha256()
    for name, tensor in sorted(codec.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
