"""What the trials share: a small run, children that live it, and the judgement of what they leave.

The parent imports everything once and trains nothing, so a child is a fork of it and starts in milliseconds. A child
tells through a pipe when it has finished an iteration (`i`), and when a save begins (`b`) and has ended (`e`).
"""

import importlib
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from lookharder.data.source import DataConfig, open_data
from lookharder.recipes import smoke
from lookharder.recipes.embedded import pixel_chain
from lookharder.training import checkpoint
from lookharder.training import run as run_module
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.optim import OptimConfig, build_optimizer
from lookharder.training.run import RunConfig, run

STOPPED = 75  # what `lookharder train` exits with when it was asked to stop
DATA = DataConfig(spec="procedural:8:1", size=16)


def small(iterations: int, every: int, batch: int = 2, shard: int = 1) -> RunConfig:
    """A run of a few thousand parameters on scenes of 16 pixels."""
    base = smoke()
    return replace(
        base,
        name="fault-trial",
        chain=pixel_chain(width=16, depth=2, heads=1, resolution=16),
        data={"depth": DATA},
        train=replace(base.train, iterations=iterations, batch_size=batch, mix={"depth": 1.0}),
        checkpoint_every=every,
        log_every=1,
        device="cpu",
        runtime=RuntimeConfig(shard=shard),
    )


def share_data() -> None:
    """Render the scenes and import what a run needs, once: children find it in memory."""
    torch.set_num_threads(1)
    build_optimizer(torch.nn.Linear(1, 1), OptimConfig())  # the first one imports 800 modules
    for name in ("torch.distributed.fsdp", "torch.distributed.tensor"):
        importlib.import_module(name)
    dataset = open_data(DATA)
    for index in range(len(dataset)):
        dataset[index]
    own = run_module.open_data
    run_module.open_data = lambda config: dataset if config == DATA else own(config)


@dataclass
class Child:
    """A process that lives a run.

    Attributes:
        pid: its number.
        pipe: what it tells.
        events: what it has told so far, (kind, iteration).
        code: its exit code, negative for a signal; None while it lives.
    """

    pid: int
    pipe: int
    events: list[tuple[str, int]] = field(default_factory=list)
    code: int | None = None

    def listen(self, seconds: float) -> None:
        """Hear what it tells within so many seconds, or at once if 0."""
        while self.pipe >= 0 and select.select([self.pipe], [], [], seconds)[0]:
            if not (data := os.read(self.pipe, 5)):
                os.close(self.pipe)
                self.pipe = -1
            else:
                self.events.append((chr(data[0]), struct.unpack("<I", data[1:])[0]))
            seconds = 0

    def until(self, kind: str, count: int, limit: float = 300.0) -> bool:
        """Wait until it has told `kind` so often; False if it ended before."""
        end = time.monotonic() + limit
        while sum(k == kind for k, _ in self.events) < count and self.pipe >= 0:
            assert time.monotonic() < end, "a child hangs"
            self.listen(0.5)
        return sum(k == kind for k, _ in self.events) >= count

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def end(self, number: int | None = None) -> int:
        """Send a signal, if any, wait for the end, hear the last words; returns the exit code."""
        if number is not None and self.poll() is None:
            os.kill(self.pid, number)
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        while self.pipe >= 0:
            self.listen(0.5)
        return self.code

    @property
    def saved(self) -> int:
        """Iteration of the last save that it has told the end of."""
        return max([i for kind, i in self.events if kind == "e"], default=0)

    @property
    def saving(self) -> bool:
        """Whether a save had begun and not ended."""
        kinds = [kind for kind, _ in self.events if kind in "be"]
        return bool(kinds) and kinds[-1] == "b"


def spawn(
    config: RunConfig,
    out: Path,
    prepare: Callable[[], None] = lambda: None,
    rank: int = 0,
    size: int = 1,
    port: int = 0,
) -> Child:
    """Start a child that runs `config` in `out`; `prepare` is done in it first."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    if pid := os.fork():
        os.close(writer)
        return Child(pid, reader)
    code = 1
    try:
        os.close(reader)
        log = os.open(out.with_name(f"{out.name}.log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        code = _live(config, out, prepare, writer)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _live(config: RunConfig, out: Path, prepare: Callable[[], None], pipe: int) -> int:
    own = checkpoint.save

    def tell(kind: str, iteration: int) -> None:
        os.write(pipe, struct.pack("<cI", kind.encode(), iteration))

    def told(folder: Path, iteration: int, *rest: object) -> Path:
        tell("b", iteration)
        path = own(folder, iteration, *rest)
        tell("e", iteration)
        return path

    checkpoint.save = told
    prepare()
    last = None
    for step in run(config, out):
        tell("i", step.iteration)
        last = step.iteration
    return 0 if last in (None, config.train.iterations) else STOPPED


def team(config: RunConfig, out: Path, size: int) -> list[Child]:
    """Start a rank for each of `size`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [spawn(config, out, rank=rank, size=size, port=port) for rank in range(size)]


def state_of(out: Path) -> dict[str, bytes]:
    """The training state that a run has left, bit for bit, and its model."""
    found = checkpoint.load_latest(out / "checkpoints")
    assert found is not None
    state = {name: tensor.numpy().tobytes() for name, tensor in found.tensors.items()}
    model = out / "model" / "model.safetensors"
    return {**state, "iteration": b"%d" % found.iteration, "model": model.read_bytes()}


def lost(out: Path, saved: int) -> list[str]:
    """What is wrong with the checkpoints of a run that had saved up to `saved`: nothing, if all is well."""
    folder, wrong = out / "checkpoints", []
    for path in sorted(folder.glob("[0-9]*")):
        try:
            checkpoint.verify(path)
        except Exception as error:
            wrong.append(f"{path.name} is damaged: {error}")
    found = checkpoint.load_latest(folder)
    newest = found.iteration if found else 0
    if newest < saved:
        wrong.append(f"{saved} was saved, the newest is {newest}")
    return wrong
