"""What a run does about updates that are not finite.

An update whose loss or gradient is not finite is skipped. After `patience` of them in a row the run goes back to an
older checkpoint; to which, is tried in this order, because the cause cannot be seen from inside:

    1   the newest before them; on the way again they are skipped          bad data, or a fault of the machine
    2   one before what was skipped last; all that follows is skipped      the weights had gone bad before
    3   an older one, likewise                                             so had those of that checkpoint
    4   none: the run stops                                                a rate, a loss or a device is wrong

Repeated non-finite updates that begin within `patience` iterations of those skipped last have the same cause, and the
next attempt is made; later ones begin with the first. The choice is a function of what the iterations did and of the
checkpoints at regular intervals, and what was decided is saved with each checkpoint: a run that is killed anywhere
decides the same again.
"""

from dataclasses import asdict, dataclass
from typing import Any

from lookharder.training.loop import TrainStep

ATTEMPTS = 3
NAMED = 32  # examples that a window names; the log has them all


@dataclass(frozen=True, kw_only=True)
class Window:
    """Iterations that a run passes over.

    Attributes:
        first: the first of them.
        last: the last of them, included.
        back_to: iteration of the checkpoint that the run went back to.
        examples: "task/name" of the first examples that gave no finite number.
    """

    first: int
    last: int
    back_to: int
    examples: tuple[str, ...]


class Recovery:
    """Watches the steps of a run and says when and where it goes back.

    Attributes:
        patience: non-finite updates in a row after which the run goes back.
        windows: what the run passes over, in order.
        rollbacks: how often it went back for the last cause.
        failing_since: the first of the non-finite updates that the last iterations are; None where the last was finite.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.windows: list[Window] = []
        self.rollbacks = 0
        self.failing_since: int | None = None
        self._examples: list[str] = []

    @property
    def excluded(self) -> list[tuple[int, int]]:
        """The windows as the loop wants them."""
        return [(window.first, window.last) for window in self.windows]

    def watch(self, step: TrainStep) -> bool:
        """Take note of a step; True if `patience` in a row were not finite, and `go_back` is due."""
        if not step.skipped:
            if not step.excluded:
                self.failing_since, self._examples = None, []
            return False
        if self.failing_since is None:
            self.failing_since = step.iteration
        self._examples += [name for name in step.skipped if name not in self._examples]
        return step.iteration - self.failing_since + 1 >= self.patience

    def go_back(self, last: int, saved: list[int]) -> int:
        """Choose the checkpoint of the next attempt, and add the window that is passed over from there.

        Args:
            last: the last of the non-finite updates.
            saved: iterations of the checkpoints to choose from.

        Returns:
            The iteration of the checkpoint.

        Raises:
            FloatingPointError: no attempt or no checkpoint is left; says what was tried.
        """
        assert self.failing_since is not None
        first, before = self.failing_since, self.windows[-1] if self.windows else None
        if before is not None and first - before.last <= self.patience:
            attempt, early = self.rollbacks + 1, [i for i in saved if i + 1 < before.first]
        else:
            attempt, early = 1, [i for i in saved if i < first]
        if attempt > ATTEMPTS or not early:
            tried = f"{attempt - 1} times to go back" if attempt > 1 else "no time to go back"
            why = "" if attempt > ATTEMPTS else ", and no checkpoint is old enough"
            raise FloatingPointError(
                f"iterations {first} to {last}: loss or gradient not finite, after {tried}{why}; "
                f"examples {', '.join(self._examples[:NAMED])}. Look at them, or lower the rate"
            )
        back_to = max(early)
        if attempt > 1:
            first = back_to + 1
        self.windows = [window for window in self.windows if window.last < first]
        self.windows.append(
            Window(first=first, last=last, back_to=back_to, examples=tuple(self._examples[:NAMED]))
        )
        self.rollbacks, self.failing_since, self._examples = attempt, None, []
        return back_to

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, as JSON values; after a finite update that is all."""
        return {"rollbacks": self.rollbacks, "windows": [asdict(window) for window in self.windows]}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.rollbacks, self.failing_since, self._examples = state["rollbacks"], None, []
        self.windows = [
            Window(**{**window, "examples": tuple(window["examples"])})
            for window in state["windows"]
        ]
