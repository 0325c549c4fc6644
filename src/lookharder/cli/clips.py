"""The verb `predict` on clips."""

import argparse
import sys
from typing import TYPE_CHECKING

from lookharder.cli.writing import say_record
from lookharder.errors import InputError, counted

if TYPE_CHECKING:
    from lookharder.cli.request import PredictRequest
    from lookharder.predict.files.folder import ResultFolder


def run_clips(args: argparse.Namespace, request: "PredictRequest", folder: "ResultFolder") -> int:
    """Predict a shard's clips into the folder that is held; what is there of the same clip and options is left."""
    from lookharder.cli.terminal import progress
    from lookharder.predict.files.batch import finish
    from lookharder.predict.files.clips import clip_files, predict_clip
    from lookharder.predict.files.records import PAGE

    for flag in ("beside", "ply", "glb", "outputs"):
        if getattr(args, flag):
            raise InputError(f"--{flag}", "given for a clip", "images")
    task, recipe = request.task, request.recipe
    options = {**request.options, "output_uncertainty": False}
    mine = request.shard.of(request.clips)
    wanted = {(task.name, clip.name): clip.digest for clip in mine}
    made = folder.made(wanted, recipe, skip_existing=args.skip_existing, anew=args.overwrite)
    todo = [clip for clip in mine if (task.name, clip.name) not in made]
    files = [file for clip in todo for file in clip_files(task.name, clip).values()]
    sources = {path.resolve() for clip in todo for path in (clip.source, *clip.frames)}
    folder.check_free(files, sources, args.overwrite)
    folder.begin({(task.name, clip.name) for clip in todo})
    silent, errors, failed = args.quiet or args.json, [*request.lost], set()
    for error in errors:
        print(f"lookharder: left out: {error}", file=sys.stderr)
    for clip in todo:
        total = max(clip.count - task.takes_next_frame, 0) or None
        predicted = predict_clip(
            request.predictor,
            task,
            clip,
            folder,
            recipe=recipe,
            writing=request.writing,
            share=request.steady,
            **options,
        )
        try:
            with progress(silent, total=total, desc=clip.name, unit="frame") as bar:
                for frames in predicted:
                    bar.update(frames)
        except InputError as error:
            if len(mine) == 1 or args.strict:
                raise
            print(f"lookharder: left out: {error}", file=sys.stderr)
            errors.append(error)
            failed.add(clip.name)
    finish(folder, [(task.name, clip.name) for clip in request.clips])
    there, done = folder.by_key(), [clip for clip in mine if clip.name not in failed]
    for clip in done:
        say_record(args, there[task.name, clip.name])
    if not silent:
        skipped = f" ({len(made)} done before)" if made else ""
        left_out = f", {len(errors)} left out" if errors else ""
        print(f"{counted(len(done), 'clip')}, {task.name}{skipped}{left_out}: {folder.path / PAGE}")
    return 2 if errors else 0
