"""A parser whose errors are InputErrors, and types of what is typed.

Nothing here reads argparse's messages, which differ between versions of Python: types raise InputErrors of their own,
and what is missing, unknown or without its value is looked up in the arguments that were declared.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from lookharder.errors import InputError


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
