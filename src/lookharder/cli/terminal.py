"""What verbs say: tables and reports on stdout, progress on stderr."""

import sys
from typing import TYPE_CHECKING, Any, Literal

from lookharder.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from tqdm import tqdm

    from lookharder.conversion import ConversionReport
    from lookharder.visualize.html import Table


def show(title: str, table: "Table", note: str = "") -> None:
    """Print a table under its title, a note below it."""
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(box=box.SIMPLE, pad_edge=False)
    for i, name in enumerate(table.columns):
        side: Literal["left", "right"] = "left" if i < 2 else "right"
        # what is said may take several lines, names and numbers may not
        shown.add_column(_plain(name), justify=side, no_wrap=i != 1, overflow="fold")
    for row in table.rows:
        shown.add_row(*map(_plain, row))
    console = _console()
    console.print(printable(title), style="bold", markup=False)
    console.print(shown)
    if note:
        console.print(note + "\n", markup=False)


def _console() -> "Console":
    """Standard output; where nobody reads it, that is an error like another, and no end without a word."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Plain(highlight=False)


def _plain(text: str) -> "Text":
    """A cell as it is: no markup, and nothing that a terminal would obey."""
    from rich.text import Text

    return Text(printable(text))


def show_conversion(report: "ConversionReport") -> None:
    """Print what became of a model: its cost at every stage, and what was checked."""
    print(f"{report.source}: {report.layout}")
    for stage, (params, active, macs) in report.costs.items():
        print(
            f"{stage}: {params / 1e6:.2f} M parameters, {active / 1e6:.2f} M active, "
            f"{macs / 1e9:.3f} GMACs a forward"
        )
    for check, found in report.checks.items():
        print(f"{check}: {found}")


def progress(silent: bool = False, **keywords: Any) -> "tqdm":
    """A progress bar on stderr; only on a terminal where nothing else is said."""
    from tqdm import tqdm

    disable = True if silent or sys.stderr is None else None
    return tqdm(**{"disable": disable, "dynamic_ncols": True, **keywords})
