"""Predictions as callers get them: merged answers, at the size and in the type that was asked for."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lookharder.data.example import to_uint8
from lookharder.predict.effort import Effort
from lookharder.predict.options import Options, OutputType, SamplingPlan
from lookharder.predict.rounds import Rounds
from lookharder.predict.settings import ErrorBound
from lookharder.tasks.base import Task, resize_map


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a call returns: arrays for output_type "np", tensors for "pt".

    Attributes:
        prediction: np (B, H, W, 1) depth in [0, 1] (larger = farther), (B, H, W, 2) flow in pixels, or (B, H, W, 1)
            bool mask; pt the same with channels second.
        uncertainty: np (B, H, W, 1), in the prediction's units, or None: the spread of the members, or where the model
            comes with a measured `bound`, what 68 % of errors are within.
        painting: (B, H, W, 3) uint8, the first member as the network painted it (for amodal: the whole object).
        task: name of the task.
        effort: steps, members (the most allowed), levels and sampler.
        member_counts: members merged, for each image.
        resolution: (height, width) at which the network worked, of the first level and of each window.
        seconds: wall time since the call.
        macs: multiply-adds since the call, for all images.
        choice: what a budget was turned into, in words; None without a budget.
        bound: what made the spread of members the uncertainty; None = it is the spread.
    """

    prediction: Any
    uncertainty: Any
    painting: np.ndarray
    task: str
    effort: Effort
    member_counts: tuple[int, ...]
    resolution: tuple[int, int]
    seconds: float
    macs: int
    choice: str | None = None
    bound: ErrorBound | None = None

    @property
    def steps(self) -> int:
        """Denoising steps of each member."""
        return self.effort.steps

    @property
    def members(self) -> int:
        """Members merged, the most among the images."""
        return max(self.member_counts)

    @property
    def spread(self) -> Any:
        """Of the members, like `uncertainty`, whatever bound was made of it; None where uncertainty is."""
        if self.uncertainty is None or self.bound is None:
            return self.uncertainty
        return self.bound.spread_of(self.uncertainty)

    @property
    def doubt(self) -> list[float]:
        """How uncertain each merged answer is (see `effort`); NaN where uncertainty was not asked for, or n = 1."""
        if self.uncertainty is None:
            return [math.nan] * len(self.member_counts)
        return [
            float(spread.mean()) / math.sqrt(n) if n > 1 else math.nan
            for spread, n in zip(self.spread, self.member_counts, strict=True)
        ]


def present(
    rounds: Rounds,
    task: Task,
    plan: SamplingPlan,
    options: Options,
    *,
    seconds: float,
    macs: int,
) -> Prediction:
    """The answers so far, at the size and in the type that was asked for.

    Args:
        rounds: merged answers at the size at which the network worked.
        task: what they mean.
        plan: how they were made.
        options: size and type that are wanted; answers are in the units of that size.
        seconds: since the call.
        macs: since the call.
    """
    prediction, spread, images = rounds.prediction, rounds.uncertainty[:, None], rounds.painting
    worked = spread.shape[-2], spread.shape[-1]
    size = plan.native if options.match_input_resolution else worked
    painting = resize_map(images[:, 0], *size)
    if worked != size:
        prediction = task.resize(prediction, *size)
        spread = resize_map(spread, *size) * task.uncertainty_scale(worked, size)
    if plan.bound is not None:
        spread = plan.bound.of(spread[:, 0])[:, None]
    channels = prediction if prediction.ndim == 4 else prediction[:, None]  # (B, C, H, W)
    several = options.output_uncertainty and plan.effort.members > 1
    return Prediction(
        prediction=_typed(channels, options.output_type),
        uncertainty=_typed(spread, options.output_type) if several else None,
        painting=to_uint8(painting).permute(0, 2, 3, 1).cpu().numpy(),
        task=task.name,
        effort=plan.effort,
        member_counts=tuple(rounds.counts),
        resolution=plan.size,
        seconds=seconds,
        macs=macs,
        choice=plan.choice,
        bound=plan.bound,
    )


def _typed(values: Tensor, output_type: OutputType) -> Any:
    return values.permute(0, 2, 3, 1).cpu().numpy() if output_type == "np" else values.cpu()
