"""Schedulers and workers are killed at random; every job is done, published and recorded once, and in order."""

import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from lookharder.scaling.record import Records
from lookharder.study.queue.jobs import Graph, Job
from lookharder.study.queue.ledger import Ledger

SCHEDULER = """
import sys
from pathlib import Path
from lookharder.scaling.record import Records
from lookharder.study.queue.executor import local
from lookharder.study.grid import Point
from lookharder.study.queue.ledger import Ledger
from lookharder.study.results import collect
root, workers = Path(sys.argv[1]), int(sys.argv[2])
ledger, records = Ledger(root), Records(root / "records.jsonl")
jobs = (root / "order").read_text().split()
points = {name: Point(study="toy", claim="", job=ledger.job(name), place={}, seed=0) for name in jobs}
watch = lambda name, state: collect([points[name]], ledger, records)
local(ledger, jobs, workers=workers, stages="toy:STAGES", watch=watch)
"""


def layered(count: int, rng: random.Random, seconds: float) -> Graph:
    """A random graph: every job needs up to three of those before it."""
    jobs: list[Job] = []
    for i in range(count):
        needs = rng.sample(jobs, min(len(jobs), rng.randrange(4)))
        config = {"number": i, "seconds": seconds}
        jobs.append(Job(kind="count", config=config, needs=tuple(job.hash for job in needs)))
    return Graph(jobs)


def totals(graph: Graph) -> dict[str, int]:
    found: dict[str, int] = {}
    for job in graph:
        found[job.hash] = 1 + sum(found[name] for name in job.needs)
    return found


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def survive(
    fork: Callable, root: Path, graph: Graph, rng: random.Random, schedulers: int, workers: int
) -> int:
    """Run to the end under so many kills of each kind; the kills that hit."""
    ledger = Ledger(root)
    for job in graph:
        ledger.plan(job)
    (root / "order").write_text("\n".join(job.hash for job in graph))
    path = os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")))

    def start() -> BaseProcess:
        return fork(SCHEDULER, root, 3, PYTHONPATH=path).process

    def done() -> int:
        return sum((ledger.folder(job.hash) / "done.json").exists() for job in graph)

    kills = ["scheduler"] * schedulers + ["worker"] * workers
    rng.shuffle(kills)
    step, hit = len(graph) * 0.9 / len(kills), 0
    scheduler = start()
    try:
        for i, kill in enumerate(kills):
            # spread over the work: kill number i comes once a share of the jobs is done, and a moment later
            while done() < (i + 1) * step and scheduler.is_alive():
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.1))
            if kill == "worker":
                while not (crew := children(scheduler.pid)) and scheduler.is_alive():
                    time.sleep(0.005)
                for pid in rng.sample(crew, min(1, len(crew))):
                    os.kill(pid, signal.SIGKILL)
                    hit += 1
            elif scheduler.is_alive():
                scheduler.kill()
                scheduler.join()
                hit += 1
                scheduler = start()
        scheduler.join(600)
        assert scheduler.exitcode == 0
    finally:
        crew = children(scheduler.pid)
        scheduler.kill()
        scheduler.join()
        for pid in crew:
            if Path(f"/proc/{pid}/cmdline").exists():
                os.kill(pid, signal.SIGKILL)
    return hit


def check(root: Path, graph: Graph, kills: int) -> None:
    ledger, wanted, again = Ledger(root), totals(graph), 0
    finished: dict[str, float] = {}
    for job in graph:
        assert ledger.state(job.hash) == "done" and ledger.error(job.hash) is None
        takers = (ledger.folder(job.hash) / "lock").read_text().split()
        entry = ledger.entry(job.hash)
        assert entry["owner"] == takers[-1]
        assert entry["result"]["total"] == wanted[job.hash]
        finished[job.hash] = entry["published"]
        assert all(finished[name] < entry["published"] for name in job.needs)
        events = (ledger.folder(job.hash) / "events").read_text().split("\n")[:-1]
        words = [event.split()[0] for event in events]
        assert "overlap" not in words
        assert words.count("begin") <= len(takers)
        assert events[-1].startswith("end")
        again += len(takers) - 1
    assert again <= 3 * kills  # a scheduler's death is that of its workers
    lines = (root / "records.jsonl").read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in lines)
    assert {r.run: r.value for r in Records.read(root / "records.jsonl")} == wanted
    assert len(lines) == len(wanted)


def test_killed_schedulers_and_workers(tmp_path: Path, fork):
    rng = random.Random(0)
    graph = layered(24, rng, 0.05)
    kills = survive(fork, tmp_path, graph, rng, schedulers=2, workers=6)
    assert kills == 8
    check(tmp_path, graph, kills)


@pytest.mark.slow
def test_500_jobs_50_schedulers_and_100_workers_killed(tmp_path: Path, fork):
    rng = random.Random(1)
    graph = layered(500, rng, 0.1)
    kills = survive(fork, tmp_path, graph, rng, schedulers=50, workers=100)
    assert kills == 150
    check(tmp_path, graph, kills)
