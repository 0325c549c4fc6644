"""The figures of a study's laws and of its curves at equal FLOPs, as text of SVG files."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lookharder.errors import InputError
from lookharder.report.figures.isoflop import draw_profiles
from lookharder.report.figures.laws import Points, draw_law
from lookharder.report.figures.svg import svg_from
from lookharder.report.parts import INFERENCE, STEPS, TRAIN, metric_word, place_words
from lookharder.scaling.law import Law, fit_growth, profiles
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series

SAME_BUDGET = 0.02  # relative: trainings whose compute differs by less count as one budget


def draw_series(series: Series) -> str:
    """A series with its laws and residuals.

    Raises:
        InputError: it has no law.
    """
    if series.law is None:
        raise InputError("series", "one without a law", "one with enough places")
    names = {"train_macs": TRAIN, "inference_macs": INFERENCE, "steps": STEPS, "members": "draws n"}
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
            title=f"{words}\n{textwrap.fill(place, 44)}" if place else words,
            xlabel=names[series.variable],
            ylabel=words,
        )

    return svg_from(write)


def _printed(series: Series) -> dict[str, Law]:
    """The paper's law, its level moved to our smallest point: in its own unit and data it lies elsewhere."""
    printed, least = series.printed, min(series.x)
    if printed is None:
        return {}
    ours = [r.value for r, x in zip(series.records, series.x, strict=True) if x == least]
    (a,) = printed.exponents
    here = replace(printed, coefficients=(float(np.mean(ours)) * least**a,))
    return {f"the paper's slope, x$^{{{-a:.3g}}}$, {printed.claim}": here.law}


def draw_isoflop(records: Sequence[Record]) -> str | None:
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
    return svg_from(lambda path: draw_profiles(path, found, growth, title=words, ylabel=words))
