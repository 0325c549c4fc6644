"""`lookharder study`: what is left of some studies, what it will cost, and doing it.

OUT/runs/HASH/       every job, shared by all studies of the folder
OUT/records.jsonl    every measurement, appended as it is made
OUT/laws.json        the laws of all that is measured in the folder, which `lookharder plan` reads
OUT/claims.md        what became of the paper's claims
OUT/report.html      all of it, to be read; report.md with figures/, the same as Markdown; buys, gains and frontier.svg
OUT/pictures.json    sample predictions of the report, which outlive the networks
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lookharder.errors import InputError
from lookharder.scaling.record import Record, Records
from lookharder.study.grid import Point, Study
from lookharder.study.price import price
from lookharder.study.queue.executor import EXECUTORS
from lookharder.study.queue.jobs import Graph
from lookharder.study.queue.ledger import JobState, Ledger
from lookharder.study.queue.worker import Stopped
from lookharder.study.results import answers, carry, collect, conclude
from lookharder.study.studies import build, build_all
from lookharder.visualize.html import Table


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyPlan:
    """What is left of some studies.

    Attributes:
        studies: in the order in which they are run.
        jobs: all of theirs, shared ones once.
        todo: hashes of those that are left, in an order in which they can be done: every study once before any again
            with another seed, so that one that is stopped half-way has seen everything.
        answered: hashes of the measurements that records answer.
    """

    studies: tuple[Study, ...]
    jobs: Graph
    todo: tuple[str, ...]
    answered: frozenset[str]

    @property
    def points(self) -> list[Point]:
        """The points of all studies, in their order."""
        return [point for study in self.studies for point in study.points]


def studies_named(name: str, preset: str) -> tuple[Study, ...]:
    """Build one study, or with "all" all of them, at the size of a preset.

    Raises:
        InputError: there is no such study, or no such preset.
    """
    return build_all(preset) if name == "all" else (build(name, preset),)


def plan_studies(
    studies: Sequence[Study], ledger: Ledger, answered: frozenset[str], only: str | None = None
) -> StudyPlan:
    """Find what is left to do: measurements that neither a job nor a record answers, and the jobs that they need.

    Args:
        studies: whose.
        ledger: what is done.
        answered: hashes of the measurements that records answer.
        only: pattern of the titles of the jobs that are wanted, e.g. `*n1*`; with them comes what they need.

    Raises:
        InputError: no title matches.
    """
    points = sorted((p for study in studies for p in study.points), key=lambda point: point.seed)
    every = (job for study in studies for job in study.jobs)
    jobs = Graph([*(point.job for point in points), *every])
    names = dict.fromkeys(point.job.hash for point in points)
    left = [name for name in names if name not in answered and ledger.state(name) != "done"]
    if only is not None:
        titles = {job.title for job in jobs}
        if not any(fnmatch(title, only) for title in titles):
            raise InputError("--only", repr(only), f"a pattern of {sorted(titles)}")
        left = [job.hash for job in jobs.closure(left) if fnmatch(job.title, only)]
    needed = [job.hash for job in jobs.closure(left)]
    todo = tuple(name for name in needed if ledger.state(name) != "done")
    return StudyPlan(studies=tuple(studies), jobs=jobs, todo=todo, answered=answered)


def cost_table(plan: StudyPlan, ledger: Ledger, workers: int) -> Table:
    """Tabulate, study by study: runs, those shared with an earlier one, what is left and its cost, hours spent here."""
    columns = ["study", "runs", "shared", "done", "left", "FLOPs", "worker-h", "hours", "spent"]
    rows: list[list[str]] = []
    seen: set[str] = set()
    totals: list[int | float] = [0] * 7
    left_of_all = set(plan.todo)
    for study in plan.studies:
        names = {job.hash for job in study.jobs}
        shared, own = names & seen, names - seen
        left = own & left_of_all
        flops = sum(plan.jobs[name].cost for name in left)
        seconds = sum(price(plan.jobs[name], plan.jobs.jobs).seconds for name in left)
        here = [name for name in own if ledger.state(name) == "done"]
        spent = sum(ledger.result(name)["seconds"] for name in here)
        figures: list[int | float] = [
            len(names),
            len(shared),
            len(own & plan.answered | set(here)),
            len(left),
            flops,
            seconds / 3600,
            spent / 3600,
        ]
        totals = [a + b for a, b in zip(totals, figures, strict=True)]
        rows.append([study.name, *_row(figures, workers)])
        seen |= names
    rows.append(["all", *_row([*totals[:1], len(plan.jobs), *totals[2:]], workers)])
    rows[-1][2] = ""
    return Table(columns=columns, rows=rows)


def _row(figures: Sequence[int | float], workers: int) -> list[str]:
    *counts, flops, hours, spent = figures
    return [
        *(f"{n:.0f}" for n in counts),
        f"{flops:.2e}",
        f"{hours:.2f}",
        f"{hours / workers:.2f}",
        f"{spent:.2f}",
    ]


def execute(
    plan: StudyPlan,
    ledger: Ledger,
    records: Records,
    *,
    executor: str,
    workers: int,
    retry: int,
    say: Callable[[str], object],
    **options: Any,
) -> dict[str, str]:
    """Run the jobs that are left, and append a record for each measurement that ends.

    Args:
        plan: what.
        ledger: where.
        records: where to.
        executor: a key of `EXECUTORS`.
        workers: processes, or tasks of the cluster's array.
        retry: how often a job that failed is tried again.
        say: gets a line for every job that ends.
        options: of that executor alone.

    Returns:
        The title and error of every job that failed.

    Raises:
        Stopped: jobs are left that no failure keeps from being done.
    """
    for name in plan.todo:
        ledger.plan(plan.jobs[name])
    by_job: dict[str, list[Point]] = {}
    for point in plan.points:
        by_job.setdefault(point.job.hash, []).append(point)
    ended = 0

    def watch(name: str, state: JobState) -> None:
        nonlocal ended
        ended += state == "done"
        collect(by_job.get(name, []), ledger, records)
        job = plan.jobs[name]
        took = f", {ledger.result(name)['seconds']:.0f} s" if state == "done" else ""
        say(f"{ended}/{len(plan.todo)} {state} {name[:8]} {job.title}{took}")

    if plan.todo:
        EXECUTORS[executor](ledger, plan.todo, workers=workers, retry=retry, watch=watch, **options)
    states = {name: ledger.state(name) for name in plan.todo}
    if left := _left(plan, states):
        raise Stopped(f"the end of its workers, with {len(left)} runs left")
    return {
        f"{name[:8]} {plan.jobs[name].title}": (ledger.error(name) or "").strip().splitlines()[-1]
        for name, state in states.items()
        if state == "failed"
    }


def _left(plan: StudyPlan, states: Mapping[str, JobState]) -> list[str]:
    """The jobs that are neither done nor failed, and do not wait for a job that failed."""
    blocked: set[str] = set()
    for name in plan.todo:  # each after its needs
        if states[name] == "failed" or blocked.intersection(plan.jobs[name].needs):
            blocked.add(name)
    return [name for name in plan.todo if states[name] != "done" and name not in blocked]


def known_records(path: Path | None) -> list[Record]:
    """Read the records of a file; none where none is given."""
    return [] if path is None else Records.read(path)


def open_plan(
    name: str, size: str, out: Path, known: Sequence[Record], only: str | None, dry: bool
) -> tuple[StudyPlan, Ledger, Records]:
    """Plan what a command line asks for; unless `dry`, file all known records in OUT/records.jsonl first."""
    studies = studies_named(name, size)
    ledger, records = Ledger(out), Records(out / "records.jsonl")
    points = [point for study in studies for point in study.points]
    known = [*known, *(Records.read(records.path) if records.path.exists() else [])]
    if not dry:
        out.mkdir(parents=True, exist_ok=True)
        collect(points, ledger, records)
        carry(points, known, records)
    return plan_studies(studies, ledger, answers(points, known), only), ledger, records


def count_measured(plan: StudyPlan, records: Records) -> int:
    """Count the points of a plan that are recorded."""
    found = Records.read(records.path) if records.path.exists() else []
    have = {(record.study, record.run) for record in found}
    return sum((point.study, point.job.hash) in have for point in plan.points)


def write_results(plan: StudyPlan, records: Records, out: Path, preset: str) -> list[Path]:
    """Write laws, claims and report of all that is measured in the folder; the paths written."""
    return (
        conclude(build_all(preset, more=True), out, preset) if count_measured(plan, records) else []
    )
