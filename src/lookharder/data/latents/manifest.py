"""The manifest of a latent cache and its shards: written whole, read strictly, verified by their SHA-256."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lookharder.config import from_json
from lookharder.errors import InputError
from lookharder.files import atomic, read_text, write_json
from lookharder.jsons import as_object, parse_json

MANIFEST = "manifest.json"
FORMAT = 1
MOST = 2**26  # examples, or numbers of one of them
FINISHED = "a folder that `lookharder cache` has finished"


@dataclass(frozen=True, kw_only=True)
class LatentFacts:
    """What a manifest says of a cache, before its shards.

    Attributes:
        spec: the data set.
        size: side of procedural scenes, pixels.
        task: configuration of the task.
        autoencoder: configuration of the autoencoder.
        weights: SHA-256 of its weights; None where it has none.
        sources: images that a condition is padded to with zeros.
        moments: whether a target holds mean and log variance, one after the other along its channels.
        dtype: of latents in the shards.
        condition: (S c, h, w) of one example, as are target (F, c, h, w), or (F, 2c, h, w), and known (1, h, w).
        count: examples.
        shard: examples of one shard.
        source: trace of the files that were read, see `files.trace_of`; "" of none, and before there was one.
    """

    spec: str
    size: int
    task: Mapping[str, Any]
    autoencoder: Mapping[str, Any]
    weights: str | None
    sources: int
    moments: bool
    dtype: Literal["float32", "float16"]
    condition: tuple[int, ...]
    target: tuple[int, ...]
    known: tuple[int, ...]
    count: int
    shard: int
    source: str = ""

    def __post_init__(self) -> None:
        shapes = (self.condition, self.target, self.known)
        whole = all(min(shape, default=-1) >= 0 and math.prod(shape) <= MOST for shape in shapes)
        if not (whole and 1 <= self.count <= MOST and 1 <= self.shard <= MOST):
            got = f"{self.count} examples by {self.shard} of shapes {shapes}"
            raise InputError(
                "latents", got, f"1 to {MOST} examples, of so many numbers at the most"
            )

    @property
    def shards(self) -> int:
        """How many shards a finished cache has."""
        return -(-self.count // self.shard)

    def length(self, number: int) -> int:
        """Examples of shard `number`."""
        return min(self.shard, self.count - number * self.shard)

    def record(self) -> np.dtype:
        """One example; the first axis of each latent is the flip."""
        kind = np.dtype(self.dtype).newbyteorder("<").str
        return np.dtype(
            [
                ("target", kind, (2, *self.target)),
                ("condition", kind, (2, *self.condition)),
                ("label", "<i8"),
                ("known", "?", (2, *self.known)),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class _Finished:
    """What a manifest says of the shards that are finished."""

    sha256: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A file of a cache that is not what was written."""

    file: Path
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.file}: got {self.actual}, allowed: {self.expected}"


def shard_path(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"shard-{number:05d}.npy"


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_shard(folder: Path, number: int, records: np.ndarray) -> str:
    """Write a shard whole or not at all; its SHA-256."""
    path = shard_path(folder, number)
    with atomic(path) as aside, aside.open("wb") as handle:
        np.lib.format.write_array(handle, records, version=(1, 0), allow_pickle=False)
    return digest(path)


def write_manifest(folder: Path, facts: LatentFacts, digests: Sequence[str]) -> None:
    """Replace the manifest: the first `len(digests)` shards are finished."""
    said = {"format": FORMAT, **vars(facts), "sha256": list(digests)}
    write_json(folder / MANIFEST, {**said, "checksum": _checksum(said)})


def read_manifest(folder: Path) -> tuple[LatentFacts, list[str]]:
    """What was encoded, and the digests of the finished shards.

    Raises:
        InputError: no manifest, or not byte by byte what `write_manifest` wrote.
    """
    path = folder / MANIFEST
    text = read_text(path)
    said = as_object(parse_json(text, str(path)), str(path))
    checksum = said.pop("checksum", None)
    whole = json.dumps({**said, "checksum": checksum}, indent=2) + "\n"
    if whole != text or checksum != _checksum(said):
        raise InputError(str(path), "a damaged manifest", "the bytes that were written")
    if said.pop("format", None) != FORMAT:
        raise InputError(str(path), "a manifest of another format", f"format {FORMAT}")
    finished = from_json(_Finished, {"sha256": said.pop("sha256", None)}, str(path)).sha256
    facts = from_json(LatentFacts, said, str(path))
    if len(finished) > facts.shards:
        raise InputError(str(path), f"{len(finished)} shards", f"{facts.shards} at the most")
    return facts, list(finished)


def _checksum(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def verify(folder: str | Path) -> list[Damage]:
    """Every file of a cache that is missing, cut, padded or changed by a bit; empty if all is well."""
    folder = Path(folder)
    try:
        facts, digests = read_manifest(folder)
    except InputError as error:
        file, got, allowed = error.args
        return [Damage(file=Path(file), expected=allowed, actual=got)]
    found = [check_shard(folder, number, wanted) for number, wanted in enumerate(digests)]
    missing = [
        Damage(file=shard_path(folder, number), expected="a shard", actual="not yet encoded")
        for number in range(len(digests), facts.shards)
    ]
    return [damage for damage in found if damage is not None] + missing


def check_shard(folder: Path, number: int, wanted: str) -> Damage | None:
    """What is wrong with a shard, if anything."""
    path = shard_path(folder, number)
    actual = digest(path) if path.is_file() else "no file"
    if actual == wanted:
        return None
    return Damage(file=path, expected=f"SHA-256 {wanted}", actual=actual)
