"""The verb `predict`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookharder.cli.arguments import (
    TASK,
    add_denoising,
    add_model,
    add_resolution,
    add_sampling,
    add_speed,
    check_resolution,
    named,
    open_model,
)
from lookharder.cli.parser import Parser, choice, rule, whole
from lookharder.cli.shards import add_shard, by_rank, shard_of
from lookharder.cli.writing import (
    add_writing,
    say_metres,
    say_record,
    seen_at,
    warn_of_untrained,
    writing_of,
)
from lookharder.errors import InputError

if TYPE_CHECKING:
    from lookharder.predict.predictor import Predictor
    from lookharder.predict.prompts import Prompt
    from lookharder.tasks.base import Task
    from lookharder.tasks.depth import DepthOutput

HELP = "depth, flow or the whole of a hidden object, from images"
EPILOG = ""


def add_arguments(parser: Parser) -> None:
    """What `lookharder predict` takes."""
    parser.add_argument("task", metavar="TASK", help=TASK)
    parser.add_argument(
        "image",
        nargs="+",
        metavar="IMAGE",
        help="files, folders, globs or clips; or FILE.jsonl, a line for each",
    )
    pictures: dict[str, Any] = {"nargs": "+", "action": "extend", "metavar": "IMAGE"}
    parser.add_argument("--second", **pictures, help="flow: the next frame of each IMAGE, in order")
    parser.add_argument(
        "--mask", **pictures, help="amodal: the visible part in each IMAGE, in order"
    )
    for flag, where in (("--box", "x0,y0,x1,y1"), ("--point", "x,y")):
        parser.add_argument(
            flag,
            nargs="+",
            action="extend",
            metavar=where,
            help="amodal: in the place of --mask; its visible part is found by GrabCut",
        )
    add_model(parser)
    add_speed(parser)
    add_sampling(parser)
    add_denoising(parser)
    add_resolution(parser)
    parser.add_argument(
        "--batch-size",
        type=whole(1),
        default=64,
        metavar="B",
        help="network inputs at a time [%(default)s]",
    )
    parser.add_argument(
        "--budget",
        type=rule("Budget"),
        metavar="B",
        help="what one image may cost: 2s, 5GMACs, 500MB; picks steps, members, levels and sampler",
    )
    parser.add_argument(
        "--until",
        type=rule("StopRule"),
        metavar="U",
        help="sample members until the answer is this certain: 0.01 (units of the answer) or gain:0.001",
    )
    parser.add_argument(
        "--output",
        type=choice("depth", "log", "disparity"),
        metavar="V",
        help="depth: a map of depth, log (depth) or disparity, each up to scale and shift [depth]",
    )
    parser.add_argument(
        "--as-released", action="store_true", help="the paper's release: as its program does"
    )
    parser.add_argument("--antithetic", action="store_true", help="members in opposite pairs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    add_writing(parser)
    add_shard(parser)
    for flag, words in (
        ("--recursive", "look into folders of folders"),
        ("--skip-existing", "leave results that are there as they are, however they were made"),
        ("--overwrite", "make results anew, and replace files that are no results"),
        ("--strict", "stop at the first image that cannot be used"),
    ):
        parser.add_argument(flag, action="store_true", help=words)


def run(args: argparse.Namespace) -> int:
    """Predict every picture of the shard into the folder; 2 if some cannot be used."""
    from lookharder.cli.clips import run_clips
    from lookharder.cli.terminal import progress
    from lookharder.predict.files.batch import (
        begin,
        finish,
        predict_files,
        recipe_of,
        run_of,
        split,
    )
    from lookharder.predict.files.clips import find_clips
    from lookharder.predict.files.folder import hold
    from lookharder.predict.files.pictures import check
    from lookharder.predict.files.questions import ask
    from lookharder.predict.files.questions import named as renamed
    from lookharder.shard import WHOLE

    for flag, other in (("skip_existing", "overwrite"), ("quiet", "verbose"), ("json", "verbose")):
        if getattr(args, flag) and getattr(args, other):
            got = f"--{other} beside it"
            raise InputError(f"--{flag.replace('_', '-')}", got, "one of the two")
    writing, prompts = writing_of(args), _prompts(args)
    predictor = open_model(args)
    warn_of_untrained(predictor)
    if args.as_released:
        predictor = _as_released(predictor)
    with named("TASK"):
        task = predictor.chain.task(args.task)
    if args.output is not None:
        predictor, task = _with_output(predictor, task, args.output)
    with named("--merge"):
        task.merged_by(args.merge)
    check_resolution(predictor, args.resolution, native=True)
    if args.budget is not None:
        _check_budget(args, predictor)
    options = _options(args, predictor)
    recipe = recipe_of(predictor, task.name, writing=writing, **options)
    shard = shard_of(args)
    silent, count, choices = args.quiet or args.json, 0, dict[str, None]()
    seen = set[tuple[int, int]]()
    beside = bool(args.second or args.mask or prompts)
    given = {"second": args.second, "mask": args.mask}
    clips = find_clips(task, args.image, companions=beside)
    asked = []
    if not clips:
        asked = ask(task, args.image, given, recursive=args.recursive, prompts=prompts)
    if writing.known is not None and (clips or len(asked) > 1):
        raise InputError(
            "--metric", f"{len(asked) or 'a clip'} images", "one: its points are pixels"
        )
    paths = [clip.source for clip in clips] or [each.image for each in asked]
    run = run_of(recipe, shard, paths)
    with hold(args.out, shard, run) as folder:
        if clips:
            return run_clips(args, predictor, task, clips, folder, shard, recipe, writing, options)
        asked = renamed(asked, [each for each in folder.records if each.get("task") == task.name])
        inputs, refused = check(task, asked, shard)
        _tell(refused, stop=args.strict or (shard == WHOLE and not inputs))
        todo, done = split(
            folder, inputs, recipe, skip_existing=args.skip_existing, anew=args.overwrite
        )
        there = folder.by_key()
        for item in done:
            say_record(args, there[item.task.name, item.name])
        unsure = options["output_uncertainty"]
        begin(folder, todo, unsure=unsure, writing=writing, overwrite=args.overwrite)
        predicted = predict_files(
            predictor, inputs, todo, folder, recipe=recipe, writing=writing, **options
        )
        with progress(total=len(todo), desc=args.task, silent=silent) as bar:
            for _, made in predicted:
                bar.update()
                if isinstance(made, InputError):
                    refused.append(made)
                    _tell([made], stop=args.strict or len(asked) == 1)
                    continue
                say_record(args, made)
                if writing.known is not None and not silent:
                    say_metres(made, len(writing.known.points))
                count += 1
                seen.add((made["resolution"][0], made["resolution"][1]))
                if made["choice"] is not None:
                    choices[made["choice"]] = None
        finish(folder, [(task.name, each.name) for each in asked])
    if not silent:
        for chosen in choices:
            print(f"budget {chosen}")
        count += len(done)
        skipped = f" ({len(done)} done before)" if done else ""
        lost = f", {len(refused)} left out" if refused else ""
        one = "" if count == 1 else "s"
        part = "" if shard == WHOLE else f", shard {shard}"
        print(
            f"{count} {args.task} prediction{one}{skipped}{lost}{part}{seen_at(seen)}: "
            f"{args.out / 'index.html'}"
        )
    return 2 if refused and not by_rank(args) else 0


def _prompts(args: argparse.Namespace) -> "list[Prompt]":
    """Boxes or points, one for each image."""
    from lookharder.predict.prompts import Prompt

    if args.box and args.point:
        raise InputError("--box", "--point beside it", "one of the two")
    boxes = [Prompt.parse("--box", text) for text in args.box or ()]
    return boxes + [Prompt.parse("--point", text) for text in args.point or ()]


def _options(args: argparse.Namespace, predictor: "Predictor") -> dict[str, Any]:
    """What is asked of the predictor, by its names."""
    members = predictor.chain.config.members if args.members is None else args.members
    return {
        "num_inference_steps": args.steps,
        "ensemble_size": args.members,
        "processing_resolution": args.resolution,
        "fit": args.fit,
        "batch_size": args.batch_size,
        "seed": args.seed,
        "output_uncertainty": members > 1 or args.budget is not None or args.until is not None,
        "sampler": args.sampler,
        "spacing": args.spacing,
        "noise_schedule": args.noise_schedule,
        "merge": args.merge,
        "antithetic": args.antithetic,
        "levels": args.levels,
        "budget": args.budget,
        "until": args.until,
    }


def _tell(errors: Sequence[InputError], stop: bool) -> None:
    """Say what cannot be used and is left out; the first ends it all where `stop` says so."""
    for error in errors:
        if stop:
            raise error
        print(f"lookharder: left out: {error}", file=sys.stderr)


def _as_released(predictor: "Predictor") -> "Predictor":
    """The same weights, sampled and merged by the settings of the paper's release."""
    from lookharder.chain import Chain
    from lookharder.conversion import released_settings
    from lookharder.predict.predictor import Predictor

    chain = predictor.chain
    changed = Chain(released_settings(chain.config), chain.network, chain.autoencoder)
    return Predictor(changed, predictor.device, predictor.name)


def _with_output(
    predictor: "Predictor", task: "Task", output: "DepthOutput"
) -> "tuple[Predictor, Task]":
    """The same model, giving another map of depth."""
    from lookharder.predict.predictor import Predictor
    from lookharder.tasks.depth import Depth

    if not isinstance(task, Depth):
        raise InputError("--output", output, f"nothing for {task.name}: it is for depth")
    with named("--output"):
        changed = replace(task, output=output)
    chain = predictor.chain.with_task(changed)
    return Predictor(chain, predictor.device, predictor.name, predictor.settings), changed


def _check_budget(args: argparse.Namespace, predictor: "Predictor") -> None:
    """A budget picks what these would fix, and needs the model's table of settings."""
    from lookharder.predict.budget import NO_TABLE

    for name in ("steps", "members", "sampler", "spacing", "noise_schedule"):
        if (value := getattr(args, name)) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(flag, value, "nothing beside --budget, which picks it")
    if predictor.settings is None:
        raise InputError("--budget", args.budget, NO_TABLE)
