"""Predictions as callers get them: merged answers, at the size and in the type that was asked for.

result = predictor(image)
result.prediction                   arrays or tensors, one for each image
result.visualize()                  as pictures (PIL); notebooks show the first by themselves
result.save("out")                  the files that `lookharder predict` writes
result.to_16bit()                   depth as 16 bits of grey (PIL)
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from lookharder.data.example import Batch, to_uint8
from lookharder.errors import InputError
from lookharder.files import make_folder
from lookharder.predict.effort import Effort
from lookharder.predict.options import Options, OutputType, SamplingPlan
from lookharder.predict.rounds import Rounds
from lookharder.predict.settings import ErrorBound
from lookharder.tasks.base import Task, resize_map
from lookharder.visualize.answer_files import Answer, Writing, file_names, write_answer
from lookharder.visualize.looks import Look
from lookharder.visualize.views import view_of

NOT_SHOWN = np.empty((0, 0, 3), np.uint8)  # in the place of a painting that no file shows


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prediction:
    """What a call returns: arrays for output_type "np", tensors for "pt".

    Attributes:
        prediction: np (B, H, W, 1) depth in [0, 1] (larger = farther), (B, H, W, 2) flow in pixels, or (B, H, W, 1)
            bool mask; pt the same with channels second.
        uncertainty: np (B, H, W, 1), in the prediction's units, or None: the spread of the members, or where the model
            comes with a measured `bound`, what 68 % of errors are within.
        painted: (B, 3, h, w) in [-1, 1], the first member as the network painted it, at the size at which it worked.
        task: name of the task.
        effort: steps, members (the most allowed), levels and sampler.
        member_counts: members merged, for each image.
        resolution: (height, width) at which the network worked, of the first level and of each window.
        seconds: wall time since the call.
        macs: multiply-adds since the call, for all images.
        choice: what a budget was turned into, in words; None without a budget.
        bound: what made the spread of members the uncertainty; None = it is the spread.
        view: how answers are shown, see `visualize.views`; "" = as those of the task.
        masks: of a task of masks, for each image the answers that were merged, (n, 1, H, W) bool at the size that was
            asked for; None of others, and of one member.
        given: what was asked about, stacked: "image" in [-1, 1], the rest as the task's inputs are called.
    """

    prediction: Any
    uncertainty: Any
    painted: Tensor
    task: str
    effort: Effort
    member_counts: tuple[int, ...]
    resolution: tuple[int, int]
    seconds: float
    macs: int
    choice: str | None = None
    bound: ErrorBound | None = None
    view: str = ""
    masks: tuple[Tensor, ...] | None = None
    given: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the answers."""
        shape = self.prediction.shape
        return (
            (shape[1], shape[2])
            if isinstance(self.prediction, np.ndarray)
            else (shape[2], shape[3])
        )

    @cached_property
    def painting(self) -> np.ndarray:
        """(B, H, W, 3) uint8, the first member as the network painted it (for amodal: the whole object)."""
        pixels = to_uint8(resize_map(self.painted, *self.size))
        return pixels.permute(0, 2, 3, 1).cpu().numpy()

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

    def __repr__(self) -> str:
        count, size = len(self.member_counts), "x".join(map(str, self.size))
        images = f"{count} image{'s' * (count > 1)} of {size}"
        unsure = ", with uncertainty" if self.uncertainty is not None else ""
        return (
            f"Prediction({self.task}, {images}, {self.steps} step{'s' * (self.steps > 1)} x "
            f"{self.members} member{'s' * (self.members > 1)}, {self.seconds:.2f} s{unsure})"
        )

    def _repr_png_(self) -> bytes:
        """The first answer, for notebooks."""
        data = io.BytesIO()
        self.visualize()[0].save(data, format="PNG")
        return data.getvalue()

    def answer(self, index: int, given: Mapping[str, np.ndarray] | None = None) -> Answer:
        """One of the answers as numpy, channels first, with what it was given (None = what the result remembers)."""
        values, unsure = (
            None if array is None else _channels_first(array[index])
            for array in (self.prediction, self.uncertainty)
        )
        assert values is not None, "only uncertainty may be absent"
        if given is None:
            size = values.shape[-2:]
            given = {name: _as_shown(stack[index], size) for name, stack in self.given.items()}
        paints = view_of(self.view or self.task).paints
        return Answer(
            values=values,
            uncertainty=None if unsure is None else unsure[0],
            painting=self.painting[index] if paints else NOT_SHOWN,
            given=given,
            masks=None if self.masks is None else self.masks[index][:, 0].numpy(),
        )

    def visualize(self, colormap: str = "spectral") -> list[Image.Image]:
        """Each answer as a picture: depth in colours, flow by its wheel, a mask over the image.

        Args:
            colormap: of depth, a row of `visualize.colours.COLORMAPS`.

        Raises:
            InputError: an unknown colour map.
        """
        view, look = view_of(self.view or self.task), Look(colormap=colormap)
        answers = [self.answer(index) for index in range(len(self.member_counts))]
        return [
            Image.fromarray(view.show(view.array(each.values), each.painting, each.given, look))
            for each in answers
        ]

    def to_16bit(self) -> list[Image.Image]:
        """Each map of depth as 16 bits of grey, 65535 x the value.

        Raises:
            InputError: another task, whose answers 16 bits of grey do not hold.
        """
        if self.task != "depth":
            raise InputError("to_16bit", f"task {self.task!r}", "depth")
        maps = [self.answer(index).values[0] for index in range(len(self.member_counts))]
        return [Image.fromarray(np.rint(values * 65535.0).astype(np.uint16)) for values in maps]

    def save(
        self,
        folder: str | Path,
        names: Sequence[str] | None = None,
        *,
        formats: Sequence[str] | None = None,
        colormap: str = "spectral",
        overwrite: bool = False,
    ) -> list[Path]:
        """Write the files that `lookharder predict` writes of each answer, and return them.

        Args:
            folder: which is made if there is none.
            names: of the images, for the files; None = "image", or "image-0", "image-1" and so on.
            formats: of the array, rows of `visualize.formats.FORMATS`; None = those that are usual for the task.
            colormap: of depth.
            overwrite: replace files that are there.

        Raises:
            InputError: a file is there, or an argument that cannot be used.
        """
        count, view = len(self.member_counts), view_of(self.view or self.task)
        several = [f"image-{index}" for index in range(count)]
        names = names or (several if count > 1 else ["image"])
        if len(set(names)) != count:
            raise InputError("names", list(names), f"{count}, each once")
        writing = Writing(formats=formats, look=Look(colormap=colormap))
        unsure = self.uncertainty is not None
        files = [file_names(self.task, view, name, unsure, writing) for name in names]
        paths = [Path(folder) / file for each in files for file in each.values()]
        there = [path for path in paths if path.exists()]
        if there and not overwrite:
            raise InputError("folder", f"{there[0]}, which exists", "a free name, or overwrite")
        make_folder(Path(folder), "folder")
        for index in range(count):
            write_answer(Path(folder), files[index], self.task, view, self.answer(index), writing)
        return paths


def present(
    rounds: Rounds,
    task: Task,
    plan: SamplingPlan,
    options: Options,
    batch: Batch,
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
        batch: what was asked about.
        seconds: since the call.
        macs: since the call.
    """
    prediction, spread, images = rounds.prediction, rounds.uncertainty[:, None], rounds.painting
    worked = spread.shape[-2], spread.shape[-1]
    size = plan.native if options.match_input_resolution else worked
    several = options.output_uncertainty and plan.effort.members > 1
    if worked != size:
        prediction = task.resize(prediction, *size)
    if several and worked != size:
        spread = resize_map(spread, *size) * task.uncertainty_scale(worked, size)
    if several and plan.bound is not None:
        spread = plan.bound.of(spread[:, 0])[:, None]
    channels = prediction if prediction.ndim == 4 else prediction[:, None]  # (B, C, H, W)
    return Prediction(
        prediction=_typed(channels, options.output_type),
        uncertainty=_typed(spread, options.output_type) if several else None,
        painted=images[:, 0],
        task=task.name,
        effort=plan.effort,
        member_counts=tuple(rounds.counts),
        resolution=plan.size,
        seconds=seconds,
        macs=macs,
        choice=plan.choice,
        bound=plan.bound,
        view=task.view,
        masks=_masks(task, rounds, size) if plan.effort.members > 1 else None,
        given={"image": batch.image}
        | {each.argument: batch.need(each.field) for each in task.inputs},
    )


def _masks(task: Task, rounds: Rounds, size: tuple[int, int]) -> tuple[Tensor, ...] | None:
    """The members of each image at this size, where they are masks."""
    masks = [task.masks(draws) for draws in rounds.drawn]
    return tuple(task.resize(m, *size)[:, None].cpu() for m in masks if m is not None) or None


def _typed(values: Tensor, output_type: OutputType) -> Any:
    return values.permute(0, 2, 3, 1).cpu().numpy() if output_type == "np" else values.cpu()


def _channels_first(values: Any) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, Tensor) else np.moveaxis(values, -1, 0)


def _as_shown(given: Tensor, size: Sequence[int]) -> np.ndarray:
    """A picture or a mask of an image as numpy, at the size of the answer."""
    if given.ndim == 2:
        mask = given[None, None].float()
        return np.asarray(resize_map(mask, *size)[0, 0].cpu() > 0.5)
    return to_uint8(resize_map(given[None], *size)[0]).cpu().numpy()
