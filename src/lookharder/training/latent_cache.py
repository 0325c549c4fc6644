"""Encode a data set once, for training that does not pay for the autoencoder in every iteration.

    examples ─ both flips ─ task ─► pictures ─ autoencoder ─► records ─► DIR/shard-NNNNN.npy     (see `data.latents`)

What is stored is what `Chain.target` and `Chain.condition` give for the example and for its mirror image: the picture
is mirrored before it is encoded, and its labels with it. Colours are as they are: an encoded picture cannot be
recoloured.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lookharder.autoencoder import KL, Autoencoder, KLConfig, Pixel, Tiny
from lookharder.autoencoder.base import weights_digest
from lookharder.config import to_json
from lookharder.data.augment import mirror
from lookharder.data.example import Batch, Dataset, Example, collate
from lookharder.data.latents import (
    MANIFEST,
    LatentFacts,
    LatentSet,
    check_shard,
    read_manifest,
    shard_path,
    write_manifest,
    write_shard,
)
from lookharder.data.store import leave_ctrl_c
from lookharder.errors import InputError
from lookharder.files import as_utf8
from lookharder.tasks.base import SOURCES, Task


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """What is encoded, and how it is laid out.

    Attributes:
        spec: what the manifest calls the data set.
        size: side of procedural scenes, pixels.
        shard: examples of one file.
        dtype: of the latents on disk; float16 halves it and rounds to 11 bits.
        batch_size: examples encoded together, in both flips.
        workers: processes that read examples; 1 reads in this one.
        source: trace of the files of the data set, see `files.trace_of`; of others the cache is refused.
    """

    spec: str
    size: int
    shard: int = 1024
    dtype: Literal["float32", "float16"] = "float32"
    batch_size: int = 16
    workers: int = 1
    source: str = ""

    def __post_init__(self) -> None:
        if min(self.shard, self.batch_size, self.workers) < 1:
            got = (self.shard, self.batch_size, self.workers)
            raise InputError("shard, batch_size, workers", got, "1 or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """B examples as latents; `target` (B, F, c or 2c, h, w), the rest as in `Chain`."""

    target: Tensor
    condition: Tensor
    known: Tensor


def moments(codec: Autoencoder, images: Tensor) -> Tensor:
    """Latents, or mean and log variance one after the other where the autoencoder has a posterior."""
    if not isinstance(codec, KL):
        return codec.encode(images)
    posterior = codec.network.encode(images.contiguous(memory_format=codec.layout)).latent_dist
    mean = (posterior.mean - codec.shift_factor) * codec.scaling_factor
    logvar = posterior.logvar + 2 * float(np.log(codec.scaling_factor))
    return torch.cat([mean, logvar], 1).contiguous()


def encode(codec: Autoencoder, task: Task, batch: Batch) -> Encoded:
    """Target, condition and known cells of a batch; the condition of the sources that there are."""
    with torch.no_grad():
        wanted, sources = task.to_image(batch), task.condition(batch)
        target = moments(codec, wanted.images.flatten(0, 1))  # (B F, c, h, w)
        height, width = target.shape[-2:]
        condition = sources.new_zeros(len(sources), 0, height, width)
        if sources.shape[1]:
            latents = codec.encode(sources.flatten(0, 1))  # (B S, c, h, w)
            condition = latents.unflatten(0, sources.shape[:2]).flatten(1, 2)  # (B, S c, h, w)
        unknown = (~wanted.known[:, None]).float()
    return Encoded(
        target=target.unflatten(0, wanted.images.shape[:2]),
        condition=condition,
        known=F.max_pool2d(unknown, codec.factor) == 0,
    )


def cache_latents(
    dataset: Dataset,
    out: Path,
    config: CacheConfig,
    *,
    task: Task,
    codec: Autoencoder,
    device: torch.device | None = None,
    start: Callable[[int], object] = lambda done: None,
    tick: Callable[[int], object] = lambda count: None,
) -> LatentSet:
    """Encode a data set into the folder `out`, or finish one that was stopped.

    Shards that are finished are verified and kept; a damaged one and all that is not finished is encoded.

    Args:
        dataset: examples of one size.
        out: the folder.
        config: what it is and how it is laid out.
        task: which target and condition.
        codec: the autoencoder; it is moved to `device`.
        device: where to encode; None for the CPU.
        start: called with the examples that are already encoded.
        tick: called with the examples encoded since.

    Raises:
        InputError: `out` holds something else, or an example that the task or the autoencoder cannot use.
    """
    if not len(dataset):
        raise InputError("--data", f"{config.spec}, which is empty", "at least one example")
    place = device or torch.device("cpu")
    if isinstance(codec, nn.Module):
        codec.to(place)
    facts = _facts(dataset, config, task, codec, place)
    digests = _resume(out, facts)
    kept = [n for n, found in enumerate(digests) if found]
    start(sum(facts.length(number) for number in kept))
    with _reader(dataset, config.workers) as read:
        for number in range(facts.shards):
            if number < len(digests) and digests[number]:
                continue
            first = number * facts.shard
            records = np.zeros(facts.length(number), facts.record())
            examples = read(range(first, first + len(records)))
            for begin in range(0, len(records), config.batch_size):
                part = records[begin : begin + config.batch_size]
                _fill(part, [next(examples) for _ in part], task, codec, place)
                tick(len(part))
            digests[number:] = [write_shard(out, number, records), *digests[number + 1 :]]
            done = next((n for n, found in enumerate(digests) if not found), len(digests))
            write_manifest(out, facts, digests[:done])
    return LatentSet(out)


def _facts(
    dataset: Dataset, config: CacheConfig, task: Task, codec: Autoencoder, device: torch.device
) -> LatentFacts:
    """What the manifest says; the shapes are those of the first example."""
    first = encode(codec, task, collate([dataset[0]]).to(device))
    return LatentFacts(
        spec=as_utf8(config.spec),
        size=config.size,
        task=to_json(task),
        autoencoder=to_json(codec.config()),
        weights=weights_digest(codec),
        sources=SOURCES,
        moments=isinstance(codec, KL),
        dtype=config.dtype,
        condition=tuple(first.condition.shape[1:]),
        target=tuple(first.target.shape[1:]),
        known=tuple(first.known.shape[1:]),
        count=len(dataset),
        shard=config.shard,
        source=config.source,
    )


def _resume(out: Path, facts: LatentFacts) -> list[str]:
    """Digests of the finished shards of `out`, empty for a damaged one; what is half written is removed."""
    path = out / MANIFEST
    if not path.exists():
        if out.exists() and any(path.name[0] != "." for path in out.iterdir()):
            raise InputError(
                "--out", f"{out}, which holds something else", "a new folder or a cache"
            )
        digests: list[str] = []
        out.mkdir(parents=True, exist_ok=True)
        write_manifest(out, facts, digests)
    else:
        found, digests = read_manifest(out)
        if vars(found) != vars(facts):
            changed = [name for name, value in vars(facts).items() if value != vars(found)[name]]
            raise InputError(
                "--out", f"{out}, latents of other {changed}", "a new folder, or theirs"
            )
    digests = [
        "" if check_shard(out, number, wanted) else wanted for number, wanted in enumerate(digests)
    ]
    named = {shard_path(out, number) for number, wanted in enumerate(digests) if wanted}
    for stray in [*out.glob(".shard-*"), *out.glob(".manifest*"), *out.glob("shard-*.npy")]:
        if stray not in named:
            stray.unlink()
    return digests


def _fill(
    records: np.ndarray,
    examples: list[Example],
    task: Task,
    codec: Autoencoder,
    device: torch.device,
) -> None:
    """Encode some examples and their mirror images, together, into their records."""
    batch = collate([*examples, *map(mirror, examples)]).to(device)
    found = encode(codec, task, batch)
    for name in ("target", "condition", "known"):
        both = getattr(found, name).cpu().numpy()  # (2 B, ...)
        if both.shape[1:] != records.dtype[name].shape[1:]:
            got = f"{name} of shape {both.shape[1:]} ({examples[0].name})"
            allowed = f"{records.dtype[name].shape[1:]}, as the first example's: one size"
            raise InputError("data", got, allowed)
        records[name] = both.reshape(2, len(examples), *both.shape[1:]).swapaxes(0, 1)
    records["label"] = [-1 if example.label is None else example.label for example in examples]


_dataset: Dataset | None = None  # of a worker process


def _adopt(dataset: Dataset) -> None:
    global _dataset
    leave_ctrl_c()
    _dataset = dataset


def _get(index: int) -> Example:
    assert _dataset is not None
    return _dataset[index]


@contextmanager
def _reader(dataset: Dataset, workers: int) -> Iterator[Callable[[range], Iterator[Example]]]:
    """A function that reads a span of examples in order, ahead of its caller where there are processes."""
    with ExitStack() as stack:
        if workers == 1:
            yield lambda span: (dataset[index] for index in span)
            return
        pool = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_adopt, initargs=(dataset,)
        )
        stack.callback(pool.shutdown, cancel_futures=True)
        yield lambda span: pool.map(_get, span, chunksize=4)


def open_autoencoder(name: str) -> Autoencoder:
    """An autoencoder by name or folder: `pixel`, `tiny`, what `Tiny.save` wrote, or an AutoencoderKL.

    Raises:
        InputError: none of these.
    """
    if name == "pixel":
        return Pixel()
    folder = Path(name)
    if name == "tiny" or (folder / "model.safetensors").is_file():
        return Tiny.load() if name == "tiny" else Tiny.load(folder)
    if not (folder / "config.json").is_file():
        allowed = "pixel, tiny, or a folder of a Tiny or of an AutoencoderKL"
        raise InputError("--autoencoder", repr(name), allowed)
    return KL.load(KLConfig(source=name))
