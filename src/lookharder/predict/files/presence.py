"""Who writes a folder of results, or a file of scores: one process alone, or the shards of one run together.

    .predictions.door           locked while somebody comes or goes, who then sees who else is there
    .predictions.I-of-N.lock    locked as long as shard I of N writes; says of which run

Those of another file have its name in the place of `predictions`. The locks end with the process, however that ends.
They are locks of files and not of the folder, for those are what network file systems carry from machine to machine.
"""

import fcntl
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from lookharder.errors import InputError
from lookharder.files import TAKEN
from lookharder.shard import Shard

ALLOWED = "a folder of its own, or patience"


class Presence:
    """A shard of a run in a folder; `enter`, `leave` and `alone` are called inside `door`.

    Args:
        folder: which exists.
        shard: of the run.
        run: what all its shards say, and no other run does.
        name: of what they write there.
    """

    def __init__(self, folder: Path, shard: Shard, run: str, name: str = "predictions") -> None:
        self.folder, self.shard, self.run, self.name = folder, shard, run, name
        self._path = folder / f".{name}.{shard.index}-of-{shard.count}.lock"
        self._lock: BufferedRandom | None = None

    @contextmanager
    def door(self) -> Iterator[None]:
        """Nobody comes or goes meanwhile."""
        path = self.folder / f".{self.name}.door"
        while True:
            with path.open("ab") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if not _is(path, handle.fileno()):
                    continue  # who was here before has left for good, and taken the door along
                try:
                    yield
                finally:
                    if self._lock is None and self.alone():
                        path.unlink(missing_ok=True)
                return

    def enter(self) -> None:
        """Be there from now on.

        Raises:
            InputError: another run is there, or this shard is there already.
        """
        if any(run != self.run for run in self._others()):
            raise InputError("--out", f"{self.folder}, {TAKEN}", ALLOWED)
        lock = _locked(self._path)
        if lock is None:
            got = f"{self.folder}, where another process is shard {self.shard}"
            raise InputError("--out", got, ALLOWED)
        self._lock = lock
        lock.write(self.run.encode())
        lock.flush()

    def leave(self) -> None:
        """Be no more there."""
        if self._lock is not None:
            if _is(self._path, self._lock.fileno()):
                self._path.unlink()
            self._lock.close()
            self._lock = None

    def alone(self) -> bool:
        """Whether no other shard is there."""
        return not list(self._others())

    def _others(self) -> Iterator[str]:
        """The runs of the others that are there; locks of processes that have ended are removed."""
        for path in self.folder.glob(f".{glob.escape(self.name)}.*-of-*.lock"):
            if path == self._path:
                continue
            if (lock := _locked(path)) is None:
                yield path.read_text(encoding="utf-8")
            else:
                path.unlink()
                lock.close()


def _locked(path: Path) -> BufferedRandom | None:
    """The file, locked and empty; None where another process holds it."""
    handle = path.open("a+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    handle.truncate(0)
    return handle


def _is(path: Path, handle: int) -> bool:
    """Whether a path is that of an open file."""
    try:
        found, held = path.stat(), os.fstat(handle)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
