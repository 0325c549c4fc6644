"""Where a run happens and when it ends: the device, the wish to stop, the speed.

A run is asked to stop by a signal: SIGTERM (a scheduler's), SIGUSR1 or 2 (its early warning) or SIGINT
(Ctrl-C). The signal only raises a flag; the loop looks at it between two iterations, so what it
saves is always a whole state.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Literal

from lookharder.errors import InputError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """How the work of one iteration is laid out; what is learnt does not depend on it, but for rounding.

    Attributes:
        shard: ranks that together hold one copy of the weights and of the optimiser. 1 = a copy on each (DDP),
            as many as there are = one copy in all (FSDP2), between = a copy on each group of so many (HSDP).
        accumulate: micro-batches an update; each holds so much less of the batch in memory.
        precision: "bfloat16" runs the network under autocast; weights, gradients and moments stay float32.
        recompute: keep only what enters a block, and compute its inside again on the way back.
        compiled: fuse each block by `torch.compile`.
    """

    shard: int = 1
    accumulate: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    recompute: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        for name in ("shard", "accumulate"):
            if getattr(self, name) < 1:
                raise InputError(f"runtime.{name}", getattr(self, name), "1 or more")
        if self.precision not in ("float32", "bfloat16"):
            raise InputError("runtime.precision", self.precision, "'float32' or 'bfloat16'")


class Stop:
    """A flag for the loop to poll.

    Attributes:
        stop_requested: whether any signal has come.
        received: its name, e.g. "SIGTERM", or None.
    """

    def __init__(self) -> None:
        self.stop_requested = False
        self.received: str | None = None

    def request(self, number: int, frame: FrameType | None = None) -> None:
        """The handler: raise the flag; a second Ctrl-C does not wait for the loop."""
        if self.stop_requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop_requested = True
        self.received = signal.Signals(number).name


@contextmanager
def signals() -> Iterator[Stop]:
    """Turn `SIGNALS` into a flag while the block runs, then give the former handlers back.

    Only the main thread may handle signals; in any other the flag is never raised by one.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = {number: signal.signal(number, stop.request) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler or signal.SIG_DFL)


class Throughput:
    """Images per second over the last `window` iterations, and the time left at that speed.

    It reads the clock of the host and waits for no device: a GPU's queue is bounded, so over a
    window both agree.
    """

    def __init__(self, window: int = 50, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start the clock, right before the first iteration."""
        self.clock = clock
        self.images = 0
        self.marks: deque[tuple[float, int]] = deque([(clock(), 0)], maxlen=window + 1)

    def update(self, images: int) -> None:
        """Note the end of an iteration over so many images."""
        self.images += images
        self.marks.append((self.clock(), self.images))

    @property
    def images_per_second(self) -> float | None:
        """None before the first iteration has ended."""
        (begin, before), (end, after) = self.marks[0], self.marks[-1]
        return (after - before) / (end - begin) if end > begin else None

    def seconds_left(self, images: int) -> float | None:
        """Time that so many more images take; None before the first iteration has ended."""
        rate = self.images_per_second
        return images / rate if rate else None
