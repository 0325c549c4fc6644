"""What an eps-prediction's error does at the noisy end, and what keeps it small.

    python -m benchmarks noisy_end docs/results/noisy-end.json

The denoiser is exact but for its prediction, which is off by 0.01 everywhere, in a direction of its own for each
number: latents are Gaussian of deviation 0.05 about a known mean, as an answer is about the truth, and the means are of
unit deviation, as Stable Diffusion's latents are. `error` is the root mean square of answer less mean, for each
schedule, number of steps and way: spread over all times (trailing, leading), over those with at least so much of x0
(`start`), or with a bound on x0 (`clip`); `v` predicts the velocity.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lookharder.diffusion.denoiser import Denoised, PredictionType, target_of, to_eps, to_x0
from lookharder.diffusion.sampler import sample
from lookharder.diffusion.sampling import Sampling
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.files import write_json
from lookharder.seeding import torch_generator

ERROR, SPREAD = 0.01, 0.05
SHAPE = (64, 4, 8, 8)
STEPS = (1, 2, 5, 10, 50, 200)
SCHEDULES = ("linear", "scaled-linear", "cosine")


@dataclass(frozen=True, kw_only=True)
class Way:
    """A prediction and how it is sampled."""

    sampling: Sampling
    prediction: PredictionType = "eps"


WAYS = {
    "trailing": Way(sampling=Sampling()),
    "leading": Way(sampling=Sampling(spacing="leading")),
    "clip 1": Way(sampling=Sampling(clip_x0=1.0)),
    "clip 4": Way(sampling=Sampling(clip_x0=4.0)),
    "start 1/100": Way(sampling=Sampling(start_alpha=1 / 100)),
    "start 1/50": Way(sampling=Sampling(start_alpha=1 / 50)),
    "start 1/15": Way(sampling=Sampling(start_alpha=1 / 15)),
    "start 1/15, clip 4": Way(sampling=Sampling(start_alpha=1 / 15, clip_x0=4.0)),
    "v": Way(sampling=Sampling(), prediction="v"),
}


def run(out: Path) -> None:
    """Measure every way, print the table, and write it.

    Args:
        out: the file.
    """
    rows = []
    print(f"{'schedule':14} {'way':20}", *(f"{steps:>8}" for steps in STEPS))
    for name in SCHEDULES:
        for label, way in WAYS.items():
            errors = [error(NoiseSchedule(name=name), way, steps) for steps in STEPS]
            rows.append({"schedule": name, "way": label, "steps": STEPS, "error": errors})
            print(f"{name:14} {label:20}", *(f"{value:8.3g}" for value in errors))
    write_json(out, {"prediction error": ERROR, "spread": SPREAD, "rows": rows})


def error(schedule: NoiseSchedule, way: Way, steps: int) -> float:
    """Root mean square of answers less the means of the data."""
    generator = torch_generator("noisy end")
    mean, noise, off = (torch.randn(SHAPE, generator=generator) for _ in range(3))

    def denoise(x_t: Tensor, t: Tensor) -> Denoised:
        at = schedule.at(t, x_t)
        gain = at.alpha * SPREAD**2 / (at.alpha**2 * SPREAD**2 + at.sigma**2)
        exact = mean + gain * (x_t - at.alpha * mean)
        known = target_of(way.prediction, exact, to_eps("x0", exact, x_t, at), at)
        x0 = to_x0(way.prediction, known + ERROR * off, x_t, at)
        if way.sampling.clip_x0 is not None:
            x0 = x0.clamp(-way.sampling.clip_x0, way.sampling.clip_x0)
        return Denoised(x0=x0, eps=to_eps("x0", x0, x_t, at))

    answer = sample(denoise, noise, way.sampling.times(schedule, steps), schedule)
    return (answer - mean).square().mean().sqrt().item()
