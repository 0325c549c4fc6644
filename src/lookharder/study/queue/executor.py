"""Executors start workers and wait until the jobs are done, have failed, or wait for one that failed.

    local     worker processes on this machine, each with its share of the cores; one that dies is replaced
    slurm     an array of workers on a cluster, through submitit

Neither knows which worker does what, so a scheduler that is killed loses nothing: local workers leave when it is gone,
those of a cluster go on, and the same command starts anew beside them.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from lookharder.errors import InputError
from lookharder.study.queue.ledger import Ledger, State
from lookharder.study.queue.worker import Orders, Stopped

STAGES = "lookharder.study.stages:STAGES"
Watch = Callable[[str, State], object]
PATIENCE = 60.0  # seconds in which a worker that was asked to stop saves what it does


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local(
    ledger: Ledger,
    jobs: Sequence[str],
    *,
    workers: int = 1,
    retry: int = 0,
    stages: str = STAGES,
    watch: Watch = lambda name, state: None,
) -> None:
    """Work on this machine with so many processes at a time.

    Args:
        ledger: where the jobs are planned.
        jobs: hashes, each after those that it needs; those wanted first come first.
        workers: processes; each gets its share of the cores.
        retry: how often a job that failed is tried again.
        stages: `module:NAME` of the table of stages by kind.
        watch: told of a job when it is done, or has failed.

    Raises:
        Stopped: by a signal; the workers have given their jobs back.
        ChildProcessError: workers die without doing anything.
    """
    orders = Orders(
        root=str(ledger.root.absolute()),
        jobs=tuple(jobs),
        stages=stages,
        retry=retry,
        ttl=ledger.ttl,
        parent=os.getpid(),
    )
    threads = str(max(1, cores() // workers))
    limits = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    patience = 3 * workers  # deaths in a row without a lease: then it is not a job that kills them
    with _orders(ledger, orders) as path, _signals("runs are given back"):
        command = [sys.executable, "-m", "lookharder.study.queue.worker", str(path)]

        def start() -> subprocess.Popen[bytes]:
            with (path.parent / "workers.log").open("ab") as out:
                return subprocess.Popen(
                    command, env={**os.environ, **limits}, stdout=out, stderr=out
                )

        crew = [start() for _ in range(workers)]
        told: dict[str, State] = {}
        leases, deaths = _entries(ledger, jobs), 0
        try:
            while any(worker.poll() is None for worker in crew) or any(w.returncode for w in crew):
                for i, worker in enumerate(crew):
                    if worker.poll():  # it died, or lost its lease and left
                        now = _entries(ledger, jobs)
                        leases, deaths = now, 1 if now > leases else deaths + 1
                        if deaths > patience:
                            log = path.parent / "workers.log"
                            raise ChildProcessError(f"workers die before they take a job: {log}")
                        crew[i] = start()
                began = time.perf_counter()
                _tell(ledger, jobs, told, watch)
                time.sleep(max(0.05, 20 * (time.perf_counter() - began)))  # a twentieth of a core
        finally:
            _dismiss(crew)
        _tell(ledger, jobs, told, watch)


def slurm(
    ledger: Ledger,
    jobs: Sequence[str],
    *,
    workers: int = 1,
    retry: int = 0,
    stages: str = STAGES,
    watch: Watch = lambda name, state: None,
    cluster: str | None = None,
    parameters: dict[str, Any] | None = None,
) -> None:
    """Work on a cluster with an array of so many workers; arguments as of `local`.

    Args:
        ledger: on a file system that all nodes share.
        jobs: as of `local`.
        workers: tasks of the array.
        retry: as of `local`.
        stages: as of `local`.
        watch: as of `local`.
        cluster: "slurm", "local" or "debug" in submitit's words; None = slurm where there is one, else local.
        parameters: of the array in submitit's words, e.g. `{"slurm_partition": "gpu", "timeout_min": 1440}`.

    Raises:
        InputError: submitit is not installed.
    """
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            "--executor", "slurm, without submitit", "pip install 'lookharder[slurm]', or local"
        ) from error
    orders = Orders(
        root=str(ledger.root.absolute()),
        jobs=tuple(jobs),
        stages=stages,
        retry=retry,
        ttl=ledger.ttl,
    )
    path = ledger.root / "orders" / f"{uuid.uuid4().hex}.json"  # stays: a task may start tomorrow
    orders.write(path)
    executor = submitit.AutoExecutor(folder=ledger.root / "slurm", cluster=cluster)
    executor.update_parameters(
        **{"name": "lookharder-study", "timeout_min": 1440, **(parameters or {})}
    )
    command = [sys.executable, "-m", "lookharder.study.queue.worker", str(path.absolute())]
    with executor.batch():
        tasks = [executor.submit(submitit.helpers.CommandFunction(command)) for _ in range(workers)]
    told: dict[str, State] = {}
    with _signals("its array of workers goes on"):
        while not all(task.done() for task in tasks):
            _tell(ledger, jobs, told, watch)
            time.sleep(1.0)
    _tell(ledger, jobs, told, watch)


EXECUTORS: dict[str, Callable[..., None]] = {"local": local, "slurm": slurm}


def _tell(ledger: Ledger, jobs: Sequence[str], told: dict[str, State], watch: Watch) -> None:
    for name in jobs:
        ends = [ledger.folder(name) / f"{end}.json" for end in ("done", "failed")]
        if told.get(name) == "done" or not any(end.exists() for end in ends):
            continue
        if (state := ledger.state(name)) in ("done", "failed") and told.get(name) != state:
            told[name] = state
            watch(name, state)


def _entries(ledger: Ledger, jobs: Sequence[str]) -> int:
    """Entries of all logs: it grows whenever a worker takes or ends anything."""
    return sum(len(list((ledger.folder(name) / "log").glob("[0-9]*"))) for name in jobs)


def _dismiss(crew: list[subprocess.Popen[bytes]]) -> None:
    """Ask all workers to give their jobs back, and wait; again where the wish came as a training ended."""
    while left := [worker for worker in crew if worker.poll() is None]:
        for worker in left:
            worker.terminate()
        for worker in left:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(PATIENCE)


@contextmanager
def _orders(ledger: Ledger, orders: Orders) -> Iterator[Path]:
    path = ledger.root / "orders" / f"{uuid.uuid4().hex}.json"
    orders.write(path)
    try:
        yield path
    finally:
        path.unlink()


@contextmanager
def _signals(then: str) -> Iterator[None]:
    """SIGTERM and Ctrl-C raise `Stopped` in the scheduler, with what becomes of the runs."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Stopped(f"{signal.Signals(number).name}, {then}")

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
