"""A worker takes a job that is ready, does it, publishes the result, and takes the next, until nothing is left.

    python -m lookharder.study.queue.worker PLAN.json

Workers know nothing of each other and nothing of a scheduler: all that they share is the ledger. So any number of
them may be started, killed and started again, on one host or many.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from lookharder.files import write_json
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
class Orders:
    """What a worker is told, as a file.

    Attributes:
        root: folder of the ledger.
        jobs: hashes in the order in which they are wanted, each after those that it needs.
        stages: `module:NAME` of the table of stages by kind.
        retry: how often a job that failed is tried again.
        ttl: seconds without a heartbeat after which a lease is stale.
        parent: process without which the worker leaves; None = it stays.
    """

    root: str
    jobs: tuple[str, ...]
    stages: str
    retry: int = 0
    ttl: float = 120.0
    parent: int | None = None

    def write(self, path: Path) -> None:
        """As JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Orders":
        """What `write` wrote."""
        value = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**value, "jobs": tuple(value["jobs"])})


def drain(
    ledger: Ledger,
    jobs: Sequence[str],
    stages: Mapping[str, Stage],
    *,
    retry: int = 0,
    poll: float = 0.5,
    lost: Callable[[], object] | None = None,
) -> None:
    """Do all that can be done of some jobs, waiting for those that other workers do.

    Args:
        ledger: where they are planned.
        jobs: hashes, each after those that it needs; the first that is ready is done first.
        stages: what each kind of job does.
        retry: how often a job that failed is tried again.
        poll: seconds between looks at what others do.
        lost: called in another thread when a lease was taken away while its job runs; None = end the process, because
            somebody else is at work in the job's folder.

    Raises:
        Stopped: a stage was stopped; its job is given back.
    """
    needs = {name: ledger.job(name).needs for name in jobs}
    owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    others = {need for found in needs.values() for need in found}.difference(needs)
    done = {name for name in others if ledger.state(name) == "done"}  # before these were asked for
    while True:
        busy = worked = False
        hopeless: set[str] = set()
        for name in jobs:
            if name in done:
                continue
            if hopeless.intersection(needs[name]):
                hopeless.add(name)
                continue
            if not done.issuperset(needs[name]):
                continue
            lease = None
            if (state := ledger.state(name)) != "running" and state != "done":
                lease = ledger.take(name, owner, retry)
                state = ledger.state(name) if lease is None else state
            if lease is not None:
                _do(ledger, lease, stages, lost or _leave)
                worked = True
                break  # what is wanted first may be ready now
            if state == "done":
                done.add(name)
            elif state == "failed":
                hopeless.add(name)
            else:
                busy = True
        if not worked and not busy:
            return
        if not worked:
            time.sleep(poll)


def _do(
    ledger: Ledger, lease: Lease, stages: Mapping[str, Stage], lost: Callable[[], object]
) -> None:
    job = ledger.job(lease.job)
    with _Pulse(ledger, lease, lost):
        try:
            began = time.perf_counter()
            needs = [ledger.folder(name) for name in job.needs]
            result = dict(stages[job.kind](ledger.folder(job.hash), job.config, needs))
            ledger.publish(lease, {"seconds": time.perf_counter() - began, **result})
        except Exception:
            ledger.fail(lease, traceback.format_exc())
        except BaseException:
            ledger.release(lease)
            raise


class _Pulse:
    """Beats a lease, several times a `ttl`, while its block runs."""

    def __init__(self, ledger: Ledger, lease: Lease, lost: Callable[[], object]) -> None:
        self.ledger, self.lease, self.lost = ledger, lease, lost
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self.over.wait(self.ledger.ttl / 5):
            try:
                alive = self.ledger.beat(self.lease)
                last = time.monotonic() if alive else last
            except OSError:  # the file system may be back before the lease is stale
                alive = time.monotonic() - last < self.ledger.ttl
            if not alive and not self.over.is_set():
                self.lost()
                return


def _leave() -> NoReturn:
    os._exit(STOPPED)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # once is enough: the job is being given back
    raise Stopped(signal.Signals(number).name)


def _follow(parent: int) -> None:
    """Leave when the scheduler is gone: its successor starts workers of its own."""
    while os.getppid() == parent:
        time.sleep(0.25)
    _leave()


def main(path: str) -> int:
    """Work by the orders in a file."""
    orders = Orders.read(Path(path))
    if orders.parent is not None:
        threading.Thread(target=_follow, args=(orders.parent,), daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, _stop)
    module, _, table = orders.stages.partition(":")
    try:
        stages = getattr(importlib.import_module(module), table)
        drain(Ledger(Path(orders.root), orders.ttl), orders.jobs, stages, retry=orders.retry)
    except Stopped:
        return STOPPED
    return 0


if __name__ == "__main__":
    # the module that stages know: `Stopped` of the one that runs as a script is not theirs
    from lookharder.study.queue import worker

    sys.exit(worker.main(sys.argv[1]))
