"""The verb `study`."""

import argparse
import sys
from pathlib import Path

from lookharder.cli.arguments import add_download
from lookharder.cli.parser import Parser, choice, whole
from lookharder.errors import InputError, counted

HELP = "run or resume a study of how errors scale"
EPILOG = """NAME is one of model-size, steps, draws, spacing, schedule, trade, pretraining, upcycling, resolution,
generalist, allocation, or all. The same command resumes a study, whatever was killed; studies that share a DIR share
their runs. SIGTERM and Ctrl-C give the runs back, saved, and exit with 75; where memory or disk
runs out they are given back too, with 1."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder study` takes."""
    add_download(parser)
    parser.add_argument("name", metavar="NAME", help="which study, or all")
    parser.add_argument(
        "--preset",
        default="laptop",
        metavar="P",
        help="how large: laptop, paper or micro [%(default)s]",
    )
    parser.add_argument(
        "--executor",
        type=choice("local", "slurm"),
        default="local",
        metavar="E",
        help="local or slurm (needs the extra) [%(default)s]",
    )
    parser.add_argument(
        "--workers", type=whole(1), default=1, metavar="W", help="runs at a time [%(default)s]"
    )
    parser.add_argument("--only", metavar="GLOB", help="runs of such titles, and what they need")
    parser.add_argument(
        "--retry",
        type=whole(0),
        default=0,
        metavar="N",
        help="how often a run that fails is tried again, in all [%(default)s]",
    )
    parser.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of its array of workers, e.g. slurm_partition=gpu, gpus_per_node=8, timeout_min=600; repeatable",
    )
    parser.add_argument(
        "--records", type=Path, metavar="FILE", help="measurements that need not be made again"
    )
    parser.add_argument("--dry-run", action="store_true", help="what is left, and its cost")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")


def run(args: argparse.Namespace) -> int:
    """Run what is left, judge, write; a stop that was asked for exits with 75, and the same command resumes."""
    from lookharder.cli.terminal import show
    from lookharder.files import make_folder
    from lookharder.study import command
    from lookharder.study.queue.worker import STOPPED, Stopped

    if args.slurm and args.executor != "slurm":
        raise InputError("--slurm", " ".join(args.slurm), "nothing without --executor slurm")
    parameters = dict(map(_parameter, args.slurm))
    known = command.known_records(args.records)
    if not args.dry_run:
        make_folder(args.out)
    elif args.out.exists() and not args.out.is_dir():
        raise InputError("--out", f"{args.out}, which is no folder", "a folder, new or not")
    plan, ledger, records = command.open_plan(
        args.name, args.preset, args.out, known, args.only, args.dry_run
    )
    if args.dry_run:
        title = f"study {args.name}, preset {args.preset}, {counted(args.workers, 'worker')}"
        show(title, command.cost_table(plan, ledger, args.workers))
        return 0
    try:
        failed = command.execute(
            plan,
            ledger,
            records,
            executor=args.executor,
            workers=args.workers,
            retry=args.retry,
            say=lambda line: print(line, flush=True),
            **({"parameters": parameters} if parameters else {}),
        )
    except Stopped as stopped:
        print(f"stopped by {stopped}; the same command resumes")
        return STOPPED
    for title, error in failed.items():
        print(f"failed: {title}: {error}")
    for path in command.write_results(plan, records, args.out, args.preset):
        print(path)
    measured = command.count_measured(plan, records)
    print(f"{measured} of {len(plan.points)} points: {args.out / 'records.jsonl'}")
    if failed:
        count = counted(len(failed), "run")
        print(
            f"lookharder: error: {count} failed, see above; --retry tries again what failed",
            file=sys.stderr,
        )
    return 1 if failed else 0


def _parameter(text: str) -> tuple[str, int | str]:
    """KEY=VALUE; a whole number is one."""
    key, found, value = text.partition("=")
    if not (found and key.isidentifier() and value):
        raise InputError("--slurm", repr(text), "KEY=VALUE")
    return key, int(value) if value.isdecimal() else value
