"""What the network is trained to reduce: the simple loss, and the bound that teaches it variances.

    simple   (prediction - target)^2                                    Ho et al. 2020, eq. 14
    edges    |x0_hat - x0| + 0.3 sum over k = 1, 2, 4 of |d_k (x0_hat - x0)|    Li & Snavely 2018, eq. 2 to 5
    bound    KL( q(x_s | x_t, x0) || p(x_s | x_t) ),  s = t - 1         Nichol & Dhariwal 2021

With SNR = alpha^2 / sigma^2 and e = log (variance of p / variance of q), the divergence is

    KL = ( e - 1 + exp(-e) (1 + (SNR_s - SNR_t) (x0 - x0_hat)^2) ) / 2

for every number and every schedule; at e = 0 it is the discrete-time loss of Kingma et al. 2021.
The network gives e as a fraction of log sigma_t^2 / sigma_s^2. The bound trains that fraction and
nothing else: x0_hat is detached.

The simple loss asks for the mean of all answers that fit; "edges" for their median and for the steps in it, d_k being
the difference between cells k apart. It makes the better single answer, and the poorer set of draws.

Invariant: losses are means over the numbers of one example, whatever else is in its batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lookharder.diffusion.denoiser import Denoiser, target_of, to_x0
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.shapes import Labels, Latents, Times

LossForm = Literal["mse", "edges"]
EDGES, SCALES = 0.3, (1, 2, 4)  # weight of the steps, and over how many cells


@dataclass(frozen=True, kw_only=True, eq=False)
class LossTerms:
    """Losses of the examples of a batch.

    Attributes:
        loss: what to minimise, simple + vlb.
        simple: the loss of the prediction, of whichever form.
        vlb: the bound in bits per number, times T / 1000 as in DiT; None where no variance is
            learned.
    """

    loss: Float[Tensor, "B"]
    simple: Float[Tensor, "B"]
    vlb: Float[Tensor, "B"] | None


def q_sample(schedule: NoiseSchedule, x0: Latents, noise: Latents, t: Times) -> Latents:
    """Noisy latents x_t = alpha x0 + sigma eps."""
    at = schedule.at(t, x0)
    return at.alpha * x0 + at.sigma * noise


def training_loss(
    denoiser: Denoiser,
    x0: Latents,
    t: Times,
    noise: Latents,
    condition: Float[Tensor, "B k h w"],
    labels: Labels,
    weight: Float[Tensor, "B 1 h w"] | None = None,
    form: LossForm = "mse",
) -> LossTerms:
    """Losses of each example, with gradients to the network.

    Args:
        denoiser: the network and what it predicts; its `clip_x0` plays no part.
        x0: target latents.
        t: time of each, 0 .. T - 1.
        noise: eps of each.
        condition: what the answer depends on, k >= 0 channels.
        labels: task or class of each.
        weight: weight of each cell, e.g. 1 where the annotation is known; None = all alike. An
            example whose weights are all 0 has loss 0.
        form: of the simple loss.
    """
    schedule, kind = denoiser.schedule, denoiser.prediction
    x_t = q_sample(schedule, x0, noise, t)
    at = schedule.at(t, x0)
    output, fraction = denoiser.predict(x_t, t, condition, labels)
    if form == "edges":
        simple = edge_loss(to_x0(kind, output, x_t, at) - x0, weight)
    else:
        simple = weighted_mean((output - target_of(kind, x0, noise, at)).square(), weight)
    if fraction is None:
        return LossTerms(loss=simple, simple=simple, vlb=None)
    # detached: the bound teaches the variance only, the simple loss the mean
    x0_hat = to_x0(kind, output.detach(), x_t, at)
    bits = variational_bound(schedule, x0, x0_hat, fraction, t)
    vlb = weighted_mean(bits, weight) * (schedule.steps / 1000)
    return LossTerms(loss=simple + vlb, simple=simple, vlb=vlb)


def edge_loss(error: Latents, weight: Float[Tensor, "B 1 h w"] | None = None) -> Float[Tensor, "B"]:
    """Mean of |error|, and of its steps at several scales; a step counts as far as both of its ends do."""
    total = weighted_mean(error.abs(), weight)
    for k in SCALES:
        coarse = error[..., ::k, ::k]
        known = None if weight is None else weight[..., ::k, ::k]
        for axis in (2, 3):
            if coarse.shape[axis] > 1:
                ends = None if known is None else _ends(known, axis)
                steps = coarse.diff(dim=axis).abs()
                both = None if ends is None else ends[0] * ends[1]
                total = total + EDGES * weighted_mean(steps, both)
    return total


def _ends(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """All but the last, and all but the first."""
    count = values.shape[axis] - 1
    return values.narrow(axis, 0, count), values.narrow(axis, 1, count)


def weighted_mean(
    values: Latents, weight: Float[Tensor, "B 1 h w"] | None = None
) -> Float[Tensor, "B"]:
    """Mean over all but the batch axis; 0 for an example whose weights are all 0."""
    if weight is None:
        return values.mean(dim=(1, 2, 3))
    total = weight.sum(dim=(1, 2, 3)) * values.shape[1]
    # an unlabelled example divides 0 by 1: 0 / 0 would be NaN, in the gradient too
    return (values * weight).sum(dim=(1, 2, 3)) / total.where(total > 0, 1.0)


def variational_bound(
    schedule: NoiseSchedule, x0: Latents, x0_hat: Latents, fraction: Latents, t: Times
) -> Latents:
    """Bits of each number in the step from t to t - 1; at t = 0, of x0 itself given the last step.

    Args:
        schedule: the noise process.
        x0: the truth.
        x0_hat: what the network takes for it.
        fraction: learned variance, see `Denoised.variance_fraction`.
        t: time of each example, 0 .. T - 1.
    """
    tables = _bound_tables(schedule, x0.dtype, x0.device).index_select(1, t)
    snr_drop, log_range, log_posterior = tables[..., None, None, None]
    excess = fraction * log_range
    kl = (excess - 1 + torch.exp(-excess) * (1 + snr_drop * (x0 - x0_hat).square())) / 2
    nll = -binned_log_likelihood(x0, x0_hat, (log_posterior + excess) / 2)
    return torch.where(t.view(-1, 1, 1, 1) == 0, nll, kl) / math.log(2)


@lru_cache(maxsize=32)
def _bound_tables(
    schedule: NoiseSchedule, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "3 {schedule.steps}"]:
    """For each t and s = t - 1: SNR_s - SNR_t, log range of variance, log posterior variance."""
    times = torch.arange(schedule.steps, device="cpu")
    # double precision, for neighbouring times differ little and their differences are taken
    alpha = schedule.alpha(times, torch.float64)
    variance = schedule.sigma(times, torch.float64).square()
    snr = alpha.square() / variance
    snr_drop = snr[:-1] - snr[1:]
    posterior = variance[:-1] * (1 - snr[1:] / snr[:-1])
    # At t = 0 the posterior has no width and borrows that of t = 1 (so DiT); no KL is taken.
    snr_drop = torch.cat([torch.zeros_like(snr[:1]), snr_drop])
    log_posterior = torch.cat([posterior[:1], posterior]).log()
    log_range = torch.cat([variance[:1] / posterior[:1], variance[1:] / variance[:-1]]).log()
    return torch.stack([snr_drop, log_range, log_posterior]).to(device, dtype)


def binned_log_likelihood(x: Latents, mean: Latents, log_std: Latents) -> Latents:
    """Log-probability of the bin of width 2 / 255 around x under a Gaussian (Ho et al., eq. 13).

    The bins at -1 and 1 are open. Made for 8-bit pictures in [-1, 1]; DiT takes it for latents too.
    """
    below, above = ((x - mean + edge) * torch.exp(-log_std) for edge in (-1 / 255, 1 / 255))
    inside = (_normal_cdf(above) - _normal_cdf(below)).clamp(min=1e-12).log()
    lowest = _normal_cdf(above).clamp(min=1e-12).log()
    highest = (1 - _normal_cdf(below)).clamp(min=1e-12).log()
    return torch.where(x < -0.999, lowest, torch.where(x > 0.999, highest, inside))


def _normal_cdf(x: Tensor) -> Tensor:
    # The approximation by tanh that DiT trains with; it is off by 3e-4 at most.
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def multi_resolution_noise(
    generator: torch.Generator, shape: Sequence[int], strength: float
) -> Float[Tensor, "*rest h w"]:
    """Noise with a share of low frequencies and unit standard deviation, for training only.

    White noise of variance 2 plus, for l = 1, 2, ... 9, noise on a coarser grid enlarged to full
    size, with weight strength^l. Grid l is coarser than grid l - 1 by r^l, r uniform in [2, 4]; the
    last has an edge of one cell. Marigold (2312.02145) trains with strength 0.9 annealed by noise
    level, i.e. `0.9 * (t + 1) / T`, and predicts from white noise.

    Args:
        generator: where all randomness comes from.
        shape: (..., h, w).
        strength: in [0, 1]; 0 is plain white noise, not rescaled.
    """
    if not 0 <= strength <= 1:
        raise InputError("strength", strength, "0 .. 1")
    white = torch.randn(*shape, generator=generator)
    if strength == 0:
        return white
    *rest, height, width = shape
    noise, (h, w), level = math.sqrt(2) * white, (height, width), 1
    while level < 10 and min(h, w) > 1:
        factor = (2 + 2 * torch.rand((), generator=generator).item()) ** level
        h, w = max(1, int(h / factor)), max(1, int(w / factor))
        coarse = torch.randn(math.prod(rest), 1, h, w, generator=generator)
        fine = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
        noise = noise + strength**level * fine.reshape(white.shape)
        level += 1
    return noise / noise.std()
