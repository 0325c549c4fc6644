"""Records: what is appended is read back, whatever kills the writer, whoever else writes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lookharder.config import to_json
from lookharder.errors import InputError
from lookharder.scaling.record import Record, Records, measurement


def record(**changes) -> Record:
    values = {
        "study": "sizes",
        "claim": "figure 2",
        "run": "0123abcd",
        "point": {"size": "n3", "width": 192, "share": 0.5},
        "seed": 0,
        "params": 10_000,
        "active_params": 9_000,
        "train_images": 64_000,
        "train_macs": 3e12,
        "train_macs_paper": 1.9e12,
        "inference_macs": 4e7,
        "task": "depth",
        "metric": "abs_rel",
        "value": 0.25,
        "low": 0.2,
        "high": 0.3,
        "images": 3,
        "per_image": (0.2, 0.25, 0.3),
        "seconds": 12.5,
        "machine": "two cores",
        "versions": {"torch": "2.13"},
        "time": 1.75e9,
        "protocol": "procedural-depth",
    }
    return Record(**{**values, **changes})


def test_what_is_appended_is_read_back_in_order(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    given = [record(seed=0), record(seed=1, per_image=None, train_images=None), record(seed=2)]
    assert [Records(path).append(one) for one in given] == [True] * 3
    assert Records.read(path) == given
    assert [type(v) for v in Records.read(path)[0].point.values()] == [str, int, float]


def test_a_measurement_is_taken_once(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    first, again = Records(path), Records(path)
    assert record().key not in first
    assert first.append(record())
    before = path.read_bytes()
    assert record().key in again
    assert not again.append(record(value=0.28, seconds=1.0, time=1.8e9, machine="another"))
    assert not first.append(record())
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"study": "other"},
        {"run": "ffff"},
        {"point": {"size": "n3", "width": 192}},
        {"task": "flow"},
        {"metric": "delta1"},
        {"seed": 1},
        {"protocol": "p"},
    ],
)
def test_the_key_is_what_was_measured(change):
    assert record(**change).key != record().key
    swapped = dict(reversed(record().point.items())) | {"width": 192.0}
    assert record(point=swapped).key == record().key


def test_the_key_of_a_measurement_still_to_do():
    names = ("study", "run", "point", "task", "metric", "seed", "protocol")
    assert measurement(**{name: getattr(record(), name) for name in names}) == record().key


def test_a_torn_line_is_passed_over_and_cut_off_wherever(tmp_path: Path, caplog):
    """Kill the writer after so many bytes of its line, the newline included."""
    whole, path = tmp_path / "whole.jsonl", tmp_path / "records.jsonl"
    Records(whole).append(record(seed=0))
    start = len(whole.read_bytes())
    Records(whole).append(record(seed=1))
    text = whole.read_bytes()
    middle = range(start + 12, len(text) - 3, 29)
    for cut in (*range(start, start + 12), *middle, *range(len(text) - 3, len(text) + 1)):
        path.write_bytes(text[:cut])
        caplog.clear()
        kept = [record(seed=0), record(seed=1)][: 1 + (cut >= len(text) - 1)]
        assert Records.read(path) == kept
        assert ("unfinished" in caplog.text) == (start < cut < len(text) - 1)
        caplog.clear()
        assert Records(path).append(record(seed=2))
        assert ("unfinished" in caplog.text) == (start < cut < len(text) - 1)
        assert Records.read(path) == [*kept, record(seed=2)]
        assert path.read_bytes().startswith(text[:start])


def test_lines_are_never_changed(tmp_path: Path):
    path, records = tmp_path / "records.jsonl", Records(tmp_path / "records.jsonl")
    before = b""
    for seed in range(5):
        records.append(record(seed=seed))
        after = path.read_bytes()
        assert after.startswith(before) and after.count(b"\n") == seed + 1
        before = after


WORKER = """
import json, sys
from dataclasses import replace
from lookharder.config import from_json
from lookharder.scaling.record import Record, Records
path, name = sys.argv[1:]
one = from_json(Record, json.loads(sys.stdin.readline()))
records = Records(path)
for seed in range(20):
    records.append(replace(one, seed=seed))  # all workers race for the same one
    records.append(replace(one, seed=seed, run=name))
"""


def test_concurrent_writers_lose_nothing_and_repeat_nothing(tmp_path: Path):
    path, text = tmp_path / "records.jsonl", json.dumps(to_json(record())) + "\n"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), f"worker{i}"], stdin=subprocess.PIPE
        )
        for i in range(3)
    ]
    for worker in workers:  # each waits for its record
        worker.stdin.write(text.encode())
        worker.stdin.close()
    for worker in workers:
        worker.wait()
        assert worker.returncode == 0
    keys = [one.key for one in Records.read(path)]
    runs = ["0123abcd"] + [f"worker{i}" for i in range(3)]
    assert len(keys) == 80
    assert set(keys) == {record(run=run, seed=seed).key for run in runs for seed in range(20)}


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch):
    path, records = tmp_path / "records.jsonl", Records(tmp_path / "records.jsonl")
    records.append(record())
    before, write = path.read_bytes(), os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:30]))
        with pytest.raises(OSError, match="took part"):
            records.append(record(seed=1))
    assert path.read_bytes() == before
    assert records.append(record(seed=1)) and len(Records.read(path)) == 2


@pytest.mark.parametrize(
    "text", ["notes to self", "notes\n", "{}\n", '{"study": 1}\n', '{"studies": []}', "[1, 2"]
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, text):
    path = tmp_path / "notes"
    path.write_text(text)
    for call in (lambda: Records.read(path), lambda: Records(path).append(record())):
        with pytest.raises(InputError, match="byte 0"):
            call()
    assert path.read_text() == text


def test_a_broken_line_inside_is_an_error_that_says_where(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    Records(path).append(record())
    good = path.read_bytes()
    path.write_bytes(good + good[:50] + b"\n" + good)
    with pytest.raises(InputError, match=f"byte {len(good)}"):
        Records.read(path)


def test_a_file_that_began_anew_is_read_anew(tmp_path: Path):
    path, records = tmp_path / "records.jsonl", Records(tmp_path / "records.jsonl")
    records.append(record())
    path.unlink()
    assert records.append(record()) and len(Records.read(path)) == 1


@pytest.mark.parametrize("claim", ["figure 3", "figure 3, of a longer line" * 20])
def test_a_file_put_in_its_place_is_read_anew(tmp_path: Path, claim):
    path, records = tmp_path / "records.jsonl", Records(tmp_path / "records.jsonl")
    first, other = record(), record(claim=claim, run="another!")
    records.append(first)
    path.unlink()
    Records(path).append(other)
    assert first.key not in records and other.key in records
    assert records.append(first) and Records.read(path) == [other, first]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"value": float("nan")}, "value"),
        ({"value": 0.4}, "value"),
        ({"train_macs": -1.0}, "train_macs"),
        ({"seconds": float("inf")}, "seconds"),
        ({"params": -5}, "params"),
        ({"images": 0, "per_image": None}, "images"),
        ({"images": 4}, "per_image"),
        ({"point": {"width": float("nan")}}, "width"),
    ],
)
def test_what_is_no_measurement_is_refused(change, name):
    with pytest.raises(InputError, match=rf"record\.{name}"):
        record(**change)


def test_the_file_is_plain_json_lines(tmp_path: Path):
    Records(tmp_path / "r.jsonl").append(replace(record(), seconds=1.5))
    (line,) = (tmp_path / "r.jsonl").read_text().splitlines()
    assert json.loads(line)["seconds"] == 1.5 and json.loads(line)["per_image"] == [0.2, 0.25, 0.3]


def test_no_file_is_an_error_to_read(tmp_path: Path):
    with pytest.raises(InputError, match="records"):
        Records.read(tmp_path / "absent.jsonl")
