"""What runs have written about themselves, read back: a run still going, one that was killed, one long finished.

    busy       time in iterations whose updates are in the weights
    hours      wall time since the run's first start, pauses between its processes included
    goodput    busy / wall. What lowers it: data, checkpoints, validations, restarts, and iterations done twice,
               because the first time was not saved

A row of metrics sums over the iterations since the row before it, where it has `busy_seconds` (`training.watch`); of an
older row, the one iteration that it describes stands for them all. Processes are told apart by `started`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lookharder.config import from_json
from lookharder.errors import InputError
from lookharder.jsons import as_object, parse_json, read_json
from lookharder.visualize.html import Table

HistoryRow = dict[str, Any]
SHOWN = {  # of a summary: what the table calls it, digits, factor
    "iterations": ("iterations", 0, 1.0),
    "hours": ("hours", 2, 1.0),
    "images_per_second": ("images/s", 1, 1.0),
    "macs_per_second": ("GMACs/s", 1, 1e-9),
    "mfu": ("MFU, %", 1, 100.0),
    "data_wait": ("data wait, %", 1, 100.0),
    "save_stall": ("save stall, %", 1, 100.0),
    "validation_stall": ("validation, %", 1, 100.0),
    "goodput": ("goodput, %", 1, 100.0),
    "restarts": ("restarts", 0, 1.0),
    "skipped": ("updates left out", 0, 1.0),
}
NOTE = (
    "Hours since the first start, pauses included. Data wait is a share of the time in iterations; save stall, "
    "validation and goodput are shares of the hours. A final loss is a median."
)
WINDOW = 1 / 20  # of a run: over so much of its rows a running median goes
Numbers = Float[np.ndarray, "n"]


@dataclass(frozen=True, kw_only=True)
class _Span:
    """Iterations that were passed over."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is asked of a row, of any kind; null is a number that was not finite."""

    iteration: int = 0
    losses: dict[str, float | None] = field(default_factory=dict)
    passed_over: _Span | None = None
    seconds: float = 0.0
    time: float = 0.0
    started: float | None = None
    busy_seconds: float = 0.0
    images_per_second: float | None = None
    macs_per_second: float | None = None
    mfu: float | None = None
    data_wait: float | None = None
    data_seconds: float | None = None
    save_seconds: float = 0.0
    validation_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """One run.

    Attributes:
        name: of its folder.
        config: `config.json`.
        rows: lines of `metrics.jsonl`, oldest first, at least one.
        validations: lines of `validation.jsonl`, likewise, maybe none.
    """

    name: str
    config: dict[str, Any]
    rows: list[HistoryRow]
    validations: list[HistoryRow]

    @property
    def tasks(self) -> list[str]:
        """The tasks that have losses, in the order of the first row that has them."""
        return list(dict.fromkeys(task for row in self.rows for task in row["losses"]))

    @property
    def restarts(self) -> list[int]:
        """Iterations after which another process went on."""
        return [
            before["iteration"]
            for before, after in pairwise(self.rows)
            if before.get("started") != after.get("started")
        ]

    @property
    def skipped(self) -> list[int]:
        """Iterations whose update was left out, of those that have a row."""
        return [row["iteration"] for row in self.rows if row.get("skipped")]

    @property
    def excluded(self) -> list[tuple[int, int]]:
        """Spans that were passed over: as the first of their rows tells, or else from the row before to its own."""
        spans: list[tuple[int, int]] = []
        for before, row in pairwise([{"iteration": 0}, *self.rows]):
            if window := row.get("passed_over"):
                spans.append((window["first"] - 1, window["last"]))
            elif row.get("excluded") and not (spans and row["iteration"] <= spans[-1][1]):
                spans.append((before["iteration"], row["iteration"]))
        return spans


def read_history(folder: Path) -> History:
    """Read a run's folder; a last line that is torn, as a kill or a running process leaves it, is passed over.

    Raises:
        InputError: no run, a run without a row yet, or a line that is not as it was written.
    """
    for name in ("config.json", "metrics.jsonl"):
        if not (folder / name).is_file():
            raise InputError("RUN", f"{folder}, without {name}", "folders of `lookharder train`")
    config = as_object(read_json(folder / "config.json"), "config.json")
    rows = _lines(folder / "metrics.jsonl", ("iteration", "losses", "seconds", "time"))
    if not rows:
        raise InputError("RUN", f"{folder}, with no row of metrics yet", "a run that has begun")
    path = folder / "validation.jsonl"
    validations = _lines(path, ("iteration",)) if path.exists() else []
    name = folder.resolve().name
    return History(name=name, config=config, rows=rows, validations=validations)


def read_histories(folders: Sequence[Path]) -> list[History]:
    """Read several runs; where two folders have one name, runs are called by their paths."""
    histories = [read_history(folder) for folder in folders]
    if len({history.name for history in histories}) == len(histories):
        return histories
    pairs = zip(histories, folders, strict=True)
    return [replace(history, name=str(folder)) for history, folder in pairs]


def _lines(path: Path, keys: Sequence[str]) -> list[HistoryRow]:
    rows: list[HistoryRow] = []
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        name = f"{path}, line {number}"
        try:
            row = as_object(parse_json(line, name), name)
        except InputError:
            if number < len(lines):
                raise
            break  # torn
        if missing := [key for key in keys if key not in row]:
            raise InputError(name, f"no {missing}", f"a row with {list(keys)}")
        known = {field.name for field in fields(_Known)} & row.keys()
        typed = from_json(_Known, {key: row[key] for key in known}, name)
        floats = {k: v for k in known if isinstance(v := getattr(typed, k), float)}  # 1 is 1.0
        rows.append(row | floats)
    return rows


def busy_seconds(history: History) -> list[float]:
    """Time in iterations that count, between each row and the one before."""
    steps = [
        b["iteration"] - a["iteration"] for a, b in pairwise([{"iteration": 0}, *history.rows])
    ]
    return [
        row.get("busy_seconds", row["seconds"] * step)
        for row, step in zip(history.rows, steps, strict=True)
    ]


def wall_seconds(history: History) -> float:
    """Time from the first start to the last row."""
    first, last = history.rows[0], history.rows[-1]
    began = first.get("started", first["time"] - busy_seconds(history)[0])
    return float(last["time"] - began)


def running_median(
    values: Numbers, at: Sequence[int] | np.ndarray | None = None
) -> Float[np.ndarray, "m"]:
    """Median around each value, over `WINDOW` of them all; those that are not finite do not count.

    The window opens with the first value, so that a steep beginning is not smeared; at the end it keeps its length,
    so that the last median is as sure as any.

    Args:
        values: in order.
        at: indices at which it is wanted; None for all.
    """
    count = len(values)
    half = max(1, int(count * WINDOW / 2))
    found = []
    for i in range(count) if at is None else at:
        reach = min(half, i)
        near = values[max(0, min(i - reach, count - 1 - 2 * reach)) : i + reach + 1]
        near = near[np.isfinite(near)]
        found.append(np.median(near) if len(near) else np.nan)
    return np.array(found)


def final_losses(history: History) -> dict[str, float]:
    """The end of the running median, by task."""
    found = {}
    for task in history.tasks:
        values = np.array([row["losses"].get(task, np.nan) for row in history.rows], dtype=float)
        found[task] = float(running_median(values, [len(values) - 1])[0])
    return {task: value for task, value in found.items() if math.isfinite(value)}


def summary(history: History) -> dict[str, float | None]:
    """A run in numbers; None for what its rows do not say. Shares are of the wall time, data wait of the busy time."""
    rows, busy, wall = history.rows, busy_seconds(history), wall_seconds(history)
    total = sum(busy)

    def mean(values: list[float | None]) -> float | None:
        """Over the busy time, of the rows that have a value."""
        known = [(v, b) for v, b in zip(values, busy, strict=True) if v is not None]
        weight = sum(b for _, b in known)
        return sum(v * b for v, b in known) / weight if weight > 0 else None

    def share(key: str) -> float | None:
        found = [row[key] for row in rows if key in row]
        return sum(found) / wall if found and wall > 0 else None

    waits = [row.get("data_wait", _share(row.get("data_seconds"), row["seconds"])) for row in rows]
    return {
        "iterations": float(rows[-1]["iteration"]),
        "hours": wall / 3600,
        "images_per_second": mean([row.get("images_per_second") for row in rows]),
        "macs_per_second": mean([row.get("macs_per_second") for row in rows]),
        "mfu": mean([row.get("mfu") for row in rows]),
        "data_wait": mean(waits),
        "save_stall": share("save_seconds"),
        "validation_stall": share("validation_seconds"),
        "goodput": total / wall if wall > 0 else None,
        "restarts": float(len(history.restarts)),
        "skipped": float(len(history.skipped)),
    }


def _share(part: float | None, whole: float) -> float | None:
    return None if part is None or whole <= 0 else part / whole


def summary_table(histories: Sequence[History]) -> Table:
    """A column for each run; blank is what its rows do not say."""
    tasks = list(dict.fromkeys(task for history in histories for task in history.tasks))
    found = [summary(history) for history in histories]
    losses = [final_losses(history) for history in histories]
    rows = [
        (name, *(_words(numbers[key], digits, factor) for numbers in found))
        for key, (name, digits, factor) in SHOWN.items()
    ]
    rows += [(f"final loss, {t}", *(_words(loss.get(t), 4) for loss in losses)) for t in tasks]
    return Table(columns=("", *(history.name for history in histories)), rows=rows)


def _words(value: float | None, digits: int, factor: float = 1.0) -> str:
    return "" if value is None else f"{value * factor:,.{digits}f}"
