"""`lookharder study`: what is left of some studies, what it will cost, and doing it.

OUT/runs/HASH/       every job, shared by all studies of the folder
OUT/records.jsonl    every measurement, appended as it is made
OUT/laws.json        the laws of all that is measured in the folder, which `lookharder plan` reads
OUT/claims.md        what became of the paper's claims
OUT/report.html      all of it, to be read, and gains.svg and frontier.svg of it
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
from lookharder.study.laptop import preset
from lookharder.study.paper import STUDIES as PAPER
from lookharder.study.paper import build_paper
from lookharder.study.price import price
from lookharder.study.queue.executor import EXECUTORS
from lookharder.study.queue.jobs import Graph
from lookharder.study.queue.ledger import JobState, Ledger
from lookharder.study.queue.worker import Stopped
from lookharder.study.results import answers, carry, collect, conclude
from lookharder.study.studies import STUDIES, build
from lookharder.visualize.html import Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
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
        """Of all studies."""
        return [point for study in self.studies for point in study.points]


def studies_named(name: str, size: str) -> tuple[Study, ...]:
    """One study, or with "all" all of them, at the size of a preset.

    Raises:
        InputError: there is no such study, or no such preset.
    """
    known = PAPER if size == "paper" else STUDIES
    if name not in ("all", *known):
        raise InputError("NAME", repr(name), f"all, or one of {list(known)}")
    names = list(known) if name == "all" else [name]
    if size != "paper":
        return tuple(build(each, preset(size)) for each in names)
    questions = {each: build(each, preset("micro")).question for each in names}
    return tuple(build_paper(each, question) for each, question in questions.items())


def plan(
    studies: Sequence[Study], ledger: Ledger, answered: frozenset[str], only: str | None = None
) -> Plan:
    """What is left: measurements that neither a job nor a record answers, and what they need.

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
    return Plan(studies=tuple(studies), jobs=jobs, todo=todo, answered=answered)


def forecast(plan: Plan, ledger: Ledger, workers: int) -> Table:
    """Study by study: runs, those that an earlier one has, what is left and its cost, worker-hours spent here."""
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
    plan: Plan,
    ledger: Ledger,
    records: Records,
    *,
    executor: str,
    workers: int,
    retry: int,
    say: Callable[[str], object],
    **options: Any,
) -> dict[str, str]:
    """Do what is left, writing records as they come.

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


def _left(plan: Plan, states: Mapping[str, JobState]) -> list[str]:
    """What is neither done nor failed, nor waits for a job that failed."""
    blocked: set[str] = set()
    for name in plan.todo:  # each after its needs
        if states[name] == "failed" or blocked.intersection(plan.jobs[name].needs):
            blocked.add(name)
    return [name for name in plan.todo if states[name] != "done" and name not in blocked]


def known_records(path: Path | None) -> list[Record]:
    """The records of a file; none where none is given."""
    return [] if path is None else Records.read(path)


def prepared(
    name: str, size: str, out: Path, known: Sequence[Record], only: str | None, dry: bool
) -> tuple[Plan, Ledger, Records]:
    """The plan of a command line, with all that is known filed in OUT/records.jsonl, unless nothing may be written."""
    studies = studies_named(name, size)
    ledger, records = Ledger(out), Records(out / "records.jsonl")
    points = [point for study in studies for point in study.points]
    known = [*known, *(Records.read(records.path) if records.path.exists() else [])]
    if not dry:
        collect(points, ledger, records)
        carry(points, known, records)
    return plan(studies, ledger, answers(points, known), only), ledger, records


def measured(plan: Plan, records: Records) -> int:
    """How many points of a plan are recorded."""
    found = Records.read(records.path) if records.path.exists() else []
    have = {(record.study, record.run) for record in found}
    return sum((point.study, point.job.hash) in have for point in plan.points)


def concluded(plan: Plan, records: Records, out: Path, preset: str) -> list[Path]:
    """Laws, claims and report of all that is measured in the folder; the files written."""
    return conclude(studies_named("all", preset), out, preset) if measured(plan, records) else []
