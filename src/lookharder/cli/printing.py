"""Tables on the terminal."""

from lookharder.visualize.html import Table


def show(title: str, table: Table, note: str = "") -> None:
    """Print a table under its title, a note below it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    shown = RichTable(box=box.SIMPLE, pad_edge=False)
    for i, name in enumerate(table.columns):
        shown.add_column(name, justify="left" if i < 2 else "right", no_wrap=True)
    for row in table.rows:
        shown.add_row(*row)
    console = Console(highlight=False)
    console.print(title, style="bold", markup=False)
    console.print(shown)
    if note:
        console.print(note + "\n", markup=False)
