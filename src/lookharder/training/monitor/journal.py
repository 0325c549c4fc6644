"""The metrics of a run: a line of JSON every few iterations, and for each that was not like the others.

A run that resumes or goes back cuts the lines after its checkpoint off and writes them anew, so that the finished file
is what an uninterrupted run leaves (but for the times in it).
"""

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from lookharder.files import atomic
from lookharder.jsons import parse_json
from lookharder.training.loop import TrainStep


class Journal:
    """`metrics.jsonl`, open for appending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = path.open("a", encoding="utf-8")

    def cut(self, iteration: int) -> None:
        """Cut off what was written after an iteration, and lines that a crash has torn."""
        self._handle.close()
        lines = self.path.read_bytes().splitlines(keepends=True)
        with atomic(self.path) as aside:
            aside.write_bytes(b"".join(line for line in lines if _until(line, iteration)))
        self._handle = self.path.open("a", encoding="utf-8")

    def write(self, step: TrainStep, **more: object) -> dict[str, object]:
        """Add the line of one step, with more keys if any, and return it."""
        rate = step.images / step.seconds if step.seconds else 0.0
        row = {**asdict(step), "images_per_second": rate, "time": time.time(), **more}
        row["losses"] = {name: _finite(loss) for name, loss in step.losses.items()}
        row = {key: _finite(value) for key, value in row.items()}
        print(json.dumps(row, allow_nan=False), file=self._handle, flush=True)
        return row

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handle.close()


def _finite(value: object) -> object:
    """The value; null for a number that JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _until(line: bytes, iteration: int) -> bool:
    """Whether a line is whole and of an iteration no later than that."""
    try:
        return line.endswith(b"\n") and parse_json(line, "line")["iteration"] <= iteration
    except (ValueError, KeyError, TypeError):  # what a power loss may leave: zeros, half a line
        return False
