"""The verb `evaluate`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lookharder.cli.arguments import (
    DATA,
    TASK,
    add_denoising,
    add_model,
    add_resolution,
    add_sampling,
    add_size,
    add_speed,
    check_resolution,
    named,
    open_model,
)
from lookharder.cli.parser import Parser
from lookharder.cli.scoring import card_of, check_out, report, score_files, score_generation
from lookharder.cli.shards import add_shard, shard_of
from lookharder.errors import InputError, counted
from lookharder.shard import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookharder.data.example import Dataset, Example
    from lookharder.evaluate.calibration import ErrorMaps
    from lookharder.evaluate.card import Card
    from lookharder.evaluate.evaluation import Evaluation
    from lookharder.evaluate.parts import Parts
    from lookharder.metrics.protocol import Protocol
    from lookharder.predict.predictor import Prediction, Predictor

HELP = "score a model on a data set, beside trivial answers"
EPILOG = """With --calibration, which takes 2 members or more, FILE.calibration.json says whether the uncertainty
ranks and bounds the error, and FILE.calibration.png draws it where matplotlib (the extra `plot`) is installed.
With --task generation, --samples are set beside the pictures of --data through the network of --features, and the
loss on --data is that of --model."""


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
    parser.add_argument(
        "--features", type=Path, metavar="FILE", help="generation: a feature network, TorchScript"
    )
    parser.add_argument(
        "--samples",
        metavar="SAMPLES",
        help="generation: drawn pictures, .npz of ADM's form or READER:PATH",
    )
    add_model(parser)
    add_speed(parser)
    add_sampling(parser)
    add_denoising(parser)
    add_resolution(parser)
    add_size(parser)
    add_shard(parser)
    parser.add_argument(
        "--calibration",
        action="store_true",
        help="compare the uncertainty with the error, too",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="the scores")


def run(args: argparse.Namespace) -> int:
    """Score every image, or those of a shard; the last shard writes and prints the scores."""
    from lookharder.data.source import open_spec
    from lookharder.evaluate.evaluation import protocol
    from lookharder.evaluate.parts import Parts, Unfinished
    from lookharder.predict.acceleration import precision_of
    from lookharder.predict.info import fingerprint

    if args.task == "generation":
        return score_generation(args)
    if args.features is not None or args.samples is not None:
        raise InputError("--features", "with another task", "--task generation")
    if args.predictions is not None:
        return score_files(args)
    shard = shard_of(args)
    parts = None if shard == WHOLE else Parts(args.out, shard)
    if args.calibration and parts is not None:
        raise InputError("--calibration", f"shard {shard}", "nothing beside shards")
    card = card_of(args)
    predictor = open_model(args)
    with named("--task"):
        task = predictor.chain.task(args.task)
    with named("--merge"):
        task.merged_by(args.merge)
    check_resolution(predictor, args.resolution, native=True)
    size = predictor.chain.config.resolution if args.size is None else args.size
    dataset = open_spec(args.data, size)
    check_out(args.out)
    reader = args.data.partition(":")[0]
    rules = protocol(args.task, reader, predictor.chain, card.rules if card else None)
    if card is not None:  # depth is fitted in the space of the model's answer
        card = replace(card, rules=rules)
    maps = _error_maps(args, predictor, rules, len(dataset)) if args.calibration else None
    try:
        result = _score(args, predictor, dataset, rules, card, maps, parts)
    except Unfinished as others:
        groups = f"{others.missing} groups of pictures are not scored yet"
        print(f"shard {shard} is done; {groups}: the last shard writes {args.out}")
        return 0
    result = replace(result, weights=fingerprint(predictor.chain))
    if (precision := precision_of(predictor.chain)) != "fp32":
        result = replace(result, options={**result.options, "precision": precision})
    report(args.out, result)
    if parts is not None:
        parts.clear()
    print(
        f"{predictor.name}: {counted(result.steps, 'step')}, {counted(result.members, 'member')}, "
        f"{counted(result.levels, 'level')}, "
        f"{result.macs_per_image / 1e9:.3f} GMACs an image: {args.out}"
    )
    if maps is not None:
        _calibrate(args.out, result, maps)
    return 0


def _score(
    args: argparse.Namespace,
    predictor: "Predictor",
    dataset: "Dataset",
    rules: "Protocol",
    card: "Card | None",
    maps: "ErrorMaps | None",
    parts: "Parts | None",
) -> "Evaluation":
    """The scores of a model, while bars tell how many images are read and scored; `maps` sees every prediction."""
    from lookharder.cli.terminal import progress
    from lookharder.evaluate.evaluation import evaluate

    with (
        progress(total=len(dataset), desc="data") as reading,
        progress(total=len(dataset), desc=args.task) as bar,
    ):

        def watch(seen: "Sequence[Example]", prediction: "Prediction") -> None:
            if maps is not None:
                maps.add(seen, prediction)
            bar.update(len(seen))

        return evaluate(
            predictor,
            args.task,
            dataset,
            data=args.data,
            rules=rules,
            steps=args.steps,
            members=args.members,
            levels=args.levels,
            mirror=args.mirror,
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
            parts=parts,
        )


def _error_maps(
    args: argparse.Namespace, predictor: "Predictor", rules: "Protocol", count: int
) -> "ErrorMaps":
    """What calibration needs of each image, once it is known that there can be one."""
    from lookharder.evaluate.calibration import ErrorMaps

    members = predictor.chain.config.members if args.members is None else args.members
    if members < 2 and not args.mirror:
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
