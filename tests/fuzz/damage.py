"""Damaged copies of a good file: its reader answers each with an `InputError` or a result, and nothing else.

JSON gets values that are odd, doubled or deep; other formats get numbers at their ends, and blocks twice or not at
all; any file gets flipped bits, holes and ends. Seeds are fixed: of a reader the first hundred inputs are the same
however many are asked for.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tests.fuzz.readers import Reader

from lookharder.errors import InputError

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e300, "", "x", [], {}, [[]], {"name": {"a": 1}}, "\x1b[31m", 2**63,
)  # fmt: skip
RAW = ("[" * 5000, "NaN", "1e400", "9" * 5000, r'"\ud800"', '{"a": 1, "a": 2}', "-Infinity", "")
ENDS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0")


@dataclass
class Answers:
    """How a reader has answered.

    Attributes:
        inputs: how many it was given.
        refused: of those, with one line.
        accepted: of those, with a value.
        faults: those answered otherwise, in words; for readers of labels also a value that the good file does not have.
        seconds: of processor time.
    """

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def fuzz(name: str, reader: Reader, times: int, seconds: float) -> Answers:
    """Give a reader so many damaged files, or as many as it can read in so much processor time."""
    whole = reader.read(reader.path)
    data, rng, began = (
        reader.path.read_bytes(),
        np.random.default_rng(list(name.encode())),
        time.process_time(),
    )
    answers = Answers()
    while answers.inputs < times and answers.seconds < seconds:
        wrong = damaged(data, rng)
        reader.path.write_bytes(wrong)
        if fault := _answer(reader, whole, answers):
            answers.faults.append(f"{name}, number {answers.inputs}: {fault}: {wrong[:200]!r}")
        answers.inputs += 1
        answers.seconds = time.process_time() - began
    reader.path.write_bytes(data)
    return answers


def _answer(reader: Reader, whole: object, answers: Answers) -> str:
    """Let it read the damaged file; what is wrong with the answer, if anything."""
    try:
        value = reader.read(reader.path)
    except InputError as error:
        answers.refused += 1
        return "" if str(error).isprintable() else f"not one line: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    answers.accepted += 1
    return "" if not reader.exact or _same(value, whole) else "another value"


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) == len(other) and all(map(_same, value, other))
    return np.array_equal(value, other, equal_nan=value.dtype.kind == "f")


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One damage of a file."""
    way = int(rng.integers(0, 8))
    place = int(rng.integers(0, max(1, len(data))))
    if way == 0 and data:
        return data[:place] + bytes((data[place] ^ 1 << int(rng.integers(8)),)) + data[place + 1 :]
    if way == 1:
        return data[:place]
    if way == 2:
        return data[:place] + bytes(int(rng.integers(1, 40))) + data[place:]
    try:
        values = [json.loads(line) for line in data.decode().strip().split("\n")]
    except ValueError:
        try:
            values = [json.loads(data)]
        except ValueError:
            return _damaged_bytes(data, place, way, rng)
    return _damaged_json(values, way, rng)


def _damaged_bytes(data: bytes, place: int, way: int, rng: np.random.Generator) -> bytes:
    size = int(rng.integers(1, 40))
    if way in (3, 4):
        end = ENDS[int(rng.integers(len(ENDS)))]
        return data[:place] + end + data[place + len(end) :]
    if way == 5:  # a block twice
        return data[: place + size] + data[place:]
    if way == 6:  # a block less
        return data[:place] + data[place + size :]
    return data[:place] + rng.bytes(size) + data[place + size :]


def _damaged_json(values: list[Any], way: int, rng: np.random.Generator) -> bytes:
    spots: list[tuple[Any, Any]] = []
    stack = list(values)
    while stack:
        node = stack.pop()
        places = range(len(node)) if isinstance(node, list) else ()
        keys = node if isinstance(node, dict) else places
        spots += [(node, key) for key in keys]
        stack += [node[key] for key in keys]
    if spots:
        node, key = spots[int(rng.integers(len(spots)))]
        if way == 3 and isinstance(node, dict):
            del node[key]
        elif way in (4, 5):
            node[key] = ODD[int(rng.integers(len(ODD)))]
        else:
            node[key] = "@"
    text = "\n".join(json.dumps(value) for value in values)
    return text.replace('"@"', RAW[int(rng.integers(len(RAW)))]).encode()
