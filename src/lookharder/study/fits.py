"""The laws of a study as JSON values: with an offset and without, and what they predict for the largest point."""

from collections.abc import Sequence
from typing import Any

from lookharder.scaling.law import Law
from lookharder.scaling.series import Series


def laws_to_json(found: Sequence[Series]) -> list[dict[str, Any]]:
    """The laws of some series, those that have any."""
    return [_series_to_json(series) for series in found if series.law or series.bare]


def _series_to_json(series: Series) -> dict[str, Any]:
    return {
        "study": series.study,
        "task": series.task,
        "metric": series.metric,
        "where": series.where,
        "variable": series.variable,
        "points": len(series.records),
        "with_offset": series.law and _law_to_json(series.law),
        "without_offset": series.bare and _law_to_json(series.bare),
    }


def _law_to_json(law: Law) -> dict[str, Any]:
    held, sure = law.held_out, bool(law.samples)
    names = ("offset", "coefficient", "exponent") if law.has_offset else ("coefficient", "exponent")
    return {
        "law": str(law),
        "exponent": law.exponent,
        "coefficient": law.coefficient,
        "offset": law.offset,
        "intervals": {name: law.interval(name) for name in names} if sure else None,
        "r2": law.r2,
        "scatter": law.scatter,
        "smallest": law.smallest[0],
        "largest": law.largest[0],
        "held_out": None
        if held is None
        else {**vars(held), "error": held.error, "baseline_error": held.baseline_error},
    }
