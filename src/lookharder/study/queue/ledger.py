"""The ledger says of every job whether it is planned, running, done or failed, and lets one worker at a time at it.

    ROOT/runs/HASH/job.json       what is to be done
                   lock           locked by the worker that does it; a line for each that took it and did not end it
                   done.json      the result, its worker and when it was published
                   failed.json    likewise the latest failure

The lock is the kernel's (flock): one process has it, and however that process ends it is free at once, so there is no
heartbeat, no clock and no number of a process to be believed. On a file system that hosts share it is the server's;
one without locks is refused. The result is written aside, synced, and linked to its name, which fails where there is
one: no kill leaves half a result, and no job has two, not even if a server gave its lock twice.
"""

import fcntl
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lookharder.config import read_as, to_json
from lookharder.errors import InputError
from lookharder.files import make_inside, sync_folder, write_json
from lookharder.jsons import as_object, read_json
from lookharder.study.queue.jobs import Job

JobState = Literal["planned", "running", "done", "failed"]
DEATHS = 20  # workers that may die on a job before it counts as failed: then it is the job that kills them


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to do one job, until it is ended or the process that has it is gone.

    Attributes:
        job: hash of the job.
        owner: of the worker.
        lock: descriptor of the open lock.
    """

    job: str
    owner: str
    lock: int


@dataclass(frozen=True, kw_only=True)
class _Done:
    """What `done.json` says."""

    owner: str
    published: float
    result: dict[str, Any]
    state: Literal["done"] = "done"


@dataclass(frozen=True, kw_only=True)
class _Failed:
    """What `failed.json` says of the latest of so many attempts."""

    owner: str
    error: str
    attempts: int
    state: Literal["failed"] = "failed"


class Ledger:
    """All jobs of a folder.

    Args:
        root: the folder; several studies may share it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, job: str) -> Path:
        """Where the job's files are; its stage may write beside the ledger's."""
        return self.root / "runs" / job

    def plan(self, job: Job) -> None:
        """Record a job as planned, if it is not there yet."""
        path = make_inside(self.root, "runs", job.hash) / "job.json"
        if not path.exists():
            write_json(path, job.to_json())

    def job(self, name: str) -> Job:
        """The job of that hash.

        Raises:
            InputError: it is not planned, or its file says another.
        """
        path = self.folder(name) / "job.json"
        if not path.exists():
            raise InputError("job", name, f"one that is planned in {self.root}")
        return Job.from_json(_read(path), str(path))

    def state(self, name: str) -> JobState:
        """What has become of a job; one that failed is "running" while it is tried again."""
        folder = self.folder(name)
        if (folder / "done.json").exists():
            return "done"
        if _is_locked(folder / "lock"):
            return "running"
        return "failed" if (folder / "failed.json").exists() else "planned"

    def take(self, name: str, owner: str, retry: int = 0) -> Lease | None:
        """A lease on a job that nobody runs; None where somebody does, or it is done, or has failed too often.

        Args:
            name: hash of the job.
            owner: who takes it, a name that no other worker has.
            retry: how often a job that failed is tried again.

        Raises:
            InputError: the file system has no locks.
        """
        path = self.folder(name) / "lock"
        lease = Lease(
            job=name, owner=owner, lock=os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        )
        if not _lock(lease.lock, fcntl.LOCK_EX, path):
            os.close(lease.lock)
            return None
        if (path.parent / "done.json").exists() or self._failures(name) > retry:
            _unlock(lease.lock)
            return None
        if (deaths := os.pread(lease.lock, 1 << 20, 0).count(b"\n")) >= DEATHS * (1 + retry):
            self.fail(lease, f"{deaths} workers died on it")
            return None
        os.write(lease.lock, f"{owner}\n".encode())
        return lease

    def publish(self, lease: Lease, result: Mapping[str, Any]) -> bool:
        """End a job with its result; False, and nothing is changed, if it has one.

        Raises:
            ValueError: the result is no finite JSON; the lease is kept.
        """
        entry = {"state": "done", "owner": lease.owner, "published": time.time(), "result": result}
        text = json.dumps(entry, indent=2, allow_nan=False) + "\n"
        folder = self.folder(lease.job)
        aside = folder / f".{uuid.uuid4().hex}"
        try:
            with aside.open("x", encoding="utf-8") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            first = _link(aside, folder / "done.json")
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(folder)
        _unlock(lease.lock)
        return first

    def fail(self, lease: Lease, error: str) -> None:
        """End an attempt with an error."""
        entry = {"state": "failed", "owner": lease.owner, "error": error}
        attempts = 1 + self._failures(lease.job)
        write_json(self.folder(lease.job) / "failed.json", {**entry, "attempts": attempts})
        self.release(lease)

    def release(self, lease: Lease) -> None:
        """Give a job back unfinished."""
        os.ftruncate(lease.lock, 0)  # nobody died on it
        _unlock(lease.lock)

    def forgive(self, name: str) -> None:
        """Forget the workers that died on a job, unless one has it: they were killed, and not by the job."""
        path = self.folder(name) / "lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT)
        if _lock(lock, fcntl.LOCK_EX, path):
            os.ftruncate(lock, 0)
        os.close(lock)

    def result(self, name: str) -> dict[str, Any]:
        """The result of a job that is done.

        Raises:
            InputError: it is not done.
        """
        result: dict[str, Any] = self.entry(name)["result"]
        return result

    def entry(self, name: str) -> dict[str, Any]:
        """The whole entry that ended a job: owner, time and result; raises as `result`."""
        path = self.folder(name) / "done.json"
        if not path.exists():
            raise InputError("job", f"{name}, which is {self.state(name)}", "one that is done")
        return as_object(to_json(read_as(_Done, path)), str(path))

    def error(self, name: str) -> str | None:
        """Why a job failed last, if it did."""
        path = self.folder(name) / "failed.json"
        return read_as(_Failed, path).error if path.exists() else None

    def _failures(self, name: str) -> int:
        path = self.folder(name) / "failed.json"
        return read_as(_Failed, path).attempts if path.exists() else 0


def _read(path: Path) -> dict[str, Any]:
    return as_object(read_json(path), str(path))


def _lock(descriptor: int, how: int, path: Path) -> bool:
    """Lock an open file; False where another has it."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise InputError("--out", f"{path}: {error}", "a file system with locks") from error
    return True


def _unlock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # for processes too that a stage left behind
    os.close(descriptor)


def _link(aside: Path, path: Path) -> bool:
    """Give a whole file its name, unless the name is taken."""
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    """Whether a process has the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH, path)
    finally:
        os.close(descriptor)
