"""The verb `evaluate`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookharder.data.example import Example
    from lookharder.metrics.protocol import Protocol
    from lookharder.predict.predictor import Predictor

HELP = "score a model on a data set, beside trivial answers"
EPILOG = """With --calibration, which takes 2 members or more, FILE.calibration.json says whether the uncertainty
ranks and bounds the error, and FILE.calibration.png draws it where matplotlib (the extra `plot`) is installed."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder evaluate` takes."""
    parser.add_argument("--task", required=True, metavar="TASK", help=TASK)
    parser.add_argument("--data", required=True, metavar="SPEC", help=DATA)
    add_model(parser)
    add_sampling(parser)
    add_denoising(parser)
    add_size(parser)
    parser.add_argument(
        "--calibration",
        action="store_true",
        help="compare the uncertainty with the error, too",
    )
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
    if args.calibration:
        _check_calibration(args, predictor)
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
    if args.calibration:
        _calibrate(args, predictor, examples, result.protocol)
    return 0


def _check_calibration(args: argparse.Namespace, predictor: "Predictor") -> None:
    """An uncertainty takes several members, drawn as the model draws by default."""
    for name in ("sampler", "spacing", "noise_schedule"):
        if (value := getattr(args, name)) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(flag, value, "the model's default, with --calibration")
    members = predictor.chain.config.members if args.members is None else args.members
    if members < 2:
        raise InputError("--members", members, "2 or more, with --calibration")


def _calibrate(
    args: argparse.Namespace,
    predictor: "Predictor",
    examples: "Sequence[Example]",
    rules: "Protocol",
) -> None:
    """Predict once more with uncertainties; write and print what they are worth, and draw it where that can be done."""
    from importlib.util import find_spec

    from lookharder.cli.terminal import progress, show
    from lookharder.evaluate.calibration import NOTE, calibration, calibration_table
    from lookharder.files import write_json
    from lookharder.report.figures.calibration import draw_calibration

    members = predictor.chain.config.members if args.members is None else args.members
    with progress(total=len(examples), desc="calibration") as bar:
        found = calibration(
            predictor,
            args.task,
            examples,
            data=args.data,
            rules=rules,
            members=members,
            steps=args.steps,
            seed=args.seed,
            tick=bar.update,
        )
    written = [args.out.with_suffix(".calibration.json")]
    write_json(written[0], found.to_json())
    if find_spec("matplotlib") is not None:
        written.append(args.out.with_suffix(".calibration.png"))
        draw_calibration([found], written[1])
    show(f"uncertainty of {found.members} members", calibration_table(found), NOTE)
    print(", ".join(map(str, written)))
