"""The verb `train`."""

import argparse
import os
from pathlib import Path

from lookharder.cli.arguments import add_download
from lookharder.cli.parser import Parser
from lookharder.errors import InputError

HELP = "run or resume a recipe"
EPILOG = """RECIPE is smoke (half a minute, to try things on), tiny or sight (the shipped models), finetune (a model
of yours, by --set init=MODEL, or tiny), or one of the paper's, paper_...; an unknown name lists all. A stopped run is
resumed by the same command: it saves when it gets SIGTERM, SIGUSR1 or Ctrl-C, and exits with 75."""

STOPPED = os.EX_TEMPFAIL  # 75: "try again later", which is what resuming is


def add_arguments(parser: Parser) -> None:
    """What `lookharder train` takes."""
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        help="change a value of the recipe; may be repeated",
    )
    parser.add_argument("--out", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_download(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what it costs and needs; run and write nothing",
    )


def run(args: argparse.Namespace) -> int:
    """Train; a stop that was asked for exits with 75, and the same command resumes.

    Of several processes that torchrun has started, the first alone speaks.
    """
    import logging
    import sys
    from itertools import chain

    from tqdm.contrib.logging import logging_redirect_tqdm

    from lookharder.cli.dry_run import dry_run
    from lookharder.cli.terminal import progress
    from lookharder.config import override
    from lookharder.files import make_folder
    from lookharder.recipes import RECIPES
    from lookharder.training.distributed.runtime import Throughput
    from lookharder.training.run import run as run_training

    if args.recipe not in RECIPES:
        raise InputError("RECIPE", repr(args.recipe), f"one of {sorted(RECIPES)}")
    config = override(RECIPES[args.recipe](), args.set)
    if args.dry_run:
        dry_run(config)
        return 0
    if args.out is None:
        raise InputError("--out", "nothing", "a value, or --dry-run")
    make_folder(args.out)
    mute = os.environ.get("RANK", "0") != "0"
    say = (lambda words: None) if mute else print
    level = logging.ERROR if mute else logging.WARNING if args.quiet else logging.INFO
    logging.basicConfig(level=level, format="lookharder: %(message)s")
    steps, total = run_training(config, args.out), config.train.iterations
    first = next(steps, None)
    if first is None:
        say(f"already finished: {total} iterations, {args.out / 'model'}")
        return 0
    speed = Throughput()
    with (
        logging_redirect_tqdm(),
        progress(
            total=total,
            initial=first.iteration - 1,
            desc=config.name,
            disable=args.quiet or mute or sys.stderr is None,
            mininterval=0.2 if sys.stderr is not None and sys.stderr.isatty() else 10.0,
        ) as bar,
    ):
        for step in chain([first], steps):
            speed.update(step.images)
            rate = speed.images_per_second or 0.0
            bar.set_postfix_str(f"loss {step.loss:.4f}, {rate:.1f} images/s", refresh=False)
            bar.update()
    if not (args.out / "model" / "config.json").exists():
        say(f"stopped at iteration {step.iteration} of {total}, saved; the same command resumes")
        return STOPPED
    say(f"finished: {total} iterations, loss {step.loss:.4f}, {args.out / 'model'}")
    return 0
