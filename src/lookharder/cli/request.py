"""What a command `predict` asks for: everything is read and checked here, before anything is written."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lookharder.chain import Chain
from lookharder.cli.arguments import check_resolution, named, open_model
from lookharder.cli.shards import shard_of
from lookharder.cli.writing import warn_of_untrained, writing_of
from lookharder.errors import InputError
from lookharder.predict.budget import NO_TABLE
from lookharder.predict.files.batch import recipe_of, run_of
from lookharder.predict.files.clips import Clip, find_clips
from lookharder.predict.files.questions import Asked, ask
from lookharder.predict.predictor import Predictor
from lookharder.predict.prompts import Prompt
from lookharder.shard import Shard
from lookharder.tasks.base import Task
from lookharder.tasks.depth import Depth, DepthOutput
from lookharder.visualize.answer_files import Writing

STEADY = 0.5  # halves the flicker, for an error of 0.225 in the place of 0.224: `docs/results/flicker.json`
EXCLUSIVE = (("skip_existing", "overwrite"), ("quiet", "verbose"), ("json", "verbose"))


@dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """Which pictures are asked about, and how.

    Attributes:
        predictor: the model.
        task: as the model knows it, or as the command changes it.
        options: of the predictor, by its names.
        writing: which files there are of an answer.
        shard: which part of the pictures this process predicts.
        clips: what is asked about, where it is clips.
        lost: why some of several clips cannot be read.
        questions: what is asked about, where it is pictures.
        steady: share of the frame before in the depth of a clip.
        recipe: what a result is a function of, beside its picture.
    """

    predictor: Predictor
    task: Task
    options: Mapping[str, Any]
    writing: Writing
    shard: Shard
    clips: list[Clip]
    lost: list[InputError]
    questions: list[Asked]
    steady: float
    recipe: str

    @property
    def run(self) -> str:
        """What the shards of one command have in common."""
        paths = [clip.source for clip in self.clips] or [each.image for each in self.questions]
        return run_of(self.recipe, self.shard, paths)


def read_request(args: argparse.Namespace) -> PredictRequest:
    """Open the model and find the pictures.

    Raises:
        InputError: names the argument that cannot be used.
    """
    for flag, other in EXCLUSIVE:
        if getattr(args, flag) and getattr(args, other):
            got = f"--{other} beside it"
            raise InputError(f"--{flag.replace('_', '-')}", got, "one of the two")
    writing, prompts = writing_of(args), _prompts(args)
    predictor, task = _open(args)
    options = _options(args, predictor)
    shard = shard_of(args)
    lost: list[InputError] = []
    clips, questions = _pictures(args, task, prompts, None if args.strict else lost)
    steady = _steady(args, task, clips)
    about = {**options, "steady": steady} if clips else options
    recipe = recipe_of(predictor, task.name, writing=writing, **about)
    if writing.known is not None and (clips or len(questions) > 1):
        got = "a clip" if clips else f"{len(questions)} images"
        raise InputError("--metric", got, "one: its points are pixels")
    return PredictRequest(
        predictor=predictor,
        task=task,
        options=options,
        writing=writing,
        shard=shard,
        clips=clips,
        lost=lost,
        questions=questions,
        steady=steady,
        recipe=recipe,
    )


def _open(args: argparse.Namespace) -> tuple[Predictor, Task]:
    """The model, and the task as it is asked for."""
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
    return predictor, task


def _pictures(
    args: argparse.Namespace, task: Task, prompts: list[Prompt], lost: list[InputError] | None
) -> tuple[list[Clip], list[Asked]]:
    """Clips, or pictures with what the task needs beside them."""
    given = {"second": args.second, "mask": args.mask}
    clips = find_clips(task, args.image, any(given.values()) or bool(prompts), lost)
    if clips:
        return clips, []
    return [], ask(task, args.image, given, recursive=args.recursive, prompts=prompts)


def _steady(args: argparse.Namespace, task: Task, clips: list[Clip]) -> float:
    """Of maps of a clip; motion between two frames has a scale, and is left as it is."""
    able = bool(clips) and not task.takes_next_frame
    if args.steady is None:
        return STEADY if able else 0.0
    if not able:
        raise InputError("--steady", f"given for {task.name} of {args.image[0]}", "depth of a clip")
    if not 0 <= args.steady < 1:
        raise InputError("--steady", args.steady, "0 <= share < 1")
    return float(args.steady)


def _prompts(args: argparse.Namespace) -> list[Prompt]:
    """Boxes or points, one for each image."""
    if args.box and args.point:
        raise InputError("--box", "--point beside it", "one of the two")
    boxes = [Prompt.parse("--box", text) for text in args.box or ()]
    return boxes + [Prompt.parse("--point", text) for text in args.point or ()]


def _options(args: argparse.Namespace, predictor: Predictor) -> dict[str, Any]:
    """What is asked of the predictor, by its names."""
    members = predictor.chain.config.members if args.members is None else args.members
    several = members > 1 or args.mirror or args.budget is not None
    stops = args.until is not None and args.until.of_members
    return {
        "num_inference_steps": args.steps,
        "ensemble_size": args.members,
        "processing_resolution": args.resolution,
        "fit": args.fit,
        "batch_size": args.batch_size,
        "seed": args.seed,
        "output_uncertainty": several or stops,
        "sampler": args.sampler,
        "spacing": args.spacing,
        "noise_schedule": args.noise_schedule,
        "merge": args.merge,
        "antithetic": args.antithetic,
        "mirror": args.mirror,
        "levels": args.levels,
        "budget": args.budget,
        "until": args.until,
    }


def _as_released(predictor: Predictor) -> Predictor:
    """The same weights, sampled and merged by the settings of the paper's release."""
    from lookharder.conversion import released_settings

    chain = predictor.chain
    changed = Chain(released_settings(chain.config), chain.network, chain.autoencoder)
    return Predictor(changed, predictor.device, predictor.name)


def _with_output(predictor: Predictor, task: Task, output: DepthOutput) -> tuple[Predictor, Task]:
    """The same model, giving another map of depth."""
    if not isinstance(task, Depth):
        raise InputError("--output", output, f"nothing for {task.name}: it is for depth")
    with named("--output"):
        changed = replace(task, output=output)
    chain = predictor.chain.with_task(changed)
    return Predictor(chain, predictor.device, predictor.name, predictor.settings), changed


def _check_budget(args: argparse.Namespace, predictor: Predictor) -> None:
    """A budget picks what these would fix, and needs the model's table of settings."""
    for name in ("steps", "members", "sampler", "spacing", "noise_schedule"):
        if (value := getattr(args, name)) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(flag, value, "nothing beside --budget, which picks it")
    if predictor.settings is None:
        raise InputError("--budget", args.budget, NO_TABLE)
