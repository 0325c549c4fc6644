"""How a trained system is sampled: where its steps lie, where they begin, and what the answer is.

    x0 = (x_t - sigma eps) / alpha      an error of eps is an error of x0, sigma / alpha times as large

At the last time of the cosine schedule that is 20,000 times, of the linear one 157, of the scaled-linear one 15. The
field bounds x0 there (`clip_sample` of diffusers), or never goes there (leading spacing). `start_alpha` begins at the
last time at which as much of x0 is left as it says. At 1/15, where the scaled-linear schedule ends, up to five steps
are better than with any bound: of the linear schedule 0.150, 0.017 and 0.0072 at one, two and five, with a bound of 4
1.53, 0.035 and 0.0083, by v 0.010, 0.0096 and 0.0068. From ten steps on that bound is better there (0.0083, by 1/15
0.0103), and as good on the cosine one from 50 on (`python -m benchmarks noisy_end`, `docs/results/noisy-end.json`).
Later steps mend what the first magnified 157 times; 20,000 times they do not.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch

from lookharder.diffusion.denoiser import Denoised, PredictionType
from lookharder.diffusion.schedule import NoiseSchedule, Spacing, timesteps
from lookharder.errors import InputError
from lookharder.shapes import Latents

USABLE = 1 / 15  # alpha at which eps tells enough of x0: where the scaled-linear schedule ends
TOO_MUCH = 200.0  # times that the first of several steps may magnify an error of eps,
IN_ONE = 20.0  # and the only step, which nothing mends


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What a system's sampling is where a caller does not say.

    Attributes:
        spacing: how the steps are spread, see `schedule.spaced_timesteps`.
        start_alpha: least share alpha of x0 at the first step; 0 = from the end of training, pure noise. Leading
            spacing, which keeps away from there, takes no notice of it.
        clip_x0: largest number in a clean latent that is expected of a step; None = unbounded.
        final: the answer: "clean", x0 of the last step, or "first", that with the noise of t = 0, as Stable
            Diffusion's scheduler has it (`set_alpha_to_one=False`).
    """

    spacing: Spacing = "trailing"
    start_alpha: float = 0.0
    clip_x0: float | None = None
    final: Literal["clean", "first"] = "clean"

    def __post_init__(self) -> None:
        if self.spacing not in get_args(Spacing):
            raise InputError("spacing", repr(self.spacing), f"one of {get_args(Spacing)}")
        if not 0 <= self.start_alpha < 1:
            raise InputError("start_alpha", self.start_alpha, "0 or more, below 1")
        if self.clip_x0 is not None and not self.clip_x0 > 0:
            raise InputError("clip_x0", self.clip_x0, "a positive number or None")

    def answer(self, denoised: Denoised, schedule: NoiseSchedule) -> Latents:
        """What the last step gives."""
        if self.final == "clean":
            return denoised.x0
        alpha, sigma = schedule.alpha_sigma(0)
        return alpha * denoised.x0 + sigma * denoised.eps

    def times(
        self,
        schedule: NoiseSchedule,
        steps: int,
        spacing: Spacing | None = None,
        test: NoiseSchedule | None = None,
    ) -> list[int]:
        """Times at which the network is evaluated, see `schedule.timesteps`, of those from `start_alpha` on.

        Raises:
            InputError: fewer times than steps, or none with so much of x0; else as `schedule.timesteps`.
        """
        length, spacing = schedule.steps, spacing or self.spacing
        if self.start_alpha > 0 and spacing in ("trailing", "linspace"):
            alphas = schedule.alpha(torch.arange(length, device="cpu"), torch.float64)
            length = int((alphas >= self.start_alpha).sum())
            if length == 0:
                allowed = f"{alphas[0].item():.4g} or less, as at the first time of training"
                raise InputError("start_alpha", self.start_alpha, allowed)
        return timesteps(schedule, steps, spacing, test, length)

    def danger(
        self, prediction: PredictionType, schedule: NoiseSchedule, first: int, steps: int
    ) -> str | None:
        """What a user must know of steps that begin at time `first`; None where nothing is wrong."""
        alpha, sigma = schedule.alpha_sigma(first)
        limit = IN_ONE if steps == 1 else TOO_MUCH
        if prediction != "eps" or self.clip_x0 is not None or sigma <= limit * alpha:
            return None
        return (
            f"the first of {steps} steps, at t = {first} of the {schedule.name} schedule, magnifies errors of eps "
            f"{sigma / alpha:,.0f} times; with sampling.start_alpha={USABLE:.3g} it begins where that is 15"
        )
