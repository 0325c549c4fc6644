"""The verb `upcycle`."""

import argparse
from dataclasses import replace
from pathlib import Path

from lookharder.cli.arguments import add_download
from lookharder.cli.parser import Parser, whole

HELP = "a dense model into a mixture of experts, its function kept"
EPILOG = ""


def add_arguments(parser: Parser) -> None:
    """What `lookharder upcycle` takes."""
    add_download(parser)
    parser.add_argument("source", metavar="SRC", help="model folder or shipped model, dense")
    parser.add_argument("--experts", type=whole(1), required=True, metavar="E", help="experts")
    parser.add_argument(
        "--active", type=whole(1), required=True, metavar="K", help="experts of each token"
    )
    parser.add_argument(
        "--no-renormalise",
        action="store_true",
        help="gates as in DiT-MoE, which do not sum to 1 and change the function",
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, metavar="S", help="key of the routers [%(default)s]"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DST", help="the model folder")


def run(args: argparse.Namespace) -> int:
    """Write the model folder; print what it costs and how near its function is."""
    from lookharder.chain import find
    from lookharder.cli.terminal import show_conversion
    from lookharder.conversion import upcycle_folder

    report = upcycle_folder(
        find(args.source, "SRC"),
        args.out,
        experts=args.experts,
        active=args.active,
        renormalise=not args.no_renormalise,
        seed=args.seed,
    )
    show_conversion(replace(report, source=args.source))
    return 0
