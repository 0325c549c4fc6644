"""Which part of a job a process does: that of `--shard I/N`, of its rank under torchrun, or all of it.

A shard takes every N-th group of what is done together, beginning with group I. Groups are those of the whole job,
never of a shard: what is computed together, on which the last bit of a result may depend, is the same for every N.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lookharder.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a job, counted from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From "2/8".

        Raises:
            InputError: it is no part of a whole.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if found is None or not int(found[1]) < int(found[2]):
            raise InputError("--shard", repr(text), "I/N, from 0/N to N-1/N")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of_rank(cls) -> "Shard":
        """The part of this process: its rank, where torchrun started it; else all."""
        size = os.environ.get("WORLD_SIZE", "1")
        return cls() if size == "1" else cls.parse(f"{os.environ.get('RANK', '')}/{size}")

    def of(self, groups: Sequence[T]) -> Sequence[T]:
        """Those of all groups that are this shard's."""
        return groups[self.index :: self.count]

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard()
