"""The verb `plot`."""

import argparse
from pathlib import Path

from lookharder.cli.parser import Parser

HELP = "runs as a figure and a table: losses, speed, goodput"
EPILOG = """A RUN may still be going on. Without --out only the table is printed. The figure needs the extra `plot`
(matplotlib): loss by task, validations where there are any, learning rate, gradient and throughput."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder plot` takes."""
    parser.add_argument("run", nargs="+", type=Path, metavar="RUN", help="folders of `train`")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.png", help="the figure; .pdf and .svg too"
    )


def run(args: argparse.Namespace) -> int:
    """Draw and print the runs."""
    from lookharder.cli.terminal import show
    from lookharder.report.figures.runs import draw_runs
    from lookharder.training.monitor.history import NOTE, read_histories, summary_table

    histories = read_histories(args.run)
    if args.out is not None:
        draw_runs(histories, args.out)
    show("runs", summary_table(histories), NOTE)
    if args.out is not None:
        print(f"{len(histories)} run{'s' * (len(histories) > 1)}: {args.out}")
    return 0
