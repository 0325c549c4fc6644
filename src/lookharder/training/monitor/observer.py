"""What a run reports: lines of metrics, validations, TensorBoard. Nothing here changes what is learnt.

Rank 0 writes; a validation needs the weights of all. When a run resumes or goes back, what was reported of
iterations that are going to be done again is cut off.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from lookharder.chain import Chain
from lookharder.data.example import Dataset
from lookharder.training.config import task_of
from lookharder.training.distributed.ranks import Ranks
from lookharder.training.loop import TrainState, TrainStep, averaged
from lookharder.training.monitor.journal import Journal
from lookharder.training.monitor.throughput import (
    Board,
    Meter,
    iteration_macs,
    peak_flops,
    summary_writer,
)
from lookharder.training.monitor.validation import cut_back, held_out, validate
from lookharder.training.run_config import RunConfig


def check_validation(config: RunConfig, chain: Chain) -> None:
    """Check that validations can be made and TensorBoard written, before anything is.

    Raises:
        InputError: nothing to validate on, or no TensorBoard.
    """
    if config.validation.every:
        held_out(chain, config.validation, [*map(task_of, config.train.mix)])
    if config.tensorboard:
        summary_writer()


class Observer:
    """Sees every step of a run and writes what is asked for."""

    def __init__(
        self,
        config: RunConfig,
        chain: Chain,
        state: TrainState,
        datasets: Mapping[str, Dataset],
        out: Path,
        ranks: Ranks,
    ) -> None:
        """Open the files of the run's folder `out`; `chain` and `state` are those that train."""
        self.config, self.chain, self.state = config, chain, state
        self.out, self.ranks, self.team = out, ranks, state.team
        self.tasks = [*map(task_of, config.train.mix)]
        peak = peak_flops(self.team.device, config.runtime.precision, self.team.size)
        self.meter = Meter(iteration_macs(chain, config.train, datasets), peak)
        self.waited = 0.0  # seconds of waiting for saves that the journal has
        self._files = ExitStack()
        self.board: Board | None = None
        self.journal: Journal | None = None
        if self.team.main:
            self.journal = self._files.enter_context(Journal(out / "metrics.jsonl"))

    def see(self, step: TrainStep, last: bool, sound: bool) -> None:
        """Count a step, and validate where that is due; not on weights that are no longer `sound`."""
        self.meter.update(step)
        config = self.config.validation
        if config.every and sound and (last or step.iteration % config.every == 0):
            shown = averaged(self.chain, self.state)  # all ranks take part; rank 0 gets it

            def score() -> None:
                if shown is not None:
                    found = validate(shown, config, step.iteration, self.out, self.tasks)
                    if self.board is not None:
                        self.board.write({"iteration": step.iteration, **found})

            with self.meter.validating():
                self.ranks.first(score)

    def note(self, step: TrainStep, waited: float, **more: object) -> None:
        """Write the line of a step; `waited` is how long the run has waited for saves so far."""
        saving, self.waited = waited - self.waited, waited
        fields = self.meter.row(saving)
        if self.journal is not None:
            row = self.journal.write(step, **fields, **more)
            if self.board is not None:
                self.board.write(row)

    def cut(self, iteration: int) -> None:
        """Remove what was reported after an iteration, which is going to be done again."""
        self.meter.row()
        if self.journal is not None:
            self.journal.cut(iteration)
            cut_back(self.out, iteration)
            if self.board is not None:
                self.board.close()
            if self.config.tensorboard:
                self.board = Board(self.out / "tensorboard", iteration)

    def __enter__(self) -> "Observer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()
        if self.board is not None:
            self.board.close()
