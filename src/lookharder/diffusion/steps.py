"""From one time to the next: the steps that a sampler can take, by name.

If what is known of a latent did not change between t and s, this would be exact:

    x_s = alpha_s D + sigma_s E,     D = x0,     E = (x_t - alpha_t D) / sigma_t = eps

It does change, and the methods differ in the clean latent D that they aim for:

    ddim, euler    D = x0                                 first order
    ddpm           D = x0, and a part of E renewed        converges in distribution
    dpmpp-2m       D = x0 extrapolated from the past      second order, one evaluation at each time
    heun           D = mean of x0 here and as seen at s   second order, two evaluations

Euler's and Heun's methods follow the velocity of the straight line, dy/dq = eps - x0. They are at
home on every schedule, because every path is that line on another scale:

    y = x / (alpha + sigma) = (1 - q) x0 + q eps,     q = sigma / (alpha + sigma)

with nothing singular on the way from pure noise (q = 1) to the clean end (q = 0). The line is
straight, so Euler's step is DDIM's, whatever the schedule: one function with two names.

Invariant: a step to the clean end, s = -1, is the denoiser's x0. No method does better there: the
log SNR it could extrapolate in, or the second evaluation it could make, has no value at sigma = 0.

To add a sampler, write its step, and give it a name in `SamplerName` and a row in `STEPS`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, Optional

import torch
from torch import Tensor

from lookharder.diffusion.denoiser import Denoised
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.shapes import Latents

SamplerName = Literal["ddim", "ddpm", "dpmpp-2m", "euler", "heun"]


@dataclass(frozen=True, kw_only=True, eq=False)
class StepState:
    """One visited time of a trajectory.

    Attributes:
        t: the time.
        x_t: the noisy latents there.
        denoised: the denoiser's answer for them.
        past: the state before, which is all the history that any step needs; its own is dropped.
    """

    t: int
    x_t: Latents
    denoised: Denoised
    past: Optional["StepState"] = None


# (x_t, t) -> its answer, at one time for the whole batch; a step may call it to evaluate the network once more.
Denoise = Callable[[Tensor, int], Denoised]
# Fresh noise like x_t; called by the steps that use it, so that others do not pay for it.
Noise = Callable[[], Tensor]
# (denoise, state, s, schedule, noise) -> x_s
Step = Callable[[Denoise, StepState, int, NoiseSchedule, Noise | None], Tensor]


def ddim_step(
    denoise: Denoise,
    state: StepState,
    s: int,
    schedule: NoiseSchedule,
    noise: Noise | None = None,
    eta: float = 0.0,
) -> Latents:
    """The step of DDIM (Song et al., 2010.02502, eq. 12), and of Euler on the line.

    With a part of the noise renewed it is

        x_s = alpha_s x0 + sigma_s ( sqrt(1 - eta^2 r) eps + eta sqrt(r) z ),  r = 1 - SNR_t / SNR_s

    Args:
        denoise: not used.
        state: where the trajectory stands.
        s: where it goes, -1 .. t - 1; -1 is the clean end.
        schedule: the noise process.
        noise: source of z, needed where eta > 0.
        eta: how much noise is renewed, from 0 (none) to 1 (as DDPM with the posterior's variance).

    Returns:
        x_s.
    """
    if not 0 <= eta <= 1:
        raise InputError("eta", eta, "0 .. 1")
    move = _move(schedule, state.t, s)
    kept = math.sqrt(1 - eta**2 * move.renewed)
    x_s = (move.alpha_s * state.denoised.x0).add_(move.sigma_s * kept * state.denoised.eps)
    if eta == 0 or s == -1:
        return x_s
    return x_s + move.sigma_s * eta * math.sqrt(move.renewed) * _given(noise, x_s)


def ddpm_step(
    denoise: Denoise,
    state: StepState,
    s: int,
    schedule: NoiseSchedule,
    noise: Noise | None = None,
) -> Latents:
    """The ancestral step of DDPM (Ho et al. 2020, eq. 6 and 7).

    A learned variance lies between the posterior's, r sigma_s^2, and the forward process's,
    r sigma_t^2, geometrically (Nichol & Dhariwal 2021, eq. 15). Otherwise it is the posterior's.

    Args:
        denoise: not used.
        state: where the trajectory stands.
        s: where it goes, -1 .. t - 1; -1 is the clean end.
        schedule: the noise process.
        noise: source of fresh noise, needed but for the step to the clean end.

    Returns:
        x_s.
    """
    fraction = state.denoised.variance_fraction
    if fraction is None or s == -1:
        return ddim_step(denoise, state, s, schedule, noise, eta=1.0)
    move = _move(schedule, state.t, s)
    kept = math.sqrt(1 - move.renewed)
    mean = move.alpha_s * state.denoised.x0 + move.sigma_s * kept * state.denoised.eps
    widening = torch.exp(fraction * math.log(move.sigma_t / move.sigma_s))
    return mean + move.sigma_s * math.sqrt(move.renewed) * widening * _given(noise, mean)


def dpmpp_2m_step(
    denoise: Denoise,
    state: StepState,
    s: int,
    schedule: NoiseSchedule,
    noise: Noise | None = None,
) -> Latents:
    """The step of DPM-Solver++(2M) (Lu et al., 2211.01095, Algorithm 2), which predicts data.

    With l = log(alpha / sigma), half the log SNR, and t' the time before t, it aims for

        D = x0 + (l_s - l_t) / (l_t - l_t') (x0 - x0') / 2

    A step without a past is DDIM's. So is the second from a start in pure noise: there l_t' is
    -infinity, and the weight of the past 0. x / sigma is the integral of x0 over alpha / sigma, and
    in that the two steps are as short as others: their errors are of second order in the count.

    Args:
        denoise: not used.
        state: where the trajectory stands, with its past.
        s: where it goes, -1 .. t - 1; -1 is the clean end.
        schedule: the noise process.
        noise: not used.

    Returns:
        x_s.
    """
    if state.past is None or s == -1:
        return ddim_step(denoise, state, s, schedule)
    times = torch.tensor([s, state.t, state.past.t], device="cpu")
    end, here, before = schedule.log_snr(times).tolist()
    ratio = (end - here) / (here - before)
    x0 = state.denoised.x0
    return _aim(state, s, schedule, x0 + ratio / 2 * (x0 - state.past.denoised.x0))


def heun_step(
    denoise: Denoise,
    state: StepState,
    s: int,
    schedule: NoiseSchedule,
    noise: Noise | None = None,
) -> Latents:
    """Heun's step on the line (Karras et al., 2206.00364, Algorithm 1, in other scales).

    Euler's step predicts x_s, the network is evaluated there, and the step from t is taken again
    with the mean of the two velocities.

    Args:
        denoise: called once, at s; not for the step to the clean end.
        state: where the trajectory stands.
        s: where it goes, -1 .. t - 1; -1 is the clean end.
        schedule: the noise process.
        noise: not used.

    Returns:
        x_s.
    """
    predicted = ddim_step(denoise, state, s, schedule)
    if s == -1:
        return predicted
    there = denoise(predicted, s)
    alpha, sigma = schedule.alpha_sigma(state.t)
    q = sigma / (alpha + sigma)
    # the clean latent that the velocity at s, eps - x0, implies when it is followed from x_t
    x0 = state.x_t / (alpha + sigma) - q * (there.eps - there.x0)
    return _aim(state, s, schedule, (state.denoised.x0 + x0) / 2)


class Sampler(NamedTuple):
    """A row of `STEPS`: the step, and how often it evaluates the network, at its end included."""

    step: Step
    evaluations: int = 1


STEPS: dict[SamplerName, Sampler] = {
    "ddim": Sampler(ddim_step),
    "ddpm": Sampler(ddpm_step),
    "dpmpp-2m": Sampler(dpmpp_2m_step),
    "euler": Sampler(ddim_step),
    "heun": Sampler(heun_step, evaluations=2),
}


def find_step(name: str, eta: float = 0.0) -> Step:
    """A step by its name.

    Args:
        name: a `SamplerName`.
        eta: how much noise "ddim" renews, see `ddim_step`; 0 for all others.

    Raises:
        InputError: an unknown name, or an eta that the sampler does not have.
    """
    step = _find(name).step
    if not 0 <= eta <= 1:
        raise InputError("eta", eta, "0 .. 1")
    if eta == 0:
        return step
    if name != "ddim":
        raise InputError("eta", eta, f"0 with sampler {name!r}; more with 'ddim'")
    return partial(ddim_step, eta=eta)


def evaluations(name: str, steps: int) -> int:
    """How often a sampler has evaluated the network after so many times, see `trajectory`.

    Args:
        name: a `SamplerName`.
        steps: times visited, 1 or more. The first takes no step to get to.

    Returns:
        `steps`, but 2 steps - 1 for "heun".
    """
    if steps < 1:
        raise InputError("steps", steps, "1 or more")
    return 1 + (steps - 1) * _find(name).evaluations


def _find(name: str) -> Sampler:
    for known, sampler in STEPS.items():
        if known == name:
            return sampler
    raise InputError("sampler", repr(name), f"one of {', '.join(STEPS)}")


class _Move(NamedTuple):
    alpha_s: float
    sigma_s: float
    sigma_t: float
    renewed: float  # r, the share of the noise's variance that the posterior renews


def _move(schedule: NoiseSchedule, t: int, s: int) -> _Move:
    if not -1 <= s < t:
        raise InputError("s", s, f"-1 .. {t - 1}, for the step leaves t = {t}")
    alpha_t, sigma_t = schedule.alpha_sigma(t)
    alpha_s, sigma_s = schedule.alpha_sigma(s)
    return _Move(alpha_s, sigma_s, sigma_t, 1 - (alpha_t * sigma_s / (alpha_s * sigma_t)) ** 2)


def _aim(state: StepState, s: int, schedule: NoiseSchedule, x0: Latents) -> Latents:
    """DDIM's step, had the denoiser answered `x0` for the same x_t."""
    alpha_t, sigma_t = schedule.alpha_sigma(state.t)
    move = _move(schedule, state.t, s)
    return move.alpha_s * x0 + move.sigma_s * ((state.x_t - alpha_t * x0) / sigma_t)


def _given(noise: Noise | None, like: Tensor) -> Tensor:
    if noise is None:
        raise InputError("noise", None, "a source of noise, for this step is stochastic")
    return noise().to(like)
