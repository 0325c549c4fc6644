"""Stable Diffusion's autoencoder (AutoencoderKL), run by diffusers.

    latents = scaling_factor * (posterior mean - shift_factor)

Rombach et al. 2022 (2112.10752), sec. 3.1; the factors come with the weights, 0.18215 and 0 for
Stable Diffusion 1 and 2. The mean by default, as perception wants one answer for one picture; a
draw of the posterior, which DiT trains on, when a generator is given.

Convolutions run in the channels-last memory format: the same numbers up to rounding, in about a
tenth less processor time on a CPU (`benchmarks/kl_encode.py`).
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lookharder.autoencoder.base import check_sides, on_meta
from lookharder.config import from_json, to_json
from lookharder.errors import InputError
from lookharder.shapes import Images, Latents

# a model folder may name any source: without the user's word nothing is fetched, and never in the user's name
DOWNLOADS: ContextVar[bool] = ContextVar("downloads", default=False)


@dataclass(frozen=True, kw_only=True)
class KLConfig:
    """Where the weights are and how they run.

    Attributes:
        source: a local folder, or a name on the Hugging Face hub, e.g. "stabilityai/sd-vae-ft-ema".
        subfolder: the folder inside `source`, e.g. "vae" in a whole pipeline.
        channels_last: memory format of weights and activations.
    """

    source: str
    subfolder: str | None = None
    channels_last: bool = True


class KL(nn.Module):
    """An AutoencoderKL behind our seam; `KL.load` is the usual way to one.

    Args:
        network: a `diffusers.AutoencoderKL`; it is frozen and laid out in place.
        settings: how to run it, and what to write down about it.
    """

    def __init__(self, network: Any, settings: KLConfig) -> None:
        super().__init__()
        self.settings = settings
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.network = network.requires_grad_(False).eval().to(memory_format=self.layout)
        found = network.config
        self.factor = 2 ** (len(found.block_out_channels) - 1)
        self.channels = int(found.latent_channels)
        self.scaling_factor = float(found.scaling_factor)
        self.shift_factor = float(found.get("shift_factor") or 0.0)
        self._macs: dict[tuple[int, int], tuple[int, int]] = {}  # (height, width) -> `macs`

    @classmethod
    def load(cls, settings: KLConfig) -> "KL":
        """Load weights, safetensors only; the hub is asked only where `DOWNLOADS` says so.

        Raises:
            InputError: diffusers is not installed, or there are no such weights.
        """
        try:
            from diffusers import AutoencoderKL
        except ImportError as error:
            allowed = "an environment with diffusers: pip install 'lookharder[kl]'"
            raise InputError("autoencoder.kind", "'kl' without diffusers", allowed) from error
        try:
            network = AutoencoderKL.from_pretrained(
                settings.source,
                subfolder=settings.subfolder,
                use_safetensors=True,
                local_files_only=Path(settings.source).is_dir() or not DOWNLOADS.get(),
                token=False,
            )
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            allowed = (
                "the folder of an AutoencoderKL in safetensors, or a hub name and --allow-download"
            )
            raise InputError(
                "autoencoder.source", f"{settings.source} ({reason})", allowed
            ) from error
        return cls(network, settings)

    def encode(self, images: Images, generator: torch.Generator | None = None) -> Latents:
        """Images (B, 3, H, W) in [-1, 1] -> latents (B, c, H/f, W/f).

        Args:
            images: what to encode.
            generator: on the CPU; draws from the posterior. None takes its mean.
        """
        check_sides(images, self.factor)
        posterior = self.network.encode(images.contiguous(memory_format=self.layout)).latent_dist
        latents: Tensor = posterior.mean
        if generator is not None:
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            latents = latents + posterior.std * noise
        return ((latents - self.shift_factor) * self.scaling_factor).contiguous()

    def decode(self, latents: Latents) -> Images:
        """Latents (B, c, h, w) -> images (B, 3, h f, w f), not clipped."""
        latents = latents / self.scaling_factor + self.shift_factor
        images: Tensor = self.network.decode(latents.contiguous(memory_format=self.layout)).sample
        return images.contiguous()

    def macs(self, height: int, width: int) -> tuple[int, int]:
        """Multiply-adds to encode and to decode one image, counted on shapes, once for each size."""
        if (height, width) not in self._macs:
            ghost = on_meta(self)
            with FlopCounterMode(display=False) as encode:
                latents = ghost.encode(torch.empty(1, 3, height, width, device="meta"))
            with FlopCounterMode(display=False) as decode:
                ghost.decode(latents)
            flops = encode.get_total_flops(), decode.get_total_flops()
            self._macs[height, width] = flops[0] // 2, flops[1] // 2
        return self._macs[height, width]

    def config(self) -> dict[str, Any]:
        """What `build` needs; the weights stay where they came from."""
        return {"kind": "kl", **to_json(self.settings)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], folder: Path | None = None) -> "KL":
        """Rebuild from `config()` without its kind; a source inside `folder` is preferred."""
        settings = from_json(KLConfig, config, "autoencoder")
        if folder is not None and (folder / settings.source).is_dir():
            settings = replace(settings, source=str(folder / settings.source))
        return cls.load(settings)
