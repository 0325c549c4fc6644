"""A study as a section of the page: its figures, its laws, its sample predictions and all of its runs."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from lookharder.report.figures.measurements import draw_measurements
from lookharder.report.figures.studies import draw_isoflop, draw_series
from lookharder.report.parts import main_metric, metric_word, part, place_words
from lookharder.report.samples import Strip, pictures
from lookharder.scaling.law import Law
from lookharder.scaling.published import Published
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series
from lookharder.visualize.html import Table

LAWS = [
    "law", "points", "offset E", "exponent a", "R²", "scatter", "largest point predicted", "no law",
    "exponent, E = 0", "paper's exponent",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the page.

    Attributes:
        number: on this page.
        svg: the file, base64.
        width: in CSS pixels.
        height: likewise.
        alt: in place of the picture.
        caption: under it.
        how: the command that draws it again.
    """

    number: int
    svg: str
    width: int
    height: int
    alt: str
    caption: str
    how: str


@dataclass(frozen=True, kw_only=True)
class StudySection:
    """One study as the template shows it; what is empty is not shown.

    Attributes:
        id: of the section, to be linked to.
        title: over it.
        source: what of the paper it repeats.
        question: what the study asks.
        missing: what has not been measured yet, in a sentence.
        curves: every measurement, a figure for each metric.
        laws: a series a row.
        law_figures: a series each, with its law and residuals.
        isoflop: curves of equal training compute, a figure for each metric.
        strip: sample predictions.
        strip_caption: under them.
        notes: sentences on what is not shown, and why.
        how: the command that measures and draws it.
        runs: every measurement, a row.
    """

    id: str
    title: str
    source: str
    question: str
    missing: str
    curves: Sequence[Figure] = ()
    laws: Table | None = None
    law_figures: Sequence[Figure] = ()
    isoflop: Sequence[Figure] = ()
    strip: Strip | None = None
    strip_caption: str = ""
    notes: Sequence[str] = ()
    how: str = ""
    runs: Table | None = None


@dataclass(kw_only=True)
class FigureNumbers:
    """Numbers figures through the page, in the order in which they are made."""

    next: Iterator[int] = field(default_factory=lambda: count(1))

    def figure(self, svg: str, alt: str, caption: str, how: str) -> Figure:
        """Wrap the text of an SVG file as the next figure of the page."""
        size = [round(float(v) * 4 / 3) for v in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)]
        return Figure(
            number=next(self.next),
            svg=base64.b64encode(svg.encode()).decode(),
            width=size[0],
            height=size[1],
            alt=alt,
            caption=caption,
            how=how,
        )


def study_section(
    study: str,
    records: Sequence[Record],
    series: Sequence[Series],
    *,
    question: str,
    planned: int | None,
    root: Path | None,
    how: str,
    numbers: FigureNumbers,
) -> StudySection:
    """Draw and tabulate what the page shows of a study.

    Args:
        study: its name.
        records: of this study.
        series: of this study.
        question: what it asks; may be empty.
        planned: measurements that make it whole; None where that is not known.
        root: the folder with its models; None where there is none.
        how: the command that measures and draws it.
        numbers: of the page.
    """
    shown, notes = part(study), []
    by_metric: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        by_metric.setdefault((record.task, record.metric), []).append(record)
    drawn, budgets = [], []
    for (task, metric), members in by_metric.items():
        words, seeds = metric_word(task, metric), len({r.seed for r in members})
        said = f"{capital(words)}: {len(members)} measurements of {seeds} seed{'s' * (seeds > 1)}. "
        said += (
            "Dots are seeds, marks their mean, bars the mean of their 95 % intervals over images."
        )
        drawn.append(
            numbers.figure(draw_measurements(members, shown), f"{words}, {study}", said, how)
        )
        if (svg := draw_isoflop(members)) is not None:
            said = f"{capital(words)} of networks of different size at equal training compute."
            budgets.append(numbers.figure(svg, f"isoFLOP curves, {words}", said, how))
    law_figures = []
    for each in series:
        if each.metric not in (main_metric(each.task), "loss"):
            continue  # its law is in the table
        if (svg := draw_series(each, shown)) is not None:
            said = f"{capital(_series_words(each))}, with its law and residuals."
            if each.law is not None and each.law.held_out is not None:
                said += " Hollow: held out, and predicted (diamond) from the others."
            law_figures.append(numbers.figure(svg, f"law of {_series_words(each)}", said, how))
    if records and series and not law_figures:
        notes.append("No law yet: too few places on the axis.")
    if study == "model-size" and records and not budgets:
        notes.append(
            "No isoFLOP curves: all sizes see the same images; see the study of size against images."
        )
    seen = pictures(study, records, shown, root) if root is not None and records else None
    if records and seen is None:
        notes.append("No sample predictions: the models of this study are not beside the records.")
    return StudySection(
        id=re.sub(r"[^a-z0-9]+", "-", study.lower()),
        title=shown.title,
        source=shown.source,
        question=question,
        missing=_missing(records, planned),
        curves=drawn,
        laws=law_table(series),
        law_figures=law_figures,
        isoflop=budgets,
        strip=seen,
        strip_caption="Scenes that no network was trained on, predicted with rising compute.",
        notes=notes,
        how=how,
        runs=run_table(records) if records else None,
    )


def law_table(series: Sequence[Series]) -> Table | None:
    """Tabulate the laws of some series, one a row; None where there is none."""
    rows = [_law_row(each) for each in series if each.law or each.bare]
    return Table(columns=LAWS, rows=rows) if rows else None


def run_table(records: Sequence[Record]) -> Table:
    """Tabulate measurements, one run a row with its metrics side by side."""
    runs: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        runs.setdefault((record.run, place_words(record.point), record.task), []).append(record)
    metrics = list(dict.fromkeys(record.metric for record in records))
    rows = []
    for (run, place, task), members in runs.items():
        first, by_metric = members[0], {record.metric: record for record in members}
        images = "" if first.train_images is None else f"{first.train_images}"
        cells = [_interval(by_metric.get(metric)) for metric in metrics]
        facts = [f"{first.params}", images, number(first.train_macs), number(first.inference_macs)]
        seconds = f"{first.seconds:.3g}"
        rows.append([run[:8], place, f"{first.seed}", task, *facts, *cells, seconds])
    names = ["run", "where", "seed", "task", "parameters", "images", "training MACs", "answer MACs"]
    return Table(columns=[*names, *metrics, "seconds"], rows=rows)


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def number(value: float) -> str:
    """The number with three digits: 0.311, 1.21e11."""
    return re.sub(r"e\+?(-?)0*(\d+)", r"e\1\2", f"{value:.3g}")


def _missing(records: Sequence[Record], planned: int | None) -> str:
    if not records:
        return "Nothing of this study has been measured yet."
    have = len({(r.run, place_words(r.point)) for r in records})
    if planned is None or have >= planned:
        return ""
    return f"{have} of {planned} measurements are there; what is shown may still change."


def _interval(record: Record | None) -> str:
    if record is None:
        return ""
    return f"{number(record.value)} [{number(record.low)}, {number(record.high)}]"


def _series_words(series: Series) -> str:
    place = place_words(series.where)
    words = metric_word(series.task, series.metric)
    return f"{words} ({place})" if place else words


def _law_row(series: Series) -> list[str]:
    law, bare, printed = series.law, series.bare, series.printed
    held = None if law is None else law.held_out
    return [
        _series_words(series),
        f"{len(series.records)}",
        _parameter(law, "offset"),
        _parameter(law, "exponent"),
        "" if law is None else f"{law.r2:.3f}",
        "" if law is None else f"{100 * law.scatter:.1f} %",
        "" if held is None else f"{100 * held.error:+.1f} %",
        "" if held is None else f"{100 * held.baseline_error:+.1f} %",
        _parameter(bare, "exponent"),
        "" if printed is None else _printed_words(series, printed),
    ]


def _parameter(law: Law | None, name: str) -> str:
    if law is None:
        return ""
    value = law.offset if name == "offset" else law.exponent
    if not law.samples:
        return number(value)
    low, high = law.interval(name)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def _printed_words(series: Series, printed: Published) -> str:
    said = f"{number(printed.exponents[0])}, {printed.claim}"
    return said if series.variable == "train_macs" else f"{said}, over compute and three sizes"
