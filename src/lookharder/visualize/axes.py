"""What figures share: ink, an empty one and its file, the look of axes, labels of logarithmic axes that can be read.

matplotlib is not among the dependencies: it is imported where a figure is drawn.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lookharder.errors import InputError
from lookharder.files import atomic

INK, SOFT = "#1d1f24", "#8a93a1"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito's
# of lines, in an order whose neighbours differ in lightness too
CYCLE = (BLUE, ORANGE, GREEN, "#cc79a7", "#56b4e9", "#e69f00", INK, "#8c8c8c", "#7a3e9d", "#8a6d3b")
MARKERS = "osD^vPX*<>"
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
ROOM = 0.94  # of a figure's width, for a legend: the reader's font may be wider than ours
LONG = 1e5  # numbers from here on are written as powers


def require_matplotlib(argument: str) -> None:
    """Check that figures can be drawn.

    Raises:
        InputError: no matplotlib, named by the argument that asked for a figure.
    """
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        allowed = "no figure, or the extra: pip install 'lookharder[plot]'"
        raise InputError(argument, f"a figure, but {error}", allowed) from error


def blank(size: tuple[float, float], argument: str = "path") -> Any:
    """An empty `matplotlib.figure.Figure` of so many inches, which needs no screen; raises as `require_matplotlib`."""
    require_matplotlib(argument)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: str | Path, dpi: int) -> None:
    """Write a figure; the suffix says the format. The same figure is the same file, whatever the day."""
    metadata = {"Date": None} if Path(path).suffix == ".svg" else None
    with atomic(path) as aside:
        figure.savefig(aside, dpi=dpi, metadata=metadata)


def tidy(axis: Any) -> None:
    """The look of all axes, once their titles and labels are set."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(SOFT)
    axis.grid(color=SOFT, alpha=0.18, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, labelsize=8, which="both", color=SOFT)
    axis.title.set(fontsize=10, color=INK)
    axis.xaxis.label.set(fontsize=9, color=INK)
    axis.yaxis.label.set(fontsize=9, color=INK)


def legend(axis: Any, **look: Any) -> None:
    """A legend on white that lets lines shine through."""
    usual = {"fontsize": 8, "loc": "best", "labelcolor": INK, "handlelength": 1.8}
    axis.legend(**{**usual, "framealpha": 0.85, "edgecolor": "none", **look})


def legend_below(figure: Any, handles: Sequence[Any], **look: Any) -> None:
    """A legend under all axes, in as few rows as fit: it hides nothing, and nothing of it is cut off.

    Args:
        figure: with the constrained layout, which makes room for it.
        handles: artists that have labels.
        **look: of the legend.
    """
    usual = {"fontsize": 8, "labelcolor": INK, "handlelength": 2.4, "columnspacing": 1.4, **look}
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        where = {"loc": "outside lower center", "ncols": columns, "frameon": False}
        made = figure.legend(handles=handles, **where, **usual)
        if columns == 1 or made.get_window_extent().width <= ROOM * figure.bbox.width:
            return
        made.remove()


def plain_ticks(axis: Any, least: float, most: float) -> None:
    """Labels at round numbers within a decade or two, where matplotlib would leave a log axis bare or crowded."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axis.set_minor_formatter(NullFormatter())
    if most / least < 30:
        subs = (1, 2, 3, 5, 7) if most / least < 6 else (1, 2, 5)
        near = MaxNLocator(4 if most > LONG else 6, steps=(1, 2, 2.5, 5, 10))
        axis.set_major_locator(near if most / least < 3 else LogLocator(subs=subs, numticks=30))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}" if v < LONG else power(v)))


def power(value: float) -> str:
    """A number to two digits, as a power of ten."""
    digit, exponent = f"{value:.1e}".replace(".0", "").split("e")
    times = "" if digit == "1" else f"{digit}\\times"
    return f"${times}10^{{{int(exponent)}}}$"
