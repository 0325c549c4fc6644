"""A study as a section of the page: its figures, its laws, its sample predictions and all of its runs."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from lookharder.report.figures.measurements import draw_measurements
from lookharder.report.figures.studies import draw_isoflop, draw_series
from lookharder.report.parts import Part, is_main, metric_word, part, place_words
from lookharder.report.samples import Strip, pictures
from lookharder.report.tables import law_table, run_table, series_words
from lookharder.scaling.law import Law
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series
from lookharder.visualize.html import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the page.

    Attributes:
        number: on this page.
        svg: the text of the file.
        width: in CSS pixels.
        height: likewise.
        alt: in place of the picture.
        caption: under it.
        how: the command that draws it again.
        wide: whether it stands alone in its row.
    """

    number: int
    svg: str
    width: int
    height: int
    alt: str
    caption: str
    how: str
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class StudySection:
    """One study as the template shows it; what is empty is not shown.

    Attributes:
        id: of the section, to be linked to.
        title: over it.
        source: what of the paper it repeats.
        question: what the study asks.
        missing: what has not been measured yet, in a sentence.
        curves: every measurement of the main metrics, a figure for each.
        isoflop: curves of equal training compute, likewise.
        strip: sample predictions.
        strip_caption: under them.
        notes: sentences on what is not shown, and why.
        how: the command that measures and draws it.
        law_figures: a series each, with its law and residuals.
        laws: a series a row.
        more_curves: figures of the other metrics.
        runs: every measurement, a row.
    """

    id: str
    title: str
    source: str
    question: str
    missing: str
    curves: Sequence[Figure] = ()
    isoflop: Sequence[Figure] = ()
    strip: Strip | None = None
    strip_caption: str = ""
    notes: Sequence[str] = ()
    how: str = ""
    law_figures: Sequence[Figure] = ()
    laws: Table | None = None
    more_curves: Sequence[Figure] = ()
    runs: Table | None = None


@dataclass(kw_only=True)
class FigureNumbers:
    """Numbers figures through the page, in the order in which they are made."""

    next: Iterator[int] = field(default_factory=lambda: count(1))

    def figure(self, svg: str, alt: str, caption: str, how: str, *, wide: bool = False) -> Figure:
        """The text of an SVG file as the next figure of the page."""
        size = [round(float(v) * 4 / 3) for v in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)]
        return Figure(
            number=next(self.next),
            svg=svg,
            width=size[0],
            height=size[1],
            alt=alt,
            caption=caption,
            how=how,
            wide=wide,
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
    first = {key: found for key, found in by_metric.items() if is_main(*key)}
    others = {key: found for key, found in by_metric.items() if not is_main(*key)}
    curves = [_curve(numbers, found, shown, how) for found in first.values()]
    isoflop = _isoflop(numbers, first.values(), how)
    seen = pictures(study, records, shown, root) if root is not None and records else None
    if records and seen is None:
        notes.append("No sample predictions: the models of this study are not beside the records.")
    if study == "model-size" and records and not isoflop:
        notes.append(
            "No isoFLOP curves: all sizes see the same images; see the study of size against images."
        )
    strip, strip_caption = (None, "") if seen is None else _short(seen)
    laws = [_law(numbers, each, shown, how) for each in series if is_main(each.task, each.metric)]
    drawn = [figure for figure in laws if figure is not None]
    if records and series and not any(each.law for each in series):
        notes.append("No law yet: too few places on the axis.")
    elif len(drawn) < len(laws):
        notes.append("A law whose exponent may be 0 is in the table and not drawn.")
    more = [_curve(numbers, found, shown, how) for found in others.values()]
    return StudySection(
        id=re.sub(r"[^a-z0-9]+", "-", study.lower()),
        title=shown.title,
        source=shown.source,
        question=question,
        missing=_missing(records, planned),
        curves=curves,
        isoflop=isoflop,
        strip=strip,
        strip_caption=strip_caption,
        notes=notes,
        how=how,
        law_figures=drawn,
        laws=law_table(series),
        more_curves=[*more, *_isoflop(numbers, others.values(), how)],
        runs=run_table(records) if records else None,
    )


def _curve(numbers: FigureNumbers, records: Sequence[Record], shown: Part, how: str) -> Figure:
    words = metric_word(records[0].task, records[0].metric)
    seeds = len({r.seed for r in records})
    said = f"{capital(words)}: {len(records)} measurements of {seeds} seed{'s' * (seeds > 1)}. "
    said += "Dots are seeds, marks their mean, bars the mean of their 95 % intervals over images."
    return numbers.figure(draw_measurements(records, shown), f"{words}, {shown.title}", said, how)


def _isoflop(
    numbers: FigureNumbers, by_metric: Iterable[Sequence[Record]], how: str
) -> list[Figure]:
    found = []
    for records in by_metric:
        if (svg := draw_isoflop(records)) is not None:
            words = metric_word(records[0].task, records[0].metric)
            said = f"{capital(words)} of networks of different size at equal training compute."
            found.append(numbers.figure(svg, f"isoFLOP curves, {words}", said, how, wide=True))
    return found


def _law(numbers: FigureNumbers, series: Series, shown: Part, how: str) -> Figure | None:
    """The figure of a series; None where its law has as many unknowns as points, may be flat, or is not there."""
    law = series.law
    if law is None or not law.samples or is_flat(law):
        return None
    words = series_words(series)
    said = f"{capital(words)}, with its law and residuals."
    if law.held_out is not None:
        said += " Hollow: held out, and predicted (diamond) from the others."
    return numbers.figure(draw_series(series), f"law of {words}, {shown.title}", said, how)


def is_flat(law: Law) -> bool:
    """Whether the exponent may be 0."""
    low, high = law.interval("exponent")
    return low <= 0 <= high


def _short(strip: Strip) -> tuple[Strip, str]:
    """A strip without what all of its titles say, and that as its caption."""
    said = [title.split(", ") for title in strip.titles[2:]]  # the first are input and truth
    same = [word for word in said[0] if all(word in words for words in said)]
    rest = [", ".join(word for word in words if word not in same) for words in said]
    caption = "Scenes that no network was trained on, predicted with rising compute"
    caption += f"; {', '.join(same)}." if same else "."
    return replace(strip, titles=(*strip.titles[:2], *rest)), caption


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _missing(records: Sequence[Record], planned: int | None) -> str:
    if not records:
        return "Nothing of this study has been measured yet."
    have = len({(r.run, place_words(r.point)) for r in records})
    if planned is None or have >= planned:
        return ""
    return f"{have} of {planned} measurements are there; what is shown may still change."
