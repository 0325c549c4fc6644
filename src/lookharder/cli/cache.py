"""The verb `cache`."""

import argparse
from pathlib import Path

from lookharder.cli.arguments import TASK, add_device, named
from lookharder.cli.parser import Parser, whole
from lookharder.errors import InputError

HELP = "encode a data set once, for training"
EPILOG = """Training reads the latents with data SPEC latents:DIR. The same command resumes what was stopped, and
verifies what is finished: a damaged shard is encoded again."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder cache` takes."""
    parser.add_argument(
        "--data",
        required=True,
        metavar="SPEC",
        help="procedural[:COUNT[:SEED]], or READER:PATH[?OPTIONS]",
    )
    parser.add_argument("--task", required=True, metavar="TASK", help=TASK)
    parser.add_argument("--model", metavar="M", help="its autoencoder and its task [tiny]")
    parser.add_argument(
        "--autoencoder",
        metavar="A",
        help="instead of a model's: pixel, tiny (the shipped one) or a folder; the task's defaults",
    )
    add_device(parser)
    parser.add_argument(
        "--size", type=whole(8), metavar="S", help="side of procedural scenes [the model's, or 64]"
    )
    parser.add_argument(
        "--shard", type=whole(1), default=1024, metavar="N", help="examples a file [%(default)s]"
    )
    parser.add_argument(
        "--batch-size",
        type=whole(1),
        default=16,
        metavar="B",
        help="examples encoded together [%(default)s]",
    )
    parser.add_argument(
        "--workers", type=whole(1), default=1, metavar="W", help="reading processes [%(default)s]"
    )
    parser.add_argument("--half", action="store_true", help="float16 on disk, half the size")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of latents")


def run(args: argparse.Namespace) -> int:
    """Encode what is not encoded yet, and verify the rest."""
    from lookharder.chain import Chain, find
    from lookharder.cli.terminal import progress
    from lookharder.data.source import open_spec, source_trace
    from lookharder.files import make_folder
    from lookharder.hardware import pick_device
    from lookharder.tasks.registry import TASKS
    from lookharder.training.latent_cache import CacheConfig, cache_latents, open_autoencoder

    if args.model is not None and args.autoencoder is not None:
        raise InputError("--model, --autoencoder", "both", "one of them: a model has its own")
    device = pick_device(args.device)
    if args.autoencoder is not None:
        if args.task not in TASKS:
            raise InputError("--task", repr(args.task), f"one of {sorted(TASKS)}")
        codec, task, size = open_autoencoder(args.autoencoder), TASKS[args.task](), 64
    else:
        chain = Chain.load(find(args.model or "tiny"))
        with named("--task"):
            task = chain.task(args.task)
        codec, size = chain.autoencoder, chain.config.resolution
    size = size if args.size is None else args.size
    dataset = open_spec(args.data, size)
    make_folder(args.out)
    with progress(total=len(dataset), desc="cache") as bar:
        found = cache_latents(
            dataset,
            args.out,
            CacheConfig(
                spec=args.data,
                size=size,
                shard=args.shard,
                dtype="float16" if args.half else "float32",
                batch_size=args.batch_size,
                workers=args.workers,
                source=source_trace(args.data),
            ),
            task=task,
            codec=codec,
            device=device,
            start=bar.update,
            tick=bar.update,
        )
    latents = f"{len(found)} examples in both flips, {found.facts.shards} shards"
    print(f"{latents}, verified: latents:{args.out}")
    return 0
