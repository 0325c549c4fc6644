"""The trials of `__main__.py`: kill, stop, fail the disk, damage files, kill a rank. Each returns its figures."""

import errno
import os
import random
import shutil
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import STOPPED, Child, lost, small, spawn, state_of, team

import lookharder.chain
import lookharder.tensors
from lookharder.errors import InputError
from lookharder.training import checkpoint
from lookharder.training.checkpoint import folder as checkpoint_folder
from lookharder.training.monitor import journal
from lookharder.training.run import RunConfig

Figures = dict[str, Any]
HANG = 60.0  # seconds after which a rank that has lost another is said to hang


def reference(config: RunConfig, out: Path) -> tuple[dict[str, bytes], float]:
    """The end state of a run that nothing happens to, and its seconds."""
    began = time.monotonic()
    assert spawn(config, out).end() == 0, out.with_name(f"{out.name}.log").read_text()
    return state_of(out), time.monotonic() - began


def whole(base: Path) -> Path:
    """The folder of the checkpoints of a run that nothing happened to."""
    reference(small(iterations=12, every=4), base / "whole")
    return base / "whole" / "checkpoints"


def kills(base: Path, count: int, inside: int, seed: int = 0) -> Figures:
    """SIGKILL `count` times, and until `inside` of them have struck inside a save."""
    config, chance = small(iterations=40, every=4), random.Random(seed)
    want, seconds = reference(config, base / "whole")
    figures: Counter[str] = Counter(kills=0, inside_a_save=0, runs=0, orphans=0)
    wrong: list[str] = []
    span = 0.02  # of a save; learnt from those that are heard
    out = base / "run0"
    while figures["kills"] < count or figures["inside_a_save"] < inside:
        child = spawn(config, out)
        at_a_save = figures["inside_a_save"] * count < inside * 1.3 * (figures["kills"] + 1)
        if at_a_save and child.until("b", chance.randint(1, 3)):
            began = time.monotonic()
            delay = chance.uniform(0, span)
            while time.monotonic() < began + delay:
                pass  # a sleep would overshoot
        elif not at_a_save:
            time.sleep(chance.uniform(0, 0.7 * seconds))
        code = child.end(signal.SIGKILL)
        if code == 0:  # it was faster
            if state_of(out) != want:
                wrong.append(f"{out.name}: ended otherwise")
            figures["runs"] += 1
            shutil.rmtree(out)
            out = base / f"run{figures['runs']}"
            continue
        assert code == -signal.SIGKILL, out.with_name(f"{out.name}.log").read_text()
        figures["kills"] += 1
        figures["inside_a_save"] += child.saving
        figures["orphans"] += len(list((out / "checkpoints").glob(".tmp-*")))
        wrong += lost(out, child.saved)
        span = 0.9 * span + 0.1 * (0.5 * span if at_a_save and not child.saving else 1.6 * span)
    assert spawn(config, out).end() == 0
    wrong += [] if state_of(out) == want else [f"{out.name}: ended otherwise"]
    return {**figures, "runs": figures["runs"] + 1, "lost": wrong}


def stops(base: Path, count: int, seed: int = 1) -> Figures:
    """SIGTERM and SIGUSR1 in turn: seconds to a saved end, and the end of the run that resumes."""
    config, chance = small(iterations=40, every=40), random.Random(seed)
    want, _ = reference(config, base / "whole")
    seconds, wrong, out = [], [], base / "run0"
    for number in range(count):
        child = spawn(config, out)
        began, done = 0.0, child.until("i", chance.randint(1, 8))
        if done:
            began = time.monotonic()
            code = child.end(signal.SIGTERM if number % 2 else signal.SIGUSR1)
            seconds.append(time.monotonic() - began)
            last = max(i for kind, i in child.events if kind == "i")
            if code == STOPPED and child.saved != last:
                wrong.append(f"stopped at {last}, saved {child.saved}")
        if child.end() == 0:
            wrong += [] if state_of(out) == want else ["ended otherwise"]
            out = base / f"run{number + 1}"
        elif child.code != STOPPED:
            wrong.append(f"exit code {child.code}")
    while spawn(config, out).end():
        pass
    wrong += [] if state_of(out) == want else ["ended otherwise"]
    middle = round(statistics.median(seconds), 3)
    return {
        "stops": len(seconds),
        "median_s": middle,
        "max_s": round(max(seconds), 3),
        "lost": wrong,
    }


class Faults:
    """Counts the places of a run that write, and fails the one of a number, or all from it on."""

    def __init__(self, number: int | None, code: int, lasting: bool) -> None:
        self.number, self.code, self.lasting = number, code, lasting
        self.seen: list[str] = []

    def install(self) -> None:
        sites: list[tuple[Any, str]] = [(os, "fsync"), (shutil, "rmtree")]
        sites += [(Path, n) for n in ("mkdir", "rename", "replace", "touch", "chmod", "unlink")]
        sites += [(Path, "write_bytes"), (Path, "write_text")]
        sites += [(checkpoint_folder, "save_file"), (lookharder.tensors, "save_file")]
        for owner, name in sites:
            setattr(owner, name, self._failing(getattr(owner, name), name))
        journal.print = self._failing(print, "print")

    def _failing(self, call: Callable, name: str) -> Callable:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.seen.append(name)
            turn = len(self.seen) - 1
            if self.number is not None and (
                turn == self.number or (self.lasting and turn > self.number)
            ):
                if name == "rmtree" and kwargs.get("ignore_errors"):
                    return None
                if name in ("write_bytes", "write_text"):  # half of it gets through
                    call(args[0], args[1][: len(args[1]) // 2])
                raise OSError(self.code, os.strerror(self.code))
            return call(*args, **kwargs)

        return wrapped


def sites(base: Path, step: int = 1) -> Figures:
    """A disk that is full, fails once, or turns read-only, at every `step`-th place of a run that writes."""
    config = small(iterations=4, every=2)
    want, _ = reference(config, base / "whole")
    counted = base / "count"

    def count() -> None:
        faults = Faults(None, 0, False)
        faults.install()
        own = lookharder.chain.Chain.save

        def save(self: Any, folder: Path, card: str) -> None:
            own(self, folder, card)
            with open(base / "sites", "w") as handle:  # noqa: PTH123
                handle.write(str(len(faults.seen)))

        lookharder.chain.Chain.save = save

    assert spawn(config, counted, count).end() == 0
    total, wrong, failed, trials = int((base / "sites").read_text()), [], 0, 0
    for code, lasting in ((errno.ENOSPC, True), (errno.EIO, False), (errno.EROFS, True)):
        for number in range(0, total, step):
            out = base / f"{errno.errorcode[code]}-{number}"
            child = spawn(config, out, Faults(number, code, lasting).install)
            failed += child.end() == 1
            trials += 1
            wrong += [f"{out.name}: {what}" for what in lost(out, child.saved)]
            if spawn(config, out).end() != 0 or state_of(out) != want:
                wrong.append(f"{out.name}: ended otherwise")
            shutil.rmtree(out)
    return {"sites": total, "trials": trials, "ended_with_an_error": failed, "lost": wrong}


def full_disk(base: Path) -> Figures:
    """A real file system of little space, and one that turns read-only, where this process may mount one."""
    where, config = base / "disk", small(iterations=12, every=2)
    want, _ = reference(config, base / "whole")
    where.mkdir()

    def mount(*options: str) -> bool:
        command = ["mount", "-t", "tmpfs", *options, "none", str(where)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if os.geteuid() != 0 or not mount("-o", "size=1m"):
        return {"trials": 0, "lost": []}
    wrong, trials = [], 0
    try:
        for size in [f"{k}k" for k in range(1100, 4600, 700)] + ["ro"]:
            mount("-o", f"remount,rw,size={'64m' if size == 'ro' else size}")
            out = where / size
            child = spawn(config, out)
            if size == "ro":
                child.until("e", 2)
                while not mount("-o", "remount,ro"):  # busy while a file is open for writing
                    pass
            child.end()
            trials += child.code != 0
            wrong += [f"{size}: {what}" for what in lost(out, child.saved)]
            mount("-o", "remount,rw,size=64m")
            if spawn(config, out).end() != 0 or state_of(out) != want:
                wrong.append(f"{size}: ended otherwise")
            shutil.rmtree(out)
    finally:
        subprocess.run(["umount", str(where)], check=True)
    return {"trials": trials, "lost": wrong}


def damage(folder: Path, cuts: int, flips: int, seed: int = 2) -> Figures:
    """Truncate and flip every file of the newest checkpoint; the one before must be read, and the newest named."""
    newest, before = checkpoint.intact(folder)[:2]
    chance, wrong, figures = random.Random(seed), [], Counter(truncations=0, flips=0, detected=0)

    def judge(what: str) -> None:
        try:
            found = checkpoint.load_latest(folder)
        except InputError as error:
            wrong.append(f"{what}: {error}")
            return
        assert found is not None
        said = len(found.skipped) == 1 and found.skipped[0].startswith(f"{newest:08d}: ")
        if found.iteration == before and said:
            figures["detected"] += 1
        else:
            wrong.append(f"{what}: took {found.iteration}")

    for path in sorted((folder / f"{newest:08d}").iterdir()):
        content = path.read_bytes()
        lengths = {0, 1, 7, 8, 9, len(content) // 2, len(content) - 2, len(content) - 1}
        lengths |= {chance.randrange(len(content)) for _ in range(cuts)}
        for length in sorted(lengths):
            path.write_bytes(content[:length])
            figures["truncations"] += 1
            judge(f"{path.name} cut to {length}")
        for _ in range(flips):
            flipped = bytearray(content)
            position, bit = chance.randrange(len(content)), chance.randrange(8)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            figures["flips"] += 1
            judge(f"{path.name}, bit {bit} of byte {position}")
        path.write_bytes(content)
    assert checkpoint.intact(folder)[0] == newest
    return {**figures, "lost": wrong}


def ranks(base: Path, size: int, shard: int, count: int, flips: int, seed: int = 3) -> Figures:
    """Kill one rank of several; the others must end by themselves, and all of them together end bit-identical."""
    config, chance = small(iterations=18, every=3, batch=4, shard=shard), random.Random(seed)

    def all_end(children: list[Child]) -> list[int]:
        return [child.end() for child in children]

    calm = base / "whole"
    assert all_end(team(config, calm, size)) == [0] * size, (base / "whole.log").read_text()
    want, wrong, seconds, struck, out = state_of(calm), [], [], 0, base / "run0"
    while struck < count:
        children = team(config, out, size)
        victim = chance.randrange(size)
        if struck % 2:  # about half of them while a save is under way
            children[0].until("b", chance.randint(1, 2))
        else:
            children[victim].until("i", chance.randint(1, 8))
        time.sleep(chance.uniform(0, 0.05))
        if children[victim].poll() is None:
            children[victim].end(signal.SIGKILL)
        began = time.monotonic()
        while any(child.poll() is None for child in children):
            for child in children:
                child.listen(0.01)
            if time.monotonic() > began + HANG:
                wrong.append(f"ranks hang: {[child.poll() for child in children]}")
                for child in children:
                    child.end(signal.SIGKILL)
        codes = all_end(children)
        if codes == [0] * size:
            wrong += [] if state_of(out) == want else [f"{out.name}: ended otherwise"]
            out = base / f"run{struck}"
            continue
        struck += 1
        seconds.append(time.monotonic() - began)
        wrong += [f"{out.name}: {what}" for what in lost(out, children[0].saved)]
    assert all_end(team(config, out, size)) == [0] * size
    wrong += [] if state_of(out) == want else [f"{out.name}: ended otherwise"]
    harm = damage(out / "checkpoints", cuts=5, flips=flips)
    return {
        "ranks": size,
        "shard": shard,
        "kills": struck,
        "survivors_ended_after_s": round(max(seconds), 2),
        "damage": {key: value for key, value in harm.items() if key != "lost"},
        "lost": wrong + harm["lost"],
    }
