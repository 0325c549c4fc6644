"""A figure as the text of an SVG file: sharp on any screen, and a page that holds it needs no other file."""

import re
import tempfile
from collections.abc import Callable
from functools import partial
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
        return _small(path.read_text(encoding="utf-8"))


def _small(text: str) -> str:
    """The file without what no reader sees: places to 0.1 points, no metadata, no comments."""
    text = re.sub(r"\s*<metadata>.*?</metadata>|\s*<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'(?<= d)="[^"]*"', lambda path: " ".join(path.group().split()), text)
    text = re.sub(r'(?<= d|[ ]x|[ ]y)="[^"]*"', partial(_coarse, 1), text)
    return re.sub(r'="[^"]*"', partial(_coarse, 2), text)


def _coarse(places: int, attribute: re.Match[str]) -> str:
    """Numbers of an attribute to so many places; what is written in the figure is no attribute."""
    return re.sub(rf"(\.\d{{{places}}})\d+", r"\1", attribute.group())
