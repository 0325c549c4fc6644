"""From what jobs published to records, from records to laws.

A record is filed under its study and place, but measured by a job: so a record of one study answers every study that
has the same job on its bench, on any machine. Committed records are given with `--records`; what they answer, and what
only they needed, is not run again.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lookharder.errors import InputError
from lookharder.files import write_json
from lookharder.report import findings, report
from lookharder.scaling.record import Record, Records
from lookharder.scaling.series import Series, series_of
from lookharder.study.fits import laws_told
from lookharder.study.grid import Point, Study
from lookharder.study.ledger import Ledger

log = logging.getLogger(__name__)

METRICS = {  # what a measurement of a task reports; less is better
    "depth": ("abs_rel", "delta1_error"),
    "flow": ("epe",),
    "amodal": ("iou_error", "iou_invisible_error"),
    "loss": ("loss",),
}


def metrics(point: Point) -> tuple[str, ...]:
    """Names of the metrics that the job of a point reports."""
    return METRICS["loss" if point.job.kind == "loss" else point.job.config["task"]]


def records_of(point: Point, ledger: Ledger) -> list[Record]:
    """The records of a point whose job is done: one for each metric."""
    entry = ledger.entry(point.job.hash)
    result: Mapping[str, Any] = entry["result"]
    found = []
    for metric, value in result["metrics"].items():
        record = Record(
            study=point.study,
            claim=point.claim,
            run=point.job.hash,
            point=dict(point.place),
            seed=point.seed,
            params=result["params"],
            active_params=result["active_params"],
            train_images=result["train_images"],
            train_macs=float(result["train_macs"]),
            train_macs_paper=float(result["train_macs_paper"]),
            inference_macs=float(result["inference_macs"]),
            inference_macs_paper=float(result["inference_macs_paper"]),
            task=result["task"],
            metric=metric,
            value=value["value"],
            low=min(value["low"], value["value"]),  # of equal values the last bits may differ
            high=max(value["high"], value["value"]),
            images=len(value["per_image"]),
            per_image=tuple(value["per_image"]),
            seconds=float(result["seconds"]),
            machine=result["machine"],
            versions=dict(result["versions"]),
            time=float(entry["published"]),
            protocol=result["protocol"],
        )
        found.append(record)
    return found


def collect(points: Iterable[Point], ledger: Ledger, records: Records) -> int:
    """Append the records of all points whose jobs are done; how many were new."""
    new = 0
    for point in points:
        if ledger.state(point.job.hash) == "done":
            new += sum(records.append(record) for record in records_of(point, ledger))
    return new


def carry(points: Iterable[Point], known: Iterable[Record], records: Records) -> set[str]:
    """Append what is known of the points, filed under their study and place; hashes of the jobs that this answers."""
    by_job: dict[str, dict[str, Record]] = {}
    for record in known:
        by_job.setdefault(record.run, {})[record.metric] = record
    answered = set()
    for point in points:
        found = by_job.get(point.job.hash, {})
        if not set(metrics(point)) <= set(found):
            continue
        answered.add(point.job.hash)
        for metric in metrics(point):
            there = replace(found[metric], study=point.study, claim=point.claim, seed=point.seed)
            records.append(replace(there, point=dict(point.place)))
    return answered


def finish(study: Study, records: Iterable[Record], out: Path, preset: str | None = None) -> Path:
    """Fit the laws of a study, judge its claims, and write OUT/STUDY/laws.json and report.html; the path of the laws.

    Args:
        study: all of whose points are measured.
        records: of any studies.
        out: the folder of results.
        preset: of the commands that the report prints.
    """
    found, path = list(records), out / study.name / "laws.json"
    series = series_of(study.name, found)
    claims = [each.to_json() for each in findings(found, series, [study.name])]
    laws = laws_told(series)
    write_json(
        path, {"study": study.name, "question": study.question, "laws": laws, "claims": claims}
    )
    try:
        publish([study], found, series, path.with_name("report.html"), root=out, preset=preset)
    except InputError as error:  # no matplotlib: the laws are there all the same
        log.warning("no report of %s: %s", study.name, error)
    return path


def publish(
    studies: Sequence[Study],
    records: Sequence[Record],
    series: Sequence[Series],
    path: Path,
    *,
    root: Path,
    preset: str | None = None,
) -> Path:
    """Write the report of some studies, whole or not; its path.

    Args:
        studies: that are shown.
        records: of any studies.
        series: of theirs.
        path: of the file.
        root: the folder of results, whose models predict the pictures.
        preset: of the commands that the report prints.
    """
    return report(
        records,
        series,
        path,
        studies=[study.name for study in studies],
        questions={study.name: study.question for study in studies},
        planned={study.name: len(study.points) for study in studies},
        root=root,
        preset=preset,
    )
