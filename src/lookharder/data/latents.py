"""A set encoded once: what the network trains on, in memory-mapped shards that are verified.

    DIR/manifest.json      what was encoded, by what, and the SHA-256 of each shard
    DIR/shard-00000.npy    N records: target, condition, label, known, for the picture and its mirror image

An autoencoder is frozen, so its answer for a picture never changes; asking again in every epoch is waste. Both flips
are encoded, because the latent of a mirrored picture is not the mirrored latent. A record is read at (index, flip) in
O(1), by the pages it lies on. Where the autoencoder has a posterior the target holds its moments, mean then logarithm
of the variance, so that a draw can be fresh; training takes the mean, as it does where it encodes.

The manifest names only shards that are finished, and is replaced after each; so whatever is killed, what it names is
whole, and the rest is written again. Who encodes is `lookharder.training.latent_cache`; here is the format.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from lookharder.errors import InputError
from lookharder.files import atomic, write_json

MANIFEST = "manifest.json"
FORMAT = 1
OPEN_SHARDS = 256  # kept mapped; each holds a file descriptor
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
    try:
        text = path.read_bytes()
        said = json.loads(text)
        checksum = said.pop("checksum")
        whole = json.dumps({**said, "checksum": checksum}, indent=2) + "\n"
        intact = whole.encode() == text and checksum == _checksum(said)
    except OSError as error:
        raise InputError(str(path), error.strerror, FINISHED) from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(str(path), f"a damaged manifest ({error})", FINISHED) from error
    if not intact:
        raise InputError(str(path), "a damaged manifest", "the bytes that were written")
    if said.pop("format") != FORMAT:
        raise InputError(str(path), "a manifest of another format", f"format {FORMAT}")
    digests = said.pop("sha256")
    for name in ("condition", "target", "known"):
        said[name] = tuple(said[name])
    return LatentFacts(**said), digests


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


class LatentSet:
    """A finished cache, as training reads it.

    Args:
        folder: what `lookharder cache` wrote.

    Raises:
        InputError: not finished, or a shard that is missing or not as long as it should be.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.facts, digests = read_manifest(self.folder)
        if len(digests) != self.facts.shards:
            got = f"{len(digests)} of {self.facts.shards} shards"
            raise InputError(str(self.folder), got, FINISHED + ": the same command resumes it")
        self.record = self.facts.record()
        for number in range(self.facts.shards):
            self._check_length(number)
        self._open = lru_cache(maxsize=OPEN_SHARDS)(self._map)

    def __len__(self) -> int:
        return self.facts.count

    def __getitem__(self, index: int, /) -> NoReturn:
        """No example: the pictures are gone, and `group` gives what there is; always an InputError."""
        raise InputError("--data", f"{self.folder}, latents without pictures", "a set of pictures")

    def item(
        self, index: int, flip: bool
    ) -> tuple[
        Float32[Tensor, "F c h w"],
        Bool[Tensor, "1 h w"],
        Float32[Tensor, "Sc h w"],
        Int64[Tensor, ""],
    ]:
        """Target (its mean), where it is known, condition and class of one example, or of its mirror image."""
        target, known, condition, label = self.group([index], [flip])
        return target[0], known[0], condition[0], label[0]

    def group(
        self,
        indices: Sequence[int],
        flips: Sequence[bool],
        generators: Sequence[torch.Generator] | None = None,
    ) -> tuple[
        Float32[Tensor, "B F c h w"],
        Bool[Tensor, "B 1 h w"],
        Float32[Tensor, "B Sc h w"],
        Int64[Tensor, "B"],
    ]:
        """Targets, where they are known, conditions and classes (-1: none) of some examples.

        Args:
            indices: which.
            flips: of each, whether of the mirror image.
            generators: one for each draws its target from the posterior, if there is one; None takes the mean.
        """
        facts, flipped = self.facts, [int(flip) for flip in flips]
        records = [self._open(i // facts.shard)[i % facts.shard] for i in map(self._index, indices)]
        pairs = list(zip(records, flipped, strict=True))
        target = _stack([record["target"][flip] for record, flip in pairs])
        condition = _stack([record["condition"][flip] for record, flip in pairs])
        known = torch.from_numpy(np.stack([record["known"][flip] for record, flip in pairs]))
        label = torch.tensor([int(record["label"]) for record in records])
        channels = target.shape[2] // (2 if facts.moments else 1)
        mean = target[:, :, :channels]
        if facts.moments and generators is not None:
            noise = [torch.randn(mean.shape[1:], generator=generator) for generator in generators]
            mean = mean + (0.5 * target[:, :, channels:]).exp() * torch.stack(noise)
        missing = facts.sources * channels - condition.shape[1]
        condition = F.pad(condition, (0, 0, 0, 0, 0, missing))
        return mean.contiguous(), known, condition, label

    def require(self, task: Mapping[str, Any], autoencoder: Mapping[str, Any]) -> None:
        """Refuse to serve another task or autoencoder than those of these latents.

        Raises:
            InputError: naming what differs.
        """
        for name, wanted in (("task", task), ("autoencoder", autoencoder)):
            found = getattr(self.facts, name)
            if dict(found) != json.loads(json.dumps(wanted)):
                raise InputError(f"{self.folder}: {name}", found, f"{wanted}, as the model's")

    def _index(self, index: int) -> int:
        if not 0 <= index < self.facts.count:
            raise IndexError(f"index {index} of {self.facts.count} latents")
        return index

    def _check_length(self, number: int) -> None:
        path = shard_path(self.folder, number)
        try:
            with path.open("rb") as handle:
                start, size = handle.read(10), path.stat().st_size
        except OSError as error:
            raise InputError(str(path), error.strerror, FINISHED) from error
        header = 10 + int.from_bytes(start[8:], "little")
        wanted = header + self.facts.length(number) * self.record.itemsize
        if size != wanted:
            raise InputError(str(path), f"{size} bytes", f"{wanted} bytes of header and records")

    def _map(self, number: int) -> np.ndarray:
        path = shard_path(self.folder, number)
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(str(path), f"no shard ({error})", FINISHED) from error
        if array.dtype != self.record or array.shape != (self.facts.length(number),):
            allowed = f"({self.facts.length(number)},) records as the manifest says"
            raise InputError(str(path), f"{array.dtype}, shape {array.shape}", allowed)
        return array


def _stack(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32))
