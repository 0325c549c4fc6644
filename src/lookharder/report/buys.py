"""What the compute of an answer buys: the change of the error along each thing that it can be spent on.

Each line begins with what costs least, at 0 %, and says by how much the error of each other setting is lower, in pairs
of the same seed and scenes, as `compare` judges any difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lookharder.report.blocks import spread
from lookharder.report.compare import Gain, Selection, gain, pairs
from lookharder.report.findings import Finding
from lookharder.report.parts import metric_word
from lookharder.report.power import EFFECT
from lookharder.scaling.record import Record

METRIC = ("depth", "abs_rel")
ONCE: Selection = {"steps": 1, "members": 1}
TRADE = "A small network asked more often is as good as the next larger one, at its cost"
LEADING = "Steps help where spacing is leading, x0-prediction"


@dataclass(frozen=True, kw_only=True)
class Buy:
    """One setting, against the first of its line.

    Attributes:
        value: of the axis.
        cost: of an answer, times that of the first.
        gain: less error, percent.
    """

    value: int | float | str
    cost: float
    gain: Gain


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that compute can be spent on.

    Attributes:
        name: of the thing.
        first: the value of the axis that the others are held against.
        buys: the others, by their cost.
    """

    name: str
    first: int | float | str
    buys: tuple[Buy, ...]


def lines(records: Sequence[Record]) -> dict[str, Line]:
    """The lines that these records have, by what they are spent on: "size", "pixels", "experts", "steps", ..."""
    dense: Selection = {"experts": 1, "active": 1, "more_iterations": 600}
    kinds: dict[str, tuple[str, str, str, Selection, Selection]] = {
        "size": ("a larger network", "model-size", "size", ONCE, ONCE),
        "pixels": ("more pixels", "resolution", "resolution", {}, {}),
        "experts": ("experts, trained as long", "upcycling", "experts", dense, {"active": 2}),
        "steps": ("more steps", "steps", "steps", {}, {}),
        "draws": ("more draws of one step", "draws", "members", {"steps": 1}, {"steps": 1}),
        "both": ("more draws of four steps", "draws", "members", {"steps": 1}, {"steps": 4}),
    }
    found = {}
    for key, (name, study, axis, before, after) in kinds.items():
        mine = [r for r in records if (r.study, r.task, r.metric) == (study, *METRIC)]
        there = sorted((r for r in mine if axis in r.point), key=lambda r: _order(r, axis))
        values = list(dict.fromkeys(r.point[axis] for r in there))
        if not values:
            continue
        others = values if before != after else values[1:]
        bought = [
            _buy(mine, {**before, axis: values[0]}, {**before, **after, axis: value}, value)
            for value in others
        ]
        known = tuple(buy for buy in bought if buy is not None)
        if known:
            found[key] = Line(name=name, first=values[0], buys=known)
    return found


def sentences(found: Mapping[str, Line], findings: Sequence[Finding]) -> list[str]:
    """What the lines come to, in words that stand alone; only of what was measured."""
    said = []
    ends = {key: line.buys[-1] for key, line in found.items()}
    if "size" in ends:
        said.append(
            f"The largest network ({ends['size'].value} in place of {found['size'].first}), at "
            f"{_times(ends['size'])} the compute of an answer, has {_change(ends['size'].gain)} ({error_words()})."
        )
    if "steps" in ends:
        more = f"{ends['steps'].value} denoising steps in place of one, at {_times(ends['steps'])} the compute, have "
        seeming = [f for f in findings if f.says == LEADING and f.verdict == "holds"]
        repair = ""
        if seeming and seeming[0].value is not None:
            repair = (
                f"; where the first step starts below full noise, as in the released code, they seem to gain "
                f"{seeming[0].value:.0f} %, which repairs that start"
            )
        said.append(more + _change(ends["steps"].gain) + repair + ".")
    if "draws" in ends:
        both = (
            f"; of four steps each, at {_times(ends['both'])}, {_change(ends['both'].gain)}"
            if "both" in ends
            else ""
        )
        said.append(
            f"{ends['draws'].value} merged draws in place of one, at {_times(ends['draws'])} the compute, have "
            f"{_change(ends['draws'].gain)}{both}."
        )
    if "experts" in ends:
        said.append(
            f"{ends['experts'].value} experts, two of them active, at {_times(ends['experts'])} the compute, have "
            f"{_change(ends['experts'].gain)}, against the same network trained as long without."
        )
    for each in findings:
        if (
            each.says == TRADE
            and each.value is not None
            and each.low is not None
            and each.high is not None
        ):
            told = Gain(value=each.value, low=each.low, high=each.high)
            said.append(
                f"A network asked more often, for the compute of the next larger one asked once, has {_change(told)} "
                "than that."
            )
    return said


def error_words() -> str:
    """Name the error of the lines."""
    return metric_word(*METRIC)


def _buy(
    records: Sequence[Record], before: Selection, after: Selection, value: int | float | str
) -> Buy | None:
    strata = pairs(records, before, after)
    told = gain(strata, spread(records, before, after))
    if told is None:
        return None
    costs = [b.inference_macs / a.inference_macs for found in strata.values() for a, b in found]
    return Buy(value=value, cost=float(np.mean(costs)), gain=told)


def _order(record: Record, axis: str) -> float:
    value = record.point[axis]
    return float(record.params if isinstance(value, str) else value)


def _times(buy: Buy) -> str:
    return f"{buy.cost:.2g} times" if buy.cost < 10 else f"{buy.cost:.0f} times"


def _change(told: Gain) -> str:
    """A gain in words: how much less or more error, or that neither is sure."""
    if max(-told.low, told.high) < EFFECT and told.low <= 0 <= told.high:
        return f"the same error, to within {max(-told.low, told.high):.1f} %"
    if told.low <= 0 <= told.high:
        return f"no surely different error ({told.value:+.1f} % [{told.low:+.1f}, {told.high:+.1f}] less)"
    ends = sorted((abs(told.low), abs(told.high)))
    word = "less" if told.value > 0 else "more"
    return f"{abs(told.value):.1f} % [{ends[0]:.1f}, {ends[1]:.1f}] {word} error"
