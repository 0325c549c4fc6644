"""A run is a folder: the same command starts it, resumes it, or finds it finished.

    RUN/config.json      the whole configuration; a run resumes only under the one it began with
    RUN/metrics.jsonl    one line every `log_every` iterations
    RUN/checkpoints/     atomic, verified when read; a damaged one is skipped and said so
    RUN/model/           at the end: the averaged weights, as a model folder for `predict`

After a kill the metrics are cut back to the checkpoint, so the finished folder is what an uninterrupted run leaves
(but for the times in it).
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TextIO

from lookharder.chain import Chain, ChainConfig, find
from lookharder.config import to_json
from lookharder.data.example import Dataset
from lookharder.data.source import DataConfig, open_data
from lookharder.errors import InputError
from lookharder.files import atomic, write_json
from lookharder.seeding import torch_generator
from lookharder.training import checkpoint
from lookharder.training.loop import TrainConfig, TrainState, TrainStep, start, train
from lookharder.training.runtime import RuntimeConfig, pick_device, signals

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A recipe: one line of a table, complete.

    Attributes:
        name: what the recipe is called.
        chain: the system that learns.
        init: model folder or shipped model to start from: its system, weights included, takes the place of `chain`.
        data: a data set for each task of the mix.
        train: how it learns.
        checkpoint_every: iterations between checkpoints.
        keep: checkpoints kept.
        log_every: iterations between lines of metrics.
        device: "auto", "cpu" or "cuda".
        runtime: how the work of an iteration is laid out over processes and memory.
        patience: updates left out in a row, for loss or gradient that is not finite, at which the run goes back.
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

    def __post_init__(self) -> None:
        tasks = {task.name for task in self.chain.tasks}
        if unknown := sorted(set(self.train.mix) - tasks):
            raise InputError("train.mix", unknown, f"tasks of the model: {sorted(tasks)}")
        if missing := sorted(set(self.train.mix) - set(self.data)):
            raise InputError(
                "data", f"nothing for {missing}", "a data set for each task of the mix"
            )
        for name in ("checkpoint_every", "keep", "log_every", "patience"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "1 or more")


def run(config: RunConfig, out: Path) -> Iterator[TrainStep]:
    """Run or resume `config` in the folder `out`, yielding each iteration.

    Raises:
        InputError: where `out` holds a run of another configuration, or only damaged checkpoints.
    """
    if config.init is None:
        chain = Chain.build(config.chain, torch_generator(config.train.seed, "weights"))
    else:
        chain = Chain.load(find(config.init, "init"))
        config = replace(config, chain=chain.config)
    _claim(config, out)
    chain.to(pick_device(config.device))
    state = start(chain, config.train)
    _resume(chain, state, out)
    datasets = _open_all(config)

    with signals() as stop, _metrics(out, state.iteration) as metrics:
        for step in train(config.train, state, chain, datasets):
            last = step.iteration == config.train.iterations
            if step.iteration % config.log_every == 0 or last:
                print(json.dumps(_row(step)), file=metrics, flush=True)
            if step.iteration % config.checkpoint_every == 0 or last or stop.stop_requested:
                _save(config, chain, state, out)
            yield step
            if stop.stop_requested and not last:
                log.warning("stopped by %s at iteration %d, saved", stop.received, step.iteration)
                return
    state.ema.copy_to(chain.network)
    chain.save(
        out / "model", card=f"# {config.name}\n\nTrained by `lookharder train {config.name}`.\n"
    )


def _claim(config: RunConfig, out: Path) -> None:
    """Make `out` the folder of this run, or check that it already is."""
    path, wanted = out / "config.json", to_json(config)
    if not path.exists():
        if out.exists() and any(out.iterdir()):
            raise InputError(
                "--out", f"{out}, which holds something else", "a new or empty folder, or a run"
            )
        write_json(path, wanted)
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    if found != wanted:
        changed = sorted(key for key in wanted if found.get(key) != wanted[key])
        raise InputError(
            "--out", f"{out}, a run with other {changed}", "a new folder, or the run's own recipe"
        )


def _open_all(config: RunConfig) -> dict[str, Dataset]:
    """Each data set once, also where several tasks read it."""
    opened = {
        data: open_data(data)
        for data in dict.fromkeys(config.data[task] for task in config.train.mix)
    }
    return {task: opened[config.data[task]] for task in config.train.mix}


def _resume(chain: Chain, state: TrainState, out: Path) -> None:
    checkpoint.clean(out / "checkpoints")
    found = checkpoint.load_latest(out / "checkpoints")
    if found is None:
        return
    checkpoint.unpack(found.tensors, chain.network, state.ema, state.optimizer)
    state.iteration = found.iteration
    log.info("resumed at iteration %d from %s", found.iteration, found.path)


def _save(config: RunConfig, chain: Chain, state: TrainState, out: Path) -> None:
    tensors = checkpoint.pack(chain.network, state.ema, state.optimizer)
    meta = {"recipe": config.name, "iteration": state.iteration}
    checkpoint.save(out / "checkpoints", state.iteration, tensors, meta, keep=config.keep)


@contextmanager
def _metrics(out: Path, iteration: int) -> Iterator[TextIO]:
    """The metrics file, open for appending, with the lines after `iteration` cut off."""
    path = out / "metrics.jsonl"
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        # a torn last line has no newline and no end: it is cut off with the rest
        kept = [
            line
            for line in lines
            if line.endswith("\n") and json.loads(line)["iteration"] <= iteration
        ]
        with atomic(path) as aside:
            aside.write_text("".join(kept), encoding="utf-8")
    with path.open("a", encoding="utf-8") as handle:
        yield handle


def _row(step: TrainStep) -> dict[str, object]:
    return {**asdict(step), "images_per_second": step.images / step.seconds, "time": time.time()}
