"""What a training budget buys: the law of each size over compute, the least error of each budget, and residuals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lookharder.report.figures.svg import svg
from lookharder.report.parts import TRAIN, metric_word
from lookharder.scaling.laws import Family
from lookharder.scaling.record import Record
from lookharder.visualize.axes import CYCLE, INK, MARKERS, legend_below, plain_ticks, tidy


def draw_frontier(family: Family, records: Sequence[Record]) -> str:
    """The figure as the text of an SVG file.

    Args:
        family: whose law it is.
        records: the trainings that the law was fitted to.
    """
    law = family.training
    costs = [record.train_macs for record in records]
    at = np.geomspace(min(costs) / 1.5, max(costs) * 2, 200)

    def draw(figure: Any) -> None:
        axis, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        curves = []
        for i, size in enumerate(family.sizes):
            colour = CYCLE[i % len(CYCLE)]
            sizes = np.full_like(at, size.n)
            curve = np.asarray(law.predict(sizes, at / size.image_macs))
            curves.append(curve)
            axis.plot(at, curve, color=colour, lw=1.1, alpha=0.8)
            mine = [r for r in records if r.active_params == size.active_params]
            x, y = (np.array([getattr(r, of) for r in mine]) for of in ("train_macs", "value"))
            look: Any = {"marker": MARKERS[i % len(MARKERS)], "color": colour, "ms": 4.5}
            axis.plot(x, y, ls="", label=size.name, **look)
            seen = np.array([float(r.train_images or 0) for r in mine])
            off = 100 * (y / law.predict(np.full_like(y, size.n), seen) - 1) if mine else y
            below.plot(x, off, ls="", **look)
        axis.plot(at, np.min(curves, axis=0), color=INK, lw=2, ls=":", label="least")
        below.axhline(0, color=INK, lw=1)
        below.set(xlabel=TRAIN, ylabel="off the law, %")
        tidy(below)
        axis.set(xscale="log", yscale="log")
        axis.set(ylabel=metric_word(family.task, family.metric))
        values = [record.value for record in records]
        axis.set_ylim(min(values) / 1.08, max(values) * 1.08)
        plain_ticks(axis.yaxis, min(values), max(values))
        tidy(axis)
        legend_below(figure, axis.get_legend_handles_labels()[0])

    return svg((7.2, 5.6), draw)
