"""Measurements as curves: one metric over the axis of its study, seeds as dots, their mean as a line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lookharder.report.figures.svg import svg
from lookharder.report.parts import Part, at, metric_word, place_words
from lookharder.scaling.record import Record
from lookharder.visualize.axes import (
    CYCLE,
    DASHES,
    INK,
    MARKERS,
    legend_below,
    plain_ticks,
    tidy,
)

Place = dict[str, int | float | str]


@dataclass(frozen=True, kw_only=True)
class _Line:
    """Measurements that are joined.

    Attributes:
        records: the measurements.
        look: of the line and its marks.
    """

    records: list[Record]
    look: dict[str, Any]


def draw_measurements(records: Sequence[Record], part: Part) -> str:
    """Measurements of one task and metric over the axis of their study."""
    names = list(dict.fromkeys(at(r, part.x) for r in records))
    kinds = any(isinstance(name, str) for name in names)
    places = {name: i for i, name in enumerate(names)}
    lines, key = _lines(records, part.lines)

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for line in lines:
            by_x: dict[float, list[Record]] = {}
            for record in line.records:
                value = at(record, part.x)
                by_x.setdefault(float(places[value] if kinds else value), []).append(record)
            xs = sorted(by_x)
            mean = [float(np.mean([r.value for r in by_x[x]])) for x in xs]
            low = [float(np.mean([r.low for r in by_x[x]])) for x in xs]
            high = [float(np.mean([r.high for r in by_x[x]])) for x in xs]
            bars = np.maximum([np.subtract(mean, low), np.subtract(high, mean)], 0)
            wide = 0 if kinds else 1.3
            axis.errorbar(xs, mean, yerr=bars, ms=4.5, lw=wide, elinewidth=0.8, **line.look)
            for x in xs:
                seeds, colour = [r.value for r in by_x[x]], line.look["color"]
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
            legend_below(figure, _handles(key))

    return svg((5.2, 3.9), draw)


def _lines(
    records: Sequence[Record], axes: Sequence[str]
) -> tuple[list[_Line], dict[str, dict[str, Any]]]:
    """Join measurements to lines, in order of size and number; what the legend says, and the look of each.

    Where it makes the legend shorter, the first axis is told by colours and the others by dashes.
    """
    grouped: dict[tuple[str, str], list[Record]] = {}
    for record in sorted(records, key=lambda r: _order(r.point, axes)):
        name = (place_words(record.point, axes[:1]), place_words(record.point, axes[1:]))
        grouped.setdefault(name, []).append(record)
    first, rest = (list(dict.fromkeys(side)) for side in zip(*grouped, strict=True))
    if len(first) + len(rest) < len(grouped) and len(rest) <= len(DASHES):
        looks = [{**_hue(first.index(a)), "ls": DASHES[rest.index(b)]} for a, b in grouped]
        key = {word: _hue(i) for i, word in enumerate(first)}
        key |= {word: {"color": INK, "ls": DASHES[i]} for i, word in enumerate(rest)}
    else:
        looks = [_hue(i) for i in range(len(grouped))]
        words = [", ".join(filter(None, name)) or "measured" for name in grouped]
        key = dict(zip(words, looks, strict=True))
    lines = zip(grouped.values(), looks, strict=True)
    return [_Line(records=members, look=look) for members, look in lines], key


def _hue(i: int) -> dict[str, Any]:
    turn = i // len(CYCLE)  # beyond the colours, other pairs
    return {"color": CYCLE[i % len(CYCLE)], "marker": MARKERS[(i + turn) % len(MARKERS)]}


def _handles(key: Mapping[str, dict[str, Any]]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], label=word, ms=4.5, lw=1.3, **look) for word, look in key.items()]


def _order(place: Place, axes: Sequence[str]) -> list[Any]:
    """Numbers by their value, names with a number in them (n2, n10) likewise."""
    found: list[Any] = []
    for axis in axes:
        for text, digits in re.findall(r"([^\d]*)(\d*\.?\d*)", str(place.get(axis, ""))):
            found.append((text, float(digits or -1)))
    return found
