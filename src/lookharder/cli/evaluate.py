"""The verb `evaluate`."""

import argparse
from pathlib import Path

from lookharder.cli.arguments import (
    DATA,
    TASK,
    Parser,
    add_denoising,
    add_model,
    add_sampling,
    add_size,
    named,
    open_model,
)
from lookharder.errors import InputError

HELP = "score a model on a data set, beside trivial answers"
EPILOG = ""


def add_arguments(parser: Parser) -> None:
    """What `lookharder evaluate` takes."""
    parser.add_argument("--task", required=True, metavar="TASK", help=TASK)
    parser.add_argument("--data", required=True, metavar="SPEC", help=DATA)
    add_model(parser)
    add_sampling(parser)
    add_denoising(parser)
    add_size(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="the scores")


def run(args: argparse.Namespace) -> int:
    """Score every picture; write and print the scores."""
    from lookharder.cli.terminal import progress, show
    from lookharder.data.source import open_spec
    from lookharder.evaluate.evaluation import evaluate, protocol
    from lookharder.evaluate.table import score_table
    from lookharder.files import write_json
    from lookharder.metrics.scores import SCORES
    from lookharder.predict.files.outputs import prepare

    predictor = open_model(args)
    with named("--task"):
        predictor.chain.task(args.task)
    if args.out.is_dir():
        raise InputError("--out", f"{args.out}, a folder", "a file")
    size = predictor.chain.config.resolution if args.size is None else args.size
    dataset = open_spec(args.data, size)
    prepare(args.out.absolute().parent)
    with progress(total=len(dataset), desc="data") as bar:
        examples = []
        for i in range(len(dataset)):
            examples.append(dataset[i])
            bar.update()
    with progress(total=len(examples), desc=args.task) as bar:
        result = evaluate(
            predictor,
            args.task,
            examples,
            data=args.data,
            rules=protocol(args.task, args.data.partition(":")[0], predictor.chain),
            steps=args.steps,
            members=args.members,
            seed=args.seed,
            watch=lambda seen, prediction: bar.update(len(seen)),
            sampler=args.sampler,
            spacing=args.spacing,
            noise_schedule=args.noise_schedule,
        )
    write_json(args.out, result.to_json())
    title = f"{args.task} on {args.data}, {len(examples)} pictures, protocol {result.protocol.name}"
    show(title, score_table(result, everything=True), SCORES[args.task].note)
    print(
        f"{predictor.name}: {result.steps} steps, {result.members} draws, "
        f"{result.macs_per_image / 1e9:.3f} GMACs a picture: {args.out}"
    )
    return 0
