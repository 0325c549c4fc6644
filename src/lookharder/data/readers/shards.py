"""Tar shards in webdataset's naming, read at random: one file holds thousands of pictures.

    name-000000.tar, name-000001.tar, ...     members KEY.jpg and KEY.cls (the label, as text)

KEY is a member's path up to the first dot of its last part. The headers of the shards are walked
once; afterwards an example is one read at (shard, offset, size). The walk trusts nothing: a tar
ends with two blocks of zeros, bare or filled up to a multiple of 10,240 bytes, so a shard that was
cut short or written beyond its end shows in its size.

The index is kept beside the shards (where that folder may be written) under the names, sizes and
times of all of them: a shard that changes is a new index.
"""

import logging
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np

from lookharder.data.formats import PICTURE_SUFFIXES
from lookharder.data.formats.arrays import read_npz
from lookharder.data.formats.guard import decoding
from lookharder.data.readers.rows import list_files
from lookharder.errors import InputError
from lookharder.files import atomic, file_size, opened, trace_of

log = logging.getLogger(__name__)

INDEX = ".lookharder-index.npz"
BLOCK, RECORD = 512, 10_240  # bytes; tar's units
MAX_PICTURE = 64 * 2**20  # bytes of one member
NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)  # key, extension
NUMBERS = {"shard": np.int32, "offset": np.int64, "size": np.int64, "label": np.int32}


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """Where each example lies.

    Attributes:
        shards: the files.
        shard: (n,) int32, which of them; `offset` and `size` (int64) in bytes, `label` (int32).
        keys: what each example is called in its shard.
    """

    shards: list[Path]
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    label: np.ndarray
    keys: list[str]

    def __len__(self) -> int:
        return len(self.keys)

    def name(self, index: int) -> str:
        """SHARD/KEY."""
        return f"{self.shards[self.shard[index]].stem}/{self.keys[index]}"

    def read(self, index: int) -> bytes:
        """The picture's bytes as stored.

        Raises:
            InputError: the shard is gone or has been cut since it was indexed.
        """
        path, size = self.shards[self.shard[index]], int(self.size[index])
        with opened(path) as handle:
            handle.seek(int(self.offset[index]))
            data = handle.read(size)
        if len(data) != size:
            allowed = f"{size} from byte {self.offset[index]} on"
            raise InputError(str(path), f"{len(data)} bytes of {self.keys[index]}", allowed)
        return data


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One example of a shard: its key, where its picture lies, its label."""

    key: str
    offset: int
    size: int
    label: int


def open_index(root: Path) -> Index:
    """The index of all shards of a folder, from its file where that is still true.

    Raises:
        InputError: no shards, or the first thing that is wrong with one.
    """
    shards = list_files(root, "*.tar")
    key = trace_of(root, shards).encode()
    try:
        stored = read_npz(root / INDEX)
        if stored["key"].tobytes() == key:
            keys = stored["keys"].tobytes().decode().split("\n")
            numbers = {name: stored[name].astype(kind) for name, kind in NUMBERS.items()}
            index = Index(shards=shards, keys=keys, **numbers)
            if _is_possible(index):
                return index
    except (InputError, KeyError, UnicodeDecodeError):
        pass  # none, damaged or of another version: written anew
    found = [(number, sample) for number, path in enumerate(shards) for sample in walk(path)]
    index = Index(
        shards=shards,
        keys=[sample.key for _, sample in found],
        shard=np.array([number for number, _ in found], np.int32),
        offset=np.array([sample.offset for _, sample in found], np.int64),
        size=np.array([sample.size for _, sample in found], np.int64),
        label=np.array([sample.label for _, sample in found], np.int32),
    )
    _keep(index, key, root)
    return index


def _is_possible(index: Index) -> bool:
    """Whether every example lies inside a shard, as far as numbers say: the file may be anyone's."""
    numbers = [getattr(index, name) for name in NUMBERS]
    if {column.shape for column in numbers} != {(len(index),)}:
        return False
    if not all((column >= 0).all() for column in numbers):
        return False
    ends = np.array([path.stat().st_size for path in index.shards])
    if not ((index.shard < len(ends)).all() and (index.size <= MAX_PICTURE).all()):
        return False
    return bool((index.offset <= ends[index.shard] - index.size).all())


def _keep(index: Index, key: bytes, root: Path) -> None:
    """Write the index beside its shards; without leave to write there it is made each time."""
    arrays = {name: getattr(index, name) for name in NUMBERS}
    text = np.frombuffer("\n".join(index.keys).encode(), np.uint8)
    try:
        with atomic(root / INDEX) as aside:
            np.savez(aside, key=np.frombuffer(key, np.uint8), keys=text, **arrays)
    except OSError as error:
        log.warning("the index of %s is not kept: %s", root, error.strerror)


def walk(path: Path) -> list[Sample]:
    """The examples of one shard, in its order.

    Raises:
        InputError: no tar, cut short or padded, a member that is no plain file, a key without
            exactly one picture and one label.
    """
    with opened(path) as handle:
        groups: dict[str, dict[str, tuple[int, int]]] = {}
        for name, offset, size in members(path, handle):
            match = NAME.fullmatch(name.removeprefix("./"))
            if match is None or "\n" in name:
                raise InputError(str(path), f"a member {name!r}", "KEY.EXTENSION")
            key, extension = match[1], match[2].lower()
            parts = groups.setdefault(key, {})
            if extension in parts:
                raise InputError(str(path), f"{key}.{extension} twice", "each key once")
            parts[extension] = (offset, size)
        samples = []
        for key, parts in groups.items():
            pictures = [part for part in parts if f".{part}" in PICTURE_SUFFIXES]
            if len(pictures) != 1 or "cls" not in parts:
                allowed = "one picture and one .cls for each key"
                raise InputError(f"{path}[{key}]", f"{sorted(parts)}", allowed)
            offset, size = parts[pictures[0]]
            if size > MAX_PICTURE:
                raise InputError(f"{path}[{key}]", f"{size} bytes", f"at most {MAX_PICTURE}")
            label = _label(path, handle, key, *parts["cls"])
            samples.append(Sample(key=key, offset=offset, size=size, label=label))
    return samples


def _label(path: Path, handle: BufferedReader, key: str, offset: int, size: int) -> int:
    handle.seek(offset)
    text = handle.read(min(size, 32)).strip()
    if not re.fullmatch(rb"[0-9]{1,9}", text):
        raise InputError(f"{path}[{key}.cls]", repr(text), "a whole number, 0 or more")
    return int(text)


def members(path: Path, handle: BufferedReader) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each plain file in a tar; its end is checked after the last.

    Raises:
        InputError: a size that does not fit the headers, or a member of another kind.
    """
    total, end = file_size(handle), 0
    with decoding(path, "a whole tar file"), tarfile.open(fileobj=handle, mode="r:") as archive:
        for member in archive:
            if not (member.isdir() or (member.isfile() and not member.issparse())):
                raise InputError(f"{path}[{member.name}]", "no plain file", "plain files")
            end = member.offset_data + -(-member.size // BLOCK) * BLOCK
            if member.size < 0 or end > total:
                needed = f"{end} or more, where {member.name} ends"
                raise InputError(str(path), f"{total} bytes", needed)
            if member.isfile():
                yield member.name, member.offset_data, member.size
    bare = end + 2 * BLOCK
    filled = -(-bare // RECORD) * RECORD
    if total not in (bare, filled):
        allowed = f"{bare} or {filled} bytes, as its headers say"
        raise InputError(str(path), f"{total} bytes", allowed)
    handle.seek(end)
    if any(handle.read()):
        raise InputError(str(path), f"data after byte {end}", "zeros after the last member")
