"""The verb `check`."""

import argparse

from lookharder.cli.parser import Parser

HELP = "read all of a data set and list its faults"
EPILOG = """Every example is read. Each fault is a line: row, field, file, what it is, what is allowed. Exit code 0 when
all is well, 2 when anything is wrong; frames that a filter leaves out are listed and are not wrong."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder check` takes."""
    parser.add_argument(
        "--data", required=True, metavar="SPEC", help="READER:PATH[?OPTIONS], or latents:DIR"
    )


def run(args: argparse.Namespace) -> int:
    """Read everything; print each fault."""
    from lookharder.cli.terminal import progress
    from lookharder.data.source import examine

    with progress(desc="check") as bar:
        found = examine(args.data, bar.reset, bar.update)
    for problem in found.dropped:
        print(f"dropped: {problem}")
    for problem in found.problems:
        print(problem)
    dropped = f", {len(found.dropped)} dropped" if found.dropped else ""
    faults = "1 fault" if len(found.problems) == 1 else f"{len(found.problems) or 'no'} faults"
    print(f"{args.data}: {found.examples} examples{dropped}, {faults}")
    return 2 if found.problems else 0
