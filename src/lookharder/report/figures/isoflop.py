"""isoFLOP curves as a figure, with their vertices, and beside them the best size over the budget."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lookharder.errors import InputError
from lookharder.scaling.law import Law, Profile
from lookharder.visualize.axes import BLUE, INK, blank, legend_below, plain_ticks, power, save, tidy


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
    figure = blank((8.4, 4.1))
    from matplotlib import colormaps

    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    colours = colormaps["viridis"](np.linspace(0.1, 0.85, len(profiles)))
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
    ends = min(budgets) / 2, max(budgets) * 5
    plain_ticks(right.xaxis, *ends)
    best = [profile.best for profile in profiles if profile.inside] or measured
    few, many = min(best) / 2.5, max(best) * 2.5
    plain_ticks(right.yaxis, few, many)
    if growth is not None:
        at = np.geomspace(*ends, 100)
        word = f"N* ~ C$^{{{-growth.exponent:.3f}}}$"
        if growth.samples:
            # a vague law has a band where no axis reaches
            low, high = (np.clip(end, few / 2, many * 2) for end in growth.band(at))
            right.fill_between(at, low, high, color=BLUE, alpha=0.15, lw=0)
            sure = sorted(-e for e in growth.interval("exponent"))
            word += f" (95 %: {sure[0]:.3f} to {sure[1]:.3f})"
        right.plot(at, np.asarray(growth.predict(at)), color=BLUE, lw=1.6, label=word)
    right.set(xlim=ends, ylim=(few, many))
    figure.suptitle(title, fontsize=10.5, color=INK)
    for axis in (left, right):
        tidy(axis)
    known = [axis.get_legend_handles_labels()[0] for axis in (left, right)]
    legend_below(figure, [handle for handles in known for handle in handles], handlelength=1.4)
    save(figure, path, dpi)
