"""A run is a folder: the same command starts it, resumes it, or finds it finished.

    RUN/config.json      the whole configuration; a run resumes only under one that learns the same
    RUN/metrics.jsonl    one line every `log_every` iterations, and one for each that was left out
    RUN/validation/      scores and pictures of the averaged weights, where they are asked for
    RUN/checkpoints/     atomic, verified when read; a damaged one is skipped and said so
    RUN/model/           at the end: the averaged weights, as a model folder for `predict`

After a kill the metrics are cut back to the checkpoint, so the finished folder is what an uninterrupted run leaves
(but for the times in it). Several processes run one folder together: rank 0 alone writes what is not sharded, and what
they do next, they decide together.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from lookharder import autoencoder
from lookharder.chain import Chain, find
from lookharder.data.example import Dataset
from lookharder.data.source import open_data
from lookharder.data.usable import Usable
from lookharder.errors import InputError
from lookharder.files import locked
from lookharder.metrics.scores import SCORES
from lookharder.models.transfer import transfer
from lookharder.seeding import torch_generator
from lookharder.training import checkpoint
from lookharder.training.card import card_of
from lookharder.training.checkpoint.saver import Saver
from lookharder.training.config import task_of
from lookharder.training.dealing import check_deal
from lookharder.training.distributed.parallel import distributed
from lookharder.training.distributed.ranks import Ranks
from lookharder.training.distributed.runtime import Stop, signals
from lookharder.training.forecast import refuse_if_too_large
from lookharder.training.loop import TrainState, TrainStep, averaged, start, train
from lookharder.training.monitor.observer import Observer, check_validation
from lookharder.training.recovery import Recovery
from lookharder.training.run_config import RunConfig, as_found, claim, compare
from lookharder.training.teaching import check_teaching

__all__ = ["RunConfig", "run"]

TAKEN = "where this run is going on in another process"
NOTHING = {
    "rollbacks": 0,
    "windows": [],
}  # what recovery has done in a run that began before it was kept

log = logging.getLogger(__name__)


def run(config: RunConfig, out: Path) -> Iterator[TrainStep]:
    """Run or resume `config` in the folder `out`, yielding each iteration; after torchrun, on every rank.

    Raises:
        InputError: where `out` holds a run of another configuration, or only damaged checkpoints.
        OSError: a checkpoint could not be written; those before are intact.
        FloatingPointError: losses or gradients stay not finite, however far the run goes back.
    """
    with distributed(config.runtime, config.device) as team, ExitStack() as stack:
        ranks = Ranks.join()
        chain = _start(config)
        config = replace(config, chain=chain.config)
        # whatever may be wrong is found before anything is written
        refuse_if_too_large(as_found(config), team.size)
        ranks.first(lambda: compare(config, out))
        ranks.first(lambda: check_validation(config, chain))
        ranks.first(lambda: len(_open_all(config)))  # what has to be rendered is rendered by one
        datasets = _open_all(config)
        check_deal(config.train, chain, team, datasets)
        ranks.first(lambda: check_teaching(config.train, chain, datasets))
        ranks.first(lambda: claim(config, out))
        ranks.first(lambda: stack.enter_context(locked(out, TAKEN)))
        folder = out / "checkpoints"
        ranks.first(lambda: checkpoint.clean(folder))
        chain.to(team.device)
        stop = stack.enter_context(signals())
        state = start(chain, config.train, team)
        every = config.checkpoint_every
        saver = stack.enter_context(Saver(folder, config.keep, Ranks.join(), every))
        observer = stack.enter_context(Observer(config, chain, state, datasets, out, ranks))
        work = _Work(config, chain, state, saver, observer, ranks)
        work.resume()
        try:
            yield from work.steps(datasets, stop)
        except (
            InputError
        ):  # what was learnt is kept; of several ranks the others may be in the next iteration
            if team.size == 1:
                work.keep()
            raise
        if work.state.iteration == config.train.iterations:
            card = card_of(config)
            model = averaged(chain, work.state)

            def publish() -> None:
                if model is not None:
                    model.save(out / "model", card)

            ranks.together(publish)  # the run has ended for none before its model is there


class _Work:
    """What a run works on and with."""

    def __init__(
        self,
        config: RunConfig,
        chain: Chain,
        state: TrainState,
        saver: Saver,
        observer: Observer,
        ranks: Ranks,
    ) -> None:
        self.config, self.chain, self.state = config, chain, state
        self.saver, self.observer, self.ranks = saver, observer, ranks
        self.recovery = Recovery(config.patience)

    def steps(self, datasets: Mapping[str, Dataset], stop: Stop) -> Iterator[TrainStep]:
        """Train, log and save, to the end or until asked to stop; what is saved by then is on the disk."""
        config, again = self.config, True
        while again:
            again = False
            for step in train(config.train, self.state, self.chain, datasets):
                last = step.iteration == config.train.iterations
                stopping = self.state.team.any(stop.stop_requested)
                unsound = self.recovery.watch(step)
                self.observer.see(
                    step, last, sound=not unsound
                )  # before a checkpoint, which implies it
                self._note(step, last)
                self.saver.check()
                if unsound:
                    self._go_back(step.iteration)
                elif last or stopping or step.iteration % config.checkpoint_every == 0:
                    self._save(step.iteration, wanted=last or stopping)
                yield step
                if stopping and not last:
                    self.ranks.together(self.saver.settle)  # torchrun kills those that outlive one
                    by = stop.received or "a signal to another process"
                    log.warning("stopped by %s at iteration %d, saved", by, step.iteration)
                    return
                if again := unsound:
                    break
        self.ranks.together(self.saver.settle)

    def resume(self) -> None:
        """Go on from the newest intact checkpoint, the same on all ranks; if there is none, from the start."""
        if found := checkpoint.load_latest(self.saver.folder, self.ranks):
            self._take(found)
            self.recovery.load(found.meta.get("recovery", NOTHING))
            self.state.excluded = self.recovery.excluded
            log.info("resumed at iteration %s from %s", found.iteration, found.path)
        self.observer.cut(self.state.iteration)

    def keep(self) -> None:
        """Save the present state, unless there is nothing to lose."""
        if not self.state.iteration:
            return
        self._save(self.state.iteration, wanted=True)
        self.saver.settle()

    def _go_back(self, last: int) -> None:
        """Return to an older checkpoint and pass over what led to repeated non-finite updates."""
        self.saver.settle()
        folder, every = self.saver.folder, self.config.checkpoint_every
        saved = self.ranks.first(lambda: [i for i in checkpoint.intact(folder) if i % every == 0])
        target = self.recovery.go_back(last, saved)
        found: list[checkpoint.Checkpoint] = []  # a list, because what `together` returns travels
        path = folder / f"{target:08d}"
        self.ranks.together(lambda: found.append(checkpoint.load(path)))
        self._take(found[0])
        self.state.excluded = self.recovery.excluded
        self.ranks.first(lambda: checkpoint.forget(folder, target))
        self.observer.cut(target)
        log.warning("back to iteration %d: %s", target, self.recovery.windows[-1])

    def _take(self, found: checkpoint.Checkpoint) -> None:
        """Put a checkpoint into the state."""
        state = self.state
        checkpoint.unpack(found.tensors, self.chain.network, state.ema, state.optimizer)
        state.iteration = found.iteration

    def _save(self, iteration: int, wanted: bool) -> None:
        """Save at an iteration; amid non-finite updates only if wanted, as of before them: the weights are the same."""
        if (since := self.recovery.failing_since) is not None:
            if not wanted:
                return
            if iteration < self.config.train.iterations:
                iteration = since - 1
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
        if last or step.skipped or begins or step.iteration % self.config.log_every == 0:
            more = {"passed_over": asdict(begins[0])} if begins else {}
            self.observer.note(step, self.saver.waited, **more)


def _start(config: RunConfig) -> Chain:
    """The system before its first iteration, the same on every rank."""
    seed = config.train.seed
    if config.init is None:
        return Chain.build(config.chain, torch_generator(seed, "weights"))
    found = Chain.load(find(config.init, "init"))
    if not config.surgery:
        return found
    network = transfer(found.network, config.chain.model, torch_generator(seed, "routers"))
    return Chain(config.chain, network, autoencoder.build(dict(config.chain.autoencoder)))


def _open_all(config: RunConfig) -> dict[str, Dataset]:
    """Each data set once, also where several tasks read it; of files only what the task can use."""
    opened = {
        data: open_data(data)
        for data in dict.fromkeys(config.data[task] for task in config.train.mix)
    }
    found: dict[str, Dataset] = {}
    for source in config.train.mix:
        data, task = config.data[source], task_of(source)
        needs = SCORES[task].needs if task in SCORES else ()
        files = data.spec.partition(":")[0] not in ("procedural", "latents")
        found[source] = Usable(opened[data], needs) if files else opened[data]
    return found
