"""Arguments that verbs share, and what is done with them."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lookharder.cli.parser import Parser, choice, whole
from lookharder.errors import InputError

if TYPE_CHECKING:
    from lookharder.predict.predictor import Predictor

MAX_SCENE, MAX_MEMBERS = 2048, 10_000
TASK = "depth, flow, amodal, or another that the model has"
DATA = (
    "procedural[:COUNT[:SEED]], or READER:PATH[?OPTIONS]; an unknown READER lists those there are"
)


def add_device(parser: Parser) -> None:
    """--device."""
    parser.add_argument(
        "--device",
        type=choice("auto", "cpu", "cuda", "mps"),
        default="auto",
        metavar="D",
        help="auto, cpu, cuda or mps [%(default)s]",
    )
    add_download(parser)


def add_download(parser: Parser) -> None:
    """--allow-download, which `lookharder.cli.main` heeds."""
    parser.add_argument(
        "--allow-download",
        action="store_true",
        help="fetch a model or an autoencoder that is not on this machine from the Hugging Face hub",
    )


def add_model(parser: Parser) -> None:
    """--model and --device."""
    parser.add_argument(
        "--model",
        metavar="M",
        help="model folder, shipped model or org/name [the best that is shipped]",
    )
    add_device(parser)


def add_speed(parser: Parser) -> None:
    """--precision and --compiled."""
    parser.add_argument(
        "--precision",
        type=choice("fp32", "bf16", "auto"),
        default="fp32",
        metavar="P",
        help="of the network: fp32; bf16, which rounds its weights; auto, bf16 where this machine is "
        "quicker at it [%(default)s]",
    )
    parser.add_argument(
        "--compiled",
        action="store_true",
        help="fuse the network's blocks; needs a C++ compiler, and a minute at first",
    )


def add_size(parser: Parser) -> None:
    """--size, of procedural scenes."""
    parser.add_argument(
        "--size",
        type=whole(8, MAX_SCENE),
        metavar="S",
        help="side of procedural scenes, pixels [the model's resolution]",
    )


def add_resolution(parser: Parser) -> None:
    """--resolution and --fit."""
    parser.add_argument(
        "--resolution",
        type=whole(0),
        metavar="R",
        help="longest edge at which the network works, pixels; 0 the image's own [the model's]",
    )
    parser.add_argument(
        "--fit",
        type=choice("square", "inside"),
        metavar="F",
        help="square: both edges are that long; inside: the shape is kept [as the model was trained]",
    )


def add_sampling(parser: Parser) -> None:
    """--steps, --members and --seed."""
    parser.add_argument(
        "--steps", type=whole(1), metavar="T", help="denoising steps [the model's default]"
    )
    parser.add_argument(
        "--members",
        type=whole(1, MAX_MEMBERS),
        metavar="N",
        help="members that are merged; more than one also give an uncertainty [the model's default]",
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, metavar="S", help="key of the noise [%(default)s]"
    )


def add_sampler(parser: Parser) -> None:
    """--sampler and --spacing."""
    parser.add_argument(
        "--sampler",
        type=choice("ddim", "ddpm", "dpmpp-2m", "euler", "heun"),
        metavar="A",
        help="ddim, ddpm, dpmpp-2m, euler, heun [ddim]",
    )
    parser.add_argument(
        "--spacing",
        type=choice("trailing", "leading", "leading+1", "linspace"),
        metavar="P",
        help="of the steps: trailing, leading, leading+1, linspace [the model's]",
    )


def add_denoising(parser: Parser) -> None:
    """--levels, --mirror, --merge, --sampler, --spacing and --noise-schedule."""
    parser.add_argument(
        "--merge",
        type=choice("gram", "marigold", "median", "mean", "vote", "released"),
        metavar="W",
        help="depth: gram, marigold, median, mean, released; flow: median, mean; amodal: vote, median [the task's]",
    )
    parser.add_argument(
        "--levels",
        type=whole(1),
        metavar="L",
        help="looks: one at the whole, each further one at twice the size [the model's]",
    )
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="every second member sees the mirror image; two members where --members does not say more",
    )
    add_sampler(parser)
    parser.add_argument(
        "--noise-schedule",
        type=choice("linear", "scaled-linear", "cosine", "rectified"),
        metavar="Q",
        help="of the steps: linear, scaled-linear, cosine, rectified [the model's]",
    )


@contextmanager
def named(argument: str) -> Iterator[None]:
    """Call what is refused inside by the name that the user typed."""
    try:
        yield
    except InputError as error:
        _, got, allowed = error.args
        raise InputError(argument, got, allowed) from error


def open_model(args: argparse.Namespace, task: str | None = None) -> "Predictor":
    """The model of --model, or the shipped one for a task, on its --device, able to take so many --steps."""
    gc.disable()  # what torch makes when it is imported is no garbage
    from lookharder.chain import default_model
    from lookharder.hardware import pick_device
    from lookharder.predict.predictor import Predictor

    gc.enable()

    task = task or getattr(args, "task", None)
    name = default_model(task) if args.model is None else args.model
    predictor = Predictor.from_pretrained(
        name,
        pick_device(args.device),
        precision=getattr(args, "precision", "fp32"),
        compiled=getattr(args, "compiled", False),
    )
    steps, most = getattr(args, "steps", None), predictor.chain.config.schedule.steps
    if steps is not None and steps > most:
        raise InputError("--steps", steps, f"1 to {most}, the steps of the model's training")
    return predictor


def check_resolution(predictor: "Predictor", resolution: int | None, native: bool = False) -> None:
    """Refuse a --resolution at which the model cannot work; 0 passes where `native` says so."""
    from lookharder.data.formats import MAX_SIDE

    multiple = predictor.chain.multiple
    if resolution is None or (native and resolution == 0):
        return
    if not multiple <= resolution <= MAX_SIDE:
        allowed = f"{'0 (native) or ' * native}{multiple} to {MAX_SIDE}"
        raise InputError("--resolution", resolution, allowed)
