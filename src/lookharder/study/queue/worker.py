"""A worker takes a job that is ready, does it, publishes the result, and takes the next, until nothing is left.

    python -m lookharder.study.queue.worker SPEC.json

Workers know nothing of each other and nothing of a scheduler: all that they share is the ledger. So any number of
them may be started, killed and started again, on one host or many. What a worker exits with:

    0        nothing is left to do
    75       it was asked to stop, and has given its job back
    errno    the machine has failed it (memory, disk), and it has given its job back: not the job's fault
"""

import importlib
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from lookharder.config import read_as
from lookharder.errors import fault_of_machine
from lookharder.files import as_named_here, write_json
from lookharder.study.queue.ledger import Lease, Ledger

# (the job's folder, its configuration, the folders of the jobs it needs) -> its result, finite JSON
Stage = Callable[[Path, Mapping[str, Any], Sequence[Path]], Mapping[str, Any]]

STOPPED = os.EX_TEMPFAIL  # 75, as of `lookharder train`
SIGNALS = (
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGINT,
)  # USR1, 2: a cluster's early warning


class Stopped(BaseException):
    """The worker was asked to stop; what it was doing can be resumed. Not an Exception: no stage may swallow it."""


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker is to do, as a file.

    Attributes:
        root: folder of the ledger.
        jobs: hashes in the order in which they are wanted, each after those that it needs.
        stages: `module:NAME` of the table of stages by kind.
        retry: how often a job that failed is tried again.
        parent: process without which the worker leaves; None = it stays.
    """

    root: str
    jobs: tuple[str, ...]
    stages: str
    retry: int = 0
    parent: int | None = None

    def write(self, path: Path) -> None:
        """Write the file, as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "WorkerSpec":
        """Read what `write` wrote."""
        spec = read_as(cls, path)
        return replace(spec, root=as_named_here(spec.root))


def drain(
    ledger: Ledger,
    jobs: Sequence[str],
    stages: Mapping[str, Stage],
    *,
    retry: int = 0,
    poll: float = 0.5,
) -> None:
    """Do all that can be done of some jobs, waiting for those that other workers do.

    Args:
        ledger: where they are planned.
        jobs: hashes, each after those that it needs; the first that is ready is done first.
        stages: what each kind of job does.
        retry: how often a job that failed is tried again.
        poll: seconds between looks at what others do.

    Raises:
        Stopped: a stage was stopped; its job is given back.
        OSError, MemoryError, RuntimeError: of the machine (`fault_of_machine`); the job is given back.
    """
    needs = {name: ledger.job(name).needs for name in jobs}
    owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    others = {need for found in needs.values() for need in found}.difference(needs)
    done = {name for name in others if ledger.state(name) == "done"}  # before these were asked for
    while True:
        busy = worked = False
        blocked: set[str] = set()
        for name in jobs:
            if name in done:
                continue
            if blocked.intersection(needs[name]):
                blocked.add(name)
                continue
            if not done.issuperset(needs[name]):
                continue
            lease = None
            if (state := ledger.state(name)) != "running" and state != "done":
                lease = ledger.take(name, owner, retry)
                state = ledger.state(name) if lease is None else state
            if lease is not None:
                _do(ledger, lease, stages)
                worked = True
                break  # what is wanted first may be ready now
            if state == "done":
                done.add(name)
            elif state == "failed":
                blocked.add(name)
            else:
                busy = True
        if not worked and not busy:
            return
        if not worked:
            time.sleep(poll)


def _do(ledger: Ledger, lease: Lease, stages: Mapping[str, Stage]) -> None:
    job = ledger.job(lease.job)
    try:
        began = time.perf_counter()
        needs = [ledger.folder(name) for name in job.needs]
        result = dict(stages[job.kind](ledger.folder(job.hash), job.config, needs))
        ledger.publish(lease, {"seconds": time.perf_counter() - began, **result})
    except Exception as error:
        if CAME:  # code in C may drop what a signal raises, and raise something of its own
            ledger.release(lease)
            raise Stopped(CAME[0]) from error
        if fault_of_machine(error) is not None:
            ledger.release(lease)
            raise
        ledger.fail(lease, traceback.format_exc())
    except BaseException:
        ledger.release(lease)
        raise


CAME: list[str] = []  # signals


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # once is enough: the job is being given back
    CAME.append(signal.Signals(number).name)
    raise Stopped(CAME[0])


def _follow(parent: int) -> None:
    """Leave when the scheduler is gone: its successor starts workers of its own."""
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(STOPPED)  # whatever it does: what it has locked is free then


def main(path: str) -> int:
    """Work as a file says; the exit status."""
    spec = WorkerSpec.read(Path(path))
    if spec.parent is not None:
        threading.Thread(target=_follow, args=(spec.parent,), daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, _stop)
    module, _, table = spec.stages.partition(":")
    try:
        stages = getattr(importlib.import_module(module), table)
        drain(Ledger(Path(spec.root)), spec.jobs, stages, retry=spec.retry)
    except Stopped:
        return STOPPED
    except Exception as error:
        if (fault := fault_of_machine(error)) is None:
            raise
        traceback.print_exc()
        return fault
    return 0


if __name__ == "__main__":
    # the module that stages know: `Stopped` of the one that runs as a script is not theirs
    from lookharder.study.queue import worker

    sys.exit(worker.main(sys.argv[1]))
