"""Many processes, one folder: shards of a run share the work, and what comes out is what one process gives."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lookharder.cli import main
from lookharder.data import source
from lookharder.data.formats import write_image
from lookharder.data.source import Remembered, open_spec
from lookharder.errors import InputError
from lookharder.evaluate import evaluation
from lookharder.hardware import pick_device
from lookharder.predict.files import batch, pictures
from lookharder.predict.files.folder import hold
from lookharder.shard import WHOLE, Shard

RNG = np.random.default_rng(0)
PREDICT = "predict depth --model model --steps 1 --format npy"
TOLD = ("seconds",)  # of a record, how long it took
GROUP = 4  # pictures that are predicted together, in place of 16
RUN = f"""
import os, signal, sys
from lookharder.cli import main
from lookharder.predict.files import batch, pictures
write, left = batch.write_answer, iter(range(int(os.environ.get("WRITES", 99))))

def dying(*args, **options):
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(*args, **options)

batch.write_answer, pictures.TOGETHER = dying, {GROUP}
sys.exit(main())
"""


@pytest.fixture
def whole(place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What one process makes of 13 pictures in `set`: four groups, the last of one."""
    monkeypatch.setattr(pictures, "TOGETHER", GROUP)
    photos(place / "set", 13)
    predict("set --out whole")
    return contents("whole")


def photos(folder: Path, count: int) -> None:
    """Pictures of three sizes."""
    folder.mkdir(exist_ok=True)
    for i in range(count):
        pixels = RNG.integers(0, 256, (3, 16, 16 + 8 * (i % 3)), np.uint8)
        write_image(folder / f"frame_{i}.png", pixels)


def predict(line: str, code: int = 0) -> None:
    assert main(f"{PREDICT} {line}".split()) == code


def contents(folder: str) -> dict[str, object]:
    """What a folder holds, but for how long things took."""
    found: dict[str, object] = {
        path.name: path.read_bytes() for path in Path(folder).rglob("*.*") if path.is_file()
    }
    lines = Path(folder, "predictions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    found["predictions.jsonl"] = [
        {key: value for key, value in record.items() if key not in TOLD} for record in records
    ]
    assert found.pop("index.html")
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_shards_are_all_groups_once_each(count):
    groups = [range(i, i + 3) for i in range(0, 60, 3)]
    dealt = [group for index in range(count) for group in Shard(index, count).of(groups)]
    assert sorted(dealt, key=list) == groups
    assert WHOLE.of(groups) == groups


@pytest.mark.parametrize("text", ["", "1", "2/2", "1/0", "-1/2", "1/2/3", "a/b", "0/1e3"])
def test_what_is_no_shard(text):
    with pytest.raises(InputError, match="--shard"):
        Shard.parse(text)


def test_a_rank_is_a_shard(monkeypatch):
    assert Shard.of_rank() == WHOLE
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert Shard.of_rank() == Shard.parse("2/8")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "6")
    assert str(pick_device("auto")) == "cuda:2" and str(pick_device("cuda:1")) == "cuda:1"
    assert str(pick_device("cpu")) == "cpu"


def test_shards_of_a_run_give_what_one_process_gives(whole, capsys):
    for index in (2, 0):
        predict(f"set --out out --shard {index}/3")
    said = capsys.readouterr().out
    assert "4 depth predictions, shard 2/3" in said and "5 depth predictions, shard 0/3" in said
    names = [record["name"] for record in contents("out")["predictions.jsonl"]]
    assert names == [f"frame_{i}" for i in [*range(4), *range(8, 13)]]
    predict("set --out out --shard 1/3")
    assert contents("out") == whole
    predict("set --out out --shard 1/2")  # another number of shards, which finds all done
    assert "5 depth predictions (5 done before)" in capsys.readouterr().out
    predict("set --out out --shard 9/10")  # has nothing to do
    assert "0 depth predictions" in capsys.readouterr().out
    predict("set --out out --seed 1 --shard 0/1")
    assert [record["seed"] for record in contents("out")["predictions.jsonl"]] == [1] * 13


def test_shards_side_by_side_and_nobody_else(whole, capsys, monkeypatch):
    """One shard is in the folder while others come and go; the last of them makes the whole."""
    write, refused = batch.write_answer, []

    def meanwhile(*args, **options):
        monkeypatch.setattr(batch, "write_answer", write)
        predict("set --out out --shard 0/2", code=2)  # itself
        refused.append(capsys.readouterr().err)
        for other in ("--shard 1/3", "--seed 1 --shard 1/2", ""):
            predict(f"set --out out {other}", code=2)
            refused.append(capsys.readouterr().err)
        predict("set --out out --shard 1/2")
        assert not Path("out/index.html").exists() and not Path("out/frame_0.depth.npy").exists()
        assert Path("out/predictions.1-of-2.jsonl").exists()
        return write(*args, **options)

    monkeypatch.setattr(batch, "write_answer", meanwhile)
    predict("set --out out --shard 0/2")
    assert "another process is shard 0/2" in refused[0]
    assert all("another process is writing" in line for line in refused[1:])
    assert contents("out") == whole


def test_what_a_killed_shard_left_is_taken_up_by_any_call(whole, monkeypatch):
    write, written = batch.write_answer, []

    def dying(folder, files, *args):
        written.append(write(folder, files, *args))
        if len(written) == 7:  # in its second group
            raise KeyboardInterrupt
        return written[-1]

    monkeypatch.setattr(batch, "write_answer", dying)
    predict("set --out out --shard 0/2", code=130)
    monkeypatch.setattr(batch, "write_answer", write)
    recorded = Path("out/predictions.0-of-2.jsonl").read_text().splitlines()
    names = [json.loads(line)["files"]["array"] for line in recorded]
    times = {name: Path("out", name).stat().st_mtime_ns for name in names}
    assert 4 <= len(times) < 7 and not Path("out/predictions.jsonl").exists()
    with hold(Path("out"), Shard(1, 2), "run"):
        pass
    claims = Path("out/.predictions.claims").read_text().splitlines()
    claimed = {json.loads(line)["files"]["array"] for line in claims}
    assert claimed and not claimed & set(names)  # what is recorded is claimed no more
    predict("set --out out --shard 1/2")
    predict("set --out out")
    assert contents("out") == whole
    assert {name: Path("out", name).stat().st_mtime_ns for name in names} == times


def test_ranks_that_are_killed_as_they_write_lose_nothing(whole, fork):
    """After so many pictures each, of 8 and 5; `python -m benchmarks kills` does it at random instants."""
    line = f"{PREDICT} set --out out".split()
    for writes, ends in (((2, 1), [-9, -9]), ((1, 2), [-9, -9]), ((99, 99), [0, 0])):
        ranks = [
            fork(RUN, *line, RANK=str(rank), WORLD_SIZE="2", WRITES=str(count))
            for rank, count in enumerate(writes)
        ]
        assert [rank.wait() for rank in ranks] == ends, [rank.said() for rank in ranks]
    assert contents("out") == whole


def test_a_manifest_says_what_belongs_together(place, capsys):
    Path("deep").mkdir()
    pixels = np.full((3, 40, 56), 20, np.uint8)
    pixels[:, 12:18, 16:26] = 200
    write_image("b.png", pixels)
    lines = [
        {"image": "../a.png", "mask": "../mask.png", "name": "one/cup"},
        {"image": "../b.png", "box": [14, 10, 28, 20]},  # around what is there
        {"image": "../b.png", "mask": "../mask.png"},
        {"image": "../missing.png", "mask": "../mask.png"},
    ]
    Path("deep/all.jsonl").write_text("\n".join(map(json.dumps, lines)))
    line = [
        "predict",
        "amodal",
        "deep/all.jsonl",
        "--model",
        "model",
        "--steps",
        "1",
        "--out",
        "out",
    ]
    assert main(line) == 2
    assert "left out: deep/../missing.png" in capsys.readouterr().err
    for _ in range(2):  # the same image twice keeps its two names
        assert main(line) == 2
    records = contents("out")["predictions.jsonl"]
    assert [record["name"] for record in records] == ["one/cup", "b", "b-2"]
    assert records[1]["mask"] == "box 14,10,28,20"
    assert Path("out/one/cup.amodal.npy").exists()
    for bad, words in (
        ({"image": "a.png"}, "image and one of mask, box, point for amodal"),
        ({"image": "a.png", "mask": 3}, "texts"),
        ({"image": "a.png", "mask": "m.png", "second": "b.png"}, "for amodal"),
        ({"image": "a.png", "point": [1.5, 2]}, "line 1, point"),
        ({"image": "a.png", "point": [1, 2], "box": [1, 2, 3, 4]}, "for amodal"),
        ({"image": "a.png", "mask": "m.png", "name": "../x"}, "stays in the folder"),
        ([], "a JSON object"),
    ):
        Path("bad.jsonl").write_text(json.dumps(bad))
        assert main(["predict", "amodal", "bad.jsonl", "--model", "model", "--out", "bad"]) == 2
        assert words in capsys.readouterr().err
        assert not Path("bad").exists()
    assert main(["predict", "depth", "bad.jsonl", "a.png", "--model", "model", "--out", "bad"]) == 2
    assert "nothing beside it" in capsys.readouterr().err


def test_shards_of_an_evaluation_give_the_scores_of_one_process(place, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "together", lambda height, width: 2)  # five groups
    rendered = cache(lambda *about: Remembered(open_spec(*about)))
    monkeypatch.setattr(source, "open_spec", rendered)
    line = "evaluate --model model --task depth --data procedural:10:5 --size 16 --steps 1 --out"

    def evaluate(out: str, code: int = 0) -> str:
        assert main([*line.split(), *out.split()]) == code
        return "".join(capsys.readouterr())

    evaluate("whole.json")
    assert "3 groups of pictures are not scored yet" in evaluate("s.json --shard 1/2")
    score, scored = evaluation._score, []

    def dying(*args):
        scored.append(args)
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score(*args)

    monkeypatch.setattr(evaluation, "_score", dying)
    evaluate("s.json --shard 0/2", code=130)
    with (place / "s.0-of-2.jsonl").open("a") as handle:
        handle.write('{"group": 2, "sco')  # a line cut short
    assert not (place / "s.json").exists()
    evaluate("s.json --shard 0/2")  # goes on after the first of its three groups
    assert len(scored) == 4
    assert (place / "s.json").read_bytes() == (place / "whole.json").read_bytes()
    assert sorted(path.name for path in place.glob("s.*")) == ["s.json"]
    assert not list(place.glob(".s*"))
    assert "4 groups" in evaluate("s.json --shard 0/5 --seed 1")
    assert "4 groups" in evaluate("s.json --shard 0/5")  # of another run
    assert "nothing beside shards" in evaluate(
        "s.json --shard 0/5 --calibration --members 2", code=2
    )


def test_a_folder_of_shards_that_stays_empty_goes_again(tmp_path):
    out = tmp_path / "out"
    with hold(out, Shard(0, 2), "run"), hold(out, Shard(1, 2), "run"):
        assert len(list(out.iterdir())) == 3  # two locks and the door
    assert not out.exists()
