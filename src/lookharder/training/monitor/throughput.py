"""How fast a run is and what it waits for: what a row of metrics says beside loss and gradient; and TensorBoard.

    meter = Meter(iteration_macs(chain, config.train, datasets), peak_flops(device, "bfloat16"))
    for step in train(...):
        meter.update(step)
        with meter.validating(): ...
        row = asdict(step) | meter.row(saving)     # all since the row before, not of the last iteration alone

    images/s       images / time in iterations
    MACs/s         3 x MACs of one forward of the network, for each item / time in iterations: forward 1, backward 2
    MFU            2 x MACs/s / peak FLOP/s of all devices (PaLM, 2204.02311, appendix B); a block that is computed
                   again on the way back does not raise it
    data wait      of the time in iterations, the share that was spent waiting for data
    save stall     of the wall time, the share in which the loop waited for a checkpoint
    goodput        time in iterations whose updates are in the weights / wall time since the run's first start; a row
                   gives what it takes (`busy_seconds`, `started`, `time`), for only the whole history has restarts

MACs are of the network; those of the autoencoder are not counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lookharder.chain import Chain
from lookharder.data.example import Dataset
from lookharder.errors import InputError
from lookharder.hardware import peak_of
from lookharder.models import flops
from lookharder.training.batches import apportion, size_of
from lookharder.training.config import TrainConfig, task_of
from lookharder.training.loop import TrainStep

Readings = dict[str, float | None]


def peak_flops(device: torch.device, precision: str, count: int = 1) -> float | None:
    """Peak FLOP/s of so many devices of one kind; None where it is not known, as on a CPU."""
    if device.type != "cuda":
        return None
    peak = peak_of(torch.cuda.get_device_name(device), precision)
    return None if peak is None else count * peak


def iteration_macs(chain: Chain, config: TrainConfig, datasets: Mapping[str, Dataset]) -> int:
    """Multiply-adds of one iteration: 3 forwards for each item; the first example of a set tells its size."""
    total = 0
    for name, count in apportion(config.mix, config.batch_size).items():
        height, width = size_of(chain, name, datasets[name])
        forward = flops.count(chain.config.model, height, width).macs
        total += 3 * count * chain.task(task_of(name)).fields * forward
    return total


class Meter:
    """Sums over the iterations since the last row of metrics."""

    def __init__(
        self,
        macs: int,
        peak: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Start the clock, right before the first iteration.

        Args:
            macs: of one iteration, over all ranks.
            peak: FLOP/s of all devices at their best; None for unknown, and no MFU.
            clock: seconds, of a clock that only grows.
            now: seconds since 1970, which tell the processes of one run apart.
        """
        self.macs, self.peak, self.clock, self.started = macs, peak, clock, now()
        self._reset()

    def _reset(self) -> None:
        self.began = self.clock()
        self.images, self.computed = 0, 0
        self.seconds, self.waited, self.busy = 0.0, 0.0, 0.0
        self.validation = 0.0

    def update(self, step: TrainStep) -> None:
        """Count an iteration; one that was left out is work done, but not work that counts."""
        if step.excluded:
            return
        self.images += step.images
        self.computed += 1
        self.seconds += step.seconds
        self.waited += step.data_seconds
        self.busy += 0.0 if step.skipped else step.seconds

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Around a validation."""
        began = self.clock()
        try:
            yield
        finally:
            self.validation += self.clock() - began

    def row(self, saving: float = 0.0) -> Readings:
        """What has been since the row before; a rate over no time is None. Begins the next row.

        A run that goes back throws one away: what it has done since the row before is going to be done again.

        Args:
            saving: seconds for which the loop has waited for checkpoints since then.
        """
        wall = self.clock() - self.began
        rate = _over(self.macs * self.computed, self.seconds)
        fields: Readings = {
            "images_per_second": _over(self.images, self.seconds),
            "macs_per_second": rate,
            "mfu": None if rate is None or self.peak is None else 2 * rate / self.peak,
            "data_wait": _over(self.waited, self.seconds),
            "save_stall": _over(saving, wall),
            "save_seconds": saving,
            "validation_seconds": self.validation,
            "busy_seconds": self.busy,
            "started": self.started,
        }
        self._reset()
        return fields


def _over(amount: int | float, seconds: float) -> float | None:
    return amount / seconds if seconds > 0 else None


def scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row of metrics or of validation by their TensorBoard tags: `losses/depth`, `speed/mfu`, ...

    What is None, a word or a flag is left out, and what identifies the row: its iteration and time.
    """
    found: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{key}/{name}": number for name, number in value.items()}
        else:
            found[key] = value
    ignored = ("iteration", "time", "started", "images")
    return {
        _tag(key): float(value)
        for key, value in found.items()
        if key not in ignored and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _tag(key: str) -> str:
    """Where TensorBoard shows a number; a validation's `depth.abs_rel` is a number of `validation`."""
    if "." in key:
        return "validation/" + key.replace(".", "_")
    speed = key.endswith(("_per_second", "seconds", "_wait", "_stall")) or key == "mfu"
    return f"speed/{key}" if speed else key


def summary_writer() -> Callable[..., Any]:
    """TensorBoard's.

    Raises:
        InputError: it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        allowed = "false, or the extra: pip install 'lookharder[tensorboard]'"
        raise InputError("tensorboard", f"true, but {error}", allowed) from error
    return SummaryWriter


class Board:
    """Scalars for TensorBoard, beside the JSONL that is always written: `tensorboard --logdir RUN`."""

    def __init__(self, folder: Path, iteration: int = 0) -> None:
        """Open a folder of events; those after `iteration` are hidden, as the lines of metrics are cut off."""
        self.writer: Any = summary_writer()(str(folder), purge_step=iteration + 1)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add the numbers of a row at its iteration."""
        for tag, value in scalars(row).items():
            self.writer.add_scalar(tag, value, row["iteration"], walltime=row.get("time"))

    def close(self) -> None:
        """Bring the events to the disk."""
        self.writer.close()
