"""The verb `export`."""

import argparse
from pathlib import Path

from lookharder.cli.arguments import add_download
from lookharder.cli.parser import Parser, choice

HELP = "a model as ONNX graphs, for what runs without torch"
EPILOG = """One call of the denoiser, the autoencoder's two ways, and manifest.json, which says what they take: batch,
height and width are free. Each is held against torch at another size than it was traced at. The extra `onnx`."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder export` takes."""
    add_download(parser)
    parser.add_argument("model", metavar="MODEL", help="model folder, shipped model or org/name")
    parser.add_argument("--to", type=choice("onnx"), required=True, metavar="F", help="onnx")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder")


def run(args: argparse.Namespace) -> int:
    """Write the graphs; print what they are and how near they are."""
    from lookharder.chain import Chain, find
    from lookharder.export import export

    made = export(Chain.load(find(args.model, "MODEL")), args.out, args.model)
    for name, difference in made["largest_difference"].items():
        path = args.out / f"{name}.onnx"
        size = path.stat().st_size / 1e6
        print(f"{path}: {size:.1f} MB, within {difference:.1g} of torch")
    print(f"opset {made['opset']}; sides are {made['sides']}: {args.out / 'manifest.json'}")
    return 0
