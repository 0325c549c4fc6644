"""What studies found, as a file: what `plan` reads.

    families   networks of one kind on one task: a law of size and images, a law of effort, and what each size costs
    series     what was measured along one axis, and the laws of it, in figures and words
    claims     what became of the paper's claims

A family's training law gives the error of a network of N active parameters that saw D images, answering with its
`steps` and `draws`. Its effort law says by what factor other steps and draws change that. The file names the records
it was fitted to by their hash, so that laws and records can be told to belong together.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookharder.config import from_json, to_json
from lookharder.errors import InputError
from lookharder.files import write_json
from lookharder.scaling.law import Law

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Size:
    """A network that may be trained.

    Attributes:
        name: what a recipe calls it.
        params: parameters held.
        active_params: parameters in use for one token.
        law_params: what the law calls its size; None = `active_params`.
        macs: multiply-adds of one forward of one image at the family's resolution.
        train_macs: likewise on average over its training, where that is not all at this resolution.
        start_macs: spent on what its training begins from, e.g. the dense model of an upcycled one.
        start_images: that this has seen.
    """

    name: str
    params: int
    active_params: int
    macs: float
    law_params: int | None = None
    train_macs: float | None = None
    start_macs: float = 0.0
    start_images: float = 0.0

    @property
    def n(self) -> float:
        """Size as the law knows it."""
        return float(self.active_params if self.law_params is None else self.law_params)

    @property
    def image_macs(self) -> float:
        """Spent on training, for each image: three forwards."""
        return 3 * (self.macs if self.train_macs is None else self.train_macs)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Networks of one kind, and the laws of their error.

    Attributes:
        name: e.g. "depth-256-dense".
        task: what they answer.
        metric: the error, smaller is better.
        resolution: pixels a side.
        architecture: "dense" or "upcycled".
        batch: images an iteration.
        sizes: to choose from.
        training: error by ("params", "images").
        effort: error by "steps", "draws" or both; None where they were not varied.
        steps: of the training law's measurements.
        draws: of the training law's measurements.
        efforts: all pairs of steps and draws that were measured; none, and any within the effort law's range will do.
        recipe: how a training is spent, in words.
        largest_train_macs: of any measured training.
        assumes: what its laws take for granted; empty where they were fitted to its own measurements.
    """

    name: str
    task: str
    metric: str
    resolution: int
    architecture: str
    batch: int
    sizes: tuple[Size, ...]
    training: Law
    effort: Law | None = None
    steps: int = 1
    draws: int = 1
    efforts: tuple[tuple[int, int], ...] = ()
    recipe: str = ""
    largest_train_macs: float
    assumes: str = ""

    def __post_init__(self) -> None:
        if self.training.variables != ("params", "images"):
            found = list(self.training.variables)
            raise InputError(f"{self.name}.training", f"a law of {found}", "['params', 'images']")
        if self.effort is not None and not set(self.effort.variables) <= {"steps", "draws"}:
            found = list(self.effort.variables)
            raise InputError(f"{self.name}.effort", f"a law of {found}", "of steps, draws or both")
        if not self.sizes:
            raise InputError(f"{self.name}.sizes", "none", "at least one")


@dataclass(frozen=True, kw_only=True)
class Laws:
    """What studies found.

    Attributes:
        studies: their names.
        records: hash of the file of records, by `hash_of`.
        families: what can be planned with.
        series: of all studies, with their laws; not read by the planner.
        claims: of the paper, likewise.
        format: of the file.
    """

    studies: tuple[str, ...]
    records: str
    families: tuple[Family, ...] = ()
    series: tuple[dict[str, Any], ...] = ()
    claims: tuple[dict[str, Any], ...] = ()
    format: int = FORMAT

    @classmethod
    def read(cls, path: str | Path) -> "Laws":
        """Read a file of laws.

        Raises:
            InputError: there is none, or it is something else.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError("laws", f"{path}, which is no file", "a laws.json")
        try:
            found = from_json(cls, json.loads(path.read_text(encoding="utf-8")), str(path))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError("laws", f"{path}: {error}", "a laws.json") from error
        if found.format != FORMAT:
            raise InputError(f"{path}.format", found.format, str(FORMAT))
        return found

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_json(path, to_json(self))


def hash_of(path: str | Path) -> str:
    """Sixteen hexadecimal digits of a file of records."""
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=8).hexdigest()
