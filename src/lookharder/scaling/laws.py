"""The laws that a study found, as a file: what `plan` reads.

    family    networks of one kind on one task: a law of size and images, a law of effort, and what each size costs
    laws      named laws that no plan needs but that figures show

A family's training law gives the error of a network of N active parameters that saw D images, answering with its
`steps` and `draws`. Its effort law says by what factor other steps and draws change that. The file names the records it
was fitted to by their hash, so that laws and records can be told to belong together.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

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
        active_params: parameters in use for one token; what the law calls its size.
        macs: multiply-adds of one forward of one image at the family's resolution.
        start_macs: spent on what its training begins from, e.g. the dense model of an upcycled one.
    """

    name: str
    params: int
    active_params: int
    macs: float
    start_macs: float = 0.0


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
        largest_train_macs: of any measured training.
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
    largest_train_macs: float

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
    """What a study found.

    Attributes:
        study: its name.
        records: hash of the file of records, by `hash_of`.
        families: what can be planned with.
        laws: others, by name.
        format: of the file.
    """

    study: str
    records: str
    families: tuple[Family, ...] = ()
    laws: dict[str, Law] = field(default_factory=dict)
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
