"""A run is a folder: the same command starts it, resumes it, or finds it finished.

    RUN/config.json      the whole configuration; a run resumes only under one that learns the same
    RUN/metrics.jsonl    one line every `log_every` iterations, and one for each that was left out
    RUN/checkpoints/     atomic, verified when read; a damaged one is skipped and said so
    RUN/model/           at the end: the averaged weights, as a model folder for `predict`

After a kill the metrics are cut back to the checkpoint, so the finished folder is what an uninterrupted run leaves
(but for the times in it). Several processes run one folder together: rank 0 alone writes what is not sharded, and what
they do next, they decide together.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from lookharder.chain import Chain, ChainConfig, find
from lookharder.config import from_json, to_json
from lookharder.data.example import Dataset
from lookharder.data.source import DataConfig, open_data
from lookharder.errors import InputError
from lookharder.files import write_json
from lookharder.seeding import torch_generator
from lookharder.training import checkpoint
from lookharder.training.config import TrainConfig
from lookharder.training.journal import Journal
from lookharder.training.loop import TrainState, TrainStep, averaged, start, train
from lookharder.training.parallel import distributed
from lookharder.training.ranks import Ranks
from lookharder.training.recovery import Recovery
from lookharder.training.runtime import RuntimeConfig, Stop, signals
from lookharder.training.saver import Saver

NOTHING = {
    "rollbacks": 0,
    "windows": [],
}  # what recovery has done in a run that began before it was kept

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
    """Run or resume `config` in the folder `out`, yielding each iteration; after torchrun, on every rank.

    Raises:
        InputError: where `out` holds a run of another configuration, or only damaged checkpoints.
        OSError: a checkpoint could not be written; those before are intact.
        FloatingPointError: losses or gradients stay not finite, however far the run goes back.
    """
    with distributed(config.runtime, config.device) as team, ExitStack() as stack:
        ranks = Ranks.join()
        if config.init is None:
            chain = Chain.build(config.chain, torch_generator(config.train.seed, "weights"))
        else:
            chain = Chain.load(find(config.init, "init"))
            config = replace(config, chain=chain.config)
        ranks.first(lambda: _claim(config, out))
        folder = out / "checkpoints"
        ranks.first(lambda: checkpoint.clean(folder))
        chain.to(team.device)
        stop = stack.enter_context(signals())
        work = _Work(
            config,
            chain,
            start(chain, config.train, team),
            stack.enter_context(Saver(folder, config.keep, Ranks.join())),
            stack.enter_context(Journal(out / "metrics.jsonl")) if team.main else None,
            ranks,
        )
        work.resume()
        yield from work.steps(_open_all(config), stop)
        if work.state.iteration == config.train.iterations:
            card = f"# {config.name}\n\nTrained by `lookharder train {config.name}`.\n"
            model = averaged(chain, work.state)
            if model is not None:
                model.save(out / "model", card)


class _Work:
    """What a run works on and with."""

    def __init__(
        self,
        config: RunConfig,
        chain: Chain,
        state: TrainState,
        saver: Saver,
        journal: Journal | None,
        ranks: Ranks,
    ) -> None:
        self.config, self.chain, self.state = config, chain, state
        self.saver, self.journal, self.ranks = saver, journal, ranks
        self.recovery = Recovery(config.patience)
        self.logged = 0.0  # seconds of waiting for saves that the journal has

    def steps(self, datasets: Mapping[str, Dataset], stop: Stop) -> Iterator[TrainStep]:
        """Train, log and save, to the end or until asked to stop; what is saved by then is on the disk."""
        config, again = self.config, True
        while again:
            again = False
            for step in train(config.train, self.state, self.chain, datasets):
                last = step.iteration == config.train.iterations
                stopping = self.state.team.any(stop.stop_requested)
                trouble = self.recovery.watch(step)
                self._note(step, last)
                self.saver.check()
                if trouble:
                    self._go_back(step.iteration)
                elif last or stopping or step.iteration % config.checkpoint_every == 0:
                    self._save(step.iteration, wanted=last or stopping)
                yield step
                if stopping and not last:
                    self.saver.settle()
                    by = stop.received or "a signal to another process"
                    log.warning("stopped by %s at iteration %d, saved", by, step.iteration)
                    return
                if again := trouble:
                    break
        self.saver.settle()

    def resume(self) -> None:
        """Go on from the newest intact checkpoint, the same on all ranks; if there is none, from the start."""
        folder = self.saver.folder

        def newest() -> str | None:
            found = checkpoint.load_latest(folder)
            return found.path.name if found else None

        if name := self.ranks.first(newest):
            self.recovery.load(self._take(int(name)).meta.get("recovery", NOTHING))
            self.state.excluded = self.recovery.excluded
            log.info("resumed at iteration %s from %s", self.state.iteration, folder / name)
        self._cut()

    def _go_back(self, last: int) -> None:
        """Return to an older checkpoint and pass over what led to a streak of updates left out."""
        self.saver.settle()
        folder, every = self.saver.folder, self.config.checkpoint_every
        saved = self.ranks.first(lambda: [i for i in checkpoint.intact(folder) if i % every == 0])
        target = self.recovery.go_back(last, saved)
        self._take(target)
        self.state.excluded = self.recovery.excluded
        self.ranks.first(lambda: checkpoint.forget(folder, target))
        self._cut()
        log.warning("back to iteration %d: %s", target, self.recovery.windows[-1])

    def _take(self, iteration: int) -> checkpoint.Checkpoint:
        """Read one checkpoint into the state; each rank reads it for itself."""
        path, read = self.saver.folder / f"{iteration:08d}", []
        self.ranks.together(lambda: read.append(checkpoint.load(path)))
        found, state = read[0], self.state
        checkpoint.unpack(found.tensors, self.chain.network, state.ema, state.optimizer)
        state.iteration = found.iteration
        return found

    def _save(self, iteration: int, wanted: bool) -> None:
        """Save at an iteration; inside a streak only if that is wanted, as of its beginning: same weights."""
        if (streak := self.recovery.streak) is not None:
            if not wanted:
                return
            if iteration < self.config.train.iterations:
                iteration = streak - 1
        state = self.state
        self.saver.save(
            iteration,
            checkpoint.pack(self.chain.network, state.ema, state.optimizer),
            {
                "recipe": self.config.name,
                "iteration": iteration,
                "recovery": self.recovery.state(),
            },
        )

    def _note(self, step: TrainStep, last: bool) -> None:
        """Log what is left out, and write the journal's line where one is due."""
        if step.skipped:
            log.warning(
                "iteration %d left out, loss %s, gradient norm %s: %s",
                *(step.iteration, step.loss, step.grad_norm, ", ".join(step.skipped)),
            )
        begins = [w for w in self.recovery.windows if w.first == step.iteration and step.excluded]
        if self.journal is None or not (
            last or step.skipped or begins or step.iteration % self.config.log_every == 0
        ):
            return
        more = {"passed_over": asdict(begins[0])} if begins else {}
        waited = self.saver.waited
        self.journal.write(step, save_seconds=waited - self.logged, **more)
        self.logged = waited

    def _cut(self) -> None:
        if self.journal is not None:
            self.journal.cut(self.state.iteration)


def _claim(config: RunConfig, out: Path) -> None:
    """Make `out` the folder of this run, or check that what it holds learns the same."""
    path = out / "config.json"
    if not path.exists():
        if out.exists() and any(out.iterdir()):
            raise InputError(
                "--out", f"{out}, which holds something else", "a new or empty folder, or a run"
            )
        write_json(path, to_json(config))
        return
    former = from_json(RunConfig, json.loads(path.read_text(encoding="utf-8")), str(path))
    found, wanted = to_json(_essence(former)), to_json(_essence(config))
    if found != wanted:
        changed = sorted(key for key in wanted if found[key] != wanted[key])
        raise InputError(
            "--out", f"{out}, a run with other {changed}", "a new folder, or the run's own recipe"
        )
    if to_json(former) != to_json(config):  # from here on it runs in another way
        write_json(path, to_json(config))


def _essence(config: RunConfig) -> RunConfig:
    """The configuration with all fields at their defaults that change when and where it is computed, not what."""
    return replace(
        config,
        device="auto",
        runtime=RuntimeConfig(precision=config.runtime.precision),
        checkpoint_every=1,
        keep=1,
        log_every=1,
    )


def _open_all(config: RunConfig) -> dict[str, Dataset]:
    """Each data set once, also where several tasks read it."""
    opened = {
        data: open_data(data)
        for data in dict.fromkeys(config.data[task] for task in config.train.mix)
    }
    return {task: opened[config.data[task]] for task in config.train.mix}
