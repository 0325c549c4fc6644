"""The ledger says of every job whether it is planned, running, done or failed, and lets one worker at a time at it.

    ROOT/runs/HASH/job.json       what is to be done
                   log/0000, ...  what happened, one file an entry; the last one is the job's state
                   done.json      the entry that ended it, once more, where it is easily found
                   failed.json    likewise the latest failure

An entry is written aside, synced, and linked to the next free number. Linking fails where the number is taken, so of
all who would change the state from the same one exactly one does: a lease is taken once, and a worker whose lease was
taken from it can no longer publish, because the number that its result would have had is the thief's. Nothing is ever
unlocked, overwritten or removed, so there is no moment at which a kill leaves half a state.

A lease is `running` as long as its worker lives and beats: the modification time of its entry is the heartbeat. It is
stale, and the job free again, when the process is dead (on this host: its number is gone, or belongs to one that began
at another time) or the heartbeat is older than `ttl` seconds by the clock of the file system.
"""

import json
import os
import socket
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lookharder.errors import InputError
from lookharder.files import sync_folder, write_json
from lookharder.study.queue.jobs import Job

State = Literal["planned", "running", "done", "failed"]
DEATHS = 20  # workers that may die on a job before it counts as failed: then it is the job that kills them


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to do one job, for as long as it beats.

    Attributes:
        job: hash of the job.
        entry: number of its entry in the log; it grows with every lease of the job.
        owner: of the worker.
    """

    job: str
    entry: int
    owner: str


class Ledger:
    """All jobs of a folder.

    Args:
        root: the folder; several studies may share it.
        ttl: seconds without a heartbeat after which a lease is stale.
    """

    def __init__(self, root: Path, ttl: float = 120.0) -> None:
        self.root, self.ttl = root, ttl

    def folder(self, job: str) -> Path:
        """Where the job's files are; its stage may write beside the ledger's."""
        return self.root / "runs" / job

    def plan(self, job: Job) -> None:
        """Write a job down, unless it is."""
        path = self.folder(job.hash) / "job.json"
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
        return Job.from_json(json.loads(path.read_text(encoding="utf-8")))

    def state(self, name: str) -> State:
        """What the log's last entry says, and whether a lease still beats."""
        if (self.folder(name) / "done.json").exists():
            return "done"
        log = self._log(name)
        if not log:
            return "planned"
        last = _read(log[-1])
        if last["state"] == "done":  # and its worker was killed before it showed it
            self._show(name, log[-1], "done.json")
        if last["state"] == "running" and _stale(log[-1], last, self.ttl, time.time()):
            return "planned"
        state: State = last["state"]
        return state

    def take(self, name: str, owner: str, retry: int = 0) -> Lease | None:
        """A lease on a job that nobody runs; None where somebody does, or it is done, or has failed too often.

        Args:
            name: hash of the job.
            owner: who takes it, a name that no other worker has.
            retry: how often a job that failed is tried again.
        """
        log = self._log(name)
        last: dict[str, Any] = _read(log[-1]) if log else {"state": "planned"}
        if last["state"] == "done" or (last["state"] == "failed" and last["attempts"] > retry):
            return None
        entry = {"state": "running", "owner": owner, "taken": time.time(), **_identity()}
        aside = self._aside(name, entry)
        try:
            if last["state"] == "running":
                if not _stale(log[-1], last, self.ttl, aside.stat().st_mtime):
                    return None
                deaths = _deaths(log)
                if deaths >= DEATHS * (1 + retry):
                    said = {"error": f"{deaths} workers died on it", **_attempts(log)}
                    if self._append(name, len(log), {"state": "failed", "owner": owner, **said}):
                        self._show(name, self._path(name, len(log)), "failed.json")
                    return None
            if not _link(aside, self._path(name, len(log))):
                return None
        finally:
            aside.unlink()
        return Lease(job=name, entry=len(log), owner=owner)

    def beat(self, lease: Lease) -> bool:
        """Renew a lease; False if it is no longer this worker's, which must then leave the job's folder alone."""
        if self._path(lease.job, lease.entry + 1).exists():
            return False
        os.utime(self._path(lease.job, lease.entry))
        return True

    def publish(self, lease: Lease, result: Mapping[str, Any]) -> bool:
        """End a job with its result; False, and nothing is changed, if the lease is no longer this worker's.

        Raises:
            ValueError: the result is no finite JSON.
        """
        entry = {"state": "done", "owner": lease.owner, "published": time.time(), "result": result}
        if not self._append(lease.job, lease.entry + 1, entry):
            return False
        self._show(lease.job, self._path(lease.job, lease.entry + 1), "done.json")
        return True

    def fail(self, lease: Lease, error: str) -> bool:
        """End an attempt with an error; as `publish`."""
        said = {"error": error, **_attempts(self._log(lease.job))}
        entry = {"state": "failed", "owner": lease.owner, **said}
        if not self._append(lease.job, lease.entry + 1, entry):
            return False
        self._show(lease.job, self._path(lease.job, lease.entry + 1), "failed.json")
        return True

    def release(self, lease: Lease) -> bool:
        """Give a job back unfinished; as `publish`."""
        entry = {"state": "planned", "owner": lease.owner}
        return self._append(lease.job, lease.entry + 1, entry)

    def result(self, name: str) -> dict[str, Any]:
        """What a job that is done was published with.

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
        return _read(path)

    def error(self, name: str) -> str | None:
        """Why a job failed last, if it did."""
        for path in reversed(self._log(name)):
            if (entry := _read(path))["state"] == "failed":
                return str(entry["error"])
        return None

    def _path(self, name: str, entry: int) -> Path:
        return self.folder(name) / "log" / f"{entry:04d}"

    def _log(self, name: str) -> list[Path]:
        folder = self.folder(name) / "log"
        with suppress(FileNotFoundError):
            return sorted(path for path in folder.iterdir() if path.name.isdecimal())
        return []

    def _aside(self, name: str, entry: Mapping[str, Any]) -> Path:
        """An entry on the disk, under a name that nobody reads."""
        folder = self.folder(name) / "log"
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{uuid.uuid4().hex}"
        with aside.open("x", encoding="utf-8") as handle:
            handle.write(json.dumps(entry, indent=2, allow_nan=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        return aside

    def _append(self, name: str, entry: int, value: Mapping[str, Any]) -> bool:
        aside = self._aside(name, value)
        try:
            return _link(aside, self._path(name, entry))
        finally:
            aside.unlink()

    def _show(self, name: str, entry: Path, shown: str) -> None:
        """The entry under a name of its own: a link beside, renamed into place."""
        aside = entry.with_name(f".{uuid.uuid4().hex}")
        os.link(entry, aside)
        aside.replace(self.folder(name) / shown)
        aside.unlink(missing_ok=True)  # where both were one file already, renaming did nothing
        sync_folder(self.folder(name))


def _link(aside: Path, path: Path) -> bool:
    """Give a whole file its name, unless the name is taken."""
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    sync_folder(path.parent)
    return True


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _deaths(log: list[Path]) -> int:
    """Leases at the end of a log that nobody ended."""
    count = 0
    for path in reversed(log):
        if _read(path)["state"] != "running":
            break
        count += 1
    return count


def _attempts(log: list[Path]) -> dict[str, int]:
    return {"attempts": 1 + sum(_read(path)["state"] == "failed" for path in log)}


def _stale(path: Path, lease: Mapping[str, Any], ttl: float, now: float) -> bool:
    if lease["host"] == _host() and _began(lease["pid"]) != lease["began"]:
        return True
    return now - path.stat().st_mtime > ttl


def _identity() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "host": _host(), "began": _began(pid)}


@cache
def _host() -> str:
    """This machine since it started, and the space in which its process numbers mean something."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    since = boot.read_text(encoding="ascii").strip() if boot.exists() else ""
    numbers = str(space.readlink()) if space.is_symlink() else ""
    return f"{socket.gethostname()} {since} {numbers}".strip()


def _began(pid: int) -> str | None:
    """When the process of that number began, in ticks since the machine did; None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:  # no /proc on this system: a number in use is taken for the process that had it
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return "unknown"
    return None if fields[0] in "ZX" else fields[19]  # killed, though its parent has not looked yet
