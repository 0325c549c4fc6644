"""What strikes verbs (`FAULTS`), and the matrix of all verbs under all faults."""

import contextlib
import itertools
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stage import VERBS, Cell, Fault, Stage, contents, enter, furnish, moments, start


def stopped(number: signal.Signals) -> Fault:
    """The verb is sent a signal."""

    def trial(stage: Stage, times: int, cell: Cell) -> None:
        for name, moment in moments(stage, times):
            out = stage.place / "out"
            deed = start(stage, out)
            time.sleep(moment)
            enter(cell, name, stage, out, [deed.end(number)])

    return trial


def vanishing(stage: Stage, times: int, cell: Cell) -> None:
    """The folder is moved away under the verb."""
    for name, moment in moments(stage, times):
        out = stage.place / "out"
        deed = start(stage, out)
        time.sleep(moment)
        gone = stage.place / "gone"
        with contextlib.suppress(OSError):  # it is not there yet, or no more
            out.rename(gone)
        enter(cell, name, stage, out, [deed.end()], gone)


@contextlib.contextmanager
def disk(stage: Stage, *options: str) -> Iterator[Path]:
    """A file system of its own, at the place of the verb."""
    where = stage.place / "disk"
    where.mkdir(exist_ok=True)
    mount(where, *options)
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def mount(where: Path, *options: str) -> bool:
    """Mount a tmpfs, or change one; whether this process may."""
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(where)]
    return subprocess.run(command, capture_output=True).returncode == 0


def may_mount(place: Path) -> bool:
    """Whether this process may mount a file system."""
    where = place / "probe"
    where.mkdir(exist_ok=True)
    if not mount(where, "size=1m"):
        return False
    subprocess.run(["umount", str(where)], check=True)
    return True


ROOM = ("size=64m", "nr_inodes=9999")


def full_disk(stage: Stage, times: int, cell: Cell) -> None:
    """No room for the next file, then for the next page, from nothing to what the verb needs."""
    with disk(stage, *ROOM) as where:
        assert start(stage, where / "out").end()[0] == 0
        used = os.statvfs(where)
    needs = {
        "nr_inodes": used.f_files - used.f_ffree,
        "size": (used.f_blocks - used.f_bfree) * used.f_frsize,
    }
    for what, need in needs.items():
        least = 2 if what == "nr_inodes" else 4096
        for limit in sorted({int(n) for n in np.linspace(least, need, times, endpoint=False)}):
            with disk(stage, f"{what}={limit}") as where:
                out = where / "out"
                end = start(stage, out).end()
                mount(where, "remount", *ROOM)
                enter(cell, f"{what}={limit}", stage, out, [end])


def read_only(stage: Stage, times: int, cell: Cell) -> None:
    """The file system is read-only, from the beginning or from some moment on."""
    for name, moment in [("before", 0.0), *moments(stage, times - 1)]:
        with disk(stage, *ROOM) as where:
            out = where / "out"
            if name == "before":
                mount(where, "remount", "ro")
            deed = start(stage, out)
            time.sleep(moment)
            limit = time.monotonic() + 5
            while not mount(where, "remount", "ro") and time.monotonic() < limit:
                pass  # busy while a file is open for writing
            end = deed.end()
            mount(where, "remount", "rw")
            enter(cell, name, stage, out, [end])


def once(prepare: Callable[[], object], fresh: bool = True, name: str = "out") -> Fault:
    """The verb is begun in a process that was prepared so."""

    def trial(stage: Stage, times: int, cell: Cell) -> None:
        out = stage.place / name
        enter(cell, name, stage, out, [start(stage, out, prepare, fresh).end()])

    return trial


def no_reader() -> None:
    """Standard output is a pipe that nobody reads, as after `| head`."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)


def no_unicode() -> None:
    """The locale is C, and Python is not asked to know better."""
    os.environ |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def jumping_clock() -> None:
    """The clock goes years back and forth from one look to the next."""
    own, jumps = time.time, itertools.cycle((0.0, -1e8, 1e9))
    time.time = lambda: own() + next(jumps)


def limited(what: int, most: int) -> Callable[[], None]:
    """So much of a resource."""
    return lambda: resource.setrlimit(what, (most, most))


def two_at_once(stage: Stage, times: int, cell: Cell) -> None:
    """Two processes, the second some time after the first."""
    for name, moment in moments(stage, times):
        out = stage.place / "out"
        first = start(stage, out)
        time.sleep(moment)
        second = start(stage, out)
        enter(cell, name, stage, out, [first.end(), second.end()])


FAULTS: dict[str, Fault] = {
    "full disk": full_disk,
    "read-only": read_only,
    "vanishing folder": vanishing,
    "SIGINT": stopped(signal.SIGINT),
    "SIGTERM": stopped(signal.SIGTERM),
    "nobody reads": once(no_reader),
    "no stdout": once(lambda: os.close(1)),
    "no stderr": once(lambda: os.close(2)),
    "no HOME": once(lambda: os.environ.pop("HOME", None)),
    "LC_ALL=C": once(no_unicode, name="söme-out"),
    "64 files": once(limited(resource.RLIMIT_NOFILE, 64), fresh=False),
    "1 GB": once(limited(resource.RLIMIT_AS, 2**30)),
    "clock jumps": once(jumping_clock, fresh=False),
    "two at once": two_at_once,
}
MOUNTED = ("full disk", "read-only")


def verb(base: Path, name: str, times: int, faults: tuple[str, ...] = ()) -> dict[str, Any]:
    """A verb under all faults, or those named; `times` trials where moments or sizes differ."""
    torch.set_num_threads(1)
    # of one core, as many as the threads of this process and of its forks
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    furnish(base)
    may = may_mount(base)
    stage = Stage(VERBS[name], base)
    code, said = start(stage, base / "calm").end()
    assert code == 0, said
    began = time.monotonic()  # the second time: what is loaded late is in the file cache now
    assert start(stage, base / "calm2").end()[0] == 0
    stage = Stage(VERBS[name], base, time.monotonic() - began, contents(base / "calm2"))
    cells: dict[str, Any] = {}
    wrong: list[str] = []
    for fault in faults or FAULTS:
        cell = Cell()
        if fault in MOUNTED and not may:
            cells[fault] = None
            continue
        FAULTS[fault](stage, times, cell)
        codes = sorted(cell.codes.items())
        cells[fault] = {str(c): {"times": n, "line": cell.lines[c]} for c, n in codes}
        wrong += [f"{fault}, {what}" for what in cell.wrong]
        print(f"{name}, {fault}: {dict(cell.codes)}", *cell.wrong, sep="\n  ", flush=True)
    return {"trials": trials_of(cells), "cells": cells, "lost": wrong}


def trials_of(cells: dict[str, Any]) -> int:
    """How many commands ended under the faults of a verb."""
    return sum(row["times"] for cell in cells.values() for row in (cell or {}).values())
