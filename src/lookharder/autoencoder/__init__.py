"""Image <-> latent: the space in which the network denoises.

    latents = autoencoder.encode(images)      (B, 3, H, W) in [-1, 1]  ->  (B, c, H/f, W/f)
    images  = autoencoder.decode(latents)     and about back

Three of them, one seam:

    Pixel   space-to-depth: exact, no weights; for tests and for models of pixels
    Tiny    small and convolutional, trained here and shipped; 8x, 4 channels, unit variance
    KL      Stable Diffusion's AutoencoderKL, by way of diffusers

Weights are frozen, so a graph is recorded only where the input asks for a gradient. A network is
worth nothing outside the latent space that it was trained in, so a configuration is bound to its
weights: `Tiny` by a fingerprint that is checked, `KL` by the name of their source.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lookharder.autoencoder.base import Autoencoder
from lookharder.autoencoder.kl import KL, KLConfig
from lookharder.autoencoder.pixel import Pixel
from lookharder.autoencoder.tiny import Tiny, TinyConfig
from lookharder.errors import InputError

__all__ = ["KL", "Autoencoder", "KLConfig", "Pixel", "Tiny", "TinyConfig", "build"]

KINDS: dict[str, Callable[[Mapping[str, Any], Path | None], Autoencoder]] = {
    "pixel": Pixel.from_config,
    "tiny": Tiny.from_config,
    "kl": KL.from_config,
}


def build(config: Mapping[str, Any], folder: str | Path | None = None) -> Autoencoder:
    """Rebuild an autoencoder from its `config()`.

    Args:
        config: what `config()` returned, possibly by way of JSON.
        folder: a model folder. A `Tiny` takes its weights from `folder/autoencoder` where that
            exists, else those shipped with the package; the source of a `KL` may be relative to it.

    Raises:
        InputError: an unknown kind or key, a value of the wrong type, missing weights, or weights
            other than those the configuration was written for.
    """
    kind = str(config.get("kind"))
    if kind not in KINDS:
        raise InputError("autoencoder.kind", repr(kind), f"one of {sorted(KINDS)}")
    rest = {key: value for key, value in config.items() if key != "kind"}
    return KINDS[kind](rest, None if folder is None else Path(folder))
