"""What another seed would change of a difference, told by all networks of a study: randomised blocks, a seed a block.

    log error = that of a level + that of a seed + residual
    variance  = 2 Σ residual² / f                          of the difference of two levels, at one seed
    f         = networks - levels - seeds + 1

Three seeds of one pair tell what seeds do by 2 degrees of freedom, and Student's quantile is 4.3; five lengths of
training tell it by 8, and it is 2.3. A seed has the same scenes in the same order, so what it does to all levels drops
out. Networks that go on from one another are not trained apart, and ways to ask one network are not networks.

Levels may differ in how much seeds do: so the spread of the two that are compared counts where it is the larger one.
Then 96 of 100 intervals of 95 % hold the truth where all levels are alike, and 91 where those two vary twice as much as
the others (simulated, docs/log.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lookharder.report.parts import ASKED
from lookharder.scaling.record import Record

CONTINUED = ("experts", "active", "more_iterations")  # axes of networks that go on from one another


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What another seed would change of a difference of two levels.

    Attributes:
        variance: in percent squared of the error.
        free: degrees of freedom that it is known by.
    """

    variance: float
    free: int


def spread(
    records: Sequence[Record],
    before: Mapping[str, int | float | str],
    after: Mapping[str, int | float | str],
) -> Spread | None:
    """The spread from all networks that differ as these do; None where nothing but the pair itself can tell it.

    Args:
        records: of one study, task and metric.
        before: what is chosen on one side of the difference.
        after: on the other.
    """
    trained = {axis for axis in after if before.get(axis) != after[axis]} - set(ASKED)
    if not trained or trained & set(CONTINUED):
        return None
    fixed = {axis: value for axis, value in before.items() if after.get(axis) == value}
    blocks: dict[tuple[Any, ...], dict[tuple[Any, int], list[float]]] = {}
    for record in records:
        if record.value <= 0 or any(record.point.get(k, v) != v for k, v in fixed.items()):
            continue
        level = tuple(record.point.get(axis) for axis in sorted(trained))
        others = set(record.point) - trained - set(ASKED)
        key = tuple((axis, record.point[axis]) for axis in sorted(others))
        network = blocks.setdefault(key, {}).setdefault((level, record.seed), [])
        network.append(100 * float(np.log(record.value)))
    found = [_residuals(block) for block in blocks.values()]
    free = sum(each.free for each in found)
    if not free:
        return None
    return Spread(variance=2 * sum(each.variance for each in found) / free, free=free)


def _residuals(block: Mapping[tuple[Any, int], Sequence[float]]) -> Spread:
    """The sum of squares that levels and seeds leave of the networks, each the mean of how it was asked."""
    asked = max(map(len, block.values()))
    whole = {key: float(np.mean(values)) for key, values in block.items() if len(values) == asked}
    columns = [list(dict.fromkeys(key[i] for key in whole)) for i in (0, 1)]
    design = np.array(
        [[key[i] == name for i in (0, 1) for name in columns[i]] for key in whole], np.float64
    )
    y = np.array(list(whole.values()))
    fitted, _, rank, _ = np.linalg.lstsq(design, y)
    left = float(np.square(y - design @ fitted).sum())
    return Spread(variance=left, free=len(y) - int(rank))
