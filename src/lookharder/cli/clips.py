"""The verb `predict` on clips."""

import argparse
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
    silent = args.quiet or args.json
    for clip in todo:
        total = max(clip.count - task.takes_next_frame, 0) or None
        with progress(silent, total=total, desc=clip.name, unit="frame") as bar:
            for frames in predict_clip(
                request.predictor,
                task,
                clip,
                folder,
                recipe=recipe,
                writing=request.writing,
                share=request.steady,
                **options,
            ):
                bar.update(frames)
    finish(folder, [(task.name, clip.name) for clip in request.clips])
    there = folder.by_key()
    for clip in mine:
        say_record(args, there[task.name, clip.name])
    if not silent:
        skipped = f" ({len(made)} done before)" if made else ""
        print(f"{counted(len(mine), 'clip')}, {task.name}{skipped}: {folder.path / PAGE}")
    return 0
