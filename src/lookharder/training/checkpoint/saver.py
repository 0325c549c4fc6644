"""Saving while training goes on: the state is copied, and a thread brings the copy to the disk.

    saver.save(i, state, meta)      waits for the save before, copies, returns: that is all that training waits for
    saver.check()                   raises what a save that has ended had to say
    saver.settle()                  waits until nothing is in flight

The copy lies in host memory that is allocated once and used again, as at most one save is in flight; `waited` adds up
what training has waited. Leaving the block waits too, so what was copied is saved whatever ends the block, but a kill.
"""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from lookharder.training import checkpoint
from lookharder.training.distributed.ranks import ALONE, Ranks
from lookharder.training.distributed.sharding import is_sharded

log = logging.getLogger(__name__)


class Saver:
    """Saves the checkpoints of one run, one at a time.

    Attributes:
        waited: seconds for which its callers have been kept waiting, all in all.
    """

    def __init__(self, folder: Path, keep: int, ranks: Ranks = ALONE, every: int = 1) -> None:
        """Save into `folder`; `keep` and `every` are as in `checkpoint.save`, `ranks` is for this saver alone."""
        self.folder, self.keep, self.ranks, self.every = folder, keep, ranks, every
        self.waited = 0.0
        self._memory: dict[str, Tensor] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="save")
        self._pending: Future[Path] | None = None

    def save(self, iteration: int, state: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Copy a state and begin to save it; every rank calls this at the same iterations."""
        self.settle()
        began = time.perf_counter()
        sharded = any(is_sharded(tensor) for tensor in state.values())
        if sharded or self.ranks.rank == 0:  # a state that all have is written by one
            writers = self.ranks if sharded else ALONE
            copy = self._copy(checkpoint.owned(state, self.ranks.rank))
            self._pending = self._thread.submit(
                checkpoint.save,
                *(self.folder, iteration, copy, meta, self.keep, writers, self.every),
            )
        self.waited += time.perf_counter() - began

    def check(self) -> None:
        """Raise what a save that has ended in the meantime has raised."""
        if self._pending is not None and self._pending.done():
            self.settle()

    def settle(self) -> None:
        """Wait for the save in flight, and raise what it raised."""
        began = time.perf_counter()
        pending, self._pending = self._pending, None
        try:
            if pending is not None:
                pending.result()
        finally:
            self.waited += time.perf_counter() - began

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.settle()
        except Exception as failure:
            if error is None:
                raise
            log.error("not saved: %s", failure)  # `error` is why the block ends; it goes on
        finally:
            self._thread.shutdown()

    def _copy(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors in the memory of this saver, which is pinned where they come from a GPU."""
        if self._memory.keys() != tensors.keys():
            self._memory = {
                name: torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
                for name, tensor in tensors.items()
            }
        for name, tensor in tensors.items():
            self._memory[name].copy_(tensor.detach(), non_blocking=True)
        if any(tensor.is_cuda for tensor in tensors.values()):
            torch.cuda.synchronize()
        return self._memory
