"""How a clean latent turns into noise, and at which times a sampler looks at it.

    x_t = alpha(t) x0 + sigma(t) eps        t = 0 .. T - 1;  t = -1 is the clean end (1, 0)

The one law of a schedule: the signal-to-noise ratio alpha^2 / sigma^2 falls strictly with t.
(alpha, sigma) moves from (1, 0) towards (0, 1) on one of two paths:

    circle    alpha^2 + sigma^2 = 1     linear, scaled-linear, cosine (variance preserving)
    line      alpha   + sigma   = 1     rectified (flow matching), sigma = (t + 1) / T

The velocity v is the derivative of x_t along the path, by angle on the circle, sigma on the line:

    v = alpha_rate x0 + sigma_rate eps      circle: alpha eps - sigma x0      line: eps - x0

Invariant of both: alpha sigma_rate - sigma alpha_rate = 1. So x_t and v give x0 and eps without any
division, even where nothing of x0 is left in x_t.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lookharder.errors import InputError
from lookharder.shapes import Latents

ScheduleName = Literal["linear", "scaled-linear", "cosine", "rectified"]
MOST_STEPS = 100_000  # of a training process
Spacing = Literal["trailing", "leading", "leading+1", "linspace"]


def _ramp(steps: int, first: float, last: float, power: int = 1) -> Float[Tensor, "T"]:
    ramp = torch.linspace(first, last, steps, dtype=torch.float64, device="cpu")
    return ramp**power * (1000 / steps)


def _cosine(steps: int) -> Float[Tensor, "T"]:
    edges = torch.linspace(0, 1, steps + 1, dtype=torch.float64, device="cpu")
    kept = torch.cos((edges + 0.008) / 1.008 * (math.pi / 2)).square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


# Variance beta_t of the noise added by step t.
BETAS: dict[str, Callable[[int], Tensor]] = {
    "linear": lambda steps: _ramp(steps, 1e-4, 2e-2),  # Ho et al. 2020; DiT
    "scaled-linear": lambda steps: _ramp(steps, 0.00085**0.5, 0.012**0.5, power=2),  # LDM
    "cosine": _cosine,  # Nichol & Dhariwal 2021, eq. 17
}


def alphas_cumprod(name: str, steps: int = 1000) -> Float[Tensor, "T"]:
    """Share of signal variance alpha^2 at t = 0 .. T - 1 of a variance-preserving schedule.

    Args:
        name: "linear", "scaled-linear" or "cosine".
        steps: T, length of the training process. The betas of the two ramps were published for
            T = 1000; they are scaled by 1000 / T, so that about the same noise is reached at the
            end (as guided-diffusion does for the linear one; diffusers does not).

    Returns:
        (T,) float64 on the CPU, falling strictly.

    Raises:
        InputError: an unknown name, or so few steps that a single one would destroy all signal.
    """
    if name not in BETAS:
        raise InputError("schedule", repr(name), f"one of {sorted(BETAS)}")
    if steps < 2:
        raise InputError("schedule steps", steps, "2 or more")
    betas = BETAS[name](steps)
    if betas.max() >= 1:
        raise InputError("schedule steps", steps, f"more for {name!r}: one step reaches beta = 1")
    return torch.cumprod(1 - betas, dim=0)


class PathPoint(NamedTuple):
    """Where on its path a latent is; the four tensors broadcast against latents."""

    alpha: Tensor
    sigma: Tensor
    alpha_rate: Tensor
    sigma_rate: Tensor


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """A noise schedule: tables in float64, answers in the type asked for.

    Attributes:
        name: "linear", "scaled-linear", "cosine" or "rectified".
        steps: T, length of the training process.
        zero_terminal_snr: shift and scale alpha so that nothing of x0 is left at t = T - 1 (Lin et
            al., 2305.08891, Algorithm 1). The rectified path ends in pure noise in any case.
    """

    name: ScheduleName
    steps: int = 1000
    zero_terminal_snr: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_STEPS:
            raise InputError("schedule steps", self.steps, f"1 to {MOST_STEPS:,}")
        if self.name == "rectified":
            if self.steps < 2:
                raise InputError("schedule steps", self.steps, "2 or more")
        else:
            alphas_cumprod(self.name, self.steps)

    def alpha(
        self, t: Int[Tensor, "*b"], dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "*b"]:
        """Scale of x0 in x_t; t in -1 .. T - 1."""
        return self._rows(t, dtype)[0]

    def sigma(
        self, t: Int[Tensor, "*b"], dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "*b"]:
        """Scale of eps in x_t; t in -1 .. T - 1."""
        return self._rows(t, dtype)[1]

    def at(self, t: Int[Tensor, "#B"], like: Latents) -> PathPoint:
        """Alpha, sigma and their rates as (B, 1, 1, 1), in the type of the latents `like`."""
        return PathPoint(*self._rows(t, like.dtype)[..., None, None, None])

    def alpha_sigma(self, t: int) -> tuple[float, float]:
        """(alpha, sigma) of one time as Python floats, in double precision."""
        if not -1 <= t < self.steps:
            raise InputError("t", t, f"-1 .. {self.steps - 1}")
        return _alphas_sigmas(self)[t + 1]

    def log_snr(self, t: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """log(alpha^2 / sigma^2) in float64; t in -1 .. T - 1.

        It is infinity at the clean end, and -infinity where nothing of x0 is left.
        """
        return 2 * (self.alpha(t, torch.float64).log() - self.sigma(t, torch.float64).log())

    def _rows(self, t: Tensor, dtype: torch.dtype) -> Float[Tensor, "4 *b"]:
        # index_select refuses what indexing would wrap around: t = -2 is not the noisy end.
        rows = _table(self, dtype, t.device).index_select(1, t.reshape(-1) + 1)
        return rows.reshape(4, *t.shape)


@lru_cache(maxsize=32)
def _alphas_sigmas(schedule: NoiseSchedule) -> list[tuple[float, float]]:
    """(alpha, sigma) at t = -1 .. T - 1, as a sampler asks for them twice in every step."""
    return list(
        zip(*_table(schedule, torch.float64, torch.device("cpu"))[:2].tolist(), strict=True)
    )


@lru_cache(maxsize=32)
def _table(
    schedule: NoiseSchedule, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "4 {schedule.steps}+1"]:
    """The rows of `PathPoint` at t = -1 .. T - 1, made in float64 on the CPU for every device."""
    if schedule.name == "rectified":
        sigma = torch.arange(schedule.steps + 1, dtype=torch.float64, device="cpu")
        sigma = sigma / schedule.steps
        alpha, one = 1 - sigma, torch.ones_like(sigma)
        table = torch.stack([alpha, sigma, -one, one])
    else:
        alpha = alphas_cumprod(schedule.name, schedule.steps).sqrt()
        if schedule.zero_terminal_snr:
            alpha = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
        alpha = torch.cat([torch.ones_like(alpha[:1]), alpha])
        sigma = (1 - alpha.square()).sqrt()
        table = torch.stack([alpha, sigma, -sigma, alpha])
    return table.to(device, dtype)


def spaced_timesteps(steps_train: int, steps: int, spacing: str) -> list[int]:
    """Times at which a sampler evaluates the network, descending (Lin et al., 2305.08891, Table 2).

    With T = `steps_train` and N = `steps`:

        trailing    round(T - i T / N) - 1      from T - 1; one step is [T - 1]
        leading     multiples of T // N         down to 0; one step is [0]
        leading+1   the same, each later by 1   diffusers' `steps_offset=1`, of Stable Diffusion
        linspace    evenly T - 1 .. 0           both ends; one step is [T - 1]

    Leading spacing gives the network pure noise and tells it of a cleaner latent, the worse the
    fewer the steps: the fault behind the collapse at one or two steps (2409.11355). It is here for
    comparison. Where N divides T it is DiT's respacing `range(0, T, T // N)`; elsewhere the first N
    multiples are taken, as diffusers does with `steps_offset=0`. A sampler goes from each time to
    the next in the list; diffusers' DDIM always subtracts T // N, which differs for "linspace", and
    for "trailing" where N does not divide T.

    Args:
        steps_train: T, length of the training process.
        steps: N, from 1 to T.
        spacing: "trailing", "leading", "leading+1" or "linspace".

    Returns:
        N distinct times in 0 .. T - 1.

    Raises:
        InputError: an impossible number of steps or an unknown spacing.
    """
    if not 1 <= steps <= steps_train:
        raise InputError("steps", steps, f"1 .. {steps_train}")
    if spacing == "leading+1" and steps == steps_train:
        raise InputError("steps", steps, f"1 .. {steps_train - 1}, with spacing {spacing!r}")
    return _spread(steps_train, steps, spacing)


def _spread(length: int, steps: int, spacing: str) -> list[int]:
    """`spaced_timesteps` without a limit: of more steps than there are times some coincide."""
    count = range(steps)
    if spacing == "trailing":
        return [round(length - i * length / steps) - 1 for i in count]
    if spacing == "leading":
        return [i * (length // steps) for i in reversed(count)]
    if spacing == "leading+1":
        return [min(i * (length // steps) + 1, length - 1) for i in reversed(count)]
    if spacing == "linspace":
        return [round(length - 1 - i * (length - 1) / max(1, steps - 1)) for i in count]
    raise InputError("spacing", repr(spacing), "trailing, leading, leading+1 or linspace")


def timesteps(
    schedule: NoiseSchedule,
    steps: int,
    spacing: str,
    test: NoiseSchedule | None = None,
    length: int | None = None,
) -> list[int]:
    """Times of the training schedule that a sampler visits, spread as on another schedule.

    A network knows the states of the schedule it was trained on, so a sampler never leaves them. A
    test schedule decides where on the way the evaluations are spent: `spacing` spreads the steps over its
    times, and each becomes the training time with the nearest log SNR. Nothing is lost by that: at
    equal SNR two circles have the same states, and a circle and a line differ by a known factor.

    The steps are spread over those test times whose SNR the training reaches; the noisiest of them
    stands for the training's last time, as both are where pure noise is taken for a latent. Times
    noisier than any in training (e.g. the last 4 % of "cosine" for a "scaled-linear" model) have no
    states to visit, and get no steps. Where times coincide, the later ones move on to the nearest
    free ones; so every count that `spaced_timesteps` allows is possible, and T steps are all times.

    Args:
        schedule: the one of training, of T times.
        steps: N, from 1 to T.
        spacing: "trailing", "leading", "leading+1" or "linspace", see `spaced_timesteps`.
        test: the schedule to spread over, of any length; None = the one of training. There is no
            pair that does not fit, `zero_terminal_snr` included.
        length: only the first so many times of training are visited; None = all.

    Returns:
        N times in 0 .. T - 1, strictly descending; without `test`, those of `spaced_timesteps`.

    Raises:
        InputError: an impossible number of steps or an unknown spacing.
    """
    length = schedule.steps if length is None else length
    plain = spaced_timesteps(length, steps, spacing)
    if test is None:
        return plain
    ours, theirs = (one.log_snr(torch.arange(one.steps, device="cpu")) for one in (schedule, test))
    ours = ours[:length]
    reached = int((theirs >= ours[-1]).sum())
    theirs[reached - 1] = -math.inf  # the start stands for the start
    wanted = theirs[torch.tensor(_spread(reached, steps, spacing), device="cpu")]
    edges = (ours[:-1] + ours[1:]) / 2  # halfway between neighbours; falling, as the log SNRs are
    nearest = torch.searchsorted(-edges, -wanted, right=True)  # how many edges are not below
    times, previous = [], length
    for left, t in zip(reversed(range(steps)), nearest.tolist(), strict=True):
        previous = max(min(t, previous - 1), left)
        times.append(previous)
    return times
