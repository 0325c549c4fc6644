"""Examples of a set as a spec asks for them: all of a picture at another size, crops of it, some of its labels.

    fit=512x512       rows and columns, whatever the shape of the picture: flow is scaled each way by itself
    fit=inside:768    the longest edge, the shape kept to a pixel

Pictures are averaged, flow interpolated and scaled, depth and masks taken from one old pixel: see `augment.resize`.
"""

import re
from dataclasses import dataclass

from lookharder.data.augment import crop_resize, resize
from lookharder.data.example import Dataset, Example
from lookharder.data.formats import MAX_SIDE
from lookharder.errors import InputError
from lookharder.seeding import numpy_generator

LEAST = 8  # pixels a side


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A frame of pixels.

    Attributes:
        height: of the frame.
        width: likewise.
        inside: keep the shape of a picture: its longest edge becomes that of the frame.
    """

    height: int
    width: int
    inside: bool = False

    @classmethod
    def parse(cls, text: str) -> "Fit":
        """Read `SIDE`, `ROWSxCOLUMNS` or `inside:SIDE`.

        Raises:
            InputError: anything else, or a side that no picture may have.
        """
        found = re.fullmatch(r"(inside:)?(\d{1,9})(?:x(\d{1,9}))?", text)
        if found and not (found[1] and found[3]):
            height, width = int(found[2]), int(found[3] or found[2])
            if min(height, width) >= LEAST and max(height, width) <= MAX_SIDE:
                return cls(height=height, width=width, inside=found[1] is not None)
        allowed = f"fit=ROWSxCOLUMNS or fit=inside:SIDE, {LEAST} to {MAX_SIDE}"
        raise InputError("--data", f"fit={text}", allowed)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of what a picture of that size becomes."""
        if not self.inside:
            return self.height, self.width
        scale = self.height / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))


class Fitted:
    """A data set at another size."""

    def __init__(self, dataset: Dataset, fit: Fit) -> None:
        self.dataset, self.fit = dataset, fit

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Example:
        example = self.dataset[index]
        return resize(example, *self.fit.size(*example.image.shape[-2:]))


class Crops:
    """Random crops at one size of examples of any: item i is view i // n of example i % n, of n examples."""

    def __init__(self, dataset: Dataset, sides: tuple[int, int], views: int) -> None:
        self.dataset, self.sides, self.views = dataset, sides, views

    def __len__(self) -> int:
        return self.views * len(self.dataset)

    def __getitem__(self, index: int) -> Example:
        view, item = divmod(range(len(self))[index], len(self.dataset))
        generator = numpy_generator("crop", item, view)
        return crop_resize(self.dataset[item], generator, self.sides)


class Only:
    """Examples with some of their fields."""

    def __init__(self, dataset: Dataset, fields: tuple[str, ...]) -> None:
        self.dataset, self.fields = dataset, fields

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Example:
        example = self.dataset[index]
        kept = {name: getattr(example, name) for name in self.fields}
        return Example(name=example.name, **kept)
