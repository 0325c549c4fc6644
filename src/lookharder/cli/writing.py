"""What `predict` writes of each answer, and what it says: the arguments, and what they ask for."""

import argparse
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookharder.cli.parser import Parser, choice, number
from lookharder.errors import InputError, printable

if TYPE_CHECKING:
    from lookharder.predict.predictor import Predictor
    from lookharder.visualize.answer_files import Writing

COLORMAPS = ("spectral", "grey", "turbo", "viridis", "magma", "inferno")


def add_writing(parser: Parser) -> None:
    """--format and what else decides which files there are, and what is said."""
    parser.add_argument(
        "--format",
        metavar="F",
        help="of the array, with commas: npy, npz; depth: png16, pfm, exr, tiff; flow: flo, kitti-png, pfm,\n"
        "exr; amodal: png; or none [depth: npy,png16; flow: npy,flo; amodal: npy,png]",
    )
    parser.add_argument(
        "--outputs",
        metavar="O",
        help="which files of each answer, with commas: array, vis, input, whole, uncertainty [all]",
    )
    parser.add_argument(
        "--colormap",
        type=choice(*COLORMAPS),
        metavar="C",
        help=f"of depth: {', '.join(COLORMAPS)} [spectral]",
    )
    parser.add_argument(
        "--fov",
        type=number,
        metavar="D",
        help="of --ply and --glb: field of view, degrees [60, assumed]",
    )
    parser.add_argument(
        "--near-far",
        metavar="N,F",
        help="of --ply and --glb: nearest and farthest distance, metres [1,5, assumed]",
    )
    parser.add_argument(
        "--metric",
        type=Path,
        metavar="K.json",
        help="depth: also in metres, by a fit to known distances, [[x, y, metres], ...] in pixels of the image",
    )
    for flag, words in (
        ("--grey", "depth in grey, near is white: --colormap grey"),
        ("--beside", "also the image beside the answer, as one picture"),
        ("--ply", "depth: also a cloud of coloured points"),
        ("--glb", "the same as glTF, for browsers and Blender"),
        ("--json", "the records on standard output, a line each, and nothing else"),
        ("--quiet", "say nothing but what is wrong"),
        ("--verbose", "say what was made of each image"),
    ):
        parser.add_argument(flag, action="store_true", help=words)


def writing_of(args: argparse.Namespace) -> "Writing":
    """What the arguments ask to be written.

    Raises:
        InputError: arguments that contradict each other, or a lens that there cannot be.
    """
    from lookharder.visualize.answer_files import Writing
    from lookharder.visualize.known import KnownDepths
    from lookharder.visualize.looks import Look
    from lookharder.visualize.points import Lens

    if args.grey and args.colormap not in (None, "grey"):
        raise InputError("--grey", f"--colormap {args.colormap} beside it", "one of the two")
    clouds = tuple(cloud for cloud in ("ply", "glb") if getattr(args, cloud))
    for flag in ("fov", "near_far"):
        if getattr(args, flag) is not None and not clouds:
            allowed = "--ply or --glb beside it"
            raise InputError(f"--{flag.replace('_', '-')}", "no cloud of points", allowed)
    if args.metric is not None and args.near_far is not None:
        raise InputError("--near-far", "--metric beside it", "one of the two")
    near, far = _pair("--near-far", args.near_far or "1,5")
    return Writing(
        formats=None if args.format is None else tuple(args.format.split(",")),
        outputs=None if args.outputs is None else tuple(args.outputs.split(",")),
        look=Look(colormap="grey" if args.grey else args.colormap or "spectral"),
        beside=args.beside,
        clouds=clouds,
        lens=Lens(fov=60.0 if args.fov is None else args.fov, near=near, far=far),
        known=None if args.metric is None else KnownDepths.read(args.metric),
    )


def say_record(args: argparse.Namespace, record: Mapping[str, Any]) -> None:
    """What was made of an image, as the arguments want it."""
    if args.json:
        print(json.dumps(record, allow_nan=False))
    elif args.verbose:
        unsure = record.get("uncertainty_mean")
        more = "" if unsure is None else f", mean uncertainty {unsure:.3g}"
        where = seen_at({tuple(record["resolution"])})
        print(printable(f"{record['input']}: {record['seconds']:.2f} s{where}{more}"))


def seen_at(sizes: Collection[tuple[int, int]]) -> str:
    """At which size the network looked first, (height, width) of each image, as the end of a sentence."""
    if not sizes:
        return ""
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    return f", seen at {'up to ' * (len(sizes) > 1)}{width} x {height} pixels"


def say_metres(record: Mapping[str, Any], points: int) -> None:
    """What the fit of --metric found."""
    scale, shift, left = (record[f"metric_{name}"] for name in ("scale", "shift", "residual"))
    trust = f"{left:.3g} m are left at {points} points (root mean square)"
    print(
        f"metres = {scale:.4g} x depth + {shift:.4g}: "
        + (trust if points > 2 else "two points always fit")
    )
    if (least := record["metric_least"]) <= 0:
        print(
            f"the nearest pixel lies at {least:.3g} m: these distances do not suit all of the map"
        )


def warn_of_untrained(predictor: "Predictor") -> None:
    """Say on standard error that a model has learnt nothing yet; records and pages then name it so, too."""
    from lookharder.predict.info import untrained

    if untrained(predictor.chain):
        told = f"{predictor.name} is untrained: its last layer is zero, and so is every answer"
        print(printable(f"lookharder: {told}"), file=sys.stderr)
        predictor.name += " (untrained)"


def _pair(flag: str, text: str) -> tuple[float, float]:
    first, comma, second = text.partition(",")
    if not comma:
        raise InputError(flag, repr(text), "two numbers with a comma")
    return number(first), number(second)
