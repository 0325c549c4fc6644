"""A task is a pair of inverse translations between an annotation and an image, and the words around them.

    training     target image = to_image(batch)            condition = condition(batch)
    prediction   draws = from_image(decoded images)        prediction, uncertainty = merge(draws)

    from_image(to_image(batch)) = the annotation            up to the task's declared invariance

The network only ever sees images. What they mean (quantiles, scale of motion, threshold of the mask) is a frozen
dataclass that is saved with the model.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.data.example import Batch, Example
from lookharder.errors import InputError
from lookharder.shapes import FieldDraws, Fields, Mask, Sources

# paintings of windows (B V, F, 3, h, w) -> the answer with what they saw (B, F, 3, H, W)
Join = Callable[[Tensor], Tensor]

SOURCES = 2  # images in the condition of a perception task, unless it says otherwise


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetImage:
    """What the network learns to denoise: F images and where they are known."""

    images: Fields
    known: Bool[Tensor, "B H W"]


@dataclass(frozen=True, kw_only=True)
class Given:
    """Something that a task needs beside the image.

    Attributes:
        argument: what a caller gives it as: a keyword of `Predictor`, an option of `lookharder predict`.
        field: what it is in an `Example` and in a `Batch`.
        kind: a "picture" (3, H, W), or a "mask" (H, W).
    """

    argument: str
    field: str
    kind: Literal["picture", "mask"]


class Task(ABC):
    """The seam between tasks and everything else.

    A task is a frozen dataclass that inherits from this and has a field `name`, its key in `TASKS`. It writes the five
    translations, and of the properties those that differ.
    """

    name: str
    label_dropout: float = 0.0  # share of training examples whose label becomes the null label

    @property
    def fields(self) -> int:
        """F, images predicted for one answer; each has a label of its own."""
        return 1

    @property
    def label_rows(self) -> int:
        """Rows of the label table that are the task's own: one for each field; 0 where labels are classes."""
        return self.fields

    @property
    def sources(self) -> int:
        """S, images in the condition: `SOURCES`, or 0 for a task that is given nothing."""
        return SOURCES

    @property
    def inputs(self) -> tuple[Given, ...]:
        """What the task needs beside the image."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Fields of an example that condition and target are made of: any, unless the task says which."""
        return tuple(field.name for field in fields_of(Example))

    @property
    def recoloured(self) -> bool:
        """Whether training may change the colours of a picture: not where the picture is what is learnt."""
        return True

    @property
    def hints(self) -> tuple[str, ...]:
        """Fields of an example that the condition uses where they are, and replaces, saying so, where they are not."""
        return ()

    @property
    def takes_next_frame(self) -> bool:
        """Whether it needs a second picture; of a clip that is the next frame."""
        return any(each.kind == "picture" for each in self.inputs)

    @property
    def takes_clips(self) -> bool:
        """Whether a clip has all it needs: frames, and no mask."""
        return self.sources > 0 and all(each.kind == "picture" for each in self.inputs)

    @property
    def scoring(self) -> Mapping[str, Any]:
        """Fields of a scoring protocol that follow from what the task means."""
        return {}

    @property
    def view(self) -> str:
        """How answers are shown: a row of `VIEWS`, or a variant of one."""
        return self.name

    @property
    def pipeline(self) -> str | None:
        """What the Hugging Face hub calls it, by which it sorts models; None = it has no word for it."""
        return None

    def uncertainty_scale(self, size: tuple[int, int], other: tuple[int, int]) -> float:
        """What one unit of uncertainty at `size`, (height, width), is at another size; a share stays a share."""
        return 1.0

    @abstractmethod
    def condition(self, batch: Batch) -> Sources:
        """The images that the answer depends on, (B, S, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def to_image(self, batch: Batch) -> TargetImage:
        """The annotation as images in [-1, 1]; raises InputError where the batch lacks it."""

    @abstractmethod
    def from_image(self, images: FieldDraws) -> Tensor:
        """Decoded images (N, B, F, 3, H, W) -> draws of the annotation (N, B, ...)."""

    def keep_given(self, images: FieldDraws, batch: Batch) -> FieldDraws:
        """Decoded images with what is known beforehand in the place of what was painted there."""
        return images

    @property
    def mirrors(self) -> bool:
        """Whether it can be asked of a mirror image: where it says what `mirror` does."""
        return type(self).mirror is not Task.mirror

    def mirror(self, images: FieldDraws) -> FieldDraws:
        """What was painted of mirror images, (N, B, F, 3, H, W), as it is painted of the pictures themselves."""
        raise InputError("mirror", True, f"False for task {self.name!r}, which has no mirror image")

    def looks(self, sizes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        """Sizes, (height, width), at which a level looks again, in turn.

        Args:
            sizes: of the pictures at all levels up to this one, the network's own size first.

        Raises:
            InputError: by a task that looks once.
        """
        raise self._looks_once()

    def windows(self, size: tuple[int, int], window: tuple[int, int]) -> int:
        """V, windows of a size (height, width) in which a picture is looked at again."""
        return 1

    def look_again(
        self, batch: Batch, answer: Fields, window: tuple[int, int]
    ) -> tuple[Batch, Join]:
        """What the network is shown to better an answer, and how the answer takes in what it then sees.

        Args:
            batch: pictures (B, 3, H, W), at one of the sizes of `looks`.
            answer: (B, F, 3, h, w) as the network paints it, of that size or another.
            window: (height, width) of what the network is shown.

        Returns:
            Windows as a batch of B V, those of a picture side by side; and a function from the paintings of all
            windows to the better answer, which is as large as the larger of picture and answer.
        """
        raise self._looks_once()

    def further_look(self, example: Example, generator: np.random.Generator) -> Example:
        """An example as a further look would show it, in training; itself where a further look is like the first."""
        return example

    @property
    def widest(self) -> float:
        """Longer over shorter side of a picture, beyond which it is seen at more than the model's resolution."""
        return math.inf

    @property
    def leaves_windows_out(self) -> bool:
        """Whether a further look can leave windows out, see `at_rest`."""
        return False

    def at_rest(self, windows: int, window: tuple[int, int]) -> Fields:
        """Paintings (V, F, 3, h, w) of windows of a `Grid` that leave the answer as it is."""
        raise self._looks_once()

    def _looks_once(self) -> InputError:
        return InputError("levels", "2 or more", f"1 for task {self.name!r}, which looks once")

    def to_colours(self, images: Fields) -> Fields:
        """An answer as the network paints it, as a picture for people."""
        return images

    def masks(self, draws: Tensor) -> Mask | None:
        """Draws of one image as masks (N, H, W); None of a task whose answers are none."""
        return None

    @property
    def mergings(self) -> tuple[str, ...]:
        """Ways in which its draws can be merged: the values of its field `merging`; none where there is one way."""
        return ()

    def merged_by(self, how: str | None) -> "Task":
        """The same task, whose draws are merged in another way; None = its own.

        Raises:
            InputError: it knows no such way.
        """
        if how is None:
            return self
        if how not in self.mergings:
            allowed = ", ".join(self.mergings) or "nothing"
            raise InputError("merge", repr(how), f"{allowed}, for task {self.name!r}")
        changed: Task = replace(self, merging=how)  # type: ignore[type-var]  # tasks are dataclasses
        return changed

    @abstractmethod
    def merge(self, draws: Tensor) -> tuple[Tensor, Float[Tensor, "B H W"]]:
        """N draws (N, B, ...) -> one answer (B, ...) and its uncertainty (B, H, W), zero for N = 1."""

    @abstractmethod
    def resize(self, prediction: Tensor, height: int, width: int) -> Tensor:
        """The answer (B, ...) at another size, in the units of that size."""


def grey_to_rgb(values: Float[Tensor, "B H W"]) -> Float[Tensor, "B 3 H W"]:
    """A scalar map as a grey image, the same value in three channels."""
    return values[:, None].expand(-1, 3, -1, -1)


def resize_map(
    values: Float[Tensor, "B C H W"], height: int, width: int
) -> Float[Tensor, "B C h w"]:
    """Bilinear, antialiased where it shrinks."""
    if values.shape[-2:] == (height, width):
        return values
    return F.interpolate(values, size=(height, width), mode="bilinear", antialias=True)


def mask_to_rgb(mask: Bool[Tensor, "B H W"]) -> Float[Tensor, "B 3 H W"]:
    """True -> white (1), false -> black (-1)."""
    return grey_to_rgb(torch.where(mask, 1.0, -1.0))
