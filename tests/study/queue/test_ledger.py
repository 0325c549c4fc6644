"""One worker at a time, one result for ever, whoever dies and whenever."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from lookharder.errors import InputError
from lookharder.study.queue import ledger as ledger_module
from lookharder.study.queue.jobs import Job
from lookharder.study.queue.ledger import Ledger


def planned(ledger: Ledger, number: int = 0) -> str:
    job = Job(kind="toy", config={"number": number})
    ledger.plan(job)
    return job.hash


def takers(ledger: Ledger, name: str) -> list[str]:
    """Who took a job and did not give it back."""
    return (ledger.folder(name) / "lock").read_text().split()


def race(*actions):
    """Results of functions that are let go at one moment."""
    gate, found = threading.Barrier(len(actions)), [None] * len(actions)

    def go(i):
        gate.wait()
        found[i] = actions[i]()

    threads = [threading.Thread(target=go, args=(i,)) for i in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_the_life_of_a_job(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    assert ledger.job(name).config == {"number": 0}
    assert ledger.state(name) == "planned"
    lease = ledger.take(name, "one")
    assert lease is not None and ledger.state(name) == "running"
    assert ledger.take(name, "two") is None and takers(ledger, name) == ["one"]
    with pytest.raises(InputError, match="running"):
        ledger.result(name)
    ledger.release(lease)
    assert ledger.state(name) == "planned" and takers(ledger, name) == []
    lease = ledger.take(name, "two")
    assert lease is not None and ledger.publish(lease, {"answer": 42})
    assert ledger.state(name) == "done" and ledger.result(name) == {"answer": 42}
    assert ledger.entry(name)["owner"] == "two"
    assert ledger.take(name, "three") is None
    names = {path.name for path in ledger.folder(name).iterdir()}
    assert names == {"job.json", "lock", "done.json"}


def test_of_many_who_take_one_gets(tmp_path: Path):
    ledger = Ledger(tmp_path)
    for name in [planned(ledger, number) for number in range(20)]:
        found = race(*[partial(ledger.take, name, f"w{i}") for i in range(6)])
        assert sum(lease is not None for lease in found) == 1


def test_of_two_who_were_both_let_in_one_publishes(tmp_path: Path):
    """As a server of files may do, that forgot who had its lock."""
    ledger = Ledger(tmp_path)
    for name in [planned(ledger, number) for number in range(20)]:
        first = ledger.take(name, "first")
        assert first is not None
        fcntl.flock(first.lock, fcntl.LOCK_UN)
        second = ledger.take(name, "second")
        assert second is not None
        found = race(
            *[partial(ledger.publish, each, {"by": each.owner}) for each in (first, second)]
        )
        assert sorted(found) == [False, True]
        winner = "first" if found[0] else "second"
        assert ledger.result(name) == {"by": winner} and ledger.entry(name)["owner"] == winner


TAKE = """
import os, signal, sys
from pathlib import Path
from lookharder.study.queue.ledger import Ledger
assert Ledger(Path(sys.argv[1])).take(sys.argv[2], "other")
print("taken", flush=True)
signal.pause()
"""


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    with subprocess.Popen(
        [sys.executable, "-c", TAKE, str(tmp_path), name], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"taken\n"
        assert ledger.state(name) == "running" and ledger.take(name, "mine") is None
        os.kill(other.pid, signal.SIGKILL)
    assert ledger.state(name) == "planned"
    assert ledger.take(name, "mine") is not None and takers(ledger, name) == ["other", "mine"]


def test_a_process_that_a_stage_left_behind_holds_nothing(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    lease = ledger.take(name, "one")
    assert lease is not None
    with subprocess.Popen(["sleep", "60"], pass_fds=[lease.lock]) as child:
        ledger.release(lease)
        assert ledger.take(name, "two") is not None
        child.kill()


def test_a_result_half_written_is_none(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    assert ledger.take(name, "one") is not None
    (ledger.folder(name) / ".aside").write_text('{"sta')  # of one that was killed while it wrote
    assert ledger.state(name) == "running"


def test_failures_are_counted_and_tried_again_as_often_as_asked(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    for attempt in (1, 2, 3):
        if attempt > 1:
            assert ledger.take(name, "one", retry=attempt - 2) is None
        lease = ledger.take(name, "one", retry=attempt - 1)
        assert lease is not None and ledger.state(name) == "running"
        ledger.fail(lease, f"error {attempt}")
        assert ledger.state(name) == "failed" and ledger.error(name) == f"error {attempt}"


def test_a_job_that_kills_its_workers_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledger_module, "DEATHS", 3)
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    for _ in range(3):
        lease = ledger.take(name, "victim")
        assert lease is not None
        os.close(lease.lock)  # as the kernel does when it dies
    assert ledger.take(name, "next") is None
    assert ledger.state(name) == "failed" and "3 workers died" in (ledger.error(name) or "")
    assert ledger.take(name, "next", retry=1) is not None


def test_a_result_that_is_no_json_is_refused_and_the_lease_kept(tmp_path: Path):
    ledger = Ledger(tmp_path)
    lease = ledger.take(planned(ledger), "one")
    assert lease is not None
    with pytest.raises(ValueError, match="JSON"):
        ledger.publish(lease, {"loss": float("nan")})
    assert ledger.state(lease.job) == "running" and ledger.publish(lease, {})


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(descriptor, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    ledger = Ledger(tmp_path)
    with pytest.raises(InputError, match="locks"):
        ledger.take(planned(ledger), "one")
