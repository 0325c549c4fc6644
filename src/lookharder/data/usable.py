"""One rule for examples that cannot be used: named, counted and left out, and never a reason to stop half-way.

An example is unusable if a file of it cannot be read, or an annotation that is needed has not one known pixel. Its
place is taken by the next one that is usable, which is a function of the index alone: a run that resumes sees the same.
"""

from collections.abc import Sequence

import numpy as np

from lookharder.data.example import Dataset, Example
from lookharder.errors import InputError
from lookharder.files import say_once

TRIES = 32  # unusable examples in a row, after which the set is


def unusable(example: Example, needs: Sequence[str]) -> str | None:
    """Why an example cannot serve: the first of the needed annotations that is absent or nowhere known; else None."""
    for name in needs:
        values = getattr(example, name)
        if values is None:
            return f"no `{name}`"
        if isinstance(values, np.ndarray) and values.dtype == np.bool_ and not values.any():
            return f"`{name}` without a single pixel"
    return None


class Usable:
    """A data set without what cannot be used.

    Args:
        dataset: the examples.
        needs: annotations that each must have, by their names in `Example`.
    """

    def __init__(self, dataset: Dataset, needs: Sequence[str]) -> None:
        self.dataset, self.needs = dataset, tuple(needs)
        self.left_out: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int, /) -> Example:
        count = len(self.dataset)
        for place in (at % count for at in range(index, index + TRIES)):
            if place in self.left_out:
                continue
            try:
                example = self.dataset[place]
                reason = unusable(example, self.needs)
                name = example.name
            except InputError as error:
                name, reason = str(error.argument), f"got {error.args[1]}"
            if reason is None:
                return example
            self.left_out[place] = f"{name}: {reason}"
            say_once(name, f"left out: {reason}")
        reasons = "; ".join(list(self.left_out.values())[-3:])
        allowed = f"one usable example among any {TRIES}"
        raise InputError(
            "--data", f"{len(self.left_out)} unusable examples, e.g. {reasons}", allowed
        )


def largest_label(dataset: object) -> int | None:
    """The largest label of a set whose labels are known before its pictures are read; None where they are not."""
    while dataset is not None:
        found = getattr(dataset, "largest_label", None)
        if found is not None:
            return int(found)
        dataset = getattr(dataset, "dataset", None)
    return None
