"""Calibration as a figure: a column for each task; above, does uncertainty rank the error; below, does it bound it?

Above, the error that is left when the most uncertain pixels go first: the closer to the oracle, the better. The shaded
area is AUSE. What the trivial uncertainty can do, the members must beat.
Below, the share of pixels whose error is within k times the uncertainty, over k, on images that k was not fitted
on. If the truth were one more member, it would follow the dotted law, which passes 50 % at k = 1, because the
uncertainty is the median distance of the members to their middle; a curve to the right of it means errors that all
members share. For masks, the share of members that disagree against the share of wrong pixels, which should be equal;
dots grow with the share of pixels.
"""

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lookharder.errors import InputError
from lookharder.evaluate.calibration import Bound, Calibration
from lookharder.metrics.scores import SCORES
from lookharder.visualize.axes import BLUE, GREEN, INK, ORANGE, SOFT, blank, legend, save, tidy

COLOURS = (BLUE, ORANGE, GREEN)  # of the columns, again from the first
MEDIAN = 0.6744897501960817  # of |z|, z normal: the median absolute deviation over the deviation


def one_more_draw(task: str, factors: Float[np.ndarray, "k"]) -> Float[np.ndarray, "k"]:
    """Coverage of k times the median distance, if errors are spread as Gaussian draws are.

    In one dimension (depth) |e| is half normal; in two (flow), Rayleigh: 1 - 2^(-k^2). Both are 1/2 at k = 1.
    """
    if SCORES[task].dimensions == 2:
        return np.asarray(1 - 2 ** -np.square(factors))
    return np.array([math.erf(MEDIAN * k / math.sqrt(2)) for k in factors])


def draw_calibration(reports: Sequence[Calibration], path: str | Path, dpi: int = 130) -> None:
    """Write the figure; the suffix says the format.

    Raises:
        InputError: no report, or no matplotlib.
    """
    if not reports:
        raise InputError("reports", "none", "one for each task")
    figure = blank((4.1 * len(reports), 7.2))
    axes = figure.subplots(2, len(reports), squeeze=False)
    columns = zip(reports, axes.T, cycle(COLOURS), strict=False)
    for report, (upper, lower), colour in columns:
        _draw_ranking(upper, report, colour)
        draw_lower = _draw_coverage if report.reliability is None else _draw_reliability
        draw_lower(lower, report, colour)
        for axis in (upper, lower):
            tidy(axis)
            legend(axis, loc="upper right" if axis is upper else "upper left")
    first = reports[0]
    figure.suptitle(
        f"Does the spread of {first.members} members rank and bound the error?   "
        f"{first.model}, {first.data}, {len(first.rows)} images, T = {first.steps}",
        fontsize=11,
        color=INK,
    )
    save(figure, path, dpi)


def _draw_ranking(axis: Any, report: Calibration, colour: str) -> None:
    curves = {key: np.array(values[:-1]) for key, values in report.sparsification.items()}
    percent, trivial = 100 * curves["fraction"], SCORES[report.task].trivial_uncertainty
    axis.axhline(1, color=SOFT, linestyle="--", linewidth=1.2, label="random order")
    axis.plot(percent, curves["trivial"], color=SOFT, linestyle=":", label=f"trivial: {trivial}")
    axis.plot(percent, curves["model"], color=colour, linewidth=2.2, label="spread of the members")
    axis.plot(percent, curves["oracle"], color=INK, linewidth=1.2, label="oracle: by the error")
    axis.fill_between(percent, curves["oracle"], curves["model"], color=colour, alpha=0.12, lw=0)
    mean = {key: report.means[key]["mean"] for key in ("ause", "aurg", "spearman")}
    axis.set(
        title=f"{report.task}: AUSE {mean['ause']:.2f}, AURG {mean['aurg']:.2f}, "
        f"rank corr. {mean['spearman']:.2f}",
        xlabel="most uncertain pixels taken away, %",
        ylabel="error of the rest / error of all",
        xlim=(0, 100),
        ylim=(0, 1.7),
    )


def _draw_coverage(axis: Any, report: Calibration, colour: str) -> None:
    factors = np.array(report.coverage["factor"])
    bound = report.bounds[0]
    law = 100 * one_more_draw(report.task, factors)
    axis.plot(factors, law, color=SOFT, linestyle=":", label="if the truth were one more member")
    held_out = 100 * np.array(report.coverage["held_out"])
    axis.plot(factors, held_out, color=colour, linewidth=2.2, label=f"{bound.held_out} held out")
    fitted = 100 * np.array(report.coverage["fitted"])
    axis.plot(factors, fitted, color=colour, alpha=0.45, lw=1.2, label=f"{bound.fitted} fitted")
    axis.axhline(100 * bound.level, color=SOFT, linestyle="--", linewidth=1.2)
    if bound.factor is not None:
        axis.axvline(bound.factor, color=colour, linestyle="--", linewidth=1.2)
    axis.set(
        title=f"at k = 1: {100 * _at_one(report):.1f} % (of one more member: 50 %)",
        xlabel=_words(report.bounds),
        ylabel="pixels with error $\\leq$ k x uncertainty, %",
        xscale="log",
        xlim=(factors[0], factors[-1]),
        ylim=(0, 125),
    )
    axis.set_yticks(range(0, 101, 20))


def _words(bounds: Sequence[Bound]) -> str:
    """The factor, and how wide the bounds that keep one promise are."""
    first, percent = bounds[0], 100 * bounds[0].level
    if first.factor is None or first.coverage is None:
        return f"k\nno k covers {percent:.0f} % of a new image"
    widths = [f"{b.form} {b.width:.2g}" for b in bounds if b.width is not None]
    return (
        f"k; fitted for {percent:.0f} %: {first.factor:.3g}, held out {100 * first.coverage[0]:.0f} %\n"
        f"bound's mean width: {', '.join(widths)}"
    )


def _at_one(report: Calibration) -> float:
    return float(np.interp(1.0, report.coverage["factor"], report.coverage["held_out"]))


def _draw_reliability(axis: Any, report: Calibration, colour: str) -> None:
    bins: dict[str, Any] = report.reliability or {}
    forecast, outcome = 100 * np.array(bins["forecast"]), 100 * np.array(bins["outcome"])
    size = 20 + 600 * np.sqrt(np.array(bins["pixels"]))
    axis.plot([0, 50], [0, 50], color=SOFT, linestyle="--", linewidth=1.2, label="calibrated")
    axis.plot(forecast, outcome, color=colour, linewidth=2.2, label="spread of the members")
    axis.scatter(forecast, outcome, s=size, color=colour, alpha=0.35, linewidth=0)
    axis.set(
        title=f"forecast and outcome are {100 * bins['gap']:.1f} % apart",
        xlabel="members that disagree, %",
        ylabel="pixels that are wrong, %",
        xlim=(-3, 55),
        ylim=(-3, max(72.0, 1.3 * outcome.max())),
    )
