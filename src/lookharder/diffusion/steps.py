"""From one time to the next: the steps that a sampler can take, by name.

If what is known of a latent did not change between t and s, this would be exact:

    x_s = alpha_s D + sigma_s E,     D = x0,     E = (x_t - alpha_t D) / sigma_t = eps

It does change, and the methods differ in the clean latent D that they aim for:

    ddim, euler    D = x0                                 first order
    ddpm           D = x0, and a part of E renewed        converges in distribution
    dpmpp-2m       D = x0 extrapolated from the past      second order, one look at each time
    heun           D = mean of x0 here and as seen at s   second order, two looks

Euler's and Heun's methods follow the velocity of the straight line, dy/dq = eps - x0. They are at
home on every schedule, because every path is that line on another scale:

    y = x / (alpha + sigma) = (1 - q) x0 + q eps,     q = sigma / (alpha + sigma)

with nothing singular on the way from pure noise (q = 1) to the clean end (q = 0). The line is
straight, so Euler's step is DDIM's, whatever the schedule: one function with two names.

Invariant: a step to the clean end, s = -1, is the denoiser's x0. No method does better there: the
log SNR it could extrapolate in, or the second look it could take, has no value at sigma = 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
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
class State:
    """One visited time of a trajectory.

    Attributes:
        t: the time.
        x_t: the noisy latents there.
        denoised: what the denoiser says of them.
        past: the state before, which is all the history that any step needs; its own is dropped.
    """

    t: int
    x_t: Latents
    denoised: Denoised
    past: Optional["State"] = None


# Fresh noise like x_t; called by the steps that use it, so that others do not pay for it.
Noise = Callable[[], Tensor]
# (state, s, schedule, noise) -> x_s
Step = Callable[[State, int, NoiseSchedule, Noise | None], Tensor]


def ddim_step(
    state: State,
    s: int,
    schedule: NoiseSchedule,
    noise: Noise | None = None,
    eta: float = 0.0,
) -> Latents:
    """The step of DDIM (Song et al., 2010.02502, eq. 12), and of Euler on the line.

    With a part of the noise renewed it is

        x_s = alpha_s x0 + sigma_s ( sqrt(1 - eta^2 r) eps + eta sqrt(r) z ),  r = 1 - SNR_t / SNR_s

    Args:
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
    x_s = move.alpha_s * state.denoised.x0 + move.sigma_s * kept * state.denoised.eps
    if eta == 0 or s == -1:
        return x_s
    return x_s + move.sigma_s * eta * math.sqrt(move.renewed) * _given(noise, x_s)


def ddpm_step(state: State, s: int, schedule: NoiseSchedule, noise: Noise | None = None) -> Latents:
    """The ancestral step of DDPM (Ho et al. 2020, eq. 6 and 7).

    A learned variance lies between the posterior's, r sigma_s^2, and the forward process's,
    r sigma_t^2, geometrically (Nichol & Dhariwal 2021, eq. 15). Otherwise it is the posterior's.

    Args:
        state: where the trajectory stands.
        s: where it goes, -1 .. t - 1; -1 is the clean end.
        schedule: the noise process.
        noise: source of fresh noise, needed but for the step to the clean end.

    Returns:
        x_s.
    """
    fraction = state.denoised.variance_fraction
    if fraction is None or s == -1:
        return ddim_step(state, s, schedule, noise, eta=1.0)
    move = _move(schedule, state.t, s)
    kept = math.sqrt(1 - move.renewed)
    mean = move.alpha_s * state.denoised.x0 + move.sigma_s * kept * state.denoised.eps
    widening = torch.exp(fraction * math.log(move.sigma_t / move.sigma_s))
    return mean + move.sigma_s * math.sqrt(move.renewed) * widening * _given(noise, mean)


def dpmpp_2m_step(
    state: State, s: int, schedule: NoiseSchedule, noise: Noise | None = None
) -> Latents:
    """The step of DPM-Solver++(2M) (Lu et al., 2211.01095, Algorithm 2), which predicts data.

    With l = log(alpha / sigma), half the log SNR, and t' the time before t, it aims for

        D = x0 + (l_s - l_t) / (l_t - l_t') (x0 - x0') / 2

    A step without a past is DDIM's. So is the second from a start in pure noise: there l_t' is
    -infinity, and the weight of the past 0. x / sigma is the integral of x0 over alpha / sigma, and
    in that the two steps are as short as others: their errors are of second order in the count.

    Args:
        state: where the trajectory stands, with its past.
        s: where it goes, -1 .. t - 1; -1 is the clean end.
        schedule: the noise process.
        noise: not used.

    Returns:
        x_s.
    """
    if state.past is None or s == -1:
        return ddim_step(state, s, schedule)
    times = torch.tensor([s, state.t, state.past.t], device="cpu")
    end, here, before = schedule.log_snr(times).tolist()
    ratio = (end - here) / (here - before)
    x0 = state.denoised.x0
    return _aim(state, s, schedule, x0 + ratio / 2 * (x0 - state.past.denoised.x0))


def heun_step(state: State, s: int, schedule: NoiseSchedule, noise: Noise | None = None) -> Latents:
    """A half of Heun's step on the line (Karras et al., 2206.00364, Algorithm 1, in other scales).

    It takes two calls and two looks. The first, from t, predicts x_s as Euler does. The second,
    from the state predicted at s, goes back and takes the step from t again, with the mean of the
    velocities here and there. It is recognised by asking for the time at which the state is.

    Args:
        state: where the trajectory stands, with its past.
        s: t, to correct a predicted state, or -1 .. t - 1, to leave a corrected one.
        schedule: the noise process.
        noise: not used.

    Returns:
        x_s.

    Raises:
        InputError: a predicted state is left uncorrected.
    """
    start = state.past
    if s == state.t and start is not None and start.t > s:
        alpha, sigma = schedule.level(start.t)
        q = sigma / (alpha + sigma)
        seen = start.x_t / (alpha + sigma) - q * (state.denoised.eps - state.denoised.x0)
        return _aim(start, s, schedule, (start.denoised.x0 + seen) / 2)
    if s != -1 and start is not None and start.t != state.t:
        raise InputError("s", s, f"{state.t}, for a predicted state must be corrected")
    return ddim_step(state, s, schedule)


STEPS: dict[SamplerName, Step] = {
    "ddim": ddim_step,
    "ddpm": ddpm_step,
    "dpmpp-2m": dpmpp_2m_step,
    "euler": ddim_step,
    "heun": heun_step,
}


def find_step(name: str, eta: float = 0.0) -> Step:
    """A step by its name.

    Args:
        name: a `SamplerName`.
        eta: how much noise "ddim" renews, see `ddim_step`; 0 for all others.

    Raises:
        InputError: an unknown name, or an eta that the sampler does not have.
    """
    if name not in STEPS:
        raise InputError("sampler", repr(name), f"one of {', '.join(STEPS)}")
    if not 0 <= eta <= 1:
        raise InputError("eta", eta, "0 .. 1")
    if eta == 0:
        return STEPS[name]
    if name != "ddim":
        raise InputError("eta", eta, f"0 with sampler {name!r}; more with 'ddim'")
    return partial(ddim_step, eta=eta)


def looks(step: Step) -> int:
    """How often a step takes a trajectory to its new time, and the denoiser is asked there."""
    return 2 if step is heun_step else 1


def calls(name: str, steps: int) -> int:
    """How often a sampler has asked the denoiser after so many times, see `trajectory`.

    Args:
        name: a `SamplerName`.
        steps: times visited, 1 or more. The first takes no step to get to.

    Returns:
        `steps`, but 2 steps - 1 for "heun".
    """
    if steps < 1:
        raise InputError("steps", steps, "1 or more")
    return 1 + (steps - 1) * looks(find_step(name))


class _Move(NamedTuple):
    alpha_s: float
    sigma_s: float
    sigma_t: float
    renewed: float  # r, the share of the noise's variance that the posterior renews


def _move(schedule: NoiseSchedule, t: int, s: int) -> _Move:
    if not -1 <= s < t:
        raise InputError("s", s, f"-1 .. {t - 1}, for the step leaves t = {t}")
    alpha_t, sigma_t = schedule.level(t)
    alpha_s, sigma_s = schedule.level(s)
    return _Move(alpha_s, sigma_s, sigma_t, 1 - (alpha_t * sigma_s / (alpha_s * sigma_t)) ** 2)


def _aim(state: State, s: int, schedule: NoiseSchedule, x0: Latents) -> Latents:
    """DDIM's step, had the denoiser said `x0` of the same x_t."""
    alpha, sigma = schedule.level(state.t)
    denoised = Denoised(x0=x0, eps=(state.x_t - alpha * x0) / sigma)
    return ddim_step(replace(state, denoised=denoised), s, schedule)


def _given(noise: Noise | None, like: Tensor) -> Tensor:
    if noise is None:
        raise InputError("noise", None, "a source of noise, for this step is stochastic")
    return noise().to(like)
