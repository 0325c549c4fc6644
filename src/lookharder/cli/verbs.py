"""What each verb does with its arguments: check them, call the library, print. Nothing is computed here."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from itertools import chain
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lookharder.chain import find
from lookharder.cli.cache import run_cache
from lookharder.cli.check import run_check
from lookharder.cli.dry_run import dry_run
from lookharder.cli.plan import run_plan
from lookharder.cli.plot import run_plot
from lookharder.cli.printing import show
from lookharder.cli.study import run_study
from lookharder.config import override
from lookharder.conversion import Report, convert, upcycle_folder
from lookharder.data.formats import MAX_SIDE
from lookharder.data.source import open_spec
from lookharder.demo import demo
from lookharder.errors import InputError
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.evaluate.inspection import inspect, tables
from lookharder.evaluate.routing import experts_of, routing_report
from lookharder.evaluate.table import NOTES, score_table
from lookharder.files import write_json
from lookharder.predict.budget import NO_TABLE
from lookharder.predict.files.batch import finish, predict_files
from lookharder.predict.files.outputs import prepare
from lookharder.predict.files.pictures import gather
from lookharder.predict.predictor import Predictor
from lookharder.recipes import RECIPES
from lookharder.report.figures.routing import NOTE as ROUTING_NOTE
from lookharder.report.figures.routing import summary, write_report
from lookharder.training.distributed.runtime import Throughput, pick_device
from lookharder.training.run import run

STOPPED = os.EX_TEMPFAIL  # 75: "try again later", which is what resuming is


def run_demo(args: argparse.Namespace) -> int:
    """`lookharder demo`."""
    predictor = _load(args)
    prepare(args.out)
    with _bar(total=4 * args.count, desc="demo") as bar:
        scores = demo(predictor, args.out, args.count, bar.update)
    for task, evaluation in scores.items():
        show(task, score_table(evaluation), NOTES[task])
    print(f"{args.count} scenes, all three tasks: {args.out / 'index.html'}")
    return 0


def run_predict(args: argparse.Namespace) -> int:
    """`lookharder predict`."""
    predictor = _load(args)
    config = predictor.chain.config
    predictor.chain.task(args.task)
    multiple, resolution = predictor.chain.multiple, args.resolution
    if resolution and not multiple <= resolution <= MAX_SIDE:
        raise InputError("--resolution", resolution, f"0 (native) or {multiple} to {MAX_SIDE}")
    if args.budget is not None:
        for name in ("steps", "members", "sampler", "spacing", "noise_schedule"):
            if (value := getattr(args, name)) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise InputError(flag, value, "nothing beside --budget, which picks it")
        if predictor.frontier is None:
            raise InputError("--budget", args.budget, NO_TABLE)
    members = config.members if args.members is None else args.members
    uncertainty = members > 1 or args.budget is not None or args.until is not None
    options: dict[str, Any] = {
        "num_inference_steps": args.steps,
        "ensemble_size": args.members,
        "processing_resolution": resolution,
        "batch_size": args.batch_size,
        "output_uncertainty": uncertainty,
        "sampler": args.sampler,
        "spacing": args.spacing,
        "noise_schedule": args.noise_schedule,
        "antithetic": args.antithetic,
        "budget": args.budget,
        "until": args.until,
    }
    inputs = gather(args.task, args.image, args.second, args.mask)
    prepare(args.out, inputs, uncertainty)

    records: dict[int, dict[str, Any]] = {}
    with _bar(total=len(inputs), desc=args.task) as bar:
        predicted = predict_files(predictor, inputs, args.out, seed=args.seed, **options)
        for index, record in predicted:
            records[index] = record
            bar.update()
    finish(args.out, [records[index] for index in sorted(records)])
    for choice in dict.fromkeys(record["choice"] for record in records.values()):
        if choice is not None:
            print(f"budget {choice}")
    print(f"{len(inputs)} {args.task} predictions: {args.out / 'index.html'}")
    return 0


def run_train(args: argparse.Namespace) -> int:
    """`lookharder train`: a stop that was asked for exits with 75, and the same command resumes.

    Of several processes that torchrun has started, the first alone speaks.
    """
    if args.recipe not in RECIPES:
        raise InputError("RECIPE", repr(args.recipe), f"one of {sorted(RECIPES)}")
    config = override(RECIPES[args.recipe](), args.set)
    if args.dry_run:
        dry_run(config)
        return 0
    if args.out is None:
        raise InputError("--out", "nothing", "a value, or --dry-run")
    prepare(args.out)
    mute = os.environ.get("RANK", "0") != "0"
    say = (lambda words: None) if mute else print
    level = logging.ERROR if mute else logging.WARNING if args.quiet else logging.INFO
    logging.basicConfig(level=level, format="lookharder: %(message)s")
    steps, total = run(config, args.out), config.train.iterations
    first = next(steps, None)
    if first is None:
        say(f"already finished: {total} iterations, {args.out / 'model'}")
        return 0
    speed = Throughput()
    with (
        logging_redirect_tqdm(),
        _bar(
            total=total,
            initial=first.iteration - 1,
            desc=config.name,
            disable=args.quiet or mute,
            mininterval=0.2 if sys.stderr.isatty() else 10.0,
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


def run_evaluate(args: argparse.Namespace) -> int:
    """`lookharder evaluate`."""
    predictor = _load(args)
    predictor.chain.task(args.task)
    if args.out.is_dir():
        raise InputError("--out", f"{args.out}, a folder", "a file")
    size = predictor.chain.config.resolution if args.size is None else args.size
    dataset = open_spec(args.data, size)
    prepare(args.out.absolute().parent)
    with _bar(total=len(dataset), desc="data") as bar:
        examples = []
        for i in range(len(dataset)):
            examples.append(dataset[i])
            bar.update()
    with _bar(total=len(examples), desc=args.task) as bar:
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
    show(title, score_table(result, everything=True), NOTES[args.task])
    print(
        f"{predictor.name}: {result.steps} steps, {result.members} draws, "
        f"{result.macs_per_image / 1e9:.3f} GMACs a picture: {args.out}"
    )
    return 0


def run_inspect(args: argparse.Namespace) -> int:
    """`lookharder inspect`: the model itself, or with --data what its routers do."""
    if (args.data is None) != (args.out is None):
        raise InputError("--data, --out", "one without the other", "both, or neither")
    predictor = _load(args)
    multiple, resolution = predictor.chain.multiple, args.resolution
    if resolution is not None and not multiple <= resolution <= MAX_SIDE:
        raise InputError("--resolution", resolution, f"{multiple} to {MAX_SIDE}")
    if args.data is None:
        found = inspect(predictor.chain, resolution, args.steps, args.members)
        for title, table in tables(found).items():
            show(title, table)
        return 0
    experts_of(predictor.chain)
    owned = predictor.chain.tasks
    tasks = args.task or [name for name in owned if name != "generation"] or list(owned)
    for task in tasks:
        predictor.chain.task(task)
    size = predictor.chain.config.resolution if args.size is None else args.size
    dataset = open_spec(args.data, size)
    prepare(args.out)
    with _bar(total=len(dataset) * len(tasks), desc="routing") as bar:
        report = routing_report(
            predictor,
            tasks,
            dataset,
            data=args.data,
            steps=args.steps,
            members=args.members,
            seed=args.seed,
            resolution=resolution,
            progress=bar.update,
        )
    write_report(report, args.out)
    show(f"{predictor.name} on {args.data}", summary(report), ROUTING_NOTE)
    print(f"by layer, task and step: {args.out / 'routing.json'}, {args.out / 'routing.png'}")
    return 0


def run_convert(args: argparse.Namespace) -> int:
    """`lookharder convert`."""
    report = convert(
        args.source,
        args.out,
        layout=args.layout,
        autoencoder=args.autoencoder,
        num_heads=args.heads,
    )
    for name, shape, parts in report.keys:
        print(f"{name} {shape} <- {parts}")
    _print_report(report)
    return 0


def run_upcycle(args: argparse.Namespace) -> int:
    """`lookharder upcycle`."""
    report = upcycle_folder(
        find(args.source, "SRC"),
        args.out,
        experts=args.experts,
        active=args.active,
        renormalise=not args.no_renormalise,
        seed=args.seed,
    )
    _print_report(report)
    return 0


def _print_report(report: Report) -> None:
    print(f"{report.source}: {report.layout}")
    for stage, (params, active, macs) in report.costs.items():
        print(
            f"{stage}: {params / 1e6:.2f} M parameters, {active / 1e6:.2f} M active, "
            f"{macs / 1e9:.3f} GMACs a forward"
        )
    for check, found in report.checks.items():
        print(f"{check}: {found}")


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "demo": run_demo,
    "predict": run_predict,
    "train": run_train,
    "evaluate": run_evaluate,
    "inspect": run_inspect,
    "convert": run_convert,
    "upcycle": run_upcycle,
    "plot": run_plot,
    "cache": run_cache,
    "check": run_check,
    "plan": run_plan,
    "study": run_study,
}


def _load(args: argparse.Namespace) -> Predictor:
    """The model, on its device, able to take so many steps."""
    predictor = Predictor.from_pretrained(args.model, pick_device(args.device))
    steps, most = getattr(args, "steps", None), predictor.chain.config.schedule.steps
    if steps is not None and steps > most:
        raise InputError("--steps", steps, f"1 to {most}, the steps of the model's training")
    return predictor


def _bar(**keywords: Any) -> tqdm:
    """A progress bar on stderr; only on a terminal where nothing else is said."""
    return tqdm(**{"disable": None, "dynamic_ncols": True, **keywords})
