"""What was measured of a model: its error at each effort, by which a budget is spent, and bounds of its errors.

    setting   task, resolution, effort  ->  error with its interval, on the scenes named in the table
    choose    of the settings that fit, the cheapest whose error is within 1 % of the least that fits

    bound     factor x (u + mean of u over the picture)  >=  error, for 68 % of the pixels, say

u is the spread of members, which by itself says too little: members of a model that was trained well at one step agree
with each other where all are wrong. The factor is that of split conformal prediction (Angelopoulos and Bates,
2107.07511) over pictures with truth, `metrics.calibration.bounding_factor`.

A budget is a limit, not a wish to spend: where a dearer setting gains nothing, the cheap one is taken. The table
travels with the model as `frontier.json`; `benchmarks/frontier.py` measures it for any model.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from lookharder.config import read_as, to_json
from lookharder.errors import InputError
from lookharder.files import write_json
from lookharder.predict.effort import Budget, Effort

Values = TypeVar("Values", np.ndarray, Tensor)
NAME = "frontier.json"
LEVEL = 0.68  # share of errors within the uncertainty of a prediction, where that was measured
WORTH = 0.01  # of the error: less than this is not worth more compute


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One measured setting.

    Attributes:
        task: name of the task.
        resolution: longest edge at which the network worked, pixels.
        effort: steps, members, sampler.
        error: mean error over the scenes, smaller is better.
        low: lower end of its 95 % bootstrap interval.
        high: upper end.
    """

    task: str
    resolution: int
    effort: Effort
    error: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ErrorBound:
    """What makes a spread of members a bound of errors, at the steps, levels and sampler that the model has by default.

    Attributes:
        task: name of the task.
        level: share of pixels whose error is within the bound, in a new picture like those measured, on average.
        factor: see the module.
        pictures: how many it was fitted on.
        members: how many were merged there; of 2 to 16 the factor differs by a quarter.
        data: which.
    """

    task: str
    level: float
    factor: float
    pictures: int
    members: int
    data: str

    def of(self, spread: Float[Tensor, "B *_"]) -> Float[Tensor, "B *_"]:
        """The bound, in the unit of the spread, image by image."""
        return self.factor * (spread + spread.flatten(1).mean(1)[:, None, None])

    def spread_of(self, bound: Values) -> Values:
        """The spread that a bound was made of, (B, ...) like it."""
        whole = bound / self.factor
        means = whole.reshape(len(whole), -1).mean(1)
        spread: Values = whole - means.reshape(-1, *[1] * (whole.ndim - 1)) / 2
        return spread


@dataclass(frozen=True, kw_only=True)
class SettingsTable:
    """The measured settings of a model, bounds of its errors, and the levels that pay.

    Attributes:
        data: scenes on which settings were measured.
        errors: what the error of each task is.
        rows: the settings.
        bounds: of uncertainties, by task and level.
        levels: at which each task looks where nothing is asked; a task that is not named looks once.
    """

    data: str
    errors: dict[str, str]
    rows: tuple[Setting, ...]
    bounds: tuple[ErrorBound, ...] = ()
    levels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, levels in self.levels.items():
            if levels < 1:
                raise InputError(f"levels.{task}", levels, "1 or more")

    @classmethod
    def read(cls, folder: Path) -> "SettingsTable | None":
        """The table of a model folder, or None where it has none.

        Raises:
            InputError: for a file that is not such a table.
        """
        path = folder / NAME
        if not path.is_file():
            return None
        return read_as(cls, path)

    def write(self, folder: Path) -> None:
        """Write the table into a model folder."""
        write_json(folder / NAME, to_json(self))

    def bound(self, task: str, level: float = LEVEL) -> ErrorBound | None:
        """The bound of a task at a level, where it was measured."""
        found = (bound for bound in self.bounds if (bound.task, bound.level) == (task, level))
        return next(found, None)

    def choose(
        self, task: str, budget: Budget, cost: Callable[[Setting], float], margin: float = 1.0
    ) -> Setting:
        """The cheapest setting of a task within 1 % of the least error among those that fit.

        Args:
            task: name of the task.
            budget: what one image may cost.
            cost: of a setting, in the budget's unit.
            margin: share of the budget that is planned with.

        Raises:
            InputError: where no setting of the task fits, or none was measured.
        """
        costs = {setting: cost(setting) for setting in self.rows if setting.task == task}
        if not costs:
            raise InputError("budget", f"task {task!r}", f"one of {sorted(self.errors)}")
        fitting = [setting for setting, value in costs.items() if value <= budget.amount * margin]
        if not fitting:
            cheapest = replace(budget, amount=min(costs.values()) / margin)
            raise InputError("budget", str(budget), f"{cheapest} or more")
        least = min(setting.error for setting in fitting)
        worth = [setting for setting in fitting if setting.error <= least * (1 + WORTH)]
        return min(worth, key=costs.__getitem__)
