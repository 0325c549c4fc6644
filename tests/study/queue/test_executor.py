"""Workers do what is ready, leave what has failed, and give back what they are stopped in."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lookharder.errors import InputError
from lookharder.study.queue import worker
from lookharder.study.queue.executor import local, one_gpu, slurm
from lookharder.study.queue.jobs import Job
from lookharder.study.queue.ledger import Ledger
from lookharder.study.queue.worker import Stopped, drain

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)


def chain(ledger: Ledger, *kinds: str, **config: object) -> list[str]:
    """Jobs each of which needs the one before."""
    names: list[str] = []
    for i, kind in enumerate(kinds):
        job = Job(kind=kind, config={"i": i, "seconds": 0.0, **config}, needs=tuple(names[-1:]))
        ledger.plan(job)
        names.append(job.hash)
    return names


def test_a_failure_stops_what_needs_it_and_nothing_else(tmp_path: Path):
    ledger = Ledger(tmp_path)
    bad = chain(ledger, "fail", "count", failures=1)
    good = chain(ledger, "count", "count")
    said: list[tuple[str, str]] = []
    arguments = {"workers": 2, "stages": "toy:STAGES", "watch": lambda n, s: said.append((n, s))}
    local(ledger, bad + good, **arguments)
    assert [ledger.state(name) for name in bad + good] == ["failed", "planned", "done", "done"]
    assert "not yet" in (ledger.error(bad[0]) or "")
    assert sorted(said) == sorted([(bad[0], "failed"), (good[0], "done"), (good[1], "done")])
    local(ledger, bad + good, **arguments)  # no retry was asked for
    assert ledger.state(bad[0]) == "failed"


def test_retry(tmp_path: Path):
    ledger = Ledger(tmp_path)

    def fail(folder, config, needs):
        with (folder / "tries").open("a") as handle:
            handle.write("x")
        if len((folder / "tries").read_text()) <= config["failures"]:
            raise ValueError("not yet")
        return {}

    (name,) = chain(ledger, "fail", failures=2)
    drain(ledger, [name], {"fail": fail}, retry=1)
    assert ledger.state(name) == "failed"
    drain(ledger, [name], {"fail": fail}, retry=2)
    assert ledger.state(name) == "done"


def test_what_is_wanted_first_and_ready_is_done_first(tmp_path: Path):
    ledger, order = Ledger(tmp_path), []

    def stage(folder, config, needs):
        order.append(folder.name)
        return {}

    first, second, third = chain(ledger, "a", "a", "a")
    other = Job(kind="a", config={"other": True})
    ledger.plan(other)
    drain(ledger, [first, other.hash, second, third], {"a": stage})
    assert order == [first, other.hash, second, third]


def test_a_stopped_stage_gives_its_job_back(tmp_path: Path, monkeypatch):
    ledger = Ledger(tmp_path)

    def stage(folder, config, needs):
        raise Stopped("SIGTERM")

    def struck(folder, config, needs):  # in code in C, which drops what a signal raises
        worker.CAME.append("SIGTERM")
        raise ValueError("could not determine the shape")

    (name,) = chain(ledger, "a")
    monkeypatch.setattr(worker, "CAME", [])
    for each in (stage, struck):
        with pytest.raises(Stopped, match="SIGTERM"):
            drain(ledger, [name], {"a": each})
        assert ledger.state(name) == "planned"
        assert not (ledger.folder(name) / "failed.json").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_what_the_machine_fails_in_is_given_back(tmp_path: Path, error: Exception):
    ledger = Ledger(tmp_path)

    def stage(folder, config, needs):
        raise error

    (name,) = chain(ledger, "a")
    with pytest.raises(type(error)):
        drain(ledger, [name], {"a": stage})
    assert ledger.state(name) == "planned" and ledger.error(name) is None


@pytest.mark.parametrize(("kind", "tries"), [("short", 1), ("killed", 4)])
def test_without_memory_workers_end_and_a_job_has_not_failed(tmp_path: Path, kind, tries):
    ledger = Ledger(tmp_path)
    (name,) = chain(ledger, kind)
    with pytest.raises(OSError, match="Cannot allocate memory; runs are given back"):
        local(ledger, [name], stages="toy:STAGES")
    folder = ledger.folder(name)
    assert (folder / "events").read_text().count("begin") == tries
    assert ledger.state(name) == "planned" and (folder / "lock").read_text() == ""
    (folder / "mended").touch()
    local(ledger, [name], stages="toy:STAGES")
    assert ledger.state(name) == "done"


SCHEDULER = """
import sys
from pathlib import Path
from lookharder.study.queue.executor import local
from lookharder.study.queue.ledger import Ledger
from lookharder.study.queue.worker import Stopped
try:
    local(Ledger(Path(sys.argv[1])), sys.argv[2:], workers=2, stages="toy:STAGES")
except Stopped:
    sys.exit(75)
"""


def test_a_scheduler_that_is_asked_to_stop_gives_everything_back(tmp_path: Path):
    ledger = Ledger(tmp_path)
    names = [*chain(ledger, "count", seconds=1e6), *chain(ledger, "count", seconds=2e6)]
    scheduler = subprocess.Popen([sys.executable, "-c", SCHEDULER, str(tmp_path), *names])
    while not all((ledger.folder(name) / "events").exists() for name in names):
        time.sleep(0.01)
    assert [ledger.state(name) for name in names] == ["running", "running"]
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(30) == 75
    for name in names:
        assert (ledger.folder(name) / "lock").read_text() == ""  # given back, not merely found dead
    assert not list((tmp_path / "workers").glob("*.json"))


def test_slurm_without_submitit_says_what_to_install(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"lookharder\[slurm\]"):
        slurm(Ledger(tmp_path), [])


def test_slurm_through_submitits_own_local_cluster(tmp_path: Path):
    pytest.importorskip(
        "submitit", reason="the slurm executor needs submitit, which is not installed"
    )
    ledger = Ledger(tmp_path)
    names = chain(ledger, "count", "count", "count")
    options = {"cluster": "local", "parameters": {"timeout_min": 5}}
    slurm(ledger, names[:1], workers=1, stages="toy:STAGES", **options)
    slurm(ledger, names[1:], workers=2, stages="toy:STAGES", **options)
    assert [ledger.result(name)["total"] for name in names] == [1, 2, 3]


def test_what_was_done_before_is_there_for_what_needs_it(tmp_path: Path):
    """A study is resumed with what is left of it, not with all of it."""
    ledger = Ledger(tmp_path)
    names = chain(ledger, "count", "count", "count", "count")
    local(ledger, names[:2], workers=2, stages="toy:STAGES")
    assert [ledger.state(name) for name in names] == ["done", "done", "planned", "planned"]
    local(
        ledger, names[3:], workers=1, stages="toy:STAGES"
    )  # its need is neither asked for nor done
    assert ledger.state(names[3]) == "planned"
    local(ledger, names[2:], workers=2, stages="toy:STAGES")
    assert [ledger.result(name)["total"] for name in names] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("visible", "gpus", "given"),
    [
        (None, 0, [None, None]),
        ("", 0, [None, None]),
        (None, 2, ["0", "1", "0"]),
        ("3,GPU-7f", 2, ["3", "GPU-7f", "3"]),
    ],
)
def test_workers_take_the_gpus_in_turn(visible, gpus, given, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    found = [one_gpu(number).get("CUDA_VISIBLE_DEVICES") for number in range(len(given))]
    assert found == given
