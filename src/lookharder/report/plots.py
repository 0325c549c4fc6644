"""Figures of a report, each as the text of an SVG file, so that it is sharp on any screen and the page needs no other.

    curves      every measurement of one metric over the axis of its study, seeds as dots, their mean as a line
    forest      the gains of the claims with their intervals, against what each needs
    law_figure, isoflop: those of `law_views` and `isoflop_views`

matplotlib is not among the dependencies: it is imported where a figure is drawn.
"""

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.report.figures.isoflop import draw_profiles
from lookharder.report.figures.laws import Points, draw_law
from lookharder.report.findings import Finding
from lookharder.report.parts import Part, at, metric_word, place_words
from lookharder.scaling.law import Law, fit_growth, profiles
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series
from lookharder.visualize.axes import INK, SOFT, blank, legend, plain_ticks, save, tidy

# Okabe and Ito's, in an order whose neighbours differ in lightness too
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1d1f24", "#7f7f7f")
MARKS = "osD^vPX*"
VERDICTS = {"holds": "#009e73", "does not hold": "#d55e00", "undecided": "#8a93a1"}
SVG: Any = {
    "svg.hashsalt": "lookharder",
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
}
SAME_BUDGET = 0.02  # relative: trainings whose compute differs by less count as one budget


def curves(records: Sequence[Record], part: Part) -> str:
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
            mark = MARKS[(i + i // len(CYCLE)) % len(MARKS)]  # beyond the colours, other pairs
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


def forest(found: Sequence[Finding]) -> str | None:
    """Gains with their intervals; None where there is none."""
    rows = [f for f in found if f.quantity == "gain, %" and f.value is not None]
    if not rows:
        return None

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for y, row in enumerate(reversed(rows)):
            assert row.value is not None and row.low is not None and row.high is not None
            colour = VERDICTS.get(row.verdict, SOFT)
            axis.plot([row.low, row.high], [y, y], color=colour, lw=2.2, solid_capstyle="round")
            axis.plot([row.value], [y], "o", ms=5.5, color=colour, mec="white", mew=0.8)
            if row.needed:
                axis.plot([row.needed] * 2, [y - 0.32, y + 0.32], color=INK, lw=1)
        axis.axvline(0, color=INK, lw=0.9)
        axis.set_yticks(range(len(rows)), [_wrapped(row.says) for row in reversed(rows)])
        axis.set(xlabel="gain, % of the error; right is better", ylim=(-0.6, len(rows) - 0.4))
        tidy(axis)

    return svg((6.4, 0.9 + 0.42 * len(rows)), draw)


def law_figure(series: Series, part: Part) -> str | None:
    """A series with its laws and residuals; None where it has none."""
    if series.law is None:
        return None
    names = {"train_macs": part.xlabel, "steps": "denoising steps T", "members": "draws n"}
    law, words = series.law, metric_word(series.task, series.metric)
    place = place_words(series.where)
    points = Points(
        x=series.x,
        value=[record.value for record in series.records],
        low=[record.low for record in series.records],
        high=[record.high for record in series.records],
    )

    def write(path: Path) -> None:
        draw_law(
            path,
            points,
            law,
            bare=series.bare,
            others=_printed(series),
            title=f"{words}\n{_wrapped(place)}" if place else words,
            xlabel=names[series.variable],
            ylabel=words,
        )

    return _written(write)


def _printed(series: Series) -> dict[str, Law]:
    """The paper's law, its level moved to our smallest point: in its own unit and data it lies elsewhere."""
    printed, least = series.printed, min(series.x)
    if printed is None:
        return {}
    ours = [r.value for r, x in zip(series.records, series.x, strict=True) if x == least]
    (a,) = printed.exponents
    here = replace(printed, coefficients=(float(np.mean(ours)) * least**a,))
    return {f"the paper's slope, x$^{{{-a:.3g}}}$, {printed.claim}": here.law}


def isoflop(records: Sequence[Record]) -> str | None:
    """Curves of equal FLOPs of one metric; None where no budget was spent on three sizes."""
    budgets: list[list[Record]] = []
    for record in sorted(records, key=lambda r: r.train_macs):
        if budgets and record.train_macs <= budgets[-1][0].train_macs * (1 + SAME_BUDGET):
            budgets[-1].append(record)
        else:
            budgets.append([record])
    chosen = [b for b in budgets if len({r.active_params for r in b}) >= 3]
    if not chosen:
        return None
    found = profiles(
        [2 * b[0].train_macs for b in chosen for _ in b],
        [r.active_params for b in chosen for r in b],
        [r.value for b in chosen for r in b],
    )
    inside = sum(profile.inside for profile in found) >= 2
    words = metric_word(records[0].task, records[0].metric)
    growth = fit_growth(found) if inside else None
    return _written(lambda path: draw_profiles(path, found, growth, title=words, ylabel=words))


def svg(size: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """A figure of so many inches as an SVG file."""

    def write(path: Path) -> None:
        figure = blank(size)
        draw(figure)
        save(figure, path, dpi=100)

    return _written(write)


def _written(write: Callable[[Path], None]) -> str:
    """What is written to an SVG file; the same for the same figure."""
    from matplotlib import rc_context

    with tempfile.TemporaryDirectory() as folder, rc_context(SVG):
        path = Path(folder) / "figure.svg"
        write(path)
        return re.sub(r'="[^"]*"', _coarse, path.read_text(encoding="utf-8"))


def _coarse(attribute: re.Match[str]) -> str:
    """Places to 0.01 points; what is written in the figure is no attribute."""
    return re.sub(r"(\.\d{2})\d+", r"\1", attribute.group())


def _wrapped(text: str, width: int = 44) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def check() -> None:
    """Raise InputError where nothing can be drawn."""
    blank((1.0, 1.0), "report")
