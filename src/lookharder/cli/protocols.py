"""The verb `protocols`."""

import argparse

from lookharder.cli.parser import Parser

HELP = "protocol cards: how benchmarks are scored"
EPILOG = ""


def add_arguments(parser: Parser) -> None:
    """What `lookharder protocols` takes."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="one card, whole [a list of all]")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of the card, which changes its hash: rules.max_depth=80.0",
    )


def run(args: argparse.Namespace) -> int:
    """Print one card, or all as a table."""
    from lookharder.cli.terminal import show
    from lookharder.config import override, to_json
    from lookharder.errors import InputError
    from lookharder.evaluate.cards import CARDS, find_card
    from lookharder.visualize.html import Table

    if args.name is None:
        if args.set:
            raise InputError("--set", args.set[0], "nothing without the NAME of a card")
        rows = [
            (
                c.name,
                str(c.version),
                c.hash,
                c.rules.task,
                f"{c.images:,}" if c.images else "?",  # not published
                f"{c.reader}:PATH",
            )
            for c in CARDS.values()
        ]
        columns = ("protocol", "v", "hash", "task", "images", "data")
        show("protocols", Table(columns=columns, rows=rows))
        return 0
    card = override(find_card(args.name, "NAME"), args.set)
    rules = {f"rules.{name}": value for name, value in to_json(card.rules).items()}
    for name, value in {**to_json(card), **rules, "hash": card.hash}.items():
        if name != "rules":
            print(f"{name:18} {'-' if value in (None, '', [], {}) else value}")
    return 0
