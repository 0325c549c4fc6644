"""The report of a folder of results, whole or not: what is measured so far, and what is missing.

python -m lookharder.study.publish DIR --preset laptop          reads DIR/records.jsonl, writes DIR/report.html
"""

import argparse
from pathlib import Path

from lookharder.scaling.record import Records
from lookharder.scaling.series import series_of
from lookharder.study.command import studies_named
from lookharder.study.results import publish


def main(arguments: list[str] | None = None) -> Path:
    """Write the report; its path."""
    parser = argparse.ArgumentParser(prog="python -m lookharder.study.publish")
    parser.add_argument("dir", type=Path, help="folder of results")
    parser.add_argument("--study", default="all", help="which study [%(default)s]")
    parser.add_argument("--preset", default="laptop", help="as it was run [%(default)s]")
    parser.add_argument("--out", type=Path, help="the file [DIR/report.html]")
    args = parser.parse_args(arguments)
    records = Records.read(args.dir / "records.jsonl")
    studies = studies_named(args.study, args.preset)
    series = [each for study in studies for each in series_of(study.name, records)]
    path = args.out or args.dir / "report.html"
    return publish(studies, records, series, path, root=args.dir, preset=args.preset)


if __name__ == "__main__":
    print(main())
