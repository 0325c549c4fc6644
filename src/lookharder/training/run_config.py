"""The configuration of a run, and how a run folder is bound to it.

A folder belongs to the configuration it began with. What changes when and where things are computed, saved or shown,
but not what is learnt, may change when the run is resumed: its `essence` stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lookharder.chain import ChainConfig
from lookharder.config import read_as, to_json
from lookharder.data.source import DataConfig, sides_in, sides_of
from lookharder.errors import InputError
from lookharder.files import as_utf8, write_json
from lookharder.training.config import TrainConfig, task_of
from lookharder.training.cost import codec_of
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.monitor.validation import ValidationConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A recipe: one line of a table, complete.

    Attributes:
        name: what the recipe is called.
        chain: the system that learns.
        init: model folder or shipped model to start from: its system, weights included, takes the place of `chain`.
        data: a data set for each source of the mix.
        train: how it learns.
        checkpoint_every: iterations between checkpoints.
        keep: checkpoints kept.
        log_every: iterations between lines of metrics.
        device: "auto", "cpu" or "cuda".
        runtime: how the work of an iteration is laid out over processes and memory.
        patience: updates left out in a row, for loss or gradient that is not finite, at which the run goes back.
        surgery: bring the weights of `init` to `chain` (`models.transfer`) instead of taking its system over.
        validation: when and on what the averaged weights are scored.
        tensorboard: write the metrics for TensorBoard too.
    """

    name: str
    chain: ChainConfig
    data: Mapping[str, DataConfig]
    train: TrainConfig
    init: str | None = None
    checkpoint_every: int = 500
    keep: int = 3
    log_every: int = 10
    device: str = "auto"
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    patience: int = 5
    surgery: bool = False
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    tensorboard: bool = False

    def __post_init__(self) -> None:
        tasks = {task.name for task in self.chain.tasks}
        if unknown := sorted({*map(task_of, self.train.mix)} - tasks):
            raise InputError("train.mix", unknown, f"tasks of the model: {sorted(tasks)}")
        if missing := sorted(set(self.train.mix) - set(self.data)):
            raise InputError(
                "data", f"nothing for {missing}", "a data set for each source of the mix"
            )
        for name in ("checkpoint_every", "keep", "log_every", "patience"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "1 or more")
        if self.surgery and self.init is None:
            raise InputError("surgery", True, "false, or an `init` to operate on")


def compare(config: RunConfig, out: Path) -> RunConfig | None:
    """The configuration of the run in `out`, if there is one; nothing is written.

    Raises:
        InputError: `out` holds something else, or a run that learns something else.
    """
    path = out / "config.json"
    if not path.exists():
        if out.exists() and any(not _is_half(found) for found in out.iterdir()):
            raise InputError(
                "--out", f"{out}, which holds something else", "a new or empty folder, or a run"
            )
        return None
    former = read_as(RunConfig, path)
    found, wanted = to_json(essence(former)), as_utf8(to_json(essence(config)))
    if found != wanted:
        changed = sorted(key for key in wanted if found[key] != wanted[key])
        raise InputError(
            "--out", f"{out}, a run with other {changed}", "a new folder, or the run's own recipe"
        )
    return former


def as_found(config: RunConfig) -> RunConfig:
    """The configuration with the size of pictures that lie here, where it says none: that of the first, for a price.

    It is rounded down to whole patches.
    """
    patch = codec_of(config.chain).factor * config.chain.model.patch_size

    def sized(data: DataConfig) -> DataConfig:
        found = None if "fit=" in data.spec else sides_in(data)
        if found is None or found == sides_of(data):
            return data
        rows, columns = (max(patch, side // patch * patch) for side in found)
        mark = "&" if "=" in data.spec.rpartition("?")[2] else "?"
        return replace(data, spec=f"{data.spec}{mark}fit={rows}x{columns}")

    return replace(config, data={name: sized(data) for name, data in config.data.items()})


def claim(config: RunConfig, out: Path) -> None:
    """Make `out`, in a folder that exists, the folder of this run; raises as `compare` does."""
    former = compare(config, out)
    out.mkdir(exist_ok=True)
    if former is None:
        for half in filter(_is_half, out.iterdir()):
            half.unlink()
    if former is None or to_json(former) != to_json(config):  # from here on it runs in another way
        write_json(out / "config.json", to_json(config))


def _is_half(path: Path) -> bool:
    """Left where a kill or a full disk struck the very first write."""
    return path.name.startswith(".config.") and path.suffix == ".json"


def essence(config: RunConfig) -> RunConfig:
    """The configuration with all fields at their defaults that change when and where it is computed, not what.

    Micro-batches are such a field but for experts, whose routers are balanced over each by itself.
    """
    experts = config.chain.model.moe is not None
    accumulate = config.runtime.accumulate if experts else 1
    return replace(
        config,
        data={
            name: replace(data, store=None, workers=DataConfig.workers)
            for name, data in config.data.items()
        },
        device="auto",
        runtime=RuntimeConfig(precision=config.runtime.precision, accumulate=accumulate),
        checkpoint_every=1,
        keep=1,
        log_every=1,
        validation=ValidationConfig(),
        tensorboard=False,
    )
