"""The verb `predict`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookharder.cli.arguments import (
    TASK,
    Parser,
    add_denoising,
    add_model,
    add_sampling,
    check_resolution,
    choice,
    named,
    open_model,
    rule,
    whole,
)
from lookharder.errors import InputError

if TYPE_CHECKING:
    from lookharder.predict.predictor import Predictor
    from lookharder.tasks.base import Task
    from lookharder.tasks.depth import DepthOutput

HELP = "depth, flow or the whole of a hidden object, from images"
EPILOG = ""


def add_arguments(parser: Parser) -> None:
    """What `lookharder predict` takes."""
    parser.add_argument("task", metavar="TASK", help=TASK)
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="files, folders or globs")
    pictures: dict[str, Any] = {"nargs": "+", "action": "extend", "metavar": "IMAGE"}
    parser.add_argument("--second", **pictures, help="flow: the next frame of each IMAGE, in order")
    parser.add_argument(
        "--mask", **pictures, help="amodal: the visible part in each IMAGE, in order"
    )
    add_model(parser)
    add_sampling(parser)
    add_denoising(parser)
    parser.add_argument(
        "--resolution",
        type=whole(0),
        metavar="R",
        help="longest edge at which the network works, pixels; 0 the image's own [the model's]",
    )
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
        help="what one image may cost: 2s, 5GMACs, 500MB; picks steps, members and sampler",
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
    parser.add_argument("--antithetic", action="store_true", help="members in opposite pairs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")


def run(args: argparse.Namespace) -> int:
    """Predict every picture into the folder."""
    from lookharder.cli.terminal import progress
    from lookharder.predict.files.batch import finish, predict_files
    from lookharder.predict.files.outputs import prepare
    from lookharder.predict.files.pictures import gather

    predictor = open_model(args)
    with named("TASK"):
        task = predictor.chain.task(args.task)
    if args.output is not None:
        predictor, task = _with_output(predictor, task, args.output)
    check_resolution(predictor, args.resolution, native=True)
    if args.budget is not None:
        _check_budget(args, predictor)
    members = predictor.chain.config.members if args.members is None else args.members
    uncertainty = members > 1 or args.budget is not None or args.until is not None
    options: dict[str, Any] = {
        "num_inference_steps": args.steps,
        "ensemble_size": args.members,
        "processing_resolution": args.resolution,
        "batch_size": args.batch_size,
        "output_uncertainty": uncertainty,
        "sampler": args.sampler,
        "spacing": args.spacing,
        "noise_schedule": args.noise_schedule,
        "antithetic": args.antithetic,
        "levels": args.levels,
        "budget": args.budget,
        "until": args.until,
    }
    inputs = gather(task, args.image, {"second": args.second, "mask": args.mask})
    prepare(args.out, inputs, uncertainty)

    records: dict[int, dict[str, Any]] = {}
    with progress(total=len(inputs), desc=args.task) as bar:
        predicted = predict_files(predictor, inputs, args.out, seed=args.seed, **options)
        for index, record in predicted:
            records[index] = record
            bar.update()
    finish(args.out, [records[index] for index in sorted(records)])
    for chosen in dict.fromkeys(record["choice"] for record in records.values()):
        if chosen is not None:
            print(f"budget {chosen}")
    print(f"{len(inputs)} {args.task} predictions: {args.out / 'index.html'}")
    return 0


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
