"""A small convolutional autoencoder, ours: 8x smaller sides, 4 channels, shipped with the package.

    encoder   per level a 2x2 convolution of stride 2 and a residual block; then 3x3 to 4 channels
    decoder   its mirror: 3x3 from 4 channels; per level a block, then 1x1 and pixel shuffle
    latent    (raw - mean) / std         per channel, measured once, after training

No normalisation layer and no attention: a latent cell depends on its neighbourhood alone, so
weights trained on crops hold for every size, and the images of a batch never touch each other.
Halving the sides before the first 3x3 is what makes it cheap.

Invariant: `config()` carries a fingerprint of the weights, and other weights are refused.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lookharder.autoencoder.base import check_sides
from lookharder.config import from_json, to_json
from lookharder.errors import InputError
from lookharder.files import write_json
from lookharder.jsons import read_json
from lookharder.shapes import Images, Latents
from lookharder.tensors import read_tensors, write_tensors

SHIPPED = Path(__file__).parent.parent / "weights" / "autoencoder" / "tiny"


@dataclass(frozen=True, kw_only=True)
class TinyConfig:
    """Shape of a `Tiny`.

    Attributes:
        channels: channels of a latent.
        widths: channels of each level, fine to coarse; a level halves the sides, factor = 2^levels.
    """

    channels: int = 4
    widths: tuple[int, ...] = (16, 48, 128)

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= 4096:
            raise InputError("channels", self.channels, "1 to 4096")
        if not 1 <= len(self.widths) <= 8 or not all(1 <= width <= 4096 for width in self.widths):
            raise InputError("widths", self.widths[:9], "one to eight integers of 1 to 4096")


class Block(nn.Module):
    """x + conv(silu(conv(silu(x)))), both convolutions 3x3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same."""
        added: Tensor = self.second(F.silu(self.first(F.silu(x))))
        return x + added


class Tiny(nn.Module):
    """The small autoencoder; `Tiny.load()` is the shipped one.

    Args:
        settings: its shape.
        generator: draws the initial weights; the global random state is not touched.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: TinyConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.settings = settings
        self.factor = 2 ** len(settings.widths)
        self.channels = settings.channels
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        with torch.device("meta"):
            for fine, coarse in self._levels():
                down += [nn.Conv2d(fine, coarse, 2, stride=2), Block(coarse)]
                up = [Block(coarse), nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2), *up]
            last = settings.widths[-1]
            self.encoder = nn.Sequential(*down, nn.Conv2d(last, self.channels, 3, padding=1))
            self.decoder = nn.Sequential(nn.Conv2d(self.channels, last, 3, padding=1), *up)
        self.to_empty(device="cpu")
        self.register_buffer("mean", torch.zeros(self.channels, 1, 1))
        self.register_buffer("std", torch.ones(self.channels, 1, 1))
        self._initialise(generator)
        self.requires_grad_(False)

    def _levels(self) -> list[tuple[int, int]]:
        """Channels on the fine and on the coarse side of each level, from the image on."""
        widths = self.settings.widths
        return list(zip((3, *widths[:-1]), widths, strict=True))

    def _initialise(self, generator: torch.Generator) -> None:
        """Kernels of variance 1 / fan-in, no biases; a block begins as the identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="linear", generator=generator)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for module in self.modules():
            if isinstance(module, Block):
                nn.init.zeros_(module.second.weight)

    def encode(self, images: Images) -> Latents:
        """Images (B, 3, H, W) in [-1, 1] -> latents (B, c, H/f, W/f), about unit variance."""
        check_sides(images, self.factor)
        latents: Tensor = self.encoder(images)
        return (latents - self.mean) / self.std

    def decode(self, latents: Latents) -> Images:
        """Latents (B, c, h, w) -> images (B, 3, h f, w f), not clipped."""
        images: Tensor = self.decoder(latents * self.std + self.mean)
        return images

    def macs(self, height: int, width: int) -> tuple[int, int]:
        """Multiply-adds to encode and to decode one image of `height` x `width`, in closed form.

        A level costs the same both ways: its halving or doubling 4 x fine x coarse per coarse
        cell, its block 2 x 9 x coarse^2.
        """
        total = 0
        for level, (fine, coarse) in enumerate(self._levels(), 1):
            cells = (height >> level) * (width >> level)
            total += cells * (4 * fine * coarse + 2 * 9 * coarse**2)
        total += cells * 9 * coarse * self.channels
        return total, total

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any bit of any weight."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def config(self) -> dict[str, Any]:
        """What `build` needs, with the fingerprint that the weights must have."""
        return {"kind": "tiny", **to_json(self.settings), "fingerprint": self.fingerprint()}

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into a folder, each atomically."""
        state = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        Path(folder).mkdir(exist_ok=True)
        write_tensors(Path(folder) / "model.safetensors", state)
        write_json(Path(folder) / "config.json", self.config())

    @classmethod
    def load(cls, folder: str | Path = SHIPPED) -> "Tiny":
        """The autoencoder that `save` wrote into a folder; by default the shipped one.

        Raises:
            InputError: no such autoencoder there, or two files that do not belong together.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json")
        if not isinstance(config, dict):
            raise InputError("autoencoder", folder, "a folder that Tiny.save wrote")
        return cls._read(config, folder / "model.safetensors")

    @classmethod
    def from_config(cls, config: Mapping[str, Any], folder: Path | None = None) -> "Tiny":
        """Rebuild from `config()`: weights of `folder/autoencoder` if there, else the shipped."""
        own = None if folder is None else folder / "autoencoder"
        home = own if own is not None and own.is_dir() else SHIPPED
        return cls._read(config, home / "model.safetensors")

    @classmethod
    def _read(cls, config: Mapping[str, Any], path: Path) -> "Tiny":
        """Strictly: the tensors of the config, no other, and with its fingerprint."""
        rest = {k: value for k, value in config.items() if k not in ("kind", "fingerprint")}
        tiny = cls(from_json(TinyConfig, rest, "autoencoder"), torch.Generator())
        state, _ = read_tensors(path, f"autoencoder weights {path}")
        wanted = {name: (tuple(t.shape), t.dtype) for name, t in tiny.state_dict().items()}
        found = {name: (tuple(t.shape), t.dtype) for name, t in state.items()}
        wrong = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        if wrong:
            got = f"{path}: missing, unexpected or misshapen {wrong}"
            raise InputError("autoencoder weights", got, "the tensors of the configuration")
        tiny.load_state_dict(state)
        if tiny.fingerprint() != config.get("fingerprint"):
            got, allowed = f"{tiny.fingerprint()} in {path}", repr(config.get("fingerprint"))
            raise InputError("autoencoder.fingerprint", got, allowed)
        return tiny
