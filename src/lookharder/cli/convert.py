"""The verb `convert`."""

import argparse
from pathlib import Path

from lookharder.cli.parser import Parser, choice, whole

HELP = "published weights into a model folder, key by key"
EPILOG = """The architecture is recognised from the file. DiT and DiT-MoE become the start of a
generalist: they generate as before, and their tasks wait for training. SiT has DiT's tensors: it is told by the name
of the file, or by --from sit. DiT-MoE was trained by DDPM up to B and by rectified flow from XL on (--from
dit-moe-flow). U-Nets of Stable Diffusion are not read."""


def add_arguments(parser: Parser) -> None:
    """What `lookharder convert` takes."""
    parser.add_argument("source", type=Path, metavar="SRC", help=".safetensors, .pt or .pth")
    parser.add_argument(
        "--from",
        dest="layout",
        type=choice("dit", "dit-moe", "dit-moe-flow", "sit", "paper"),
        metavar="L",
        help="refuse what is not dit, dit-moe, dit-moe-flow, sit or paper [as recognised]",
    )
    parser.add_argument(
        "--autoencoder",
        metavar="A",
        help="folder or hub name of the latents' AutoencoderKL [Stable Diffusion's]",
    )
    parser.add_argument(
        "--heads", type=whole(1), metavar="H", help="attention heads [by the size's name]"
    )
    parser.add_argument(
        "--as-released",
        action="store_true",
        help="of the paper's release: sample as its program does [as the text says]",
    )
    parser.add_argument("--verbose", action="store_true", help="also where each parameter is from")
    parser.add_argument("--out", type=Path, required=True, metavar="DST", help="the model folder")


def run(args: argparse.Namespace) -> int:
    """Write the model folder; print what was recognised, what it costs and what was checked."""
    from lookharder.cli.terminal import show_conversion
    from lookharder.conversion import convert

    report = convert(
        args.source,
        args.out,
        layout=args.layout,
        autoencoder=args.autoencoder,
        num_heads=args.heads,
        as_released=args.as_released,
    )
    if args.verbose:
        for name, shape, parts in report.keys:
            print(f"{name} {shape} <- {parts}")
    show_conversion(report)
    where = args.out / "conversion.json"
    print(f"{len(report.keys)} parameters, each with its origin: {where}, or --verbose")
    return 0
