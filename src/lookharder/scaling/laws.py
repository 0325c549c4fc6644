"""The findings of studies as a file, which `plan` reads.

    families   networks of one kind on one task: a law of size and images, what effort does to it, what each size costs
    series     what was measured along one axis, and the laws of it, in figures and words
    claims     what became of the paper's claims

A family's training law gives the error of a network of N active parameters that saw D images, answering with its
`steps` and `draws`. Its effects say by what factor other steps and draws change that, each as it was measured: what
draws gain depends on the steps, which no sum of terms allows for. The file names the records
it was fitted to by their hash, so that laws and records can be told to belong together.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.config import read_as, to_json
from lookharder.errors import InputError
from lookharder.files import write_json
from lookharder.scaling.law import Law

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class FamilySize:
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

    def __post_init__(self) -> None:
        cost = (self.params, self.active_params, self.macs, self.law_params, self.train_macs)
        start = (self.start_macs, self.start_images)
        if not all(v is None or 0 < v < np.inf for v in cost):
            raise InputError(f"{self.name}.macs", f"sizes and costs {cost}", "positive numbers")
        if not all(0 <= v < np.inf for v in start):
            raise InputError(f"{self.name}.start", f"{start}", "numbers, 0 or more")

    @property
    def n(self) -> float:
        """N of the law: the parameters that it counts."""
        return float(self.active_params if self.law_params is None else self.law_params)

    @property
    def image_macs(self) -> float:
        """Multiply-adds of training for each image: three forwards."""
        return 3 * (self.macs if self.train_macs is None else self.train_macs)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one effort at test time does to the error.

    Attributes:
        steps: of denoising.
        draws: that are merged.
        factor: on the error, the geometric mean of the networks that were asked so.
        spread: standard deviation of the logarithm of what it is for one more network.
        networks: how many.
    """

    steps: int
    draws: int
    factor: float
    spread: float
    networks: int

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Factors (count,) that another network might give."""
        if self.spread == 0 or self.networks < 2:
            return np.full(count, self.factor)
        return self.factor * np.exp(self.spread * rng.standard_t(self.networks - 1, count))


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
        steps: of the training law's measurements.
        draws: of the training law's measurements.
        effects: of other steps and draws.
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
    sizes: tuple[FamilySize, ...]
    training: Law
    steps: int = 1
    draws: int = 1
    effects: tuple[Effect, ...] = ()
    recipe: str = ""
    largest_train_macs: float
    assumes: str = ""

    def __post_init__(self) -> None:
        if self.training.variables != ("params", "images"):
            found = list(self.training.variables)
            raise InputError(f"{self.name}.training", f"a law of {found}", "['params', 'images']")
        counts = (self.resolution, self.batch, self.steps, self.draws, self.largest_train_macs)
        if not all(0 < v < np.inf for v in (*counts, *self.training.smallest)):
            raise InputError(f"{self.name}.batch", f"counts {counts}", "positive numbers")
        if bad := [each for each in self.effects if not (each.factor > 0 and each.spread >= 0)]:
            raise InputError(f"{self.name}.effects", bad[0], "positive factors")
        if not self.sizes:
            raise InputError(f"{self.name}.sizes", "none", "at least one")


@dataclass(frozen=True, kw_only=True)
class Laws:
    """The findings of studies.

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
            found = read_as(cls, path)
        except InputError as error:  # of a value, which does not know what file it is in
            name, got, allowed = error.args
            said = name if str(path) in name else f"{path}: {name}"
            raise InputError(said, got, allowed) from error
        if found.format != FORMAT:
            raise InputError(f"{path}.format", found.format, str(FORMAT))
        return found

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_json(path, to_json(self))


def hash_of(path: str | Path) -> str:
    """Sixteen hexadecimal digits of a file of records."""
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=8).hexdigest()
