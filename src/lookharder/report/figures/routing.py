"""A routing report as a table, and as a figure: which experts do the work, where, for what and when.

The figure has a heat map for each task and step: layers down, experts across, in each cell the share of picks in
percent. Colour is the share over the even share 1 / E, by octaves: white is even, red up to four times as much, blue
down to a quarter. The scale is the same for every model, so that figures can be compared.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lookharder.evaluate.routing import RoutingReport, Usage
from lookharder.files import write_json
from lookharder.visualize.axes import INK, blank, save
from lookharder.visualize.html import Table

OCTAVES = 2.0  # from the even share to either end of the colours
DARK = 1.3  # octaves from which a colour is dark enough for white figures
STEPS_SHOWN = 4  # heat maps of a task; of more steps the first, the last and some between
MOST_WORDED = 16  # experts and layers of a heat map with figures in its cells
NOTE = (
    "Means over layers and steps, the worst in brackets. Evenness is the entropy of the picks over log E, imbalance "
    "the largest share times E: both are 1 where use is even. Experts are layer/number, with their share of the picks. "
    "Token H is the entropy of a token's router probabilities, nats."
)


def write_report(report: RoutingReport, folder: Path) -> None:
    """Write `routing.json`, then `routing.png`.

    Raises:
        InputError: no matplotlib; `routing.json` is there all the same.
    """
    write_json(folder / "routing.json", report.to_json())
    save(draw_routing(report), folder / "routing.png", dpi=150)


def summary(report: RoutingReport) -> Table:
    """One row for each task, over its steps and layers; see `NOTE`."""
    rows = []
    for task in report.tasks:
        uses = [use for use in report.usage if use.task == task]
        evenness = [use.relative_entropy for use in uses]
        busy = max(uses, key=lambda use: max(use.share))
        idle = min(uses, key=lambda use: min(use.share))
        rows.append(
            (
                task,
                f"{np.mean(evenness):.2f} [{min(evenness):.2f}]",
                f"{np.mean([use.imbalance for use in uses]):.1f} [{busy.imbalance:.1f}]",
                _expert(busy, int(np.argmax(busy.share))),
                _expert(idle, int(np.argmin(idle.share))),
                f"{np.mean([use.token_entropy for use in uses]):.2f}",
                str(sum(use.dropped for use in uses)),
            )
        )
    columns = ("task", "evenness", "imbalance", "busiest", "idlest", "token H", "dropped")
    return Table(columns=columns, rows=rows)


def _expert(use: Usage, expert: int) -> str:
    return f"{use.layer}/{expert} {use.share[expert]:.0%}"


def octaves(shares: Float[np.ndarray, "*n"], experts: int) -> Float[np.ndarray, "*n"]:
    """Shares over the even share of E experts, as a logarithm to base 2 that ends at `OCTAVES` either way."""
    found: np.ndarray = np.log2(np.clip(shares * experts, 2**-OCTAVES, 2**OCTAVES))
    return found


def draw_routing(report: RoutingReport) -> Any:
    """The figure, a `matplotlib.figure.Figure`: tasks down, steps across; tasks across where there is one step.

    Raises:
        InputError: no matplotlib.
    """
    steps = sorted({round(i) for i in np.linspace(0, report.steps - 1, STEPS_SHOWN)})
    rows = [[report.of(task, step) for step in steps] for task in report.tasks]
    if len(steps) == 1:
        rows = [[uses for (uses,) in rows]]
    width, height = np.clip([0.3 * report.experts, 0.2 * report.layers], [1.8, 0.6], [3.6, 4.0])
    columns = len(rows[0])
    size = (max(6.4, columns * (width + 0.3) + 0.6), len(rows) * (height + 0.5) + 1.7)
    figure = blank(size, "--out")
    axes = figure.subplots(len(rows), columns, sharex=True, sharey=True, squeeze=False)
    for axis, uses in zip(axes.flat, (uses for row in rows for uses in row), strict=True):
        image = _draw_heat_map(axis, uses)
    for axis in axes[:, 0]:
        axis.set_ylabel("layer", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("expert", fontsize=8)
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.7, aspect=40)
    names = ("1/4 x or less", "1/2 x", f"even, 1/{report.experts}", "2 x", "4 x or more")
    bar.set_ticks(np.linspace(-OCTAVES, OCTAVES, len(names)), labels=names, fontsize=8)
    figure.suptitle(
        f"Share of picks of each expert, %: {report.model} on {report.data}\n"
        f"{report.active} of {report.experts} experts per token, pictures: {report.pictures}, "
        f"steps: {report.steps}, members: {report.members}",
        fontsize=10,
        color=INK,
    )
    return figure


def _draw_heat_map(axis: Any, uses: Sequence[Usage]) -> Any:
    """One task at one step; its image, for the scale of colours."""
    shares = np.array([use.share for use in uses])  # (layers, E)
    colour = octaves(shares, shares.shape[1])
    look = {"cmap": "RdBu_r", "vmin": -OCTAVES, "vmax": OCTAVES, "aspect": "auto"}
    image = axis.imshow(colour, interpolation="nearest", **look)
    if max(shares.shape) <= MOST_WORDED:
        for (layer, expert), share in np.ndenumerate(shares):
            ink = "white" if abs(colour[layer, expert]) > DARK else INK
            words = {"ha": "center", "va": "center", "fontsize": 7, "color": ink}
            axis.text(expert, layer, _percent(share), **words)
    axis.set_title(f"{uses[0].task}, t = {uses[0].time}", fontsize=9, color=INK)
    axis.tick_params(labelsize=7, length=0)
    axis.spines[:].set_visible(False)
    for axes in (axis.xaxis, axis.yaxis):
        axes.get_major_locator().set_params(integer=True)
    return image


def _percent(share: float) -> str:
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"
