"""The verb `predict`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookharder.cli.arguments import (
    TASK,
    add_denoising,
    add_model,
    add_resolution,
    add_sampling,
    add_speed,
)
from lookharder.cli.parser import Parser, choice, number, rule, whole
from lookharder.cli.shards import add_shard, by_rank
from lookharder.cli.writing import add_writing, say_metres, say_record, seen_at
from lookharder.errors import InputError, counted

if TYPE_CHECKING:
    from lookharder.cli.request import PredictRequest
    from lookharder.predict.files.folder import ResultFolder

HELP = "depth, flow or the whole of a hidden object, from images"
EPILOG = ""


@dataclass(kw_only=True)
class PredictTally:
    """What became of the pictures.

    Attributes:
        refused: why each of those was that cannot be used.
        before: how many results were there.
        made: how many are new.
        sizes: at which the network worked.
        choices: what a budget bought, in words, in the order of first use.
    """

    refused: list[InputError]
    before: int
    made: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)
    choices: dict[str, None] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one result."""
        self.made += 1
        self.sizes.add((record["resolution"][0], record["resolution"][1]))
        if record["choice"] is not None:
            self.choices[record["choice"]] = None


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
    for flag, where, what in (
        ("--box", "x0,y0,x1,y1", "a box around"),
        ("--point", "x,y", "a pixel of"),
    ):
        parser.add_argument(
            flag,
            nargs="+",
            action="extend",
            metavar=where,
            help=f"amodal: in place of --mask, {what} the object, pixels; GrabCut finds its visible part",
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
        help="sample members until the answer is this certain: 0.01 (units of the answer) or gain:0.001;\n"
        "look at windows of flow until they have come to rest: change:1 (pixels)",
    )
    parser.add_argument(
        "--output",
        type=choice("depth", "log", "disparity"),
        metavar="V",
        help="depth: a map of depth, log (depth) or disparity, each up to scale and shift [depth]",
    )
    parser.add_argument(
        "--steady",
        type=number,
        metavar="S",
        help="depth of a clip: share of the frame before that is mixed in, against flicker; 0: frames alone [0.5]",
    )
    parser.add_argument(
        "--as-released",
        action="store_true",
        help="of the paper's release: predict as its program does",
    )
    parser.add_argument(
        "--antithetic", action="store_true", help="members in pairs of opposite noise"
    )
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
    from lookharder.cli.request import read_request
    from lookharder.predict.files.folder import hold

    request = read_request(args)
    with hold(args.out, request.shard, request.run) as folder:
        if request.clips:
            return run_clips(args, request, folder)
        tally = _predict(args, request, folder)
    if not (args.quiet or args.json):
        _say(args, request, tally)
    return 2 if tally.refused and not by_rank(args) else 0


def _predict(
    args: argparse.Namespace, request: "PredictRequest", folder: "ResultFolder"
) -> PredictTally:
    """Predict what is not there yet, and say each result as it comes."""
    from lookharder.cli.terminal import progress
    from lookharder.predict.files.batch import begin, finish, predict_files, split
    from lookharder.predict.files.pictures import check
    from lookharder.predict.files.questions import named
    from lookharder.shard import WHOLE

    task, writing, how = request.task, request.writing, request.options
    known = [each for each in folder.records if each.get("task") == task.name]
    questions = named(request.questions, known)
    inputs, refused = check(task, questions, request.shard)
    _tell(refused, stop=args.strict or (request.shard == WHOLE and not inputs))
    todo, done = split(
        folder, inputs, request.recipe, skip_existing=args.skip_existing, anew=args.overwrite
    )
    there = folder.by_key()
    for item in done:
        say_record(args, there[item.task.name, item.name])
    unsure = how["output_uncertainty"]
    begin(folder, todo, unsure=unsure, writing=writing, overwrite=args.overwrite)
    predicted = predict_files(
        request.predictor, inputs, todo, folder, recipe=request.recipe, writing=writing, **how
    )
    tally, silent = PredictTally(refused=refused, before=len(done)), args.quiet or args.json
    with progress(total=len(todo), desc=args.task, silent=silent) as bar:
        for _, made in predicted:
            bar.update()
            if isinstance(made, InputError):
                refused.append(made)
                _tell([made], stop=args.strict or len(questions) == 1)
                continue
            say_record(args, made)
            if writing.known is not None and not silent:
                say_metres(made, len(writing.known.points))
            tally.add(made)
    finish(folder, [(task.name, each.name) for each in questions])
    return tally


def _say(args: argparse.Namespace, request: "PredictRequest", tally: PredictTally) -> None:
    """Sum up: what a budget bought, how many predictions there are and where."""
    from lookharder.shard import WHOLE

    for chosen in tally.choices:
        print(f"budget {chosen}")
    count = tally.made + tally.before
    skipped = f" ({tally.before} done before)" if tally.before else ""
    lost = f", {len(tally.refused)} left out" if tally.refused else ""
    part = "" if request.shard == WHOLE else f", shard {request.shard}"
    print(
        f"{counted(count, f'{args.task} prediction')}{skipped}{lost}{part}{seen_at(tally.sizes)}: "
        f"{args.out / 'index.html'}"
    )


def _tell(errors: Sequence[InputError], stop: bool) -> None:
    """Say what cannot be used and is left out; the first ends it all where `stop` says so."""
    for error in errors:
        if stop:
            raise error
        print(f"lookharder: left out: {error}", file=sys.stderr)
