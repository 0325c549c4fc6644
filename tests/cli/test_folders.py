"""Folders of pictures in, a folder of results out: nothing of the user's is lost, and what is killed goes on."""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.data.formats import read_npy, write_image
from lookharder.data.readers.folder import list_rows
from lookharder.predict.files import batch
from lookharder.predict.files.batch import recipe_of
from lookharder.predict.files.records import line_of
from lookharder.predict.predictor import Predictor
from lookharder.predict.settings import SettingsTable

RNG = np.random.default_rng(0)
PREDICT = "predict depth --model model --steps 1 --out"
SLOWLY = """
import sys, time
from lookharder.cli import main
from lookharder.predict.files import batch
write = batch.write_answer
batch.write_answer = lambda *given, **options: (time.sleep(0.2), write(*given, **options))[1]
sys.exit(main())
"""


def predict(line: str, code: int = 0) -> None:
    assert main(f"{PREDICT} {line}".split()) == code


def photos(folder: Path, *names: str) -> None:
    """Pictures of different sizes, so that each is predicted alone."""
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, RNG.integers(0, 256, (3, 16, 16 + i), np.uint8))


def records(out: str = "out") -> list[dict]:
    return [json.loads(line) for line in Path(out, "predictions.jsonl").read_text().splitlines()]


def contents(folder: str = "out") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def test_truth_beside_a_photo_is_passed_over_and_untouched(place, caplog):
    Path("set").mkdir()
    for name in ("a.png", "b.png", "c.jpg"):
        shutil.copy(name, "set")
    for name in ("a_depth.png", "b_Depth.png", "c_mask.png"):
        shutil.copy("other_size.png", f"set/{name}")
    before, listed = contents("set"), list_rows("set", {"depth_unit": "mm"})
    predict("set set")
    assert [record["name"] for record in records("set")] == ["a", "b", "c"]
    assert "3 labels of other images passed over" in caplog.text
    after = contents("set")
    assert {name: after[name] for name in before} == before
    predict("set set")  # neither are results taken for photos,
    assert len(records("set")) == 3
    assert list_rows("set", {"depth_unit": "mm"}) == listed  # nor for rows of a data set


def test_nothing_that_is_no_result_is_replaced_unless_asked(place, capsys):
    Path("out").mkdir()
    for name in ("a.depth.npy", "index.html", "predictions.jsonl"):
        Path("out", name).write_text('{"files": 3}\n' if name.endswith("l") else "mine")
        predict("out a.png", code=2)
        assert name in capsys.readouterr().err
        assert len(list(Path("out").iterdir())) == 1
        Path("out", name).unlink()
    Path("out", "a.depth.npy").write_text("mine")
    predict("out a.png --overwrite")
    assert read_npy("out/a.depth.npy").shape == (40, 56)


def test_a_second_run_adds_and_replaces_its_own(place, capsys):
    predict("out a.png b.png --members 2")
    predict("out c.jpg")
    assert [record["name"] for record in records()] == ["a", "b", "c"]
    page = Path("out/index.html").read_text()
    assert all(f"{name}.depth.vis.png" in page for name in "abc") and "3 images" in page
    assert Path("out/a.depth.uncertainty.npy").exists()
    predict("out a.png")
    assert [(r["name"], r["members"]) for r in records()] == [("b", 2), ("c", 1), ("a", 1)]
    assert not Path("out/a.depth.uncertainty.npy").exists()  # of the result before
    flow = ["predict", "flow", "a.png", "--second", "b.png", "--model", "model", "--out", "out"]
    assert main(flow) == 0
    assert len(records()) == 4 and "Optical flow" in Path("out/index.html").read_text()
    Path("other").mkdir()
    shutil.copy("b.png", "other/a.png")
    predict("out other/a.png")  # another picture of that name
    assert {r["name"] for r in records() if r["task"] == "depth"} == {"a", "a-2", "b", "c"}


def test_what_would_come_out_the_same_is_not_done_again(place, capsys):
    predict("out a.png b.png")
    times = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("*.npy")}
    write_image("b.png", RNG.integers(0, 256, (3, 40, 56), np.uint8))
    predict("out a.png b.png --batch-size 1")
    assert "(1 done before)" in capsys.readouterr().out
    again = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("*.npy")}
    assert {name for name in times if times[name] != again[name]} == {"b.depth.npy"}
    predict("out a.png b.png --seed 5 --skip-existing")
    assert [record["seed"] for record in records()] == [0, 0]
    predict("out a.png b.png --seed 5")
    assert [record["seed"] for record in records()] == [5, 5]
    Path("out/a.depth.png").unlink()  # a result that is not whole is none
    predict("out a.png b.png --seed 5")
    assert Path("out/a.depth.png").exists()


def test_a_killed_folder_is_resumed(place, fork):
    names = [f"frame_{i}.png" for i in range(8)]
    photos(place / "set", *names)
    process = fork(SLOWLY, *f"{PREDICT} out set".split()).process
    deadline = time.monotonic() + 60
    while not (Path("out/predictions.jsonl").exists() and records()):
        assert time.monotonic() < deadline and process.is_alive()
        time.sleep(0.001)
    process.kill()
    process.join()
    done = records()
    assert 0 < len(done) < 8 and not Path("out/index.html").exists()
    for record in done:
        assert all(Path("out", file).stat().st_size for file in record["files"].values())
    with Path("out/predictions.jsonl").open("a") as handle:
        handle.write('{"task": "dep')  # a line cut short
    times = {r["name"]: Path("out", r["files"]["array"]).stat().st_mtime_ns for r in done}
    predict("out set --skip-existing")
    assert [record["name"] for record in records()] == [name[:-4] for name in names]
    for name, when in times.items():
        assert Path(f"out/{name}.depth.npy").stat().st_mtime_ns == when
    assert not [path.name for path in Path("out").iterdir() if path.name.startswith(".")]
    predict("whole set")
    whole, resumed = contents("whole"), contents("out")
    assert whole.keys() == resumed.keys()
    different = {name for name in whole if whole[name] != resumed[name]}
    assert different <= {"predictions.jsonl", "index.html"}  # which say how long it took


def test_results_that_are_being_replaced_have_no_record(place, monkeypatch):
    """Killed at the worst time, a folder says too little but nothing wrong, and the next call makes it whole."""
    predict("out a.png b.png")
    write, written = batch.write_answer, []

    def dying(*args, **options):
        written.append(write(*args, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "write_answer", dying)
    predict("out a.png b.png --seed 3", code=130)
    assert written and records() == [] and not Path("out/index.html").exists()
    monkeypatch.setattr(batch, "write_answer", write)
    predict("out a.png b.png --seed 3")
    assert [record["seed"] for record in records()] == [3, 3]


def test_one_process_at_a_time(place, capsys):
    Path("out").mkdir()
    handle = os.open("out", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    predict("out a.png", code=2)
    assert "another process is writing" in capsys.readouterr().err
    assert not list(Path("out").iterdir())
    os.close(handle)
    predict("out a.png")


def test_a_folder_that_vanishes_is_not_made_again(place, capsys, monkeypatch):
    photos(place / "set", "a.png", "b.png", "c.png")
    write = batch.write_answer

    def vanishing(*args, **options):
        shutil.rmtree("out", ignore_errors=True)
        return write(*args, **options)

    monkeypatch.setattr(batch, "write_answer", vanishing)
    predict("out set", code=1)
    assert "has vanished" in capsys.readouterr().err
    assert not Path("out").exists()


def test_one_bad_picture_is_named_and_skipped(place, capsys):
    predict("out a.png cut.png missing.png c.jpg", code=2)
    said = capsys.readouterr()
    assert "2 depth predictions, 2 left out" in said.out
    assert "left out: cut.png" in said.err and "left out: missing.png" in said.err
    assert [record["name"] for record in records()] == ["a", "c"]
    predict("strict a.png cut.png --strict", code=2)
    assert not Path("strict").exists()


def test_a_mask_too_small_for_the_network_does_not_take_others_along(place, capsys):
    thin = np.zeros((40, 56), np.uint8)
    thin[20, 20] = 255
    Image.fromarray(thin).save("thin.png")
    line = (
        "predict amodal a.png b.png --mask thin.png mask.png --model model --resolution 8 --out out"
    )
    assert main(line.split()) == 2
    assert "left out: a.png: mask" in capsys.readouterr().err
    assert [record["name"] for record in records()] == ["b"]


def test_folders_of_folders_and_pairs_by_name(place, capsys, caplog):
    photos(place / "set", "x.png", "one/x.png", "one/deep/y.png")
    predict("out set")
    assert [record["name"] for record in records()] == ["x"]
    predict("deep set --recursive")
    assert [record["name"] for record in records("deep")] == ["x", "one/x", "one/deep/y"]
    assert read_npy("deep/one/deep/y.depth.npy").shape == (16, 18)
    assert 'src="one/deep/y.depth.vis.png"' in Path("deep/index.html").read_text()

    sizes = {"f2": 20, "f10": 30, "f1": 40}
    for name, width in sizes.items():  # names sort otherwise than those of their masks
        Path("p").mkdir(exist_ok=True)
        Path("m").mkdir(exist_ok=True)
        write_image(f"p/{name}.png", RNG.integers(0, 256, (3, 16, width), np.uint8))
        mask = np.full((3, 16, width), 255, np.uint8)
        mask[:, :4] = 0
        write_image(f"m/{name.upper()}_mask.png", mask)
    line = ["predict", "amodal", "p", "--mask", "m", "--model", "model", "--out", "whole"]
    assert main(line) == 0
    assert [record["name"] for record in records("whole")] == ["f1", "f2", "f10"]
    assert all(Path(r["mask"]).stem == f"{r['name'].upper()}_mask" for r in records("whole"))
    Path("m/F2_mask.png").unlink()
    assert main([*line, "--overwrite"]) == 2
    assert "p/f2.png: got no namesake" in capsys.readouterr().err
    assert [record["name"] for record in records("whole")] == ["f1", "f2", "f10"]


@pytest.mark.parametrize("name", ["../a", "/etc/a", "a"])
def test_records_are_not_believed_beyond_their_folder(place, name):
    """A record may name files of its own result, in its folder; nothing else is replaced or removed for it."""
    Path("out").mkdir()
    files = {"array": f"{name}.depth.npy", "other": "../a.png", "more": "b.png"}
    record = {"task": "depth", "name": name, "files": files, "source": str(Path("a.png").resolve())}
    Path("out/b.png").write_text("mine")
    Path("out/predictions.jsonl").write_text(json.dumps(record) + "\n")
    before = contents(".")
    predict("out a.png", code=0 if name == "a" else 2)
    assert Path("out/b.png").read_text() == "mine"
    assert contents(".") == before


def test_a_model_that_looks_oftener_by_default_makes_other_results(random_model):
    chain = Chain.load(random_model)
    tables = (
        None,
        *(SettingsTable(data="", errors={}, rows=(), levels={"depth": n}) for n in (1, 2)),
    )
    made = {recipe_of(Predictor(chain, settings=table), "depth", levels=None) for table in tables}
    assert len(made) == 3


def test_a_run_that_was_stopped_before_its_first_result_goes_on(place, monkeypatch):
    """It leaves nothing."""

    def stopped(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "__call__", stopped)
    predict("out a.png", code=130)
    monkeypatch.undo()
    os.chdir(place)
    assert not Path("out").exists()
    predict("out a.png")


def test_what_cannot_be_predicted_at_all_changes_nothing(place, capsys):
    predict("out a.png b.png")
    before = contents()
    for options in ("--until 0.01 --members 1", "--until change:1"):
        predict(f"out a.png {options}", code=2)
        predict(f"new a.png {options}", code=2)
    assert contents() == before and not Path("new").exists()


def test_a_record_says_a_name_as_utf_8_whatever_the_locale():
    name, other = "ä".encode().decode("ascii", "surrogateescape"), os.fsdecode(b"caf\xe9")
    assert line_of({"name": name, "±": other}) == '{"name": "\\u00e4", "\\u00b1": "caf\\udce9"}\n'


def test_names_whose_bytes_are_no_text(place):
    """A name in Latin-1, or any under LC_ALL=C: what was recorded under it is read again."""
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy("a.png", name)
    for said in ("", "", "--seed 1"):
        predict(f"out {name} b.png {said}")
    assert [record["name"] for record in records()] == [name[:-4], "b"]
    assert Path("out", f"{name[:-4]}.depth.npy").exists()
