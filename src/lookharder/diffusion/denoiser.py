"""A denoiser tells what is clean from what is noise, whatever its network was trained to predict.

    x_t = alpha x0 + sigma eps              the network gives one of eps, x0, v

Given x_t, each of the three determines the others; the divisor decides where a kind is usable:

    eps  ->  x0 = (x_t - sigma eps) / alpha     magnifies errors as alpha falls, fails at alpha = 0
    x0   ->  eps = (x_t - alpha x0) / sigma     usable at every t >= 0, where sigma > 0
    v    ->  both, without division             usable everywhere (see `schedule`)

At the noisy end 1 / alpha is 15 for the scaled-linear, 157 for the linear and 20,000 for the cosine
schedule: an eps-predictor cannot answer in one step from pure noise.

Invariant: a `Denoised` satisfies x_t = alpha x0 + sigma eps, clipped or not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lookharder.diffusion.schedule import NoiseSchedule, PathPoint
from lookharder.errors import InputError
from lookharder.shapes import Latents

PredictionType = Literal["eps", "x0", "v"]
Told = Literal["step", "alpha", "sigma"]
# (x (B, C, h, w), t (B,), y (B,)) -> (B, out, h, w)
Network = Callable[[Tensor, Tensor, Tensor], Tensor]


def to_x0(kind: PredictionType, output: Latents, x_t: Latents, at: PathPoint) -> Latents:
    """The clean latent that a prediction implies."""
    if kind == "eps":
        return (x_t - at.sigma * output) / at.alpha
    if kind == "v":
        return at.sigma_rate * x_t - at.sigma * output
    return output


def to_eps(kind: PredictionType, output: Latents, x_t: Latents, at: PathPoint) -> Latents:
    """The noise that a prediction implies."""
    if kind == "x0":
        return (x_t - at.alpha * output) / at.sigma
    if kind == "v":
        return at.alpha * output - at.alpha_rate * x_t
    return output


def target_of(kind: PredictionType, x0: Latents, eps: Latents, at: PathPoint) -> Latents:
    """What the network is trained to predict; v is Salimans & Ho's (2202.00512), on the line eps - x0."""
    if kind == "eps":
        return eps
    if kind == "v":
        return at.alpha_rate * x0 + at.sigma_rate * eps
    return x0


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoised:
    """What a denoiser makes of a noisy latent.

    Attributes:
        x0: the clean latent expected.
        eps: the noise expected.
        variance_fraction: where the log-variance of a DDPM step lies between its bounds, 0 for the
            posterior's and 1 for the forward process's (Nichol & Dhariwal 2021, eq. 15); None where
            the network does not predict it.
    """

    x0: Latents
    eps: Latents
    variance_fraction: Latents | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoiser:
    """A network and what its output means.

    Attributes:
        network: (x (B, k + c, h, w), t (B,), y (B,)) -> (B, c, h, w), or (B, 2c, h, w) with a
            learned variance. x is the condition, then x_t.
        schedule: the noise process that it was trained on.
        prediction: what its first c channels predict.
        learned_variance: its last c channels are DiT's learned range, in [-1, 1] (not enforced).
        input_scale: the network sees input_scale * x_t. Below 1 keeps pure noise from drowning the
            condition, beside which it enters the same token.
        told: what the network is told of the time: its number, "step"; or, of networks that were trained on straight
            lines, the share of the clean latent, "alpha" (SiT), or of noise, "sigma" (the larger DiT-MoE).
        clip_x0: clip the clean latent to [-clip_x0, clip_x0] when sampling; None = do not clip.

    Raises:
        InputError: eps-prediction on a schedule that ends in pure noise, where eps is x_t itself.
    """

    network: Network
    schedule: NoiseSchedule
    prediction: PredictionType
    learned_variance: bool = False
    input_scale: float = 1.0
    told: Told = "step"
    clip_x0: float | None = None

    def __post_init__(self) -> None:
        if self.prediction not in get_args(PredictionType):
            raise InputError(
                "prediction", repr(self.prediction), f"one of {get_args(PredictionType)}"
            )
        terminal_alpha, _ = self.schedule.alpha_sigma(self.schedule.steps - 1)
        if self.prediction == "eps" and terminal_alpha == 0:
            raise InputError(
                "prediction",
                "'eps' with zero terminal SNR",
                "'x0' or 'v', for eps tells nothing of x0 where alpha is 0",
            )
        if self.input_scale <= 0:
            raise InputError("input_scale", self.input_scale, "a positive number")
        if self.clip_x0 is not None and self.clip_x0 <= 0:
            raise InputError("clip_x0", self.clip_x0, "a positive number or None")

    def __call__(
        self,
        x_t: Latents,
        t: Int[Tensor, "#B"],
        condition: Float[Tensor, "B k h w"],
        labels: Int[Tensor, "#B"],
    ) -> Denoised:
        """Denoise a batch.

        Args:
            x_t: noisy latents.
            t: time of each, 0 .. T - 1, or one for all.
            condition: what the answer depends on, k >= 0 channels.
            labels: task or class of each, or one for all.
        """
        at = self.schedule.at(t, x_t)
        output, variance_fraction = self.predict(x_t, t, condition, labels)
        x0 = to_x0(self.prediction, output, x_t, at)
        eps = to_eps(self.prediction, output, x_t, at)
        if self.clip_x0 is not None:
            x0 = x0.clamp(-self.clip_x0, self.clip_x0)
            eps = to_eps("x0", x0, x_t, at)
        return Denoised(x0=x0, eps=eps, variance_fraction=variance_fraction)

    def predict(
        self,
        x_t: Latents,
        t: Int[Tensor, "#B"],
        condition: Float[Tensor, "B k h w"],
        labels: Int[Tensor, "#B"],
    ) -> tuple[Latents, Latents | None]:
        """Raw output split into prediction and variance fraction; None where the network has none.

        Both in the type of x_t, so that a network in bfloat16 is integrated in float32.
        """
        seen = torch.cat([condition, self.input_scale * x_t], dim=1)
        output = self.network(seen, self.tell(t), labels).to(x_t.dtype)
        channels = x_t.shape[1]
        expected = channels * (2 if self.learned_variance else 1)
        if output.shape[1] != expected:
            raise InputError(
                "network",
                f"{output.shape[1]} output channels",
                f"{expected} (latents of {channels}, learned_variance={self.learned_variance})",
            )
        if not self.learned_variance:
            return output, None
        prediction, raw = torch.split(output, channels, dim=1)
        return prediction, (raw + 1) / 2

    def tell(self, t: Int[Tensor, "*b"]) -> Int[Tensor, "*b"] | Float[Tensor, "*b"]:
        """What the network is told of times 0 .. T - 1, as `told` says."""
        if self.told == "step":
            return t
        return self.schedule.alpha(t) if self.told == "alpha" else self.schedule.sigma(t)
