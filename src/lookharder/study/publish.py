"""Laws, claims and report of a folder of results, whole or not: what is measured so far, and what is missing.

python -m lookharder.study.publish DIR --preset laptop     from DIR/records.jsonl: laws.json, claims.md, report
"""

import argparse
from pathlib import Path

from lookharder.errors import InputError
from lookharder.study.command import studies_named
from lookharder.study.results import conclude


def main(arguments: list[str] | None = None) -> list[Path]:
    """Write laws, claims and report; returns their paths."""
    parser = argparse.ArgumentParser(prog="python -m lookharder.study.publish")
    parser.add_argument("dir", type=Path, help="folder of results")
    parser.add_argument("--study", default="all", help="which study [%(default)s]")
    parser.add_argument("--preset", default="laptop", help="as it was run [%(default)s]")
    parser.add_argument("--out", type=Path, help="another place for the report")
    args = parser.parse_args(arguments)
    try:
        studies = studies_named(args.study, args.preset)
        return conclude(studies, args.dir, args.preset, report_to=args.out)
    except InputError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")


if __name__ == "__main__":
    print(*main(), sep="\n")
