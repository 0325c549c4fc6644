"""The arguments of verbs: a parser whose errors are InputErrors, types of text, and arguments that verbs share.

Nothing here reads argparse's messages, which differ between versions of Python: types raise InputErrors of their own,
and what is missing, unknown or without its value is looked up in the arguments that were declared.
"""

import argparse
import gc
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

from lookharder.errors import InputError

if TYPE_CHECKING:
    from lookharder.predict.predictor import Predictor

MAX_SCENE, MAX_MEMBERS = 2048, 10_000
TASK = "depth, flow, amodal, or another that the model has"
DATA = (
    "procedural[:COUNT[:SEED]], or READER:PATH[?OPTIONS]; an unknown READER lists those there are"
)


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are InputErrors: one line, exit code 2, like all bad input."""

    def __init__(self, *, prog: str, description: str, epilog: str) -> None:
        self._declared: list[argparse.Action] = []
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            exit_on_error=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def add_argument(self, *names: Any, **keywords: Any) -> argparse.Action:
        """As argparse does, which calls this for --help too."""
        action = super().add_argument(*names, **keywords)
        self._declared.append(action)
        return action

    @property
    def flags(self) -> list[str]:
        """Every option, sorted: --device, --help and so on."""
        found = [flag for action in self._declared for flag in action.option_strings]
        return sorted(flag for flag in found if flag.startswith("--"))

    def parse_line(self, line: Sequence[str]) -> argparse.Namespace:
        """The values of a line; options and other arguments in any order.

        Raises:
            InputError: for the first mistake found.
            SystemExit: after --help.
        """
        if {"-h", "--help"} & set(line):  # before any mistake is looked for
            self.print_help()
            raise SystemExit(0)
        required = [action for action in self._declared if action.required]
        for action in required:
            action.required = False  # what is missing is found below
        try:
            args, unknown = self.parse_known_intermixed_args(line)
        except argparse.ArgumentError as error:
            raise self._explain(error) from error
        if unknown:
            raise self._unknown(unknown[0])
        missing = [_name(action) for action in required if getattr(args, action.dest) is None]
        if missing:
            raise InputError(", ".join(missing), "nothing", "a value")
        return args

    def error(self, message: str) -> NoReturn:
        """What argparse finds on its own; nothing known leads here."""
        raise InputError("arguments", message, self._help)

    @property
    def _help(self) -> str:
        return f"what `{self.prog} --help` lists"

    def _explain(self, error: argparse.ArgumentError) -> InputError:
        """A value that its type refuses, a value that is missing, or one for a flag that takes none."""
        name, cause = str(error.argument_name), error.__context__
        if isinstance(cause, InputError):
            _, got, allowed = cause.args
            return InputError(name, got, allowed)
        nargs = {_name(action): action.nargs for action in self._declared}.get(name)
        if nargs == 0:
            return InputError(name, "a value", "none: it is given or it is not")
        return InputError(name, "nothing", "one value or more" if nargs == "+" else "one value")

    def _unknown(self, word: str) -> InputError:
        if not word.startswith("-"):
            return InputError("arguments", f"{word!r}, which is one too many", self._help)
        flag = word.partition("=")[0]
        allowed = close_to(flag, self.flags) + self._help
        return InputError(flag, "an argument that is not known", allowed)


def _name(action: argparse.Action) -> str:
    """As argparse's errors name it: `--out`, or TASK."""
    return "/".join(action.option_strings) or str(action.metavar)


def close_to(word: str, known: Sequence[str]) -> str:
    """The nearest known word, as "perhaps X; "; nothing where none is near."""
    return "".join(f"perhaps {near}; " for near in get_close_matches(word, known, 1))


def whole(least: int, most: int = 10**9) -> Callable[[str], int]:
    """A type of arguments: whole numbers from `least` to `most`."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not least <= int(text) <= most:
            above = f"{least} or more" if most == 10**9 else f"{least} to {most}"
            raise InputError("number", repr(text), f"a whole number, {above}")
        return int(text)

    return convert


def number(text: str) -> float:
    """A type of arguments: numbers."""
    try:
        return float(text)
    except ValueError as error:
        raise InputError("number", repr(text), "a number") from error


def choice(*names: str) -> Callable[[str], str]:
    """A type of arguments: one of some words."""

    def convert(text: str) -> str:
        if text not in names:
            raise InputError("choice", repr(text), close_to(text, names) + ", ".join(names))
        return text

    return convert


def rule(name: str) -> Callable[[str], Any]:
    """A type of arguments: a `Budget` or a `StopRule`, read when it is given, for the reader needs torch."""

    def convert(text: str) -> Any:
        from lookharder.predict import effort

        return getattr(effort, name).parse(text)

    return convert


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


def add_denoising(parser: Parser) -> None:
    """--levels, --merge, --sampler, --spacing and --noise-schedule."""
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
    predictor = Predictor.from_pretrained(name, pick_device(args.device))
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
