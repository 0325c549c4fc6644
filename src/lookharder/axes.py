"""What the axes of figures share: ink, and labels of logarithmic axes that can be read."""

from typing import Any

INK, SOFT = "#1d1f24", "#8a93a1"
LONG = 1e5  # numbers from here on are written as powers


def plain_ticks(axis: Any, least: float, most: float) -> None:
    """Labels at 1, 2, 5 within a decade or two, where matplotlib would leave a log axis bare or crowded."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_minor_formatter(NullFormatter())
    if most / least < 30:
        fine = most / least < 6 and most < LONG
        subs = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9) if fine else (1, 2, 5)
        axis.set_major_locator(LogLocator(subs=subs, numticks=30))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}" if v < LONG else power(v)))


def power(value: float) -> str:
    """A number to one digit, as a power of ten."""
    digit, exponent = f"{value:.0e}".split("e")
    times = "" if digit == "1" else f"{digit}\\times"
    return f"${times}10^{{{int(exponent)}}}$"
