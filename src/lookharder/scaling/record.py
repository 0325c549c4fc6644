"""A record is one finished measurement; a file of them only ever grows.

    records = Records(folder / "records.jsonl")
    records.append(record)               True: written, durable; False: this measurement was there already
    Records.read(path)                   every record, in the order in which they were written

One record is one line of JSON, written under a lock by one `write` at the file's end and synced before `append`
returns, so that processes on one machine may write the same file. No line is ever changed. A process that dies while
it writes leaves a line without its end: readers pass over it with a warning, and the next append cuts it off. Any
other line that is not a record is an error, for then something else has written there.

Two conventions of counting stand in each record. Ours: every matrix product, attention's two products between tokens
among them; a training image costs 3 forwards. The paper's figures: twice the multiply-adds of the linear layers, one
forward an image, in training too; what its axes call MACs.
"""

import fcntl
import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lookharder.config import from_json, to_json
from lookharder.errors import InputError
from lookharder.files import sync_folder
from lookharder.jsons import parse_json

log = logging.getLogger(__name__)
LAST = 1024  # bytes by which a file is known again


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished measurement.

    Attributes:
        study: name of the study that asked for it.
        claim: what of the paper it speaks to, e.g. "figure 8"; empty where nothing.
        run: hash of the configuration that was measured.
        point: where on the study's axes it lies: {"size": "n3", "width": 192, "iterations": 4000, "steps": 4, ...}.
        seed: of what differs between repeats.
        params: parameters of the network.
        active_params: those in use for one token of one task.
        train_images: images seen in training, repeats counted; None where it is not known.
        train_macs: multiply-adds of the training, 3 forwards an image, attention counted; 0 where it is not known.
        train_macs_paper: the same training in the unit of the paper's axes.
        inference_macs: multiply-adds of one image's answer, all steps and members.
        inference_macs_paper: the same answer in the unit of the paper's axes; None where it is not known.
        task: "depth", "flow", "amodal" or "generation".
        metric: what the value is, smaller is better.
        value: the mean over images.
        low: lower end of its 95 % bootstrap interval over images.
        high: upper end.
        images: how many it is a mean of.
        per_image: one value per image, in the order of the data; None where they are not kept.
        seconds: of wall clock that the measurement took.
        machine: where.
        versions: of the software that it depends on, by name.
        time: when it was finished, seconds since 1970.
        protocol: name or hash of how predictions were scored.
    """

    study: str
    claim: str
    run: str
    point: dict[str, int | float | str]
    seed: int
    params: int
    active_params: int
    train_images: int | None = None
    train_macs: float
    train_macs_paper: float
    inference_macs: float
    inference_macs_paper: float | None = None
    task: str
    metric: str
    value: float
    low: float
    high: float
    images: int
    per_image: tuple[float, ...] | None = None
    seconds: float
    machine: str
    versions: dict[str, str]
    time: float
    protocol: str

    def __post_init__(self) -> None:
        for name, value in [*vars(self).items(), *self.point.items()]:
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"record.{name}", value, "a finite number")
        for name in ("train_macs", "train_macs_paper", "inference_macs", "seconds"):
            if getattr(self, name) < 0:
                raise InputError(f"record.{name}", getattr(self, name), "0 or more")
        for name in ("params", "active_params", "images"):
            if getattr(self, name) < 1:
                raise InputError(f"record.{name}", getattr(self, name), "1 or more")
        if not self.low <= self.value <= self.high:
            interval = f"{self.value} outside [{self.low}, {self.high}]"
            raise InputError("record.value", interval, "a value inside its interval")
        values = self.per_image
        if values is not None and (
            len(values) != self.images or not all(map(math.isfinite, values))
        ):
            raise InputError(
                "record.per_image", f"{len(values)} values", f"{self.images} finite ones, as images"
            )

    @property
    def key(self) -> str:
        """The measurement's name: two records with one key measure the same thing."""
        return measurement(
            study=self.study,
            run=self.run,
            point=self.point,
            task=self.task,
            metric=self.metric,
            seed=self.seed,
            protocol=self.protocol,
        )


def measurement(
    *,
    study: str,
    run: str,
    point: dict[str, int | float | str],
    task: str,
    metric: str,
    seed: int,
    protocol: str,
) -> str:
    """The name of a measurement, done or still to do: sixteen hexadecimal digits; 4 and 4.0 are one number."""
    places = {
        name: float(value) if isinstance(value, int) else value for name, value in point.items()
    }
    said = [study, run, places, task, metric, seed, protocol]
    text = json.dumps(said, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Records:
    """A file of records to which any number of processes on one machine may append.

    Args:
        path: the file; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._keys: set[str] = set()
        self._seen = 0  # bytes whose keys are known,
        self._last = b""  # and the end of these: of a file in its place it is another

    def append(self, record: Record) -> bool:
        """Write a record, unless its measurement is there already; it is on the disk when this returns.

        Returns:
            Whether it was written.

        Raises:
            InputError: the file holds something else than records.
            OSError: the system refused; the file is as it was.
        """
        with _locked(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, fcntl.LOCK_EX) as file:
            size, end = os.fstat(file).st_size, self._update(file)
            if record.key in self._keys:
                return False
            if end < size:
                log.warning("%s: cut off a line that a writer left unfinished", self.path)
                os.ftruncate(file, end)
            line = json.dumps(to_json(record), allow_nan=False, separators=(",", ":")) + "\n"
            complete = end == 0 or os.pread(file, 1, end - 1) == b"\n"
            text = (line if complete else "\n" + line).encode()
            try:
                if os.write(file, text) < len(text):
                    raise OSError(None, "the disk took part of a record", str(self.path))
                os.fsync(file)
            except BaseException:
                os.ftruncate(file, end)
                raise
            if size == 0:
                sync_folder(self.path.parent)
            self._keys.add(record.key)
            self._seen = end + len(text)
            self._last = text[-LAST:]
        return True

    def __contains__(self, key: str) -> bool:
        """Whether the measurement of this key is in the file now."""
        if not self.path.exists():
            return False
        with _locked(self.path, os.O_RDONLY, fcntl.LOCK_SH) as file:
            self._update(file)
        return key in self._keys

    @staticmethod
    def read(path: str | Path) -> list[Record]:
        """Every record of a file, in the order in which they were written.

        Raises:
            InputError: there is no such file, or it holds something else than records.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError("records", f"{path}, which is no file", "a file of records")
        with _locked(path, os.O_RDONLY, fcntl.LOCK_SH) as file:
            data = _bytes(file, 0)
        found, end = _parse(data, path, 0)
        if end < len(data):
            log.warning("%s: passed over a line that a writer left unfinished", path)
        return found

    def _update(self, file: int) -> int:
        """Learn the keys of what was appended since; where the last whole record ends, in bytes."""
        before = self._seen - len(self._last)
        if os.pread(file, len(self._last), before) != self._last:  # someone began the file anew
            self._keys, self._seen, self._last = set(), 0, b""
        new = _bytes(file, self._seen)
        found, end = _parse(new, self.path, self._seen)
        self._keys |= {record.key for record in found}
        self._seen += end
        self._last = (self._last + new[:end])[-LAST:]
        return self._seen


@contextmanager
def _locked(path: Path, flags: int, how: int) -> Iterator[int]:
    """An open file that no other process is writing."""
    file = os.open(path, flags, 0o666)
    try:
        fcntl.flock(file, how)
        yield file
    finally:
        os.close(file)  # which unlocks


def _bytes(file: int, start: int) -> bytes:
    with os.fdopen(os.dup(file), "rb") as handle:
        handle.seek(start)
        return handle.read()


def _parse(data: bytes, path: Path, start: int) -> tuple[list[Record], int]:
    """The records in bytes that begin `start` bytes into a file, and where the last whole one ends.

    A last line without its newline counts if it is whole: no beginning of a JSON object is one.
    """
    found, end = [], 0
    for line in data.splitlines(keepends=True):
        try:
            if line.strip():
                found.append(from_json(Record, parse_json(line, "record"), "record"))
        except ValueError as error:
            if not line.endswith(b"\n") and _begins_record(line):
                break
            place = f"{path}, byte {start + end}"
            raise InputError(place, f"{line[:40]!r}: {error}", "one record a line") from error
        end += len(line)
    return found, end


def _begins_record(line: bytes) -> bool:
    """Whether a line without its end is ours to cut off: anything else there is someone's, and stays."""
    opening = b'{"study":'
    return opening.startswith(line[: len(opening)]) or not line.strip(b"\0")
