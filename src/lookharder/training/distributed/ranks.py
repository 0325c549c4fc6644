"""What several processes do together: all succeed, or all hear of the failure and stop.

    ranks.together(work)      every process works; each gets the results of all, in order of rank
    ranks.first(work)         rank 0 works; each gets its result

An error on any process is raised on every one, so none waits for another that has given up. A job of one process talks
to nobody. Only small values travel, between processes of one job, over a group of their own: a thread that saves and
the loop that trains never mix their messages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """One process of a job, and its way to act together with the others.

    Attributes:
        rank: its number.
        size: how many there are.
        group: carries their messages; None for a job of one process.
    """

    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None

    @classmethod
    def join(cls) -> "Ranks":
        """All processes of the job, over a new group; every one of them calls this, in the same order."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo"))

    def together(self, work: Callable[[], T]) -> list[T]:
        """What `work` returned on each process; an exception on any is raised on all."""
        if self.size == 1:
            return [work()]
        mine: tuple[T | None, Exception | None]
        try:
            mine = work(), None
        except Exception as failure:
            mine = None, failure
        everyone: list[Any] = [None] * self.size
        dist.all_gather_object(everyone, mine, group=self.group)
        if mine[1] is not None:
            raise mine[1]
        for _, error in everyone:
            if error is not None:
                raise error
        return [value for value, _ in everyone]

    def first(self, work: Callable[[], T]) -> T:
        """What `work` returned on rank 0, which alone does it."""
        return self.together(lambda: work() if self.rank == 0 else None)[0]  # type: ignore[return-value]


ALONE = Ranks()
