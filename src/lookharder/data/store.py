"""Rendered or decoded once, read many times: a data set in memory-mapped arrays.

`store` writes one `.npy` per field into a folder, by several processes, and renames it into place when it is whole;
the folder's name is a key of what was stored, which the caller makes so that a changed data set has another. All
examples have the size and the fields of the first.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from lookharder.config import read_as, to_json
from lookharder.data.example import Dataset, Example
from lookharder.data.formats.guard import decoding
from lookharder.errors import InputError
from lookharder.files import as_utf8, sync_folder, write_json

log = logging.getLogger(__name__)

WRITTEN = "what `store` has written"
ARRAYS = tuple(field.name for field in fields(Example) if field.name not in ("name", "label"))


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What `facts.json` says.

    Attributes:
        arrays: the SHA-256 of each array's file.
        names: of the examples.
        labels: likewise.
        sha256: of all that; "" in a store from before there was one.
    """

    arrays: dict[str, str]
    names: tuple[str, ...]
    labels: tuple[int | None, ...]
    sha256: str = ""

    def seal(self) -> str:
        """The SHA-256 of all but itself."""
        said = to_json(replace(self, sha256=""))
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class Stored:
    """A data set written by `store`; examples are copies, so they may be changed.

    Raises:
        InputError: it is not what was written, to the last bit.
    """

    def __init__(self, folder: Path) -> None:
        facts = read_as(_Facts, folder / "facts.json")
        if facts.sha256 not in ("", facts.seal()):
            raise InputError(str(folder / "facts.json"), "another SHA-256", WRITTEN)
        self.names, self.labels = facts.names, facts.labels
        known = {"image"} <= set(facts.arrays) <= set(ARRAYS)
        if not known or len(self.names) != len(self.labels):
            raise InputError(str(folder), f"arrays {sorted(facts.arrays)}", WRITTEN)
        self.arrays: dict[str, np.ndarray] = {}
        for name, wanted in facts.arrays.items():
            path = folder / f"{name}.npy"
            if not path.is_file() or _digest(path) != wanted:
                raise InputError(str(path), "another SHA-256, or no file", WRITTEN)
            with decoding(path, WRITTEN):
                self.arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
            if len(self.arrays[name]) != len(self.names):
                raise InputError(str(path), f"{len(self.arrays[name])} examples", WRITTEN)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        values = {name: np.array(array[index]) for name, array in self.arrays.items()}
        return Example(name=self.names[index], label=self.labels[index], **values)


def store(dataset: Dataset, root: Path, key: str, workers: int = 1) -> Stored:
    """The first `len(dataset)` examples of a data set of one size, stored under `root/key` or read from there."""
    folder = root / key
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root):  # of two runs that need it one makes it, and the other waits
        if folder.exists():
            try:
                return Stored(folder)
            except InputError as damage:
                log.warning("a store is made anew: %s", damage)
                shutil.rmtree(folder)
        _make(dataset, root, key, workers)
    return Stored(folder)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _make(dataset: Dataset, root: Path, key: str, workers: int) -> None:
    folder = root / key
    for half in root.glob(f".{key}-*"):  # of one that was killed
        shutil.rmtree(half, ignore_errors=True)
    aside = root / f".{key}-{uuid.uuid4().hex[:8]}"
    aside.mkdir(parents=True)
    try:
        _write(dataset, aside, workers)
        aside.rename(folder)
        sync_folder(root)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(dataset: Dataset, folder: Path, workers: int) -> None:
    count, first = len(dataset), dataset[0]
    names = [name for name in ARRAYS if getattr(first, name) is not None]
    for name in names:
        array, path = getattr(first, name), folder / f"{name}.npy"
        np.lib.format.open_memmap(path, "w+", array.dtype, (count, *array.shape)).flush()
        with path.open(
            "rb+"
        ) as handle:  # a full disk shows here, and not as a signal that kills a worker
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)
    bounds = np.linspace(0, count, min(count, workers * 8) + 1).astype(int).tolist()
    spans = list(pairwise(bounds))
    write = partial(_write_span, dataset, folder, names)
    if workers == 1:
        done = list(map(write, spans))
    else:
        spawn = get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=spawn, initializer=leave_ctrl_c) as pool:
            done = list(pool.map(write, spans))
    named, labels = zip(*[fact for span in done for fact in span], strict=True)
    digests = {name: _digest(folder / f"{name}.npy") for name in names}
    facts = _Facts(arrays=digests, names=tuple(as_utf8(named)), labels=labels)
    write_json(folder / "facts.json", to_json(replace(facts, sha256=facts.seal())))


def leave_ctrl_c() -> None:
    """In a worker: Ctrl-C is for the process that started it, which ends it and has the last word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _write_span(
    dataset: Dataset, folder: Path, names: list[str], span: tuple[int, int]
) -> list[tuple[str, int | None]]:
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in names}
    wanted, facts = {name: array.shape[1:] for name, array in arrays.items()}, []
    for index in range(*span):
        example = dataset[index]
        held = {name: getattr(example, name) for name in ARRAYS}
        found = {name: value.shape for name, value in held.items() if value is not None}
        if found != wanted:
            allowed = f"{wanted}, as of the first, in a store; without one each is as it is"
            raise InputError(f"data ({example.name})", found, allowed)
        for name, array in arrays.items():
            array[index] = getattr(example, name)
        facts.append((example.name, example.label))
    for array in arrays.values():
        array.flush()
    return facts
