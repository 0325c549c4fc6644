"""One worker at a time, one result for ever, whoever dies and whenever."""

import json
import os
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


def log(ledger: Ledger, name: str) -> list[Path]:
    return sorted((ledger.folder(name) / "log").glob("[0-9]*"))


def age(ledger: Ledger, name: str, seconds: float) -> None:
    path = log(ledger, name)[-1]
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


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
    assert ledger.take(name, "two") is None  # it lives and beats
    assert ledger.beat(lease)
    with pytest.raises(InputError, match="running"):
        ledger.result(name)
    assert ledger.release(lease) and ledger.state(name) == "planned"
    lease = ledger.take(name, "two")
    assert lease is not None and ledger.publish(lease, {"answer": 42})
    assert ledger.state(name) == "done" and ledger.result(name) == {"answer": 42}
    assert ledger.entry(name)["owner"] == "two"
    assert ledger.take(name, "three") is None
    assert not ledger.publish(lease, {"answer": 43}) and ledger.result(name) == {"answer": 42}


def test_of_many_who_take_one_gets(tmp_path: Path):
    ledger = Ledger(tmp_path)
    for name in [planned(ledger, number) for number in range(20)]:
        found = race(*[partial(ledger.take, name, f"w{i}") for i in range(6)])
        assert sum(lease is not None for lease in found) == 1


def test_a_worker_that_was_robbed_cannot_publish(tmp_path: Path):
    ledger = Ledger(tmp_path, ttl=60.0)
    name = planned(ledger)
    first = ledger.take(name, "first")
    age(ledger, name, 59.0)
    assert ledger.take(name, "thief") is None
    age(ledger, name, 2.0)
    assert ledger.state(name) == "planned"
    second = ledger.take(name, "thief")
    assert first is not None and second is not None and second.entry > first.entry
    assert not ledger.beat(first) and ledger.beat(second)
    assert not ledger.publish(first, {"by": "first"})
    assert not ledger.fail(first, "why") and not ledger.release(first)
    assert ledger.state(name) == "running"
    assert ledger.publish(second, {"by": "thief"}) and ledger.result(name) == {"by": "thief"}


def test_publishing_and_robbing_exclude_each_other(tmp_path: Path):
    ledger, outcomes = Ledger(tmp_path, ttl=60.0), set()
    for name in [planned(ledger, number) for number in range(20)]:
        lease = ledger.take(name, "first")
        assert lease is not None
        age(ledger, name, 61.0)
        published, stolen = race(
            partial(ledger.publish, lease, {}), partial(ledger.take, name, "b")
        )
        assert published != (stolen is not None)
        assert ledger.state(name) == ("done" if published else "running")
        outcomes.add(published)
    assert outcomes  # which of them wins is chance; that both never do is not


TAKE = """
import sys
from pathlib import Path
from lookharder.study.queue.ledger import Ledger
assert Ledger(Path(sys.argv[1])).take(sys.argv[2], "other")
"""


def test_the_lease_of_a_dead_process_is_free_at_once(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    subprocess.run([sys.executable, "-c", TAKE, str(tmp_path), name], check=True)
    assert ledger.state(name) == "planned"
    assert ledger.take(name, "mine") is not None


def test_a_number_that_another_process_has_now_is_no_life(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    assert ledger.take(name, "mine") is not None
    path = log(ledger, name)[-1]
    entry = json.loads(path.read_text())
    path.write_text(json.dumps({**entry, "began": str(int(entry["began"]) - 1)}))
    assert ledger.take(name, "other") is not None


def test_other_hosts_are_judged_by_their_heartbeat_alone(tmp_path: Path):
    ledger = Ledger(tmp_path, ttl=60.0)
    name = planned(ledger)
    assert ledger.take(name, "there") is not None
    path = log(ledger, name)[-1]
    entry = json.loads(path.read_text())
    path.write_text(json.dumps({**entry, "host": "elsewhere", "pid": 1 << 30}))
    assert ledger.state(name) == "running" and ledger.take(name, "here") is None
    age(ledger, name, 61.0)
    assert ledger.take(name, "here") is not None


def test_killed_before_it_was_shown_a_result_is_there_all_the_same(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    lease = ledger.take(name, "one")
    assert lease is not None and ledger.publish(lease, {"answer": 42})
    (ledger.folder(name) / "done.json").unlink()
    (ledger.folder(name) / "log" / ".aside").write_text('{"sta')  # and of one killed while it wrote
    assert ledger.take(name, "two") is None
    assert ledger.state(name) == "done" and ledger.result(name) == {"answer": 42}


def test_failures_are_counted_and_tried_again_as_often_as_asked(tmp_path: Path):
    ledger = Ledger(tmp_path)
    name = planned(ledger)
    for attempt in (1, 2, 3):
        if attempt > 1:
            assert ledger.take(name, "one", retry=attempt - 2) is None
        lease = ledger.take(name, "one", retry=attempt - 1)
        assert lease is not None and ledger.fail(lease, f"error {attempt}")
        failed = json.loads((ledger.folder(name) / "failed.json").read_text())
        assert failed["attempts"] == attempt and failed["error"] == f"error {attempt}"
        assert ledger.state(name) == "failed" and ledger.error(name) == f"error {attempt}"


def test_a_job_that_kills_its_workers_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledger_module, "DEATHS", 3)
    ledger = Ledger(tmp_path, ttl=60.0)
    name = planned(ledger)
    for _ in range(3):
        assert ledger.take(name, "victim") is not None
        age(ledger, name, 61.0)
    assert ledger.take(name, "next") is None
    assert ledger.state(name) == "failed" and "3 workers died" in (ledger.error(name) or "")
    assert (ledger.folder(name) / "failed.json").exists()  # where a scheduler looks


def test_a_result_that_is_no_json_is_refused_and_the_lease_kept(tmp_path: Path):
    ledger = Ledger(tmp_path)
    lease = ledger.take(planned(ledger), "one")
    assert lease is not None
    with pytest.raises(ValueError, match="JSON"):
        ledger.publish(lease, {"loss": float("nan")})
    assert ledger.state(lease.job) == "running" and ledger.publish(lease, {})
