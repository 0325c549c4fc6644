"""What `evaluate` does beside a model's predictions: anyone's files, generators, cards, and what is said of scores."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lookharder.errors import InputError

if TYPE_CHECKING:
    from lookharder.evaluate.card import Card
    from lookharder.evaluate.evaluation import Evaluation

OF_MODELS = (
    *("model", "steps", "members", "levels", "mirror", "merge", "resolution", "fit"),
    *("sampler", "spacing", "noise_schedule", "calibration", "shard"),
)
SCENE = 64  # side of procedural scenes where there is no model


def score_files(args: argparse.Namespace) -> int:
    """Score the answers that lie in a folder, whoever made them."""
    from lookharder.cli.terminal import progress
    from lookharder.data.source import open_spec
    from lookharder.evaluate.evaluation import protocol
    from lookharder.evaluate.foreign import evaluate_files

    for name in OF_MODELS:
        if getattr(args, name):
            flag = f"--{name.replace('_', '-')}"
            raise InputError(flag, getattr(args, name), "nothing beside --predictions")
    card = card_of(args)
    dataset = open_spec(args.data, args.size or SCENE)
    check_out(args.out)
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
    report(args.out, result)
    print(f"{args.predictions}: {result.members} answers to each picture: {args.out}")
    return 0


def score_generation(args: argparse.Namespace) -> int:
    """Set drawn pictures beside real ones, and take a model's loss on these."""
    from lookharder.cli.arguments import named, open_model
    from lookharder.cli.terminal import show
    from lookharder.data.source import open_spec
    from lookharder.evaluate import generation
    from lookharder.files import write_json

    of_answers = ("members", "levels", "mirror", "merge", "shard")
    for name in ("protocol", "predictions", "calibration", *of_answers):
        if getattr(args, name):
            raise InputError(f"--{name}", getattr(args, name), "nothing with --task generation")
    if (args.features is None) != (args.samples is None):
        missing, given = ("features", "samples") if args.samples else ("samples", "features")
        raise InputError(f"--{missing}", "nothing", f"a value, beside --{given}")
    if args.features is None and args.model is None:
        raise InputError("--model", "nothing", "a model, or --features and --samples")
    predictor = None if args.model is None else open_model(args)
    if predictor is not None:
        with named("--task"):
            predictor.chain.task("generation")
    side = SCENE if predictor is None else predictor.chain.config.resolution
    dataset = open_spec(args.data, args.size or side)
    check_out(args.out)
    metrics: dict[str, float] = {}
    loss, counts, digest = None, (len(dataset), 0), None
    if args.features is not None:
        packed = args.samples.endswith(".npz")
        drawn = (
            generation.read_samples(Path(args.samples))
            if packed
            else open_spec(args.samples, args.size or side)
        )
        network = generation.load_features(args.features)
        real = generation.pictures_of(dataset)
        metrics, counts = generation.compare_pictures(real, generation.pictures_of(drawn), network)
        digest = generation.sha256(args.features)
    if predictor is not None:
        loss = generation.held_out_loss(predictor.chain, dataset, args.seed)
    scores = generation.GenerationScores(
        data=args.data,
        real=counts[0],
        samples=args.samples,
        drawn=counts[1],
        features=digest,
        metrics=metrics,
        model=None if predictor is None else predictor.name,
        loss=loss,
    )
    write_json(args.out, scores.to_json())
    title = f"generation on {args.data}, {counts[0]} pictures, {counts[1]} drawn"
    show(title, generation.generation_table(scores), generation.NOTE)
    print(args.out)
    return 0


SCORED = ("task", "data")  # what a file of scores has, of answers or of generation


def check_out(out: Path, keys: tuple[str, ...] = SCORED) -> None:
    """Make the folder of a JSON file of results; in its place a folder, or a file without these keys, is refused."""
    from lookharder.files import make_folder
    from lookharder.jsons import as_object, read_json

    if out.is_dir():
        raise InputError("--out", f"{out}, a folder", "a file")
    if out.exists():
        try:
            ours = as_object(read_json(out), str(out)).keys() >= set(keys)
        except InputError:
            ours = False
        if not ours:
            allowed = "a new file, or one that this command wrote"
            raise InputError("--out", f"{out}, which holds something else", allowed)
    make_folder(out.absolute().parent)


def report(out: Path, result: "Evaluation") -> None:
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


def card_of(args: argparse.Namespace) -> "Card | None":
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
        "sampler": card.sampler,
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
