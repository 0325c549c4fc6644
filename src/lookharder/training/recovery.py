"""What a run does about numbers that are not finite.

One update whose loss or gradient is not finite is left out. `patience` of them in a row, a streak, are a trouble, and
the run goes back. How far is a ladder, because the cause cannot be seen from inside:

    1   to the newest checkpoint before the streak, and passes over the streak       bad data, or a fault of the machine
    2   before what was passed over last, and passes over all that followed          the weights had gone bad before
    3   further still, likewise                                                      so had those of that checkpoint
    4   stops                                                                        a rate, a loss or a device is wrong

A streak that begins within `patience` iterations of the last window is the same trouble and climbs one rung; a later
one is a new trouble. The ladder is a function of what the iterations did and of the checkpoints at regular intervals,
and what it has decided is saved with each checkpoint: a run that is killed anywhere climbs it again in the same way.
"""

from dataclasses import asdict, dataclass
from typing import Any

from lookharder.training.loop import TrainStep

RUNGS = 3
NAMED = 32  # examples that a window names; the log has them all


@dataclass(frozen=True, kw_only=True)
class Window:
    """Iterations that a run passes over.

    Attributes:
        first: the first of them.
        last: the last of them, included.
        back_to: iteration of the checkpoint that the run went back to.
        examples: "task/name" of the first examples of the streak that gave no finite number.
    """

    first: int
    last: int
    back_to: int
    examples: tuple[str, ...]


class Recovery:
    """Watches the steps of a run and says when and where it goes back.

    Attributes:
        patience: updates left out in a row that are a trouble.
        windows: what the run passes over, in order.
        rollbacks: how often it went back in the last trouble.
        streak: the first iteration of the present streak; None between streaks.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.windows: list[Window] = []
        self.rollbacks = 0
        self.streak: int | None = None
        self._examples: list[str] = []

    @property
    def excluded(self) -> list[tuple[int, int]]:
        """The windows as the loop wants them."""
        return [(window.first, window.last) for window in self.windows]

    def watch(self, step: TrainStep) -> bool:
        """Take note of a step; True if it completes a streak, and `go_back` is due."""
        if not step.skipped:
            if not step.excluded:
                self.streak, self._examples = None, []
            return False
        if self.streak is None:
            self.streak = step.iteration
        self._examples += [name for name in step.skipped if name not in self._examples]
        return step.iteration - self.streak + 1 >= self.patience

    def go_back(self, last: int, saved: list[int]) -> int:
        """Climb one rung: choose the checkpoint to go back to, and add the window that is passed over from there.

        Args:
            last: the iteration that completed the streak.
            saved: iterations of the checkpoints to choose from.

        Returns:
            The iteration of the checkpoint.

        Raises:
            FloatingPointError: there is no rung or no checkpoint left; says what was tried.
        """
        assert self.streak is not None
        first, before = self.streak, self.windows[-1] if self.windows else None
        if before is not None and first - before.last <= self.patience:
            rung, early = self.rollbacks + 1, [i for i in saved if i + 1 < before.first]
        else:
            rung, early = 1, [i for i in saved if i < first]
        if rung > RUNGS or not early:
            tried = f"{rung - 1} times to go back" if rung > 1 else "no time to go back"
            why = "" if rung > RUNGS else ", and no checkpoint is old enough"
            raise FloatingPointError(
                f"iterations {first} to {last}: loss or gradient not finite, after {tried}{why}; "
                f"examples {', '.join(self._examples[:NAMED])}. Look at them, or lower the rate"
            )
        back_to = max(early)
        if rung > 1:
            first = back_to + 1
        self.windows = [window for window in self.windows if window.last < first]
        self.windows.append(
            Window(first=first, last=last, back_to=back_to, examples=tuple(self._examples[:NAMED]))
        )
        self.rollbacks, self.streak, self._examples = rung, None, []
        return back_to

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, as JSON values; between streaks that is all."""
        return {"rollbacks": self.rollbacks, "windows": [asdict(window) for window in self.windows]}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.rollbacks, self.streak, self._examples = state["rollbacks"], None, []
        self.windows = [
            Window(**{**window, "examples": tuple(window["examples"])})
            for window in state["windows"]
        ]
