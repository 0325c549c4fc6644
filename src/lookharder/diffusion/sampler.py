"""From noise to an answer: one loop, and the steps it can take.

    x_t -- denoise --> x0, eps -- step --> x_s -- denoise --> x0, eps -- ... --> x0

A step keeps what is known of x0 and takes the noise to its new level, a part of it renewed:

    x_s = alpha_s x0 + sigma_s ( sqrt(1 - eta^2 r) eps + eta sqrt(r) z ),     r = 1 - SNR_t / SNR_s

eta = 0 renews nothing (DDIM); eta = 1 renews as much as the true posterior does (DDPM). At the
clean end sigma is 0 and every method gives x0, so the answer is the x0 of the last state.

Invariant: the denoiser is asked exactly once for each time. The loop yields, so that the caller can
watch it, or stop early and take the x0 of any state. Gradients flow unless the caller forbids it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from lookharder.diffusion.denoiser import Denoised
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.seeding import Key, torch_generator
from lookharder.shapes import Latents, Times


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """One visited time of a trajectory.

    Attributes:
        t: the time.
        x_t: the noisy latents there.
        denoised: what the denoiser says of them.
        past: the state visited before, for multistep methods; its own past is dropped.
    """

    t: int
    x_t: Latents
    denoised: Denoised
    past: Optional["State"] = None


# (state, s, schedule, noise) -> x_s
Step = Callable[[State, int, NoiseSchedule, Tensor | None], Tensor]
# index -> fresh noise like x_T; 0 is x_T itself, i = 1, 2, ... belong to the i-th step
NoiseSource = Callable[[int], Tensor]


def ddim_step(
    state: State,
    s: int,
    schedule: NoiseSchedule,
    noise: Latents | None = None,
    eta: float = 0.0,
) -> Latents:
    """The step of DDIM (Song et al., 2010.02502, eq. 12).

    Args:
        state: where the trajectory stands.
        s: where it goes, -1 .. t - 1; -1 is the clean end.
        schedule: the noise process.
        noise: fresh noise, needed where eta > 0.
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


def ddpm_step(
    state: State, s: int, schedule: NoiseSchedule, noise: Latents | None = None
) -> Latents:
    """The ancestral step of DDPM (Ho et al. 2020, eq. 6 and 7).

    A learned variance lies between the posterior's, r sigma_s^2, and the forward process's,
    r sigma_t^2, geometrically (Nichol & Dhariwal 2021, eq. 15). Otherwise it is the posterior's.

    Args:
        state: where the trajectory stands.
        s: where it goes, -1 .. t - 1; -1 is the clean end.
        schedule: the noise process.
        noise: fresh noise, needed but for the last step.

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


STEPS: dict[str, Step] = {"ddim": ddim_step, "ddpm": ddpm_step}


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


def _given(noise: Tensor | None, like: Tensor) -> Tensor:
    if noise is None:
        raise InputError("noise", None, "a source of noise, for this step is stochastic")
    return noise.to(like)


def trajectory(
    denoise: Callable[[Latents, Times], Denoised],
    x_T: Latents,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    step: Step = ddim_step,
    noise: NoiseSource | None = None,
) -> Iterator[State]:
    """Visit the times in order, yielding the state at each.

    Args:
        denoise: (x_t, t (B,)) -> Denoised; a `Denoiser` with its condition and labels bound.
        x_T: the latents at the first time, which is pure noise unless a trajectory is resumed.
        timesteps: the times, strictly descending, see `spaced_timesteps`.
        schedule: the noise process.
        step: how to get from one time to the next; options are bound with `functools.partial`.
        noise: fresh noise for the i-th step, i = 1, 2, ...; needed by stochastic steps.

    Yields:
        A state for each of `timesteps`.
    """
    if not timesteps or any(t <= s for t, s in pairwise(timesteps)):
        raise InputError("timesteps", list(timesteps), "one or more, strictly descending")
    x_t, past = x_T, None
    for index, t in enumerate(timesteps):
        if past is not None:
            fresh = noise(index) if noise is not None else None
            x_t = step(past, t, schedule, fresh)
            past = replace(past, past=None)
        times = torch.full(x_t.shape[:1], t, dtype=torch.long, device=x_t.device)
        past = State(t=t, x_t=x_t, denoised=denoise(x_t, times), past=past)
        yield past


def sample(
    denoise: Callable[[Latents, Times], Denoised],
    x_T: Latents,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    step: Step = ddim_step,
    noise: NoiseSource | None = None,
) -> Latents:
    """The end of a `trajectory`, whose arguments it takes: clean latents."""
    for state in trajectory(denoise, x_T, timesteps, schedule, step, noise):
        answer = state.denoised.x0
    return answer


def draw_noise(keys: Sequence[tuple[Key, ...]], shape: Sequence[int]) -> NoiseSource:
    """Noise in which every draw owns its stream, whichever others share its batch.

        noise = draw_noise([(seed, image, member) for member in range(8)], (c, h, w))
        latents = sample(denoise, noise(0), timesteps, schedule, ddpm_step, noise)

    Args:
        keys: a key for each item of the batch, see `seeding`.
        shape: of one item.

    Returns:
        index -> (B, *shape) float32 on the CPU; a function of (keys, index) alone.
    """

    def noise(index: int) -> Tensor:
        streams = [torch_generator(*key, "noise", index) for key in keys]
        return torch.stack([torch.randn(*shape, generator=stream) for stream in streams])

    return noise
