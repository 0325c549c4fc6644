"""The one door for JSON: what comes in is bounded, says one thing, and could be written again.

Refused are text that is deeper than `DEPTH`, an object with a key twice, numbers that are not finite or longer than
`DIGITS`, and halves of surrogate pairs, which no file can hold; but for those that stand for bytes of file names, where
file names are asked for. What the values mean is for `config.from_json`.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from lookharder.errors import InputError
from lookharder.files import read_text

DEPTH = 64  # arrays and objects inside each other
DIGITS = 40  # of a number; floats take 17, FLOPs of the largest training 27


def read_json(path: str | Path) -> Any:
    """The value in a file.

    Raises:
        InputError: no such file, or text that is not JSON as this module says.
    """
    return parse_json(read_text(path), str(path))


def read_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each line that is not blank; raises as `read_json`, naming the line."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, parse_json(line, f"{path}, line {number}")


def as_object(value: Any, name: str) -> dict[str, Any]:
    """The value, if it is an object; `name` is what an error calls it.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, dict):
        raise InputError(name, f"{type(value).__name__} {str(value)[:DIGITS]!r}", "a JSON object")
    return value


def parse_json(text: str | bytes, name: str, *, file_names: bool = False) -> Any:
    """The value that a text says.

    Args:
        text: of one value.
        name: what an error calls it.
        file_names: the text may hold names of files, whose bytes need not be UTF-8 (`os.fsdecode`).

    Raises:
        InputError: text that is not JSON as this module says.
    """
    try:
        value = json.loads(
            text,
            parse_constant=_refuse,
            parse_float=_float,
            parse_int=_int,
            object_pairs_hook=_object,
        )
        _bound(value, DEPTH, "surrogateescape" if file_names else "strict")
    except RecursionError as error:
        raise InputError(name, "JSON without an end to its depth", _allowed()) from error
    except ValueError as error:
        raise InputError(name, f"text that is not JSON ({error})", _allowed()) from error
    return value


def _allowed() -> str:
    return f"JSON, {DEPTH} levels deep, of finite numbers of {DIGITS} digits, each key once"


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word}, which is no number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:DIGITS]}, which is too large")
    return value


def _int(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"a key twice: {next(name for name in names if names.count(name) > 1)!r}")
    return value


def _bound(value: Any, depth: int, errors: str) -> None:
    """Refuse what is too deep, and text that UTF-8 cannot hold."""
    if isinstance(value, str):
        value.encode(errors=errors)  # UnicodeEncodeError is a ValueError
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError("deeper than allowed")
        for item in value.values() if isinstance(value, dict) else value:
            if not isinstance(item, float | int):
                _bound(item, depth - 1, errors)
        if isinstance(value, dict):
            "".join(value).encode(errors=errors)
