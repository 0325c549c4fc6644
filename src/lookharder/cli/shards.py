"""`--shard I/N`, of verbs whose work several processes share; under torchrun each takes that of its rank."""

import argparse
import os

from lookharder.cli.parser import Parser
from lookharder.shard import Shard


def add_shard(parser: Parser) -> None:
    """--shard."""
    parser.add_argument(
        "--shard",
        type=Shard.parse,
        metavar="I/N",
        help="do part I of N, from 0/N to N-1/N, beside others [under torchrun the rank's, else all]",
    )


def shard_of(args: argparse.Namespace) -> Shard:
    """The part that is asked for, or that of the rank."""
    shard: Shard = args.shard or Shard.of_rank()
    return shard


def by_rank(args: argparse.Namespace) -> bool:
    """Whether torchrun watches this process, and ends all others where one ends with an exit code of its own."""
    return args.shard is None and os.environ.get("WORLD_SIZE", "1") != "1"
