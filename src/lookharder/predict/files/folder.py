"""A folder of results: one run writes it at a time, and whatever strikes, it says what is true of it.

    predictions.jsonl     a record for each result, appended when all its files are there
    .predictions.claims   names of files that are being written: what a killed process left behind is known as ours
    index.html            the page; removed while results change, written anew at the end

A file is this tool's own if a record or a claim names it. Nothing else is replaced, unless that is asked for. Before a
result is made anew its record goes, so that no record speaks of files of another run. A folder that vanishes meanwhile
is not made again.

Shard I of N writes predictions.I-of-N.jsonl and .predictions.I-of-N.claims. Who finds nobody else there, when he comes
or when he goes, puts what shards wrote into the files of the whole: claims, then records, then the shards' files go.
"""

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lookharder.errors import InputError
from lookharder.files import atomic, check_held, hold_folder, make_inside, unfinished
from lookharder.predict.files.presence import Presence
from lookharder.predict.files.records import (
    CLAIMS,
    OWN,
    PAGE,
    RECORDS,
    AnswerRecord,
    Key,
    files_of,
    key_of,
    line_of,
    lines_of,
    owned_files,
    part_of,
    parts_of,
    read_folder,
)
from lookharder.shard import WHOLE, Shard

LONGEST = 240  # bytes of a file's name: systems take 255, and a temporary name adds ten


class ResultFolder:
    """A folder that this process holds, alone or as a shard; made by `hold`.

    Args:
        path: of the folder, which exists.
        handle: the open folder.
        presence: of this process in it.
    """

    def __init__(self, path: Path, handle: int, presence: Presence) -> None:
        self.path, self._handle, self._presence = path, handle, presence
        self._own = [part_of(name, presence.shard) for name in (RECORDS, CLAIMS)]
        with presence.door():
            presence.enter()
            if presence.alone() and parts_of(path, RECORDS, CLAIMS):
                self._merge(())
            self.records, self._claims = read_folder(path)
        self.owned = owned_files(path, self.records, self._claims)
        self._changing: frozenset[Key] | None = frozenset()  # None: forgotten, as results change

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

    def by_key(self) -> dict[Key, AnswerRecord]:
        """The records of the results that are there."""
        return {key_of(record): record for record in self.records}

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
        there = {} if anew else self.by_key()
        asked = {key: (recipe, digest) for key, digest in wanted.items() if key in there}
        return {
            key
            for key, how in asked.items()
            if skip_existing or (there[key].get("recipe"), there[key].get("digest")) == how
        }

    def begin(self, changing: Collection[Key]) -> None:
        """Say which results will be made anew: their records and the page go when the first of them is there.

        What cannot be predicted at all changes nothing.
        """
        self._changing = frozenset(changing)

    def _forget(self, changing: Collection[Key]) -> None:
        """Drop the records of results, and the page, before any file changes."""
        records, claims = self._own
        gone = [record for record in self.records if key_of(record) in changing]
        self.records = [record for record in self.records if key_of(record) not in changing]
        self._claims += gone
        self.owned |= {RECORDS, CLAIMS, PAGE}
        with self._presence.door():
            self._write(claims, self._claims)
            (self.path / PAGE).unlink(missing_ok=True)
            for name in {RECORDS, records}:  # in that of the whole, other shards look, too
                found = list(lines_of(self.path / name))
                kept = [record for record in found if key_of(record) not in changing]
                if kept != found or name == records:
                    self._write(name, kept)

    @contextmanager
    def adding(self, claims: Sequence[AnswerRecord]) -> Iterator[list[AnswerRecord]]:
        """Write results inside; the records that are put into the list are appended when all is written.

        Args:
            claims: `task`, `name` and `files` of each.

        Raises:
            FileNotFoundError: the folder has vanished.
        """
        check_held(self.path, self._handle)
        if self._changing is not None:
            self._forget(self._changing)
            self._changing = None
        self._append(self._own[1], claims)
        self._claims += claims
        for parts in {Path(file).parent.parts for claim in claims for file in files_of(claim)}:
            make_inside(self.path, *parts)
        records: list[AnswerRecord] = []
        try:
            yield records
        finally:  # that the folder is gone says more than which file could not be written
            check_held(self.path, self._handle)
        self._append(self._own[0], records)
        self.records += records

    @contextmanager
    def finish(self, order: Sequence[Key]) -> Iterator[bool]:
        """Leave; who was there last sorts the records, those of the run after earlier ones, and drops what is left.

        Args:
            order: of all results of the run.

        Yields:
            Whether this process was the last; nobody comes or goes while the block runs.
        """
        check_held(self.path, self._handle)
        with self._presence.door():
            self._presence.leave()
            if last := self._presence.alone():
                self._clear(self._merge(order))
            yield last

    def _clear(self, claimed: set[str]) -> None:
        """Remove what is left of claims: by a process that was killed, or by a run with other options."""
        named = {file for record in self.records for file in files_of(record)}
        for file in claimed - named:
            remove(self.path / file)
        for folder in {self.path, *((self.path / file).parent for file in claimed | named)}:
            for aside, name in unfinished(folder):
                file = (folder / name).relative_to(self.path).as_posix()
                if file in claimed | named or OWN.fullmatch(file):
                    aside.unlink()
        (self.path / CLAIMS).unlink(missing_ok=True)

    def _merge(self, order: Sequence[Key]) -> set[str]:
        """Put what shards wrote into the files of the whole; the files that claims name."""
        self.records, claims = read_folder(self.path)
        places = {key: place for place, key in enumerate(order)}
        self.records.sort(key=lambda record: places.get(key_of(record), -1))
        self._write(CLAIMS, claims)
        self._write(RECORDS, self.records)
        for part in parts_of(self.path, RECORDS, CLAIMS):
            part.unlink()
        return {file for claim in claims for file in files_of(claim)}

    def _append(self, name: str, records: Sequence[AnswerRecord]) -> None:
        """Lines at the end of a file of the folder that is held, on the disk when this returns."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        file = os.open(name, flags, 0o666, dir_fd=self._handle)
        with os.fdopen(file, "wb") as handle:
            handle.write("".join(map(line_of, records)).encode())
            handle.flush()
            os.fsync(handle.fileno())
        os.fsync(self._handle)

    def _write(self, name: str, records: Sequence[AnswerRecord]) -> None:
        with atomic(self.path / name) as aside:
            aside.write_text("".join(map(line_of, records)), encoding="utf-8")


@contextmanager
def hold(out: Path, shard: Shard = WHOLE, run: str = "") -> Iterator[ResultFolder]:
    """Make the folder of results if there is none, and hold it; what stays empty goes again.

    Args:
        out: the folder.
        shard: which part of the results this process makes; it may be there beside the others of its run.
        run: what all shards of a run say, and no other run does.

    Raises:
        InputError: it cannot be a folder, cannot be written, another run writes it, or its records are not ours.
    """
    with hold_folder(out, shared=True) as handle:
        presence = Presence(out, shard, run)
        try:
            yield ResultFolder(out, handle, presence)
        finally:
            try:
                with presence.door():
                    presence.leave()
            except FileNotFoundError:  # the folder has vanished, and its door
                presence.leave()


def remove(path: Path) -> None:
    """A result, if it is there; that of a clip is a folder of frames."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
