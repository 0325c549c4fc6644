"""Types of arguments: text that is read and checked while the line is parsed; they import nothing heavy."""

import argparse
import re
from collections.abc import Callable
from typing import Any

from lookharder.errors import InputError


def whole(least: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers from `least` on."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"got {text!r}, allowed: a whole number, {least} or more"
            )
        return int(text)

    return convert


def rule(name: str) -> Callable[[str], Any]:
    """A type of arguments: a `Budget` or an `Until`, read when it is given, for the reader needs torch."""

    def convert(text: str) -> Any:
        from lookharder.predict import effort

        try:
            return getattr(effort, name).parse(text)
        except InputError as error:
            _, got, allowed = error.args
            raise argparse.ArgumentTypeError(f"got {got}, allowed: {allowed}") from error

    return convert
