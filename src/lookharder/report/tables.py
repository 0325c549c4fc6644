"""The laws of a study and all of its runs, as tables."""

import re
from collections.abc import Sequence

from lookharder.report.parts import metric_word, place_words
from lookharder.scaling.law import Law
from lookharder.scaling.published import Published
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series
from lookharder.visualize.html import Table

LAWS = [
    "law", "points", "offset E", "exponent a", "R²", "scatter", "largest point predicted", "no law",
    "exponent, E = 0", "paper's exponent",
]  # fmt: skip


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
        training = number(first.train_macs) if first.train_macs else ""
        facts = [f"{first.params}", images, training, number(first.inference_macs)]
        seconds = f"{first.seconds:.3g}"
        rows.append([run[:8], place, f"{first.seed}", task, *facts, *cells, seconds])
    names = ["run", "where", "seed", "task", "parameters", "images", "training MACs", "answer MACs"]
    return Table(columns=[*names, *metrics, "seconds"], rows=rows)


def number(value: float) -> str:
    """The number with three digits: 0.311, 1.21e11."""
    return re.sub(r"e\+?(-?)0*(\d+)", r"e\1\2", f"{value:.3g}")


def _interval(record: Record | None) -> str:
    if record is None:
        return ""
    return f"{number(record.value)} [{number(record.low)}, {number(record.high)}]"


def series_words(series: Series) -> str:
    """Name what a series measures, and where."""
    place = place_words(series.where)
    words = metric_word(series.task, series.metric)
    return f"{words} ({place})" if place else words


def _law_row(series: Series) -> list[str]:
    law, bare, printed = series.law, series.bare, series.printed
    held = None if law is None else law.held_out
    return [
        series_words(series),
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
