"""The laws of a study, fitted to its records: with an offset and without, and what they foretell of the largest point.

A study has one axis. Records that agree in all else, seeds apart, are one series; each series of enough places gets
its laws. Studies that compare kinds of things (schedules, one network against three) have no axis and no law.
"""

from collections.abc import Sequence
from typing import Any

from lookharder.errors import InputError
from lookharder.scaling.law import Law, fit_power_law
from lookharder.scaling.record import Record

# study -> what its laws fall with, and the names of its axes that vary along with it
AXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "model-size": ("train_macs", ("size",)),
    "pretraining": ("train_macs", ("pretrain_iterations",)),
    "resolution": ("train_macs", ("resolution",)),
    "upcycling": ("train_macs", ("size",)),
    "steps": ("steps", ("steps",)),
    "draws": ("members", ("members",)),
    "spacing": ("steps", ("steps",)),
}


def laws_of(study: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """The laws of a study as JSON values, series by series; none where it has no axis.

    Args:
        study: its name.
        records: of any studies.
    """
    if study not in AXES:
        return []
    variable, along = AXES[study]
    series: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        if record.study == study:
            fixed = sorted((k, v) for k, v in record.point.items() if k not in along)
            series.setdefault((record.task, record.metric, *fixed), []).append(record)
    found = []
    for (task, metric, *fixed), members in series.items():
        x = [_at(record, variable) for record in members]
        fits = {name: _fit(variable, x, members, offset) for name, offset in FORMS.items()}
        if any(fits.values()):
            said = {"task": task, "metric": metric, "where": dict(fixed), "variable": variable}
            found.append({**said, "points": len(x), **fits})
    return found


FORMS = {"with_offset": True, "without_offset": False}


def _at(record: Record, variable: str) -> float:
    return record.train_macs if variable == "train_macs" else float(record.point[variable])


def _fit(
    variable: str, x: Sequence[float], records: Sequence[Record], offset: bool
) -> dict[str, Any] | None:
    images = [record.per_image for record in records]
    shared = [i for i in images if i is not None]
    whole = len(shared) == len(images) and len({len(i) for i in shared}) == 1
    try:
        law = fit_power_law(
            x,
            [record.value for record in records],
            offset,
            variable=variable,
            per_image=shared if whole else None,
        )
    except InputError:  # too few places for so many unknowns
        return None
    return _told(law)


def _told(law: Law) -> dict[str, Any]:
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
