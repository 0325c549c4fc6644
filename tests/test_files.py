"""Files are whole or not there, and no writer makes a folder again that is moved away under it."""

import os
from pathlib import Path

import pytest

from lookharder.files import as_named_here, as_utf8, atomic, make_inside, write_json
from lookharder.study.queue.worker import WorkerSpec


def test_a_folder_that_is_moved_away_is_not_made_again(tmp_path: Path):
    out, gone = tmp_path / "out", tmp_path / "gone"
    make_inside(tmp_path, "out")
    write_json(out / "a.json", 1)
    with pytest.raises(FileNotFoundError), atomic(out / "a.json") as aside:
        aside.write_text("2")
        out.rename(gone)
    with pytest.raises(FileNotFoundError):
        write_json(out / "b.json", 3)
    with pytest.raises(FileNotFoundError):
        make_inside(out, "inside")
    assert not out.exists() and (gone / "a.json").read_text() == "1\n"


def test_folders_are_made_inside_one_that_is_there(tmp_path: Path):
    for _ in range(2):
        assert make_inside(tmp_path, "a", "b") == tmp_path / "a" / "b"
    assert make_inside(tmp_path) == tmp_path
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]


def test_names_come_back_in_a_locale_that_cannot_say_them(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "fsdecode", lambda name: name.decode("ascii", "surrogateescape"))
    name = os.fsdecode("sö".encode())
    assert as_utf8([name, {name: 1}]) == ["sö", {"sö": 1}]
    assert as_named_here("sö") == name
    spec = WorkerSpec(root=f"{tmp_path}/{name}", jobs=(), stages="none")
    spec.write(tmp_path / "spec.json")
    assert WorkerSpec.read(tmp_path / "spec.json") == spec
