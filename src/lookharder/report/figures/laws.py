"""A law as a figure: what was measured, what was fitted, and how far it may be believed.

Points with their intervals, the law with and without offset, its band, laws of others as thin lines; below, the
residuals in percent: where they bend, the form is wrong. The held-out point is drawn hollow, with what the law of the
other points predicted of it: that distance, not the closeness of the curve, says what the law is worth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.errors import InputError
from lookharder.scaling.law import HeldOut, Law
from lookharder.visualize.axes import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    SOFT,
    blank,
    legend_below,
    plain_ticks,
    save,
    tidy,
)

HELD = "largest, held out"
BEYOND = (1 / 1.5, 4.0)  # how far the curves go on past the points
LARGE = 12.0  # logarithm of a coefficient that is written as a power of ten
NOTHING = 1e-5  # an offset that is such a share of the value is one of 0


@dataclass(frozen=True, kw_only=True)
class Points:
    """What was measured, to be drawn.

    Attributes:
        x: where.
        value: what.
        low: lower ends of their intervals; None where there are none.
        high: upper ends.
        label: in the legend.
    """

    x: Sequence[float]
    value: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    label: str = "measured"


def draw_law(
    path: str | Path,
    points: Points,
    law: Law,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    bare: Law | None = None,
    others: Mapping[str, Law] | None = None,
    dpi: int = 160,
) -> None:
    """Write the figure of a law of one variable; the suffix says the format.

    Args:
        path: the file.
        points: that the law was fitted to.
        law: with an offset, as a rule.
        title: of the figure.
        xlabel: what x is, and its unit.
        ylabel: what the value is.
        bare: a law without offset of the same points, dashed.
        others: laws to be held against it by what to call them, thin.
        dpi: of pixels.

    Raises:
        InputError: a law of several variables, or no matplotlib.
    """
    if len(law.variables) != 1:
        raise InputError("law", f"a law of {list(law.variables)}", "a law of one variable")
    figure = blank((5.2, 5.6))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    x = np.asarray(points.x, np.float64)
    at = np.geomspace(x.min() * BEYOND[0], x.max() * BEYOND[1], 120)
    least, most = _heights(points, float(law.predict(float(at[-1]))))
    paper = (least / 10, most * 10)  # what a vague law knows not may lie where no axis reaches

    if law.samples:
        low, high = (np.clip(end, *paper) for end in law.band(at))
        upper.fill_between(at, low, high, color=BLUE, alpha=0.15, lw=0, label="95 % of the law")
    if law.has_offset and law.offset > least / 1.12:
        words = f"floor E = {law.offset:.3g}"
        upper.axhline(law.offset, color=SOFT, lw=0.8, ls=(0, (5, 3)), label=words)
    _draw_curves(upper, at, law, x, bare, others or {})
    held = law.held_out
    out = np.zeros(len(x), bool) if held is None else np.isclose(x, held.at[0], rtol=1e-9)
    _draw_points(upper, points, out, points.label)
    _draw_points(lower, _residuals(law, points), out, None)
    if held is not None:
        _draw_prediction(upper, held, paper)

    upper.set(title=title, ylabel=ylabel, xscale="log", yscale="log")
    upper.set_ylim(least / 1.12, most * (most / least) ** 0.12)
    lower.axhline(0, color=BLUE, lw=1.2)
    lower.set(xlabel=xlabel, ylabel="off the law, %", xlim=(at[0], at[-1]))
    for axis in (upper, lower):
        tidy(axis)
    legend_below(figure, upper.get_legend_handles_labels()[0], fontsize=7.5, handlelength=2.0)
    plain_ticks(upper.yaxis, least, most)
    plain_ticks(lower.xaxis, at[0], at[-1])
    figure.align_ylabels()
    save(figure, path, dpi)


def _heights(points: Points, end: float) -> tuple[float, float]:
    """The least and the most of what has to be seen: the points, and of where the law goes no more than their range."""
    every = (*points.value, *(points.low or ()), *(points.high or ()))
    seen = [value for value in every if value > 0]
    least, most = min(seen), max(seen)
    reach = most / least
    return min(least, max(end, least / reach)), max(most, min(end, most * reach))


def _draw_curves(
    axis: Any,
    at: np.ndarray,
    law: Law,
    x: np.ndarray,
    bare: Law | None,
    others: Mapping[str, Law],
) -> None:
    """The law, dotted beyond the largest point, and those to be held against it."""
    curve, inside = np.asarray(law.predict(at)), (at >= x.min()) & (at <= x.max())
    axis.plot(at[inside], curve[inside], color=BLUE, lw=1.8, label=_formula(law))
    axis.plot(at[at > x.max()], curve[at > x.max()], color=BLUE, lw=1.2, ls=(0, (1, 1.5)))
    if bare is not None:
        other = np.asarray(bare.predict(at))
        axis.plot(at, other, color=ORANGE, lw=1.1, ls="--", label=_formula(bare))
    for i, (name, another) in enumerate(others.items()):
        look = ("-", "-.", ":")[i % 3]
        axis.plot(at, np.asarray(another.predict(at)), color=SOFT, lw=0.9, ls=look, label=name)


def _draw_prediction(axis: Any, held: HeldOut, paper: tuple[float, float]) -> None:
    """What the law of the other points says of the largest, beside it."""
    ends = (held.predicted if end is None else end for end in (held.low, held.predicted, held.high))
    low, middle, high = np.clip(list(ends), *paper)
    label = f"predicted: {100 * held.error:+.1f} % (no law: {100 * held.baseline_error:+.1f} %)"
    axis.errorbar(
        [held.at[0] * 1.12],
        [middle],
        yerr=[[max(middle - low, 0.0)], [max(high - middle, 0.0)]],
        fmt="D",
        ms=4,
        color=GREEN,
        elinewidth=0.9,
        label=label,
        zorder=6,
    )


def _residuals(law: Law, points: Points) -> Points:
    """Measured over fitted, in percent, and the ends of its interval."""
    fitted = np.asarray(law.predict(np.asarray(points.x, np.float64)))

    def percent(values: Sequence[float]) -> list[float]:
        return [float(v) for v in 100 * (np.asarray(values) / fitted - 1)]

    return Points(
        x=points.x,
        value=percent(points.value),
        low=None if points.low is None else percent(points.low),
        high=None if points.high is None else percent(points.high),
    )


def _draw_points(axis: Any, points: Points, out: np.ndarray, label: str | None) -> None:
    """Full where the law saw them in its test, hollow where they were held out."""
    x, y = np.asarray(points.x, np.float64), np.asarray(points.value, np.float64)
    bars = None
    if points.low is not None and points.high is not None:
        bars = np.maximum([y - np.asarray(points.low), np.asarray(points.high) - y], 0)
    for chosen, fill, words in ((~out, INK, label), (out, "white", label and HELD)):
        if chosen.any():
            axis.errorbar(
                x[chosen],
                y[chosen],
                yerr=None if bars is None else bars[:, chosen],
                fmt="o",
                ms=4.6,
                mfc=fill,
                mec=INK,
                ecolor=INK,
                elinewidth=0.8,
                label=words,
                zorder=5,
            )


def _formula(law: Law) -> str:
    (a,), (log,) = law.exponents, law.log_coefficients
    small = f"{law.coefficient:.3g}" if abs(log) < LARGE else f"10$^{{{log / np.log(10):.0f}}}$"
    text = f"{small} x$^{{{-a:.3g}}}$"
    if law.has_offset and law.offset > NOTHING * float(law.predict(law.largest[0])):
        text = f"{law.offset:.3g} + {text}"
    if law.samples:
        low, high = law.interval("exponent")
        text += f"  (a {low:.2g} to {high:.2g})"
    return text
