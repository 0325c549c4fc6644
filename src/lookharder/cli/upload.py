"""The verb `upload`."""

import argparse
from pathlib import Path

from lookharder.cli.parser import Parser

HELP = "a model to the Hugging Face hub, with its card"
EPILOG = """Sent are the configuration, the weights as safetensors, the settings and the card, nothing else of the
folder. With --dry-run nothing is sent: the card is printed, and the names of the files. It takes the extra `hub`,
and the token of `hf auth login` or HF_TOKEN."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder upload` takes."""
    parser.add_argument("model", metavar="MODEL", help="model folder or shipped model")
    parser.add_argument("name", metavar="ORG/NAME", help="its name there; made if there is none")
    parser.add_argument(
        "--license", metavar="L", help="of the weights, such as apache-2.0 [the card's]"
    )
    parser.add_argument(
        "--scores",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE.json",
        help="of `lookharder evaluate`, for the card",
    )
    parser.add_argument("--private", action="store_true", help="hide a model that is made")
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent")


def run(args: argparse.Namespace) -> int:
    """Complete the card; send the model, or show what would be sent."""
    from lookharder.chain import Chain, find
    from lookharder.chain.card import read_card, with_fields, write_card
    from lookharder.chain.hub import check_named, files_of, push
    from lookharder.evaluate.model_card import with_scores

    folder = find(args.model, "MODEL")
    files, chain = files_of(folder), Chain.load(folder)
    card = read_card(folder) or f"# {folder.name}\n"
    if "library_name:" not in card:
        card = write_card(chain.config, card)
    if args.license is not None:
        card = with_fields(card, {"license": args.license})
    if args.scores:
        card = with_scores(card, folder.name, chain, args.scores)
    check_named(args.name, card)
    if args.dry_run:
        print(card)
        for file in files:
            print(f"{folder / file}: {(folder / file).stat().st_size / 1e6:.1f} MB")
        return 0
    print(push(folder, args.name, card, private=args.private or None))
    return 0
