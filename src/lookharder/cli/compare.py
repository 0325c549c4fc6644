"""The verb `compare`."""

import argparse
from pathlib import Path

from lookharder.cli.parser import Parser
from lookharder.cli.scoring import check_out

HELP = "two files of scores, image by image: which is better?"
EPILOG = """Scores that were taken under unlike protocols, or of other images, are refused: the error names the
field that differs."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder compare` takes."""
    parser.add_argument("first", type=Path, metavar="A.json", help="scores of `evaluate`")
    parser.add_argument("second", type=Path, metavar="B.json", help="scores of another")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the differences [printed]")


def run(args: argparse.Namespace) -> int:
    """Print the differences, and write them where that is asked."""
    from lookharder.cli.terminal import show
    from lookharder.config import to_json
    from lookharder.evaluate.comparison import NOTE, Scores, compare, comparison_table
    from lookharder.files import write_json

    a, b = Scores.read(args.first), Scores.read(args.second)
    found = compare(a, b)
    if args.out is not None:
        check_out(args.out, ("a", "b", "differences"))
        write_json(args.out, {"a": a.model, "b": b.model, "differences": to_json(found)})
    protocol = a.rules.name if a.card is None else f"{a.card.name} ({a.card.hash})"
    title = f"A {a.model}, B {b.model}: {len(a.rows)} images, protocol {protocol}"
    show(title, comparison_table(found), NOTE)
    return 0
