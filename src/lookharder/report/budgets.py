"""What a training budget buys: the law of size and images over compute, size by size, and the planner's families."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.config import from_json, read_as
from lookharder.errors import InputError
from lookharder.scaling.law import Law, growth
from lookharder.scaling.laws import Family
from lookharder.scaling.record import Record
from lookharder.seeding import numpy_generator
from lookharder.visualize.html import Table

COLUMNS = [
    "family", "ceiling M", "power g", "a, size", "b, images", "scatter", "best size grows as",
    "takes for granted",
]  # fmt: skip
CHECKED = [
    "FLOPs", "of an answer, at most", "plan", "iterations", "predicted", "measured", "inside", "prediction is off by",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Budgets:
    """What the planner knows.

    Attributes:
        families: the first is the one that was fitted to `measured`.
        measured: the trainings behind its law.
        checked: plans that were trained.
    """

    families: Sequence[Family]
    measured: Sequence[Record]
    checked: Sequence["TrainedPlan"] = ()


@dataclass(frozen=True, kw_only=True)
class TrainedPlan:
    """What the planner answered, and what its trainings measured: a row of what `benchmarks/planner.py` writes.

    Attributes:
        training: FLOPs that were asked for.
        inference_limit: FLOPs of an answer, at most; None for any.
        family: of the plan.
        size: likewise.
        iterations: likewise.
        steps: of denoising.
        draws: that are merged.
        predicted: error that the laws expect.
        low: lower end of its 95 % interval.
        high: upper end.
        extrapolates: whether it left what was measured.
        measured: error, mean over trainings.
        measured_low: lower end of its 95 % interval over images.
        measured_high: upper end.
        seeds: error of each training.
        inside: how many of them lie in the predicted interval.
        off: predicted over measured, - 1.
    """

    training: float
    inference_limit: float | None
    family: str
    size: str
    iterations: int
    steps: int
    draws: int
    predicted: float
    low: float
    high: float
    extrapolates: bool
    measured: float
    measured_low: float
    measured_high: float
    seeds: tuple[float, ...]
    inside: int
    off: float


@dataclass(frozen=True, kw_only=True)
class _Plans:
    """What the file says: the hash of the records of its laws; plans, those not yet trained among them."""

    laws: str
    plans: tuple[dict[str, Any], ...]


def read_trained_plans(path: Path, records: str) -> list[TrainedPlan]:
    """Plans that were trained by the laws of these records; none of other laws, or without a file.

    Args:
        path: what `benchmarks/planner.py` wrote.
        records: their hash.

    Raises:
        InputError: it is something else.
    """
    if not path.is_file():
        return []
    found = read_as(_Plans, path)
    rows = found.plans if found.laws == records else ()
    trained = [row for row in rows if "measured" in row]  # others wait for their trainings
    return [from_json(TrainedPlan, row, f"{path}: plan") for row in trained]


def held_out_words(family: Family) -> str:
    """What the law of the other trainings says of the largest, in a sentence; empty where they are too few."""
    held = family.training.held_out
    if held is None:
        return ""
    size = next((s.name for s in family.sizes if s.n == held.at[0]), f"{held.at[0]:.3g} parameters")
    return (
        f"Not having seen the largest, {size} on {held.at[1]:.0f} images, the law predicts it by "
        f"{100 * held.error:+.1f} % (no law: {100 * held.baseline_error:+.1f} %)."
    )


def family_table(families: Sequence[Family]) -> Table:
    """One family a row: its law with intervals, how the best size grows, what it takes for granted."""
    return Table(columns=COLUMNS, rows=[_row(family) for family in families])


def effect_table(family: Family) -> Table | None:
    """What steps and draws do to the error of one and one; None where nothing else was asked."""
    rows = []
    for each in family.effects:
        low, high = np.quantile(each.sample(4000, numpy_generator(0, "effect")), [0.025, 0.975])
        change = [f"{100 * (f - 1):+.1f} %" for f in (each.factor, low, high)]
        said = f"{change[0]} [{change[1]}, {change[2]}]"
        rows.append([f"{each.steps}", f"{each.draws}", said, f"{each.networks}"])
    columns = ["steps T", "draws n", "error of a network against one step, one draw", "networks"]
    return Table(columns=columns, rows=rows) if rows else None


def check_table(checked: Sequence[TrainedPlan]) -> Table | None:
    """One trained plan a row: what was predicted and what was measured; None where nothing was trained."""
    rows = [
        [
            f"{plan.training:.2g}",
            "" if plan.inference_limit is None else f"{plan.inference_limit:.2g}",
            f"{plan.family}, {plan.size}",
            f"{plan.iterations}",
            f"{plan.predicted:.3f} [{plan.low:.3f}, {plan.high:.3f}]",
            f"{plan.measured:.3f}",
            f"{plan.inside} of {len(plan.seeds)}",
            f"{100 * plan.off:+.1f} %",
        ]
        for plan in checked
    ]
    return Table(columns=CHECKED, rows=rows) if rows else None


def _row(family: Family) -> list[str]:
    law = family.training
    inside = [] if law.ceiling is None else [(law.ceiling, "ceiling"), (law.power, "power")]
    cells = [f"{value:.3g} {_ends(law, name)}" for value, name in inside] or [
        f"none, E = {law.offset:.3g}",
        "1",
    ]
    for value, name in zip(law.exponents, law.variables, strict=True):
        cells.append(f"{value:.3g} {_ends(law, 'exponent', name)}")
    try:
        exponent, low, high = growth(law)
        grows = f"C^{exponent:.2f} [{low:.2f}, {high:.2f}]"
    except InputError:  # a term that does not fall, or a law without samples
        grows = "unknown"
    fit = [f"{100 * law.scatter:.1f} %", grows]
    return [family.name, *cells, *fit, family.assumes or "nothing"]


def _ends(law: Law, name: str, variable: str | None = None) -> str:
    if not law.samples:
        return ""
    low, high = law.interval(name, variable=variable)
    return f"[{low:.3g}, {high:.3g}]"
