"""The verb `inspect`."""

import argparse
from pathlib import Path

from lookharder.cli.arguments import (
    DATA,
    add_device,
    add_sampling,
    add_size,
    check_resolution,
    named,
    open_model,
)
from lookharder.cli.parser import Parser, whole
from lookharder.errors import InputError

HELP = "what a model is and costs; on --data, which experts it uses"
EPILOG = """With --data and --out, for a model with experts: each image is predicted for every task,
and routing.json and routing.png say which experts were picked, by layer, task and step."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder inspect` takes."""
    parser.add_argument("model", metavar="MODEL", help="model folder or shipped model")
    add_device(parser)
    parser.add_argument(
        "--resolution",
        type=whole(1),
        metavar="R",
        help="longest edge at which the network works, pixels [the model's]",
    )
    add_sampling(parser)
    parser.add_argument("--data", metavar="SPEC", help=DATA)
    add_size(parser)
    parser.add_argument(
        "--task",
        action="append",
        metavar="TASK",
        help="task to predict; may be repeated [all of the model's but generation]",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the routing report")


def run(args: argparse.Namespace) -> int:
    """Print what the model is, or with --data what its routers do."""
    from lookharder.cli.terminal import progress, show
    from lookharder.data.source import open_spec
    from lookharder.evaluate.inspection import inspect, tables
    from lookharder.evaluate.routing import experts_of, routing_report
    from lookharder.files import make_folder
    from lookharder.report.figures.routing import NOTE, summary, write_report

    if (args.data is None) != (args.out is None):
        raise InputError("--data, --out", "one without the other", "both, or neither")
    predictor = open_model(args)
    with named("--task"):
        for task in args.task or ():
            predictor.chain.task(task)
    check_resolution(predictor, args.resolution)
    if args.data is None:
        found = inspect(predictor.chain, args.resolution, args.steps, args.members)
        for title, table in tables(found).items():
            show(title, table)
        return 0
    experts_of(predictor.chain)
    owned = predictor.chain.tasks
    tasks = args.task or [name for name, task in owned.items() if task.label_rows] or list(owned)
    size = predictor.chain.config.resolution if args.size is None else args.size
    dataset = open_spec(args.data, size)
    make_folder(args.out)
    with progress(total=len(dataset) * len(tasks), desc="routing") as bar:
        report = routing_report(
            predictor,
            tasks,
            dataset,
            data=args.data,
            steps=args.steps,
            members=args.members,
            seed=args.seed,
            resolution=args.resolution,
            progress=bar.update,
        )
    write_report(report, args.out)
    show(f"{predictor.name} on {args.data}", summary(report), NOTE)
    print(f"by layer, task and step: {args.out / 'routing.json'}, {args.out / 'routing.png'}")
    return 0
