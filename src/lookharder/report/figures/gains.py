"""The gains of the claims with their intervals, against what each needs."""

import textwrap
from collections.abc import Sequence
from typing import Any

from lookharder.report.figures.svg import svg
from lookharder.report.findings import Finding
from lookharder.visualize.axes import BLUE, GREEN, INK, ORANGE, SOFT, tidy

VERDICTS = {"holds": GREEN, "does not hold": ORANGE, "no effect": BLUE}  # others are open


def draw_gains(found: Sequence[Finding]) -> str | None:
    """Gains with their intervals; None where there is none."""
    rows = [f for f in found if f.quantity == "gain, %" and f.value is not None]
    if not rows:
        return None

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        for y, row in enumerate(reversed(rows)):
            assert row.value is not None and row.low is not None and row.high is not None
            colour = VERDICTS.get(row.verdict, SOFT)
            axis.plot([row.low, row.high], [y, y], color=colour, lw=2.2, solid_capstyle="round")
            axis.plot([row.value], [y], "o", ms=5.5, color=colour, mec="white", mew=0.8)
            if row.needed:
                axis.plot([row.needed] * 2, [y - 0.32, y + 0.32], color=INK, lw=1)
        axis.axvline(0, color=INK, lw=0.9)
        axis.set_yticks(range(len(rows)), [textwrap.fill(row.says, 56) for row in reversed(rows)])
        axis.set(xlabel="gain, % of the error; right is better", ylim=(-0.6, len(rows) - 0.4))
        tidy(axis)

    return svg((7.2, 0.9 + 0.36 * len(rows)), draw)
