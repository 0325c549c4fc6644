"""Every verb under every fault: how it exits, what it says, what it leaves, and whether the same command mends it.

A verb is a fork of this process, which has imported everything once; where the fault is one of the process itself (its
streams, its environment, its memory) the command is started anew.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.foreign.networks import export_state
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator

VERBS = {
    "predict": "predict depth photos --model model --out {out}",
    "evaluate": "evaluate --model model --task depth --data procedural:3 --out {out}/scores.json",
    "cache": "cache --data procedural:4 --task depth --model model --size 16 --shard 2 --out {out}",
    "convert": "convert weights.safetensors --heads 2 --out {out}",
    "train": "train smoke --set train.iterations=3 --set checkpoint_every=1 --set log_every=1 "
    '--set train.batch_size=2 --set train.mix={{"depth":1.0}} --set device=cpu --out {out}',
    "demo": "demo --model model --count 1 --out {out}",
    "study": "study steps --preset micro --only *n1* --out {out}",
}
ERROR = "lookharder: error: "
CODES = {0, 1, 2, 75, 130, 143}  # those that `lookharder.cli` documents
SAME = {".npy", ".png", ".safetensors"}  # files without a time in them: equal to the last bit
HANG = 3600.0  # seconds after which a verb is said to hang; a loaded machine is slow


@dataclass
class Cell:
    """What became of a verb under a fault: exit codes by count, a line of each, and what was wrong."""

    codes: Counter[int] = field(default_factory=Counter)
    lines: dict[int, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """A verb, where it is done, and how it goes when nothing happens.

    Attributes:
        line: of the command, {out} for its folder.
        place: folder of its inputs.
        seconds: that it takes.
        files: what it writes, by name: the content of `SAME`, else nothing.
    """

    line: str
    place: Path
    seconds: float = 0.0
    files: Mapping[str, bytes] = field(default_factory=dict)


Fault = Callable[[Stage, int, Cell], None]  # makes so many trials, and enters what they show


@dataclass
class Deed:
    """A command under way: its process, and the file of what it says."""

    pid: int
    said: Path

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Send a signal, if any, and wait: the exit code, negative for a signal, and what was said."""
        if number is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        limit = time.monotonic() + HANG
        while not (status := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > limit:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.005)
        return os.waitstatus_to_exitcode(status[1]), self.said.read_text(errors="replace")


def furnish(place: Path) -> None:
    """Write the inputs of all verbs: photos, a small model, published weights."""
    (place / "photos").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "ä", "c"):
        pixels = rng.integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(place / "photos" / f"{name}.png")
    chain = Chain.build(pixel_chain(width=16, depth=1, heads=2, resolution=16), torch_generator(0))
    chain.save(place / "model", "# A model\n")
    published = DiTConfig(
        input_size=4,
        patch_size=2,
        in_channels=12,
        hidden_size=16,
        depth=1,
        num_heads=2,
        num_classes=9,
        learn_sigma=True,
    )
    save_file(export_state(DiT(published)), place / "weights.safetensors")


def start(
    stage: Stage, out: Path, prepare: Callable[[], object] = lambda: None, fresh: bool = False
) -> Deed:
    """Begin the verb in a fork, or as a command of its own; `prepare` is done in the child first."""
    said, line = stage.place / f"{out.name}-{time.monotonic_ns()}.said", stage.line.format(out=out)
    said.touch()
    if pid := os.fork():
        return Deed(pid, said)
    code = 70
    try:
        os.chdir(stage.place)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored behind a shell's `&`
        log = os.open(said, os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        prepare()
        if fresh:
            os.execv(sys.executable, [sys.executable, "-m", "lookharder", *line.split()])
        sys.argv = ["lookharder", *line.split()]
        code = main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def contents(out: Path) -> dict[str, bytes]:
    """The files of a folder that are not hidden, each checked to be whole; the content of `SAME`."""
    found = {}
    for path in sorted(out.rglob("*")):
        parts = path.relative_to(out).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            check_whole(path)
            same = path.suffix in SAME
            found["/".join(parts)] = path.read_bytes() if same else b""
    return found


def check_whole(path: Path) -> None:
    """Raise an error of some kind where a file is cut short."""
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".jsonl":
        for line in path.read_text().split("\n")[:-1]:  # a last line that was cut is known as such
            json.loads(line)
    elif path.suffix == ".npy":
        np.load(path)
    elif path.suffix == ".png":
        Image.open(path).load()
    elif path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            assert all(file.get_tensor(key) is not None for key in file.keys())  # noqa: SIM118
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>")


def judge(stage: Stage, out: Path, code: int, said: str, gone: Path | None = None) -> list[str]:
    """What is wrong with an end: the code, the words, the files; these may all be in `gone`, if it was done."""
    errors = [line for line in said.splitlines() if line.startswith(ERROR)]
    wrong = [] if code in CODES else [f"exit code {code}"]
    words = ("Traceback", "Exception ignored", "Error:")
    last = said.replace(f"{stage.place}/", "").rstrip().rpartition("\n")[2]
    wrong += [f"{word}: {last}" for word in words if word in said]
    if code in (1, 2, 130, 143) and len(errors) != 1:
        wrong.append(f"code {code} and {len(errors)} lines: {last}")
    try:
        found, moved = contents(out), contents(gone) if gone is not None else {}
    except (OSError, ValueError, AssertionError, SyntaxError) as error:
        return [*wrong, f"half-written: {error}"]
    if code == 0 and (moved or found).keys() != stage.files.keys():
        wrong.append(f"done, but {sorted((moved or found).keys() ^ stage.files.keys())}")
    if moved and found:
        wrong.append(f"made again, where the rest is moved away: {sorted(found)}")
    return wrong


def again(stage: Stage, out: Path) -> list[str]:
    """What is wrong after the same command once more, when the fault is gone: it must do all, and leave no litter."""
    code, said = start(stage, out).end()
    done = (
        code == 0 or "which holds something" in said
    )  # a model folder that is whole is not made again
    wrong = (
        judge(stage, out, 0, "")
        if done
        else [f"again: code {code}: {said[-200:]}".replace(f"{stage.place}/", "")]
    )
    if done:
        now = contents(out)
        other = [name for name, content in now.items() if content != stage.files.get(name)]
        wrong += [f"again: other content: {other}"] if other else []
        hidden = [p.name for p in out.rglob(".*") if p.suffix and p.name.count(".") > 2]
        wrong += [f"again: litter {hidden}"] if hidden else []
    return wrong


def enter(
    cell: Cell,
    name: str,
    stage: Stage,
    out: Path,
    ends: list[tuple[int, str]],
    gone: Path | None = None,
) -> None:
    """Judge how the processes of a trial have ended, then do the same command once more."""
    for code, said in ends:
        cell.codes[code] += 1
        line = next((line for line in said.splitlines() if line.startswith(ERROR)), "")
        cell.lines.setdefault(code, line.removeprefix(ERROR).replace(f"{stage.place}/", ""))
        cell.wrong += [f"{name}: {what}" for what in judge(stage, out, code, said, gone)]
    if gone is not None:
        shutil.rmtree(gone, ignore_errors=True)
    cell.wrong += [f"{name}: {what}" for what in again(stage, out)]
    shutil.rmtree(out, ignore_errors=True)


def moments(stage: Stage, times: int) -> Iterator[tuple[str, float]]:
    """Names and moments of trials, spread over what the verb takes."""
    for k in range(times):
        yield f"at {(k + 0.5) / times:.0%}", stage.seconds * (k + 0.5) / times
