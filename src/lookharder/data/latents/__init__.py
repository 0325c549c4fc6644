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

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from lookharder.data.formats.guard import decoding
from lookharder.data.latents.manifest import (
    FINISHED,
    MANIFEST,
    Damage,
    LatentFacts,
    check_shard,
    read_manifest,
    shard_path,
    verify,
    write_manifest,
    write_shard,
)
from lookharder.errors import InputError

__all__ = [
    "FINISHED",
    "MANIFEST",
    "Damage",
    "LatentFacts",
    "LatentSet",
    "check_shard",
    "read_manifest",
    "shard_path",
    "verify",
    "write_manifest",
    "write_shard",
]

ANSWERS = ("output", "merging")  # fields of a task that speak of its answers

OPEN_SHARDS = 256  # kept mapped; each holds a file descriptor


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
        self.digests, self.verified = digests, set[int]()
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

    def require(
        self,
        task: Mapping[str, Any],
        autoencoder: Mapping[str, Any],
        weights: str | None = None,
    ) -> None:
        """Refuse to serve another task or autoencoder than those of these latents.

        Args:
            task: its configuration.
            autoencoder: likewise.
            weights: SHA-256 of the autoencoder's, see `weights_digest`; None where it has none.

        Raises:
            InputError: naming what differs.
        """
        for name, wanted in (("task", task), ("autoencoder", autoencoder)):
            found = getattr(self.facts, name)
            if _painted(found) != _painted(json.loads(json.dumps(wanted))):
                raise InputError(f"{self.folder}: {name}", found, f"{wanted}, as the model's")
        if weights != self.facts.weights:
            got, allowed = f"SHA-256 {self.facts.weights}", f"{weights}, as the model's"
            raise InputError(f"{self.folder}: weights of the autoencoder", got, allowed)

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
        if number not in self.verified:  # once: it is read from end to end
            damage = check_shard(self.folder, number, self.digests[number])
            if damage is not None:
                raise InputError(str(damage.file), damage.actual, damage.expected)
            self.verified.add(number)
        with decoding(path, FINISHED):
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype != self.record or array.shape != (self.facts.length(number),):
            allowed = f"({self.facts.length(number)},) records as the manifest says"
            raise InputError(str(path), f"{array.dtype}, shape {array.shape}", allowed)
        return array


def _stack(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32))


def _painted(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What decides latents: of a task all but how its answers are given."""
    return {name: value for name, value in facts.items() if name not in ANSWERS}
