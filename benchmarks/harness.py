"""What all benchmarks share: a command line, turns that alternate, and the machine they ran on.

A benchmark is a module with a function `run` (or several, named NAME.FUNCTION). Its docstring is the help, and its
signature the command line: what may be given by position is an argument, what is keyword-only an option, and
annotation and default say the rest.
"""

import argparse
import inspect
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

import torch

from lookharder.errors import InputError
from lookharder.hardware import pick_device

Key = TypeVar("Key")
Device = Literal["auto", "cpu", "cuda"]  # where a model answers; "auto": a GPU if there is one
WARM_UP = 2


@dataclass(frozen=True, kw_only=True)
class Times(Generic[Key]):
    """Seconds of each turn of each side, on the wall and of this process, which does not count the waiting."""

    wall: dict[Key, list[float]]
    cpu: dict[Key, list[float]]

    def medians(self) -> dict[Key, float]:
        return {key: statistics.median(seconds) for key, seconds in self.wall.items()}

    def cpu_medians(self) -> dict[Key, float]:
        return {key: statistics.median(seconds) for key, seconds in self.cpu.items()}

    def quartiles(self) -> dict[Key, list[float]]:
        """Of the sides with two turns or more."""
        return {k: statistics.quantiles(s, n=4) for k, s in self.wall.items() if len(s) > 1}


def timed(run: Callable[[], object], device: str = "cpu") -> tuple[float, float]:
    """Seconds on the wall and of this process; on a GPU until it has finished."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    begin, cpu_begin = time.perf_counter(), time.process_time()
    run()
    wait()
    return time.perf_counter() - begin, time.process_time() - cpu_begin


def take_turns(
    sides: Mapping[Key, Callable[[], object]],
    rounds: int,
    *,
    warm_up: int = WARM_UP,
    device: str = "cpu",
    prepare: Callable[[Key], object] | None = None,
    only_rounds: Mapping[Key, int] | None = None,
) -> Times[Key]:
    """Times of all sides, which alternate (A B A B), so that other work on the machine meets all alike.

    Args:
        warm_up: turns before those that count.
        prepare: called before each turn, untimed.
        only_rounds: sides too slow for every round: they take no warm-up and so many turns.
    """
    few = only_rounds or {}
    times = Times(wall={key: [] for key in sides}, cpu={key: [] for key in sides})
    for turn in range(-warm_up, rounds):
        for key, run in sides.items():
            if key in few and not 0 <= turn < few[key]:
                continue
            if prepare is not None:
                prepare(key)
            wall, cpu = timed(run, device)
            if turn >= 0:
                times.wall[key].append(wall)
                times.cpu[key].append(cpu)
    return times


def machine(device: str = "cpu") -> dict[str, Any]:
    """What a figure depends on beside the code."""
    gpu = pick_device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
    }


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# ---- command line


def names() -> list[str]:
    """All benchmarks: the modules beside this one that have a `run`, or several."""
    texts = {
        path.stem: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py")
    }
    several = [f"{stem}.{part}" for stem, parts in SEVERAL.items() for part in parts]
    return sorted([stem for stem, text in texts.items() if "\ndef run(" in text] + several)


SEVERAL = {
    "forecasts": ("measure", "report"),
    "frontier": ("measure", "report"),
    "levels": ("measure", "records", "picture"),
}


def call(arguments: Sequence[str]) -> None:
    """Runs the benchmark whose name comes first, with the rest as its arguments."""
    if not arguments or arguments[0] not in names():
        print(
            "usage: python -m benchmarks NAME [options]\n\n ", "\n  ".join(names()), file=sys.stderr
        )
        raise SystemExit(2)
    name, *rest = arguments
    try:
        function, parser = build(name)
    except ModuleNotFoundError as error:
        print(
            f"benchmarks {name}: error: it needs {error.name}, which is not here", file=sys.stderr
        )
        raise SystemExit(2) from error
    options = vars(parser.parse_args(rest))
    if isinstance(out := options.get("out"), Path):
        out.parent.mkdir(parents=True, exist_ok=True)
    try:
        function(**options)
    except InputError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")


def build(name: str) -> tuple[Callable[..., None], argparse.ArgumentParser]:
    """A benchmark's function and its parser."""
    stem, _, part = name.partition(".")
    module = import_module(f"benchmarks.{stem}")
    function = getattr(module, part or "run")
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        f"benchmarks {name}", description=module.__doc__, formatter_class=shape
    )
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        option = parameter.kind == parameter.KEYWORD_ONLY
        required = parameter.default is parameter.empty
        flag = f"--{parameter.name.replace('_', '-')}" if option else parameter.name
        settings = _settings(parameter.annotation)
        if option:
            settings |= {"required": required, "default": None if required else parameter.default}
        parser.add_argument(flag, **settings)
    return function, parser


def _settings(annotation: Any) -> dict[str, Any]:
    """How argparse reads a value of this type: int, float, str, Path, bool, Literal, tuple of these, or None."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    if annotation is bool:
        return {"action": "store_true"}
    if get_origin(annotation) is Literal:
        return {"choices": kinds, "type": type(kinds[0])}
    if get_origin(annotation) is tuple:
        return {**_settings(kinds[0]), "nargs": "+"}
    return {"type": kinds[0]} if kinds else {"type": annotation}
