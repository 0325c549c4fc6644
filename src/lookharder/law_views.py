"""Laws as figures: what was measured, what was fitted, and how far one may be believed.

    draw_law        points with their intervals, the law with and without offset, its band, the held-out point, laws
                    printed elsewhere as thin lines; below, the residuals in percent: where they bend, the form is wrong
    draw_profiles   isoFLOP curves with their vertices, and beside them the best size over the budget

The held-out point is drawn hollow, with what the law of the other points foretold of it: that distance, not the
closeness of the curve, says what the law is worth.

matplotlib is not among the dependencies: it is imported where a figure is drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lookharder.axes import INK, SOFT, plain_ticks, power
from lookharder.errors import InputError
from lookharder.files import atomic
from lookharder.scaling.law import Law, Profile
from lookharder.scaling.published import Published

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito's
HELD = "largest, held out for the test"
STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "svg.fonttype": "none",
}


@dataclass(frozen=True, kw_only=True)
class Points:
    """What was measured, to be drawn.

    Attributes:
        x: where.
        value: what.
        low: lower ends of their intervals; None where there are none.
        high: upper ends.
        label: in the legend.
    """

    x: Sequence[float]
    value: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    label: str = "measured"


def draw_law(
    path: str | Path,
    points: Points,
    law: Law,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    bare: Law | None = None,
    published: Mapping[str, Published] | None = None,
    dpi: int = 160,
) -> None:
    """Write the figure of a law of one variable; the suffix says the format.

    Args:
        path: the file.
        points: that the law was fitted to.
        law: with an offset, as a rule.
        title: of the figure.
        xlabel: what x is, and its unit.
        ylabel: what the value is.
        bare: a law without offset of the same points, dashed.
        published: laws printed elsewhere by what to call them, whose unit of x the legend states.
        dpi: of pixels.

    Raises:
        InputError: a law of several variables, or no matplotlib.
    """
    if len(law.variables) != 1:
        raise InputError("law", f"a law of {list(law.variables)}", "a law of one variable")
    figure = _figure((5.2, 5.2))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    x, y = np.asarray(points.x, np.float64), np.asarray(points.value, np.float64)
    held = law.held_out
    out = np.zeros(len(x), bool) if held is None else np.isclose(x, held.at[0], rtol=1e-9)
    at = np.geomspace(x.min() / 1.5, x.max() * 4, 300)

    curve = np.asarray(law.predict(at))
    foot = [law.offset] if law.has_offset and law.offset > y.min() / 3 else []
    shown = [*y, *foot, *(points.low or ()), *(points.high or ()), float(curve[-1])]
    least, most = min(v for v in shown if v > 0), max(shown)
    paper = (least / 10, most * 10)  # what a vague law knows not may lie where no axis reaches
    if law.samples:
        low, high = (np.clip(end, *paper) for end in law.band(at))
        upper.fill_between(at, low, high, color=BLUE, alpha=0.15, lw=0, label="95 % of the law")
    inside = (at >= x.min()) & (at <= x.max())
    upper.plot(at[inside], curve[inside], color=BLUE, lw=1.8, label=_formula(law))
    upper.plot(at[at > x.max()], curve[at > x.max()], color=BLUE, lw=1.2, ls=(0, (1, 1.5)))
    if foot:
        upper.axhline(law.offset, color=SOFT, lw=0.8, ls=(0, (5, 3)))
        words = f"offset {law.offset:.3g}"
        upper.text(at[0] * 1.1, law.offset, words, va="bottom", fontsize=7.5, color=SOFT)
    if bare is not None:
        upper.plot(
            at, np.asarray(bare.predict(at)), color=ORANGE, lw=1.1, ls="--", label=_formula(bare)
        )
    for i, (name, other) in enumerate((published or {}).items()):
        values = np.asarray(other.predict(at))
        label = f"{name}\n(x there: {other.unit})"
        upper.plot(at, values, color=SOFT, lw=0.9, ls=("-", "-.", ":")[i % 3], label=label)

    _draw_points(upper, points, out, points.label)
    _draw_points(lower, _residuals(law, points), out, None)
    if held is not None:
        ends = (held.predicted if e is None else e for e in (held.low, held.predicted, held.high))
        low, middle, high = np.clip(list(ends), *paper)
        bars = [[max(middle - low, 0.0)], [max(high - middle, 0.0)]]
        upper.errorbar(
            [held.at[0] * 1.12],
            [middle],
            yerr=bars,
            fmt="D",
            ms=4,
            color=GREEN,
            elinewidth=0.9,
            label=f"foretold from the others: {100 * held.error:+.1f} % (no law: {100 * held.baseline_error:+.1f} %)",
            zorder=6,
        )
    upper.set(title=title, ylabel=ylabel, xscale="log", yscale="log")
    upper.set_ylim(least / 1.12, most * (most / least) ** 0.12)
    lower.axhline(0, color=BLUE, lw=1.2)
    lower.set(xlabel=xlabel, ylabel="off the law, %", xlim=(at[0], at[-1]))
    _tidy(upper, legend=True)
    _tidy(lower)
    plain_ticks(upper.yaxis, least, most)
    plain_ticks(lower.xaxis, at[0], at[-1])
    figure.align_ylabels()
    _save(figure, path, dpi)


def draw_profiles(
    path: str | Path,
    profiles: Sequence[Profile],
    growth: Law | None,
    *,
    title: str,
    ylabel: str,
    dpi: int = 160,
) -> None:
    """Write isoFLOP curves and, where it is given, the growth of the best size.

    Args:
        path: the file; the suffix says the format.
        profiles: a curve each.
        growth: of `fit_growth`.
        title: of the figure.
        ylabel: what the value is.
        dpi: of pixels.

    Raises:
        InputError: no profile, or no matplotlib.
    """
    if not profiles:
        raise InputError("profiles", "none", "at least one")
    figure = _figure((8.4, 3.7))
    import matplotlib

    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    colours = matplotlib.colormaps["viridis"](np.linspace(0.1, 0.85, len(profiles)))
    for profile, colour in zip(profiles, colours, strict=True):
        sizes = np.geomspace(profile.sizes[0] / 1.15, profile.sizes[-1] * 1.15, 120)
        left.plot(sizes, profile.predict(sizes), color=colour, lw=1.4)
        label = f"C = {power(profile.compute)}"
        left.plot(profile.sizes, profile.values, "o", ms=3.8, color=colour, label=label)
        if profile.inside:
            least = profile.predict(np.array([profile.best]))
            left.plot([profile.best], least, "*", ms=10, color=colour, mec="white", mew=0.7)
            right.plot([profile.compute], [profile.best], "*", ms=11, color=colour, zorder=5)
    left.set(
        title="isoFLOP curves; stars: their least",
        xlabel="parameters N",
        ylabel=ylabel,
        xscale="log",
        yscale="log",
    )
    values = [v for profile in profiles for v in profile.values]
    measured = [size for profile in profiles for size in profile.sizes]
    plain_ticks(left.xaxis, min(measured), max(measured))
    plain_ticks(left.yaxis, min(values), max(values))
    right.set(title="best size of a budget", xscale="log", yscale="log")
    right.set(xlabel="training compute C, FLOPs", ylabel="best parameters N*")
    budgets = [profile.compute for profile in profiles]
    plain_ticks(right.xaxis, min(budgets) / 2, max(budgets) * 5)
    best = [profile.best for profile in profiles if profile.inside] or measured
    plain_ticks(right.yaxis, min(best) / 2, max(best) * 2)
    if growth is not None:
        at = np.geomspace(profiles[0].compute / 2, profiles[-1].compute * 5, 100)
        word = f"N* ~ C$^{{{-growth.exponent:.3f}}}$"
        if growth.samples:
            low, high = growth.band(at)
            right.fill_between(at, low, high, color=BLUE, alpha=0.15, lw=0)
            ends = sorted(-e for e in growth.interval("exponent"))
            word += f"  (95 %: {ends[0]:.3f} to {ends[1]:.3f})"
        right.plot(at, np.asarray(growth.predict(at)), color=BLUE, lw=1.6, label=word)
    figure.suptitle(title, fontsize=10.5, color=INK)
    _tidy(left, legend=True)
    _tidy(right, legend=growth is not None)
    _save(figure, path, dpi)


def _figure(size: tuple[float, float]) -> Any:
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        allowed = "no figure, or the extra: pip install 'lookharder[plot]'"
        raise InputError("path", f"a figure, but {error}", allowed) from error
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: str | Path, dpi: int) -> None:
    with atomic(path) as aside:
        figure.savefig(aside, dpi=dpi)


def _residuals(law: Law, points: Points) -> Points:
    """Measured over fitted, in percent, and the ends of its interval."""
    fitted = np.asarray(law.predict(np.asarray(points.x, np.float64)))

    def percent(values: Sequence[float]) -> list[float]:
        return [float(v) for v in 100 * (np.asarray(values) / fitted - 1)]

    return Points(
        x=points.x,
        value=percent(points.value),
        low=None if points.low is None else percent(points.low),
        high=None if points.high is None else percent(points.high),
    )


def _draw_points(axis: Any, points: Points, out: np.ndarray, label: str | None) -> None:
    """Full where the law saw them in its test, hollow where they were held out."""
    x, y = np.asarray(points.x, np.float64), np.asarray(points.value, np.float64)
    bars = None
    if points.low is not None and points.high is not None:
        bars = np.maximum([y - np.asarray(points.low), np.asarray(points.high) - y], 0)
    for chosen, fill, words in ((~out, INK, label), (out, "white", label and HELD)):
        if chosen.any():
            axis.errorbar(
                x[chosen],
                y[chosen],
                yerr=None if bars is None else bars[:, chosen],
                fmt="o",
                ms=4.6,
                mfc=fill,
                mec=INK,
                ecolor=INK,
                elinewidth=0.8,
                label=words,
                zorder=5,
            )


def _tidy(axis: Any, legend: bool = False) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color=SOFT, alpha=0.18, linewidth=0.6)
    axis.tick_params(labelsize=8, colors=INK)
    axis.title.set(fontsize=10, color=INK)
    axis.xaxis.label.set(fontsize=9)
    axis.yaxis.label.set(fontsize=9)
    if legend:
        box = axis.legend(fontsize=7.5, loc="best", handlelength=2.2, framealpha=0.85)
        box.get_frame().set_linewidth(0)


def _formula(law: Law) -> str:
    (a,) = law.exponents
    text = f"{law.coefficient:.3g} x$^{{{-a:.3g}}}$"
    if law.has_offset:
        text = f"{law.offset:.3g} + {text}"
    if law.samples:
        low, high = law.interval("exponent")
        text += f"   (exponent {low:.2g} to {high:.2g})"
    return text
