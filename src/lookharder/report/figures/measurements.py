"""Measurements as curves: one metric over the axis of its study, seeds as dots, their mean as a line."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lookharder.report.figures.svg import svg
from lookharder.report.parts import Part, at, metric_word, place_words
from lookharder.scaling.record import Record
from lookharder.visualize.axes import CYCLE, MARKERS, legend, plain_ticks, tidy


def draw_measurements(records: Sequence[Record], part: Part) -> str:
    """Measurements of one task and metric over the axis of their study."""
    lines: dict[str, list[Record]] = {}
    for record in records:
        lines.setdefault(place_words(record.point, part.lines), []).append(record)
    names = list(dict.fromkeys(at(r, part.x) for r in records))
    kinds = any(isinstance(name, str) for name in names)
    places = {name: i for i, name in enumerate(names)}

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for i, (name, members) in enumerate(lines.items()):
            colour = CYCLE[i % len(CYCLE)]
            mark = MARKERS[(i + i // len(CYCLE)) % len(MARKERS)]  # beyond the colours, other pairs
            by_x: dict[float, list[Record]] = {}
            for record in members:
                value = at(record, part.x)
                by_x.setdefault(float(places[value] if kinds else value), []).append(record)
            xs = sorted(by_x)
            mean = [float(np.mean([r.value for r in by_x[x]])) for x in xs]
            low = [float(np.mean([r.low for r in by_x[x]])) for x in xs]
            high = [float(np.mean([r.high for r in by_x[x]])) for x in xs]
            bars = np.maximum([np.subtract(mean, low), np.subtract(high, mean)], 0)
            axis.errorbar(
                xs,
                mean,
                yerr=bars,
                color=colour,
                marker=mark,
                ms=4.5,
                lw=0 if kinds else 1.3,
                elinewidth=0.8,
                label=name or "measured",
            )
            for x in xs:
                seeds = [r.value for r in by_x[x]]
                axis.plot([x] * len(seeds), seeds, ".", ms=3.5, color=colour, alpha=0.55)
        axis.set(xlabel=part.xlabel, ylabel=metric_word(records[0].task, records[0].metric))
        if kinds:
            axis.set_xticks(range(len(names)), [str(name).replace(", ", ",\n") for name in names])
            axis.set_xlim(-0.5, len(names) - 0.5)
        else:
            axis.set_xscale("log")
            if part.x not in ("train", "inference"):
                ticks = sorted({float(name) for name in names})
                axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                axis.xaxis.minorticks_off()
            else:
                plain_ticks(axis.xaxis, min(map(float, names)), max(map(float, names)))
        tidy(axis)
        if len(lines) > 1:
            legend(axis, ncols=2 if len(lines) > 4 else 1)

    return svg((5.2, 3.7), draw)
