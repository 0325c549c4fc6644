"""The verb `check`: its arguments, which import nothing heavy, and what it does with them."""

import argparse

EPILOG = """Every example is read. Each fault is a line: row, field, file, what it is, what is allowed. Exit code 0 when
all is well, 2 when anything is wrong; frames that a filter leaves out are listed and are not wrong."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `lookharder check` takes."""
    parser.add_argument(
        "--data", required=True, metavar="SPEC", help="READER:PATH[?OPTIONS], or latents:DIR"
    )


def run_check(args: argparse.Namespace) -> int:
    """`lookharder check`."""
    from tqdm import tqdm

    from lookharder.data.source import examine

    with tqdm(desc="check", disable=None, dynamic_ncols=True) as bar:
        found = examine(args.data, bar.reset, bar.update)
    for problem in found.dropped:
        print(f"dropped: {problem}")
    for problem in found.problems:
        print(problem)
    dropped = f", {len(found.dropped)} dropped" if found.dropped else ""
    faults = "1 fault" if len(found.problems) == 1 else f"{len(found.problems) or 'no'} faults"
    print(f"{args.data}: {found.examples} examples{dropped}, {faults}")
    return 2 if found.problems else 0
