"""The arguments of every verb, and argparse's complaints in the words of `InputError`."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from lookharder import __version__
from lookharder.cli import cache, check, plan, plot, study
from lookharder.cli.arguments import rule, whole
from lookharder.errors import InputError

TASKS = ("depth", "flow", "amodal")

DESCRIPTION = "Depth, optical flow and hidden objects by iterative denoising."
EXAMPLES = """examples:
  lookharder demo
  lookharder predict depth photo.jpg --out result
  lookharder predict depth photos/ --steps 8 --members 8 --out result
  lookharder predict flow frame1.png --second frame2.png --out result
  lookharder predict amodal photo.jpg --mask visible.png --out result
  lookharder train tiny --set train.iterations=2000 --out run
  lookharder evaluate --model run/model --task depth --data procedural:100 --out scores.json
  lookharder inspect run/model --resolution 512
"""
TRAIN = """An unknown RECIPE lists those there are. A stopped run is resumed by the same command:
it saves when it gets SIGTERM, SIGUSR1 or Ctrl-C, and exits with 75."""
CONVERT = """The architecture is recognised from the file. DiT and DiT-MoE become the start of a
generalist: they generate as before, and their tasks wait for training."""
INSPECT = """With --data and --out, for a model with experts: each picture is predicted for every task,
and routing.json and routing.png say which experts were picked, by layer, task and step."""
DATA = "procedural[:COUNT[:SEED]], or READER:PATH; an unknown READER lists those there are"
# fmt: off
CHOICES = (
    ("--sampler", "A", ("ddim", "ddpm", "dpmpp-2m", "euler", "heun"), "{} [ddim]"),
    ("--spacing", "P", ("trailing", "leading", "linspace"), "of the steps: {} [trailing]"),
    ("--noise-schedule", "Q", ("linear", "scaled-linear", "cosine", "rectified"), "of the steps: {} [the model's]"),
)
# fmt: on

# What argparse says -> (argument, got, allowed) of an InputError.
COMPLAINTS: tuple[tuple[str, str, str, str], ...] = (
    (r"argument (.+?): got (.*), allowed: (.*)", r"\1", r"\2", r"\3"),
    (r"argument (.+?): invalid choice: (.*) \(choose from (.*)\)", r"\1", r"\2", r"\3"),
    (r"argument (.+?): expected (.*)", r"\1", "nothing", r"\2"),
    (r"the following arguments are required: (.*)", r"\1", "nothing", "a value"),
    (r"unrecognized arguments: (.*)", r"\1", "an argument that is not known", ""),
)


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are InputErrors: one line, exit code 2, like all bad input."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **keywords
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        help_ = f"what `{self.prog} --help` lists"
        for pattern, *parts in COMPLAINTS:
            if match := re.fullmatch(pattern, message, re.DOTALL):
                argument, got, allowed = (match.expand(part) for part in parts)
                raise InputError(argument, got, allowed or help_)
        raise InputError("arguments", message, help_)


def build() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the whole command, and that of each verb by its name."""
    parser = Parser(prog="lookharder", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"lookharder {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    table: dict[str, tuple[Callable[[Parser], None], str, str]] = {
        "demo": (_demo, "predict and score all three tasks on the embedded scenes", ""),
        "predict": (_predict, "depth, flow or the whole of a hidden object, from images", ""),
        "train": (_train, "run or resume a recipe", TRAIN),
        "evaluate": (_evaluate, "score a model on a data set, beside trivial answers", ""),
        "inspect": (
            _inspect,
            "what a model is and costs; on --data, which experts it uses",
            INSPECT,
        ),
        "convert": (_convert, "published weights into a model folder, key by key", CONVERT),
        "upcycle": (_upcycle, "a dense model into a mixture of experts, its function kept", ""),
        "plot": (
            plot.add_arguments,
            "runs as a figure and a table: losses, speed, goodput",
            plot.EPILOG,
        ),
        "cache": (cache.add_arguments, "encode a data set once, for training", cache.EPILOG),
        "check": (check.add_arguments, "read all of a data set and list its faults", check.EPILOG),
        "plan": (
            plan.add_arguments,
            "a budget in, a recipe out, by the laws of a study",
            plan.EPILOG,
        ),
        "study": (study.add_arguments, "run or resume a study of how errors scale", study.EPILOG),
    }
    parsers: dict[str, Parser] = {}
    for verb, (add_arguments, help_, epilog) in table.items():
        sentence = help_[0].upper() + help_[1:] + "."
        parsers[verb] = verbs.add_parser(verb, help=help_, description=sentence, epilog=epilog)
        add_arguments(parsers[verb])
    return parser, parsers


def _demo(parser: Parser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("lookharder-demo"),
        metavar="DIR",
        help="folder of results [%(default)s]",
    )
    _model(parser)
    parser.add_argument(
        "--count", type=whole(1), default=12, metavar="N", help="scenes [%(default)s]"
    )


def _predict(parser: Parser) -> None:
    parser.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="files, folders or globs")
    pictures: dict[str, Any] = {"nargs": "+", "action": "extend", "metavar": "IMAGE"}
    parser.add_argument("--second", **pictures, help="flow: the next frame of each IMAGE, in order")
    parser.add_argument(
        "--mask", **pictures, help="amodal: the visible part in each IMAGE, in order"
    )
    _model(parser)
    _sampling(parser)
    _denoising(parser)
    parser.add_argument(
        "--resolution",
        type=whole(0),
        metavar="R",
        help="longest edge at which the network works, pixels; 0 the picture's own [the model's]",
    )
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
        help="what one picture may cost: 2s, 5GMACs, 500MB; picks steps, draws and sampler",
    )
    parser.add_argument(
        "--until",
        type=rule("Until"),
        metavar="U",
        help="draw until the answer is this certain: 0.01 (units of the answer) or gain:0.001",
    )
    parser.add_argument("--antithetic", action="store_true", help="draws in opposite pairs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")


def _train(parser: Parser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        help="change a value of the recipe; may be repeated",
    )
    parser.add_argument("--out", type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what it costs and needs; run and write nothing",
    )


def _evaluate(parser: Parser) -> None:
    parser.add_argument(
        "--task", choices=TASKS, required=True, metavar="TASK", help=", ".join(TASKS)
    )
    parser.add_argument("--data", required=True, metavar="SPEC", help=DATA)
    _model(parser)
    _sampling(parser)
    _denoising(parser)
    _size(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="the scores")


def _convert(parser: Parser) -> None:
    parser.add_argument("source", type=Path, metavar="SRC", help=".safetensors, .pt or .pth")
    parser.add_argument(
        "--from",
        dest="layout",
        choices=("dit", "dit-moe", "paper"),
        metavar="L",
        help="refuse what is not dit, dit-moe or paper [whatever the file is]",
    )
    parser.add_argument(
        "--autoencoder",
        metavar="A",
        help="folder or hub name of the latents' AutoencoderKL [Stable Diffusion's]",
    )
    parser.add_argument(
        "--heads", type=whole(1), metavar="H", help="attention heads [by the size's name]"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DST", help="the model folder")


def _upcycle(parser: Parser) -> None:
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


def _inspect(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model folder or shipped model")
    _device(parser)
    parser.add_argument(
        "--resolution",
        type=whole(1),
        metavar="R",
        help="longest edge at which the network works, pixels [the model's]",
    )
    _sampling(parser)
    parser.add_argument("--data", metavar="SPEC", help=DATA)
    _size(parser)
    parser.add_argument(
        "--task",
        action="append",
        choices=(*TASKS, "generation"),
        metavar="TASK",
        help="task to predict; may be repeated [all of the model's but generation]",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the routing report")


def _model(parser: Parser) -> None:
    parser.add_argument(
        "--model", default="tiny", metavar="M", help="model folder or shipped model [%(default)s]"
    )
    _device(parser)


def _device(parser: Parser) -> None:
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        metavar="D",
        help="auto, cpu or cuda [%(default)s]",
    )


def _size(parser: Parser) -> None:
    parser.add_argument(
        "--size",
        type=whole(8),
        metavar="S",
        help="side of procedural scenes, pixels [the model's resolution]",
    )


def _sampling(parser: Parser) -> None:
    parser.add_argument(
        "--steps", type=whole(1), metavar="T", help="denoising steps [the model's default]"
    )
    parser.add_argument(
        "--members",
        type=whole(1),
        metavar="N",
        help="draws that are merged; more than one also give an uncertainty [the model's default]",
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, metavar="S", help="key of the noise [%(default)s]"
    )


def _denoising(parser: Parser) -> None:
    for flag, letter, names, words in CHOICES:
        text = words.format(", ".join(names))
        parser.add_argument(flag, choices=names, metavar=letter, help=text)
