"""From what jobs published to records, from records to laws, claims and a report.

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
from lookharder.files import atomic
from lookharder.metrics.scores import SCORES, forecast_rule
from lookharder.report import Budgets, findings, markdown, read_trained_plans, report
from lookharder.scaling.laws import Laws, hash_of
from lookharder.scaling.record import Record, Records
from lookharder.scaling.series import series_of
from lookharder.study.families import families, whole_trainings
from lookharder.study.fits import laws_to_json
from lookharder.study.grid import Point, Study
from lookharder.study.queue.ledger import Ledger
from lookharder.visualize.axes import require_matplotlib

log = logging.getLogger(__name__)
OTHERS = "others.jsonl"  # records of studies without jobs, of a benchmark say; they stand in the report too


def metrics(point: Point) -> tuple[str, ...]:
    """The names of the metrics that the job of a point reports; less is better."""
    if point.job.kind == "loss":
        return ("loss",)
    if point.job.kind == "forecast":
        return forecast_rule(point.job.config["task"]).studied
    score = SCORES[point.job.config["task"]]
    return tuple(score.error_name(metric) for metric in score.studied)


def records_of(point: Point, ledger: Ledger) -> list[Record]:
    """Make the records of a point whose job is done: one for each metric."""
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
            images=value.get("images", len(value["per_image"] or ())),
            per_image=None if value["per_image"] is None else tuple(value["per_image"]),
            seconds=float(result["seconds"]),
            machine=result["machine"],
            versions=dict(result["versions"]),
            time=float(entry["published"]),
            protocol=result["protocol"],
        )
        found.append(record)
    return found


def collect(points: Iterable[Point], ledger: Ledger, records: Records) -> int:
    """Append the records of all points whose jobs are done; return how many were new."""
    new = 0
    for point in points:
        if ledger.state(point.job.hash) == "done":
            new += sum(records.append(record) for record in records_of(point, ledger))
    return new


def answers(points: Iterable[Point], known: Iterable[Record]) -> frozenset[str]:
    """Hashes of the jobs of these points that need not be done: every metric is known."""
    have = {(record.run, record.metric) for record in known}
    return frozenset(
        point.job.hash
        for point in points
        if all((point.job.hash, metric) in have for metric in metrics(point))
    )


def carry(points: Sequence[Point], known: Sequence[Record], records: Records) -> None:
    """Append what is known of the points, filed under their study and place."""
    by_job = {(record.run, record.metric): record for record in known}
    answered = answers(points, known)
    for point in points:
        for metric in metrics(point) if point.job.hash in answered else ():
            found = by_job[point.job.hash, metric]
            there = replace(found, study=point.study, claim=point.claim, seed=point.seed)
            records.append(replace(there, point=dict(point.place)))


def conclude(
    studies: Sequence[Study], out: Path, preset: str, *, report_to: Path | None = None
) -> list[Path]:
    """Fit what is measured, judge the claims, and write OUT/laws.json, claims.md and the report; their paths.

    Args:
        studies: that may be shown; those without records are left out.
        out: the folder of results, with its records.
        preset: of the commands that the report prints.
        report_to: another place for the report.

    Raises:
        InputError: nothing is measured yet.
    """
    path = out / "records.jsonl"
    every = Records.read(path) if path.exists() else []
    asked = {(point.study, point.job.hash) for study in studies for point in study.points}
    records = [record for record in every if (record.study, record.run) in asked]
    if other := len(every) - len(records):
        log.warning("%s: %d records are of no point of this preset, and left out", path, other)
    shown = [study for study in studies if any(r.study == study.name for r in records)]
    if not shown:
        raise InputError("records", f"{path}, with nothing of these studies", "measurements")
    others = Records.read(out / OTHERS) if (out / OTHERS).exists() else []
    records += others
    names = (*(study.name for study in shown), *dict.fromkeys(r.study for r in others))
    series = [each for name in names for each in series_of(name, records)]
    found = findings(records, series, names)
    known = families(records)
    laws, table = out / "laws.json", out / "claims.md"
    Laws(
        studies=names,
        records=hash_of(path),
        families=known,
        series=tuple(laws_to_json(series)),
        claims=tuple(each.to_json() for each in found),
    ).write(laws)
    with atomic(table) as aside:
        aside.write_text(markdown(found), encoding="utf-8")
    page = report_to or out / "report.html"
    try:
        require_matplotlib("report")
    except InputError as error:  # no matplotlib: the laws are there all the same
        log.warning("no report: %s", error)
        for stale in (page, page.with_suffix(".md")):  # of other laws
            stale.unlink(missing_ok=True)
        return [laws, table]
    budgets = None
    if known:
        checked = read_trained_plans(out / "planner.json", hash_of(path))
        budgets = Budgets(families=known, measured=whole_trainings(records), checked=checked)
    report(
        records,
        series,
        page,
        studies=names,
        questions={study.name: study.question for study in shown},
        planned={study.name: len(study.points) for study in shown},
        root=out,
        preset=preset,
        budgets=budgets,
    )
    return [laws, table, page]
