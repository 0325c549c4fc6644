"""The verb `demo`."""

import argparse
from pathlib import Path

from lookharder.cli.arguments import add_model, add_speed, open_model
from lookharder.cli.parser import Parser, whole

HELP = "predict and score all three tasks on the embedded scenes"
EPILOG = ""


def add_arguments(parser: Parser) -> None:
    """What `lookharder demo` takes."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("lookharder-demo"),
        metavar="DIR",
        help="folder of results [%(default)s]",
    )
    add_model(parser)
    add_speed(parser)
    parser.add_argument(
        "--count", type=whole(1), default=12, metavar="N", help="scenes [%(default)s]"
    )


def run(args: argparse.Namespace) -> int:
    """Predict the scenes; write pictures, page and scores; print the scores."""
    from lookharder.cli.terminal import progress, show
    from lookharder.demo import demo
    from lookharder.evaluate.table import score_table
    from lookharder.files import make_folder
    from lookharder.metrics.scores import SCORES
    from lookharder.visualize.views import VIEWS

    predictors = {task: open_model(args, task) for task in VIEWS}
    make_folder(args.out)
    with progress(total=4 * args.count, desc="demo") as bar:
        scores = demo(predictors, args.out, args.count, bar.update)
    for task, evaluation in scores.items():
        show(task, score_table(evaluation), SCORES[task].note)
    print(f"{args.count} scenes, all three tasks: {args.out / 'index.html'}")
    return 0
