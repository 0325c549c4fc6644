"""Executors start workers and wait until the jobs are done, have failed, or wait for one that failed.

    local     worker processes on this machine, each with its share of the cores; one that dies is replaced
    slurm     an array of workers on a cluster, through submitit

Neither knows which worker does what, so a scheduler that is killed loses nothing: local workers leave when it is gone,
those of a cluster go on, and the same command starts anew beside them.
"""

import errno
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

from lookharder.errors import MACHINE, InputError
from lookharder.files import make_inside
from lookharder.study.queue.ledger import JobState, Ledger
from lookharder.study.queue.worker import Stopped, WorkerSpec

STAGES = "lookharder.study.stages:STAGES"
Watch = Callable[[str, JobState], object]
PATIENCE = 60.0  # seconds in which a worker that was asked to stop saves what it does


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_gpu(number: int) -> dict[str, str]:
    """What a worker's environment says of GPUs: the one of its number, in turn; nothing where there is none."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    return {"CUDA_VISIBLE_DEVICES": names[number % len(names)]} if names else {}


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
        workers: processes; each gets its share of the cores, and one of the GPUs in turn.
        retry: how often a job that failed is tried again.
        stages: `module:NAME` of the table of stages by kind.
        watch: reported of a job when it is done, or has failed.

    Raises:
        Stopped: by a signal; the workers have given their jobs back.
        OSError: the machine has failed a worker (memory, disk); likewise.
        ChildProcessError: workers die without doing anything.
    """
    spec = WorkerSpec(
        root=str(ledger.root.absolute()),
        jobs=tuple(jobs),
        stages=stages,
        retry=retry,
        parent=os.getpid(),
    )
    threads = str(max(1, cores() // workers))
    limits = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    with _spec_file(ledger, spec) as path, _signals("runs are given back"):
        command = [sys.executable, "-m", "lookharder.study.queue.worker", str(path)]

        def start(number: int) -> subprocess.Popen[bytes]:
            with (path.parent / "workers.log").open("ab") as out:
                its = {**os.environ, **limits, **one_gpu(number)}
                return subprocess.Popen(command, env=its, stdout=out, stderr=out)

        processes = [start(number) for number in range(workers)]
        reported: dict[str, JobState] = {}
        deaths = _Deaths(ledger, jobs, patience=3 * workers)
        try:
            while any(worker.poll() != 0 for worker in processes):  # None: it runs
                for i, worker in enumerate(processes):
                    if code := worker.poll():  # it died
                        deaths.add(code, ended=len(reported))
                        processes[i] = start(i)
                began = time.perf_counter()
                _report(ledger, jobs, reported, watch)
                time.sleep(max(0.05, 20 * (time.perf_counter() - began)))  # a twentieth of a core
        finally:
            _dismiss(processes)
        _report(ledger, jobs, reported, watch)


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
    spec = WorkerSpec(
        root=str(ledger.root.absolute()), jobs=tuple(jobs), stages=stages, retry=retry
    )
    path = _spec_path(ledger)  # stays: a task may start tomorrow
    spec.write(path)
    executor = submitit.AutoExecutor(folder=ledger.root / "slurm", cluster=cluster)
    executor.update_parameters(
        **{"name": "lookharder-study", "timeout_min": 1440, **(parameters or {})}
    )
    command = [sys.executable, "-m", "lookharder.study.queue.worker", str(path.absolute())]
    with executor.batch():
        tasks = [executor.submit(submitit.helpers.CommandFunction(command)) for _ in range(workers)]
    reported: dict[str, JobState] = {}
    with _signals("its array of workers goes on"):
        while not all(task.done() for task in tasks):
            _report(ledger, jobs, reported, watch)
            time.sleep(1.0)
    _report(ledger, jobs, reported, watch)


EXECUTORS: dict[str, Callable[..., None]] = {"local": local, "slurm": slurm}


class _Deaths:
    """Those of workers: others take their places until too many have died in a row for nothing.

    Args:
        ledger: of the jobs.
        jobs: theirs.
        patience: how many that is.
    """

    def __init__(self, ledger: Ledger, jobs: Sequence[str], patience: int) -> None:
        self.ledger, self.jobs, self.patience = ledger, jobs, patience
        self.active, self.idle = _last_activity(ledger, jobs), 0  # without a lease
        self.ended, self.killed = 0, 0  # by signal 9, without a job that ended

    def add(self, code: int, ended: int) -> None:
        """Count one that left `code`, when so many jobs had ended.

        Raises:
            OSError: it was the machine's fault: it says so, or workers are killed as where memory runs out.
            ChildProcessError: workers die before they take a job.
        """
        active = _last_activity(self.ledger, self.jobs)
        self.idle = 1 if active > self.active else self.idle + 1
        if code == -signal.SIGKILL:
            self.killed = 1 if ended > self.ended else self.killed + 1
            self.ended = ended
        self.active = active
        if self.killed > self.patience:
            for name in self.jobs:
                self.ledger.forgive(name)
            code = errno.ENOMEM
        if code in MACHINE:
            what = f"{os.strerror(code)}; runs are given back, and the same command resumes"
            raise OSError(code, what, str(self.ledger.root))
        if self.idle > self.patience:
            log = self.ledger.root / "workers" / "workers.log"
            raise ChildProcessError(f"workers die before they take a job: {log}")


def _report(
    ledger: Ledger, jobs: Sequence[str], reported: dict[str, JobState], watch: Watch
) -> None:
    for name in jobs:
        ends = [ledger.folder(name) / f"{end}.json" for end in ("done", "failed")]
        if reported.get(name) == "done" or not any(end.exists() for end in ends):
            continue
        if (state := ledger.state(name)) in ("done", "failed") and reported.get(name) != state:
            reported[name] = state
            watch(name, state)


def _last_activity(ledger: Ledger, jobs: Sequence[str]) -> int:
    """When any worker last took a job or gave one back, nanoseconds; 0 before the first."""
    locks = [ledger.folder(name) / "lock" for name in jobs]
    return max((lock.stat().st_mtime_ns for lock in locks if lock.exists()), default=0)


def _dismiss(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask all workers to give their jobs back, and wait; again where the wish came as a training ended."""
    while left := [worker for worker in processes if worker.poll() is None]:
        for worker in left:
            worker.terminate()
        for worker in left:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(PATIENCE)


def _spec_path(ledger: Ledger) -> Path:
    return make_inside(ledger.root, "workers") / f"{uuid.uuid4().hex}.json"


@contextmanager
def _spec_file(ledger: Ledger, spec: WorkerSpec) -> Iterator[Path]:
    path = _spec_path(ledger)
    spec.write(path)
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
