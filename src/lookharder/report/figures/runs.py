"""Runs as one figure: what was learnt, above; below, how: learning rate, gradient, speed. A colour is a run.

    loss by task        a point each row of metrics, faint; the line is their running median
    beside trivial      error of the averaged weights on held-out data / that of the best trivial answer (if validated)
    learning rate | gradient norm | images/s

A dashed line marks where another process took over, a cross at the foot of the gradients an update that was left out, a
grey span iterations that were excluded. A loss is a mean over the few examples of one batch: only its median says where
a run is. A loss in a legend is the end of the line.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.errors import InputError
from lookharder.files import make_folder
from lookharder.metrics.scores import SCORES
from lookharder.training.monitor.history import (
    History,
    HistoryRow,
    final_losses,
    running_median,
    summary,
)
from lookharder.visualize.axes import INK, SOFT, blank, legend, save, tidy

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's
STYLES = ("-", "--", ":")  # of the runs beyond the colours
SUFFIXES = (".png", ".pdf", ".svg")
POINTS, MOST = 600, 3000  # of a line, of points around it; more would not be seen


def draw_runs(histories: Sequence[History], path: str | Path, dpi: int = 150) -> None:
    """Write the figure; the suffix says the format. A file that is there must be a figure by matplotlib.

    Raises:
        InputError: no run, an unknown suffix, a path that cannot be, or no matplotlib.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError("--out", path, f"a file with one of the suffixes {list(SUFFIXES)}")
    if path.is_dir() or any(parent.is_file() for parent in path.absolute().parents):
        raise InputError("--out", path, "a file in a folder")
    if path.exists() and b"matplotlib" not in path.read_bytes().lower():
        got = f"{path}, which is no figure of this command"
        raise InputError("--out", got, "a new file, or one that it wrote")
    figure = figure_of(histories)
    make_folder(path.absolute().parent)
    save(figure, path, dpi)


def figure_of(histories: Sequence[History]) -> Any:
    """The figure, a `matplotlib.figure.Figure`.

    Raises:
        InputError: no run, or no matplotlib.
    """
    if not histories:
        raise InputError("RUN", "none", "one or more")
    tasks = list(dict.fromkeys(task for history in histories for task in history.tasks))
    scored = [t for t in SCORES if any(f"{t}.ratio" in r for h in histories for r in h.validations)]
    panels: list[list[Callable[[Any], None]]] = [
        [partial(_draw_loss, histories=histories, task=task) for task in tasks],
        [partial(_draw_ratio, histories=histories, task=task) for task in scored],
        [partial(draw, histories=histories) for draw in (_draw_lr, _draw_gradient, _draw_speed)],
    ]
    panels = [row for row in panels if row]
    width = max(len(row) for row in panels)
    figure = blank((3.6 * width, 2.6 * len(panels)), "--out")
    columns = math.lcm(*(len(row) for row in panels))
    grid = figure.add_gridspec(len(panels), columns)
    for i, row in enumerate(panels):
        span = columns // len(row)
        for j, draw in enumerate(row):
            axis = figure.add_subplot(grid[i, j * span : (j + 1) * span])
            draw(axis)
            _finish(axis, histories)
    return figure


def _draw_loss(axis: Any, histories: Sequence[History], task: str) -> None:
    final = [final_losses(history).get(task) for history in histories]
    names = [
        f"{history.name}: {loss:.3g}" if loss is not None else ""
        for history, loss in zip(histories, final, strict=True)
    ]
    _draw_rows(axis, histories, lambda row: row["losses"].get(task), names=names)
    axis.set(title=f"Training loss: {task}", ylabel=_unit(histories))
    _log(axis)


def _unit(histories: Sequence[History]) -> str:
    """What the loss is a mean of, where all runs agree."""
    targets = {history.config.get("chain", {}).get("prediction") for history in histories}
    (target,) = targets if len(targets) == 1 else (None,)
    return f"mean square error of {target}" if target else "mean square error"


def _draw_ratio(axis: Any, histories: Sequence[History], task: str) -> None:
    least = (
        2.0  # at most so far up, unless a run ends higher: the first validations may be very bad
    )
    for i, history in enumerate(histories):
        known = [row for row in history.validations if f"{task}.ratio" in row]
        x = [row["iteration"] for row in known]
        y = [row[f"{task}.ratio"] for row in known]
        axis.plot(x, y, **_look(i), marker="o", markersize=3, label=_last(history, y))
        least = max([least, *(1.3 * value for value in y[-1:])])
    axis.axhline(1, color=SOFT, linestyle=":", linewidth=1.2, label="best trivial answer")
    axis.set(title=f"Validation: {task}", ylabel="error / best trivial error")
    axis.set_ylim(0, max(1.1, min(least, axis.get_ylim()[1])))


def _last(history: History, values: Sequence[float]) -> str:
    return f"{history.name}: {values[-1]:.3g}" if values else ""


def _draw_lr(axis: Any, histories: Sequence[History]) -> None:
    names = [history.name for history in histories]
    _draw_rows(axis, histories, lambda row: row["lr"], raw=False, names=names)
    from matplotlib.ticker import StrMethodFormatter

    if any(history.restarts for history in histories):
        axis.plot([], [], color=SOFT, linestyle="--", linewidth=0.8, label="restart")
    if any(history.excluded for history in histories):
        axis.fill_between([], [], color=SOFT, alpha=0.3, linewidth=0, label="excluded")
    axis.set(title="Learning rate", ylabel="learning rate", ylim=(0, None))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _draw_gradient(axis: Any, histories: Sequence[History]) -> None:
    _draw_rows(axis, histories, lambda row: row["grad_norm"])
    axis.set(title="Gradient", ylabel="norm before clipping")
    _log(axis)
    for i, history in enumerate(histories):
        if skipped := history.skipped:
            foot = {"transform": axis.get_xaxis_transform(), "clip_on": False, "zorder": 5}
            style = {"marker": "x", "s": 18, "linewidth": 1.2, "color": _look(i)["color"]}
            label = f"{len(skipped)} updates left out"
            axis.scatter(skipped, [0.02] * len(skipped), label=label, **style, **foot)


def _draw_speed(axis: Any, histories: Sequence[History]) -> None:
    names = [
        "" if (rate := summary(history)["images_per_second"]) is None else f"{rate:,.3g} on average"
        for history in histories
    ]
    _draw_rows(axis, histories, lambda row: row.get("images_per_second"), names=names)
    axis.set(title="Throughput", ylabel="images / s", ylim=(0, None))


def _draw_rows(
    axis: Any,
    histories: Sequence[History],
    value: Callable[[HistoryRow], float | None],
    *,
    raw: bool = True,
    names: Sequence[str] = (),
) -> None:
    """A number of every row, over the iterations: the points and their running median, or (not `raw`) a line."""
    for i, history in enumerate(histories):
        rows = [row for row in history.rows if not row.get("excluded")]
        x = np.array([row["iteration"] for row in rows])
        y = np.array([np.nan if (v := value(row)) is None else v for row in rows], dtype=float)
        at = np.unique(np.linspace(0, len(x) - 1, min(POINTS, len(x))).astype(int))
        label = names[i] if names else ""
        if not raw:
            axis.plot(x[at], y[at], **_look(i), label=label)
            continue
        few = max(1, len(x) // MOST)
        dots = {
            "s": 2.5,
            "alpha": 0.22,
            "linewidth": 0,
            "color": _look(i)["color"],
            "rasterized": True,
        }
        axis.scatter(x[::few], y[::few], **dots)
        smooth = running_median(y, at)
        axis.plot(x[at], smooth, **_look(i), label=label)


def _look(i: int) -> dict[str, Any]:
    """How the line of run `i` is drawn."""
    turn, colour = divmod(i, len(COLOURS))
    return {"color": COLOURS[colour], "linestyle": STYLES[turn % len(STYLES)], "linewidth": 1.6}


def _log(axis: Any) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _finish(axis: Any, histories: Sequence[History]) -> None:
    """What all panels share: the iterations, restarts and excluded spans, and how they look."""
    from matplotlib.ticker import EngFormatter

    for i, history in enumerate(histories):
        for iteration in history.restarts:
            look = {**_look(i), "linestyle": "--", "linewidth": 0.8, "alpha": 0.6}
            axis.axvline(iteration, **look, zorder=1)
        for first, last in history.excluded:
            axis.axvspan(first, last, color=SOFT, alpha=0.3, linewidth=0)
    axis.set_xlim(0, max(history.rows[-1]["iteration"] for history in histories))
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlabel("iteration")
    axis.set_title(axis.get_title(), loc="left", fontsize=10, color=INK, fontweight="bold")
    axis.title.set_text("")
    tidy(axis)
    low = axis.get_ylim()[0] == 0 and axis.get_ylabel() != "learning rate"  # those start high
    if axis.get_legend_handles_labels()[0]:
        where = "lower left" if low else "upper right"
        legend(axis, loc=where, handlelength=1.4, borderaxespad=0.2)
