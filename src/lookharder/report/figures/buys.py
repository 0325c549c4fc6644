"""What the compute of an answer buys, as a figure: the change of the error over the cost."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lookharder.report.buys import Line, error_words
from lookharder.report.figures.svg import svg
from lookharder.visualize.axes import CYCLE, INK, MARKERS, legend_below, plain_ticks, tidy


def draw_buys(found: Iterable[Line]) -> str:
    """The lines as the text of an SVG file."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        dearest = 2.0
        for line, colour, mark in zip(found, CYCLE, MARKERS, strict=False):
            cost = [buy.cost for buy in line.buys]
            dearest = max(dearest, *cost)
            change, low, high = (
                -np.array([getattr(buy.gain, of) for buy in line.buys])
                for of in ("value", "high", "low")
            )
            bars = np.maximum([change - low, high - change], 0)
            axis.plot([1, *cost], [0, *change], color=colour, lw=1.5)
            look: Any = {"color": colour, "marker": mark, "ms": 5, "elinewidth": 0.9}
            axis.errorbar(cost, change, yerr=bars, ls="", label=line.name, **look)
        axis.axhline(0, color=INK, lw=0.9)
        axis.plot([1], [0], "o", ms=7, color=INK, label="the cheapest answer")
        axis.set(xscale="log", xlabel="compute of an answer, times that of the cheapest")
        axis.set(ylabel=f"{error_words()}: change, %; down is better")
        plain_ticks(axis.xaxis, 1.0, dearest)
        tidy(axis)
        legend_below(figure, axis.get_legend_handles_labels()[0])

    return svg((5.6, 4.4), draw)
