"""From noise to an answer: one loop over the times, whatever the `steps` between them.

    x_t -- denoise --> x0, eps -- step --> x_s -- denoise --> x0, eps -- ... --> x0

At the clean end sigma is 0 and every step gives x0, so the answer is the x0 of the last state.

    schedule = NoiseSchedule(name="rectified")
    times = timesteps(schedule, 10, "trailing")
    latents = sample(denoise, noise(0), times, schedule, find_step("heun"), noise)

Invariant: one state for each time, and the network evaluated exactly as often as `evaluations` says:
once for each, or by "heun" twice for each but the first. The loop yields, so that the caller can watch
it, or stop early and take the x0 of any state. Gradients flow unless the caller forbids it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from lookharder.diffusion.denoiser import Denoised
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.diffusion.steps import Step, StepState, ddim_step
from lookharder.errors import InputError
from lookharder.seeding import Key, torch_generator
from lookharder.shapes import Latents, Times

# index -> fresh noise like x_T; 0 is x_T itself, i = 1, 2, ... belong to the i-th step
NoiseSource = Callable[[int], Tensor]


def trajectory(
    denoise: Callable[[Latents, Times], Denoised],
    x_T: Latents,
    timesteps: Sequence[int],
    schedule: NoiseSchedule,
    step: Step = ddim_step,
    noise: NoiseSource | None = None,
) -> Iterator[StepState]:
    """Visit the times in order, yielding the state at each.

    Args:
        denoise: (x_t, t (B,)) -> Denoised; a `Denoiser` with its condition and labels bound.
        x_T: the latents at the first time, which is pure noise unless a trajectory is resumed.
        timesteps: the times, strictly descending, see `schedule.timesteps`.
        schedule: the noise process that the denoiser was trained on.
        step: how to get from one time to the next, see `find_step`; options are bound with
            `functools.partial`.
        noise: fresh noise for the i-th step, i = 1, 2, ...; made only for steps that use it.

    Yields:
        A state for each of `timesteps`.

    Raises:
        InputError: times that do not descend, or a stochastic step without noise.
    """
    if not timesteps or any(t <= s for t, s in pairwise(timesteps)):
        raise InputError("timesteps", list(timesteps), "one or more, strictly descending")

    def denoise_at(x_t: Tensor, t: int) -> Denoised:
        return denoise(x_t, torch.full(x_t.shape[:1], t, dtype=torch.long, device=x_t.device))

    state = StepState(t=timesteps[0], x_t=x_T, denoised=denoise_at(x_T, timesteps[0]))
    yield state
    for index, s in enumerate(timesteps[1:], start=1):
        fresh = None if noise is None else partial(noise, index)
        x_s = step(denoise_at, state, s, schedule, fresh)
        past = replace(state, past=None)  # or every state would hold all before it
        state = StepState(t=s, x_t=x_s, denoised=denoise_at(x_s, s), past=past)
        yield state


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
    """Noise with a stream of its own for every member, whichever others share its batch.

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
