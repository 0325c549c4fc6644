"""A figure as the text of an SVG file: sharp on any screen, and a page that holds it needs no other file."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lookharder.visualize.axes import blank, save

SVG: Any = {
    "svg.hashsalt": "lookharder",
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
}


def svg(size: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """What `draw` draws on a figure of so many inches, as SVG."""

    def write(path: Path) -> None:
        figure = blank(size)
        draw(figure)
        save(figure, path, dpi=100)

    return svg_from(write)


def svg_from(write: Callable[[Path], None]) -> str:
    """What `write` writes to an SVG file; the same text for the same figure, on any day."""
    from matplotlib import rc_context

    with tempfile.TemporaryDirectory() as folder, rc_context(SVG):
        path = Path(folder) / "figure.svg"
        write(path)
        return re.sub(r'="[^"]*"', _coarse, path.read_text(encoding="utf-8"))


def _coarse(attribute: re.Match[str]) -> str:
    """Places to 0.01 points; what is written in the figure is no attribute."""
    return re.sub(r"(\.\d{2})\d+", r"\1", attribute.group())
