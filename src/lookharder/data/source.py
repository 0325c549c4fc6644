"""A data set from a line of text: `procedural[:COUNT[:SEED]]` or `READER:PATH`."""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from lookharder.data import readers
from lookharder.data.example import Dataset, Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.store import store
from lookharder.errors import InputError
from lookharder.seeding import keyed_seed

HELD_OUT_SEED = 1_000_003  # the evaluation scenes; no recipe trains on this seed


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """One data set of a recipe.

    Attributes:
        spec: `procedural[:COUNT[:SEED]]` or `READER:PATH`.
        size: height and width of procedural scenes, pixels.
        textures: folder of photographs for the surfaces of procedural scenes, beside the built-in patterns.
        store: folder that keeps rendered scenes between runs; None keeps them in memory.
        workers: processes that render into `store`.
    """

    spec: str
    size: int = 64
    textures: str | None = None
    store: str | None = None
    workers: int = 2


def open_spec(spec: str, size: int, textures: str | None = None) -> Dataset:
    """The data set that a line of text names.

    Raises:
        InputError: for an unknown reader, a COUNT or SEED that is no whole number, or what the reader finds wrong.
    """
    kind, _, rest = spec.partition(":")
    if kind == "procedural":
        count, seed = _whole_numbers(spec, rest)
        return ProceduralWorld(
            size, seed, count=count, textures=Path(textures) if textures else None
        )
    return readers.open_data(spec)


def open_data(config: DataConfig) -> Dataset:
    """The data set of a recipe, each example made once: on disk where `store` says, else in memory."""
    dataset = open_spec(config.spec, config.size, config.textures)
    if config.store is None:
        return Remembered(dataset)
    textures = config.textures or ""
    key = f"{config.size}-{keyed_seed(config.spec, config.size, textures, _code()):016x}"
    return store(dataset, Path(config.store), key, config.workers)


class Remembered:
    """A data set that makes each example once and keeps it in memory."""

    def __init__(self, dataset: Dataset) -> None:
        self.length = len(dataset)
        self._get = lru_cache(maxsize=None)(dataset.__getitem__)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Example:
        return self._get(index)


def _whole_numbers(spec: str, rest: str) -> tuple[int, int]:
    parts = rest.split(":") if rest else []
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise InputError("--data", repr(spec), "procedural[:COUNT[:SEED]], whole numbers")
    count = int(parts[0]) if parts else 500
    seed = int(parts[1]) if len(parts) > 1 else HELD_OUT_SEED
    if count < 1:
        raise InputError("--data", repr(spec), "a COUNT of 1 or more")
    return count, seed


@cache
def _code() -> str:
    """Digest of the code that makes examples, so that a store made by other code is never read."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
