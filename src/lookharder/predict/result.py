"""What a prediction gives: `Answer` as tensors at the size the network worked at, `Prediction` as the caller asked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from lookharder.data.example import to_uint8
from lookharder.predict.effort import Effort
from lookharder.shapes import Fields
from lookharder.tasks.base import Task, resize_map

OutputType = Literal["np", "pt"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What the chain gives for a batch.

    Attributes:
        prediction: (B, ...) depth in [0, 1], flow in pixels of this size, or mask.
        uncertainty: (B, H, W), zero for one draw.
        images: (B, F, 3, H, W), the first draw as the network painted it.
        draws: draws merged, for each picture.
        macs: multiply-adds of the network and the autoencoder for the whole batch, so far.
    """

    prediction: Tensor
    uncertainty: Float[Tensor, "B H W"]
    images: Fields
    draws: tuple[int, ...]
    macs: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a call returns: arrays for output_type "np", tensors for "pt".

    Attributes:
        prediction: np (B, H, W, 1) depth in [0, 1] (larger = farther), (B, H, W, 2) flow in pixels, or (B, H, W, 1)
            bool mask; pt the same with channels second.
        uncertainty: np (B, H, W, 1), in the prediction's units, or None.
        painting: (B, H, W, 3) uint8, the first draw as the network painted it (for amodal: the whole object).
        task: name of the task.
        effort: steps, draws (the most allowed) and sampler.
        draws: draws merged, for each picture.
        resolution: (height, width) at which the network worked.
        seconds: wall time since the call.
        macs: multiply-adds since the call, for all pictures.
        choice: what a budget was turned into, in words; None without a budget.
    """

    prediction: Any
    uncertainty: Any
    painting: np.ndarray
    task: str
    effort: Effort
    draws: tuple[int, ...]
    resolution: tuple[int, int]
    seconds: float
    macs: int
    choice: str | None = None

    @property
    def steps(self) -> int:
        """Denoising steps of each draw."""
        return self.effort.steps

    @property
    def members(self) -> int:
        """Draws merged, the most among the pictures."""
        return max(self.draws)

    @property
    def doubt(self) -> list[float]:
        """How uncertain each merged answer is (see `effort`); NaN where uncertainty was not asked for, or n = 1."""
        if self.uncertainty is None:
            return [math.nan] * len(self.draws)
        return [
            float(spread.mean()) / math.sqrt(n) if n > 1 else math.nan
            for spread, n in zip(self.uncertainty, self.draws, strict=True)
        ]


def updated(
    answer: Answer | None,
    pictures: Sequence[int],
    merged: Tensor,
    spread: Float[Tensor, "A H W"],
    images: Float[Tensor, "A F 3 H W"],
    draws: int,
    macs: int,
) -> Answer:
    """A new answer in which some of the pictures stand better; without one before, it is of these pictures alone.

    Args:
        answer: the one before.
        pictures: those that were drawn again.
        merged: their predictions (A, ...).
        spread: their uncertainty.
        images: their first draw.
        draws: draws merged for each of them.
        macs: of the batch so far.
    """
    if answer is None:
        counts = (draws,) * len(pictures)
        return Answer(prediction=merged, uncertainty=spread, images=images, draws=counts, macs=macs)
    prediction, uncertainty = answer.prediction.clone(), answer.uncertainty.clone()
    prediction[pictures], uncertainty[pictures] = merged, spread
    again = set(pictures)
    counts = tuple(draws if i in again else n for i, n in enumerate(answer.draws))
    return replace(answer, prediction=prediction, uncertainty=uncertainty, draws=counts, macs=macs)


def presented(
    answer: Answer,
    task: Task,
    effort: Effort,
    *,
    size: tuple[int, int],
    output_type: OutputType,
    uncertainty: bool,
    seconds: float,
    choice: str | None,
) -> Prediction:
    """An answer at the size and in the type that the caller wants."""
    resolution = (answer.images.shape[-2], answer.images.shape[-1])
    answer = answer if resolution == size else _resized(answer, task, *size)
    prediction = answer.prediction
    channels = prediction if prediction.ndim == 4 else prediction[:, None]  # (B, C, H, W)
    return Prediction(
        prediction=_typed(channels, output_type),
        uncertainty=_typed(answer.uncertainty[:, None], output_type) if uncertainty else None,
        painting=to_uint8(answer.images[:, 0]).permute(0, 2, 3, 1).cpu().numpy(),
        task=task.name,
        effort=effort,
        draws=answer.draws,
        resolution=resolution,
        seconds=seconds,
        macs=answer.macs,
        choice=choice,
    )


def _resized(answer: Answer, task: Task, height: int, width: int) -> Answer:
    """An answer at another size, in the units of that size."""
    rows, columns = answer.images.shape[-2:]
    scale = task.uncertainty_scale((rows, columns), (height, width))
    images = resize_map(answer.images.flatten(0, 1), height, width)
    return replace(
        answer,
        prediction=task.resize(answer.prediction, height, width),
        uncertainty=resize_map(answer.uncertainty[:, None], height, width)[:, 0] * scale,
        images=images.unflatten(0, answer.images.shape[:2]),
    )


def _typed(values: Tensor, output_type: OutputType) -> Any:
    return values.permute(0, 2, 3, 1).cpu().numpy() if output_type == "np" else values.cpu()
