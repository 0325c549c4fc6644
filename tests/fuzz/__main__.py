"""Ten thousand damaged files for every reader; what they answered goes into OUT/fuzz.json.

python -m tests.fuzz --out docs/results           all of them
python -m tests.fuzz --out FOLDER depth.png       one
"""

import argparse
import json
import logging
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.damage import fuzz
from tests.fuzz.readers import good

from lookharder.files import write_json


def main() -> int:
    """Fuzz; exit with 1 if there are faults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--times", type=int, default=10_000, help="inputs of each [%(default)s]")
    parser.add_argument("--seconds", type=float, default=300.0, help="at most [%(default)s]")
    parser.add_argument("names", nargs="*", metavar="READER", help="all")
    args = parser.parse_args()
    logging.disable()  # what is said of damage is asked for
    warnings.simplefilter("ignore")
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "fuzz.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        readers = good(Path(folder))
        for name in args.names or readers:
            figures[name] = asdict(fuzz(name, readers[name], args.times, args.seconds))
            print(f"{name}: {json.dumps(figures[name])}", flush=True)
            write_json(path, {key: figures[key] for key in readers if key in figures})
    return int(any(found["faults"] for found in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
