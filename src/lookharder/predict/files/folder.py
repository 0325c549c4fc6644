"""A folder of results: one process writes it at a time, and whatever strikes, it says what is true of it.

    predictions.jsonl     a record for each result, appended when all its files are there
    .predictions.claims   names of files that are being written: what a killed process left behind is known as ours
    index.html            the page; removed while results change, written anew at the end

A file is this tool's own if a record or a claim names it. Nothing else is replaced, unless that is asked for. Before a
result is made anew its record goes, so that no record speaks of files of another run. The lock is one of the folder
itself and ends with the process; a folder that vanishes meanwhile is not made again.
"""

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from lookharder.errors import InputError
from lookharder.files import atomic, hold_folder, read_text
from lookharder.jsons import as_object, parse_json

AnswerRecord = dict[str, Any]
Key = tuple[str, str]  # task and name of a result
RECORDS, CLAIMS, PAGE = "predictions.jsonl", ".predictions.claims", "index.html"
LONGEST = 240  # bytes of a file's name: systems take 255, and a temporary name adds ten


class ResultFolder:
    """A folder that this process holds; made by `hold`.

    Args:
        path: of the folder, which exists.
        handle: the open folder.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle
        self.records, self._claims = _read(path)
        self.owned = _owned(self.records, self._claims)

    def check_free(self, files: Iterable[str], inputs: Collection[Path], overwrite: bool) -> None:
        """Refuse names that cannot be written, or that would replace what is not this tool's.

        Args:
            files: that will be written.
            inputs: files that are asked about, resolved.
            overwrite: replace whatever is no input.

        Raises:
            InputError: naming the file.
        """
        for file in (*files, RECORDS, PAGE):
            if len(os.fsencode(Path(file).name)) > LONGEST:
                allowed = f"names that leave room for results: {LONGEST} bytes in all"
                raise InputError("IMAGE", f"a result named {file[:40]}...", allowed)
            path = self.path / file
            if path.resolve() in inputs:
                raise InputError(
                    "--out", f"{self.path}, where {file} is an input", "another folder"
                )
            if not overwrite and file not in self.owned and os.path.lexists(path):
                got = f"{self.path}, where {file} exists and is no earlier result"
                raise InputError("--out", got, "another folder, or --overwrite")

    def record(self, task: str, name: str) -> AnswerRecord:
        """The record of a result that is there."""
        return next(record for record in self.records if key_of(record) == (task, name))

    def made(
        self, wanted: Mapping[Key, str], recipe: str, *, skip_existing: bool, anew: bool
    ) -> set[Key]:
        """Which results are there and need not be made.

        Args:
            wanted: task and name of each result -> digest of its input.
            recipe: how they would be made.
            skip_existing: any result will do, however it was made.
            anew: no result will do.
        """
        there = {} if anew else {key_of(record): record for record in self.records}
        asked = {key: (recipe, digest) for key, digest in wanted.items() if key in there}
        return {
            key
            for key, how in asked.items()
            if skip_existing or (there[key].get("recipe"), there[key].get("digest")) == how
        }

    def begin(self, changing: Collection[Key]) -> None:
        """Forget the records of results that will be made anew, and the page, before any file changes."""
        gone = [record for record in self.records if key_of(record) in changing]
        self.records = [record for record in self.records if key_of(record) not in changing]
        self._claims += gone
        self.owned |= {RECORDS, CLAIMS, PAGE}
        self._write(CLAIMS, self._claims)
        (self.path / PAGE).unlink(missing_ok=True)
        self._write(RECORDS, self.records)

    @contextmanager
    def adding(self, claims: Sequence[AnswerRecord]) -> Iterator[list[AnswerRecord]]:
        """Write results inside; the records that are put into the list are appended when all is written.

        Args:
            claims: `task`, `name` and `files` of each.

        Raises:
            FileNotFoundError: the folder has vanished.
        """
        self._check()
        self._append(CLAIMS, claims)
        self._claims += claims
        files = [self.path / file for claim in claims for file in _files(claim)]
        for folder in {file.parent for file in files}:
            folder.mkdir(parents=True, exist_ok=True)
        records: list[AnswerRecord] = []
        yield records
        try:
            self._check()
        except FileNotFoundError:  # and a writer made it again
            for file in files:
                remove(file)
            with suppress(OSError):
                self.path.rmdir()
            raise
        self._append(RECORDS, records)
        self.records += records

    def finish(self, order: Sequence[Key]) -> None:
        """Sort the records, those of this call after earlier ones, as they were asked for; drop what is left."""
        self._check()
        places = {key: place for place, key in enumerate(order)}
        self.records.sort(key=lambda record: places.get(key_of(record), -1))
        self._write(RECORDS, self.records)
        named = {file for record in self.records for file in _files(record)}
        left = {file for claim in self._claims for file in _files(claim)} - named
        for file in left:  # by a process that was killed, or by a run with other options
            remove(self.path / file)
        (self.path / CLAIMS).unlink(missing_ok=True)

    def _check(self) -> None:
        """The folder of the path is still the one that is held."""
        held = os.fstat(self._handle)
        with suppress(FileNotFoundError):
            found = self.path.stat()
            if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
                return
        message = "the folder of results has vanished"
        raise FileNotFoundError(errno.ENOENT, message, str(self.path))

    def _append(self, name: str, records: Sequence[AnswerRecord]) -> None:
        """Lines at the end of a file of the folder that is held, on the disk when this returns."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        file = os.open(name, flags, 0o666, dir_fd=self._handle)
        with os.fdopen(file, "wb") as handle:
            handle.write("".join(map(_line, records)).encode())
            handle.flush()
            os.fsync(handle.fileno())
        os.fsync(self._handle)

    def _write(self, name: str, records: Sequence[AnswerRecord]) -> None:
        with atomic(self.path / name) as aside:
            aside.write_text("".join(map(_line, records)), encoding="utf-8")


@contextmanager
def hold(out: Path) -> Iterator[ResultFolder]:
    """Make the folder of results if there is none, and hold it; what stays empty goes again.

    Raises:
        InputError: it cannot be a folder, cannot be written, another process writes it, or its records are not ours.
    """
    with hold_folder(out) as handle:
        yield ResultFolder(out, handle)


def _read(folder: Path) -> tuple[list[AnswerRecord], list[AnswerRecord]]:
    """The records of a folder, and as claims: what was being written, and records that lack a file."""
    records, claims = list(_lines(folder / RECORDS)), list(_lines(folder / CLAIMS))
    broken = [r for r in records if not all((folder / file).exists() for file in _files(r))]
    return [record for record in records if record not in broken], claims + broken


def _owned(records: Sequence[AnswerRecord], claims: Sequence[AnswerRecord]) -> set[str]:
    files = {file for record in (*records, *claims) for file in _files(record)}
    return files | {RECORDS, CLAIMS, PAGE} if records or claims else files


def remove(path: Path) -> None:
    """A result, if it is there; that of a clip is a folder of frames."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def own_files(folder: Path) -> set[Path]:
    """The results in a folder, if it is one of results; nothing where its records cannot be read."""
    try:
        return {folder / file for file in _owned(*_read(folder))}
    except InputError:
        return set()


def _lines(path: Path) -> Iterator[AnswerRecord]:
    """The lines of a file of ours; the last may be cut short where its writer was killed.

    Raises:
        InputError: another line is not one of ours.
    """
    if not path.is_file():
        return
    *whole, _ = read_text(path).split("\n")
    for number, line in enumerate(whole, start=1):
        name = f"{path}, line {number}"
        record = as_object(parse_json(line, name), name)
        if not isinstance(record.get("files"), dict | list):
            raise InputError(name, "no `files`", "a record of `lookharder predict`")
        if (start := PurePosixPath(str(record.get("name")))).is_absolute() or ".." in start.parts:
            raise InputError(name, f"name {str(start)!r}", "one that stays in the folder")
        yield record


def _files(record: AnswerRecord) -> list[str]:
    """The files of a record or a claim; names that no result has are not believed."""
    named, start = record["files"], "{1}.{0}.".format(*key_of(record))
    files = named.values() if isinstance(named, dict) else named
    return [file for file in files if isinstance(file, str) and file.startswith(start)]


def key_of(record: AnswerRecord) -> Key:
    """What tells results of a folder apart."""
    return str(record.get("task")), str(record.get("name"))


def _line(record: AnswerRecord) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
