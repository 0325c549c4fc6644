"""The verb `evaluate`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lookharder.cli.arguments import (
    DATA,
    TASK,
    Parser,
    add_denoising,
    add_model,
    add_resolution,
    add_sampling,
    add_size,
    check_resolution,
    named,
    open_model,
)
from lookharder.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookharder.data.example import Example
    from lookharder.evaluate.calibration import ErrorMaps
    from lookharder.evaluate.card import Card
    from lookharder.evaluate.evaluation import Evaluation
    from lookharder.metrics.protocol import Protocol
    from lookharder.predict.predictor import Prediction, Predictor

OF_MODELS = (
    *("model", "steps", "members", "levels", "merge", "resolution", "fit"),
    *("sampler", "spacing", "noise_schedule", "calibration"),
)
SCENE = 64  # side of procedural scenes where there is no model
HELP = "score a model on a data set, beside trivial answers"
EPILOG = """With --calibration, which takes 2 members or more, FILE.calibration.json says whether the uncertainty
ranks and bounds the error, and FILE.calibration.png draws it where matplotlib (the extra `plot`) is installed."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder evaluate` takes."""
    parser.add_argument("--task", metavar="TASK", help=f"{TASK} [the protocol's]")
    parser.add_argument("--data", required=True, metavar="SPEC", help=DATA)
    parser.add_argument(
        "--protocol", metavar="NAME", help="score by a card that `lookharder protocols` lists"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of that card, which changes its hash",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="DIR",
        help="score files of anyone's answers in place of a model: NAME.npy, .flo, .pfm, .png",
    )
    add_model(parser)
    add_sampling(parser)
    add_denoising(parser)
    add_resolution(parser)
    add_size(parser)
    parser.add_argument(
        "--calibration",
        action="store_true",
        help="compare the uncertainty with the error, too",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="the scores")


def run(args: argparse.Namespace) -> int:
    """Score every image; write and print the scores."""
    from lookharder.cli.terminal import progress
    from lookharder.data.source import open_spec
    from lookharder.evaluate.evaluation import evaluate, protocol

    if args.predictions is not None:
        return _score_files(args)
    card = _card(args)
    predictor = open_model(args)
    with named("--task"):
        task = predictor.chain.task(args.task)
    with named("--merge"):
        task.merged_by(args.merge)
    check_resolution(predictor, args.resolution, native=True)
    size = predictor.chain.config.resolution if args.size is None else args.size
    dataset = open_spec(args.data, size)
    _check_out(args.out)
    reader = args.data.partition(":")[0]
    rules = protocol(args.task, reader, predictor.chain, card.rules if card else None)
    if card is not None:  # depth is fitted in the space of the model's answer
        card = replace(card, rules=rules)
    maps = _error_maps(args, predictor, rules, len(dataset)) if args.calibration else None
    with (
        progress(total=len(dataset), desc="data") as reading,
        progress(total=len(dataset), desc=args.task) as bar,
    ):

        def watch(seen: "Sequence[Example]", prediction: "Prediction") -> None:
            if maps is not None:
                maps.add(seen, prediction)
            bar.update(len(seen))

        result = evaluate(
            predictor,
            args.task,
            dataset,
            data=args.data,
            rules=rules,
            steps=args.steps,
            members=args.members,
            levels=args.levels,
            resolution=args.resolution,
            fit=args.fit,
            seed=args.seed,
            output_uncertainty=args.calibration,
            watch=watch,
            tick=reading.update,
            sampler=args.sampler,
            spacing=args.spacing,
            noise_schedule=args.noise_schedule,
            merge=args.merge,
            card=card,
        )
    _report(args.out, result)
    print(
        f"{predictor.name}: {result.steps} steps, {result.members} members, {result.levels} levels, "
        f"{result.macs_per_image / 1e9:.3f} GMACs an image: {args.out}"
    )
    if maps is not None:
        _calibrate(args.out, result, maps)
    return 0


def _score_files(args: argparse.Namespace) -> int:
    """Score the answers that lie in a folder, whoever made them."""
    from lookharder.cli.terminal import progress
    from lookharder.data.source import open_spec
    from lookharder.evaluate.evaluation import protocol
    from lookharder.evaluate.foreign import evaluate_files

    for name in OF_MODELS:
        if getattr(args, name):
            flag = f"--{name.replace('_', '-')}"
            raise InputError(flag, getattr(args, name), "nothing beside --predictions")
    card = _card(args)
    dataset = open_spec(args.data, args.size or SCENE)
    _check_out(args.out)
    rules = protocol(args.task, args.data.partition(":")[0], rules=card.rules if card else None)
    with progress(total=len(dataset), desc="data") as reading:
        result = evaluate_files(
            args.predictions,
            args.task,
            dataset,
            data=args.data,
            rules=rules,
            card=card,
            seed=args.seed,
            tick=reading.update,
        )
    _report(args.out, result)
    print(f"{args.predictions}: {result.members} answers to each picture: {args.out}")
    return 0


def _check_out(out: Path) -> None:
    from lookharder.files import make_folder

    if out.is_dir():
        raise InputError("--out", f"{out}, a folder", "a file")
    make_folder(out.absolute().parent)


def _report(out: Path, result: "Evaluation") -> None:
    """Write the scores, and print them beside those of trivial answers."""
    from lookharder.cli.terminal import show
    from lookharder.evaluate.table import score_table
    from lookharder.files import write_json
    from lookharder.metrics.scores import SCORES

    write_json(out, result.to_json())
    left_out = f" ({len(result.left_out)} left out)" if result.left_out else ""
    images = f"{len(result.rows)} images{left_out}"
    title = f"{result.task} on {result.data}, {images}, protocol {_named(result)}"
    show(title, score_table(result, everything=True), SCORES[result.task].note)


def _card(args: argparse.Namespace) -> "Card | None":
    """The card of --protocol, which says what was not given; what is given beside it must be what it says."""
    from lookharder.config import override
    from lookharder.evaluate.cards import find_card

    if args.protocol is None:
        if args.set or args.task is None:
            name, got = ("--set", args.set[0]) if args.set else ("--task", "nothing")
            raise InputError(name, got, "nothing without --protocol" if args.set else "a task")
        return None
    card = override(find_card(args.protocol), args.set)
    args.data = card.spec(args.data)
    said = {
        "task": card.rules.task,
        "resolution": card.resolution,
        "fit": card.fit,
        "steps": card.steps,
        "members": card.members,
    }
    for name, value in said.items():
        given = getattr(args, name)
        if value is not None and given not in (None, value):
            allowed = f"{value}, as protocol {card.name} says; --set {name}={given} makes another"
            raise InputError(f"--{name}", given, allowed)
        setattr(args, name, given if value is None else value)
    return card


def _named(result: "Evaluation") -> str:
    """The protocol with its hash; of a card also how many of its pictures were scored."""
    card = result.card
    if card is None:
        return f"{result.protocol.name} ({result.protocol.hash})"
    return (
        f"{card.name} version {card.version} ({card.hash}), {len(result.rows)} of {card.images:,}"
    )


def _error_maps(
    args: argparse.Namespace, predictor: "Predictor", rules: "Protocol", count: int
) -> "ErrorMaps":
    """What calibration needs of each image, once it is known that there can be one."""
    from lookharder.evaluate.calibration import ErrorMaps

    members = predictor.chain.config.members if args.members is None else args.members
    if members < 2:
        raise InputError("--members", members, "2 or more, with --calibration")
    if count < 2:
        raise InputError("--data", f"{count} image", "2 or more, with --calibration")
    with named("--task"):
        return ErrorMaps(args.task, rules)


def _calibrate(out: Path, scores: "Evaluation", maps: "ErrorMaps") -> None:
    """Write and print what the uncertainties are worth, and draw it where that can be done."""
    from importlib.util import find_spec

    from lookharder.cli.terminal import show
    from lookharder.evaluate.calibration import NOTE, calibration, calibration_table
    from lookharder.files import write_json
    from lookharder.report.figures.calibration import draw_calibration

    found = calibration(scores, maps)
    written = [out.with_suffix(".calibration.json")]
    write_json(written[0], found.to_json())
    if find_spec("matplotlib") is not None:
        written.append(out.with_suffix(".calibration.png"))
        draw_calibration([found], written[1])
    show(f"uncertainty of {found.members} members", calibration_table(found), NOTE)
    print(", ".join(map(str, written)))
