"""Pictures that cannot be scored are named, counted and left out; the others are read twice and not kept."""

import gc
import json
import weakref
from pathlib import Path

import numpy as np
import pytest

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.data import formats
from lookharder.data.example import Example
from lookharder.data.source import open_spec
from lookharder.errors import InputError
from lookharder.evaluate import judge
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.files import say_once
from lookharder.predict.inputs import PIXELS, TOGETHER, together
from lookharder.predict.predictor import Predictor

RNG = np.random.default_rng(6)


@pytest.fixture(scope="module")
def predictor(random_model: Path) -> Predictor:
    return Predictor(Chain.load(random_model), name="random")


def rooms(folder: Path, depths: list[float]) -> Path:
    folder.mkdir(exist_ok=True)
    for i, depth in enumerate(depths):
        formats.write_image(folder / f"{i}.png", RNG.integers(0, 256, (3, 32, 32), np.uint8))
        values = np.full((32, 32), depth, np.float32) * RNG.uniform(0.9, 1.1, (32, 32))
        formats.write_npy(folder / f"{i}_depth.npy", values.astype(np.float32))
    return folder


def test_frames_without_a_pixel_to_score_are_left_out(tmp_path: Path, predictor: Predictor, caplog):
    say_once.cache_clear()
    folder = rooms(
        tmp_path / "set", [3.0, 0.0, 150.0, 5.0]
    )  # nothing measured; beyond the protocol
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:900])
    spec = f"folder:{folder}"
    found = evaluate(
        predictor, "depth", open_spec(spec, 32), data=spec, rules=protocol("depth", "folder")
    )
    assert [row["name"] for row in found.rows] == ["0.png"]
    assert len(found.left_out) == 3 and caplog.text.count("left out") == 3
    reasons = " ".join(found.left_out.values())
    for words in ("`depth_valid` without", "no pixel that the protocol folder-depth", "decoded"):
        assert words in reasons
    alone = evaluate(
        predictor,
        "depth",
        open_spec(f"folder:{rooms(tmp_path / 'none', [0.0]).parent / 'set'}", 32),
        data=spec,
        rules=protocol("depth", "folder"),
    )
    assert alone.means == found.means


@pytest.mark.parametrize("depth", [0.0, 150.0])
def test_a_set_of_which_nothing_can_be_scored_is_one_line(
    tmp_path: Path, capsys, random_model, depth
):
    folder = rooms(tmp_path / "set", [depth, depth])
    line = ["evaluate", "--model", str(random_model), "--task", "depth"]
    line += ["--data", f"folder:{folder}", "--out", str(tmp_path / "x.json")]
    assert main(line) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("lookharder: error: --data: got") and "none can be scored" in said


def test_an_object_too_small_for_the_working_size_is_left_out(tmp_path: Path, predictor: Predictor):
    for i, side in enumerate((60, 1)):
        mask = np.zeros((128, 128), bool)
        mask[:side, :side] = True
        formats.write_image(tmp_path / f"{i}.png", RNG.integers(0, 256, (3, 128, 128), np.uint8))
        for name in ("visible", "amodal"):
            formats.write_mask(tmp_path / f"{i}_{name}.png", mask)
    spec = f"folder:{tmp_path}"
    found = evaluate(
        predictor, "amodal", open_spec(spec, 32), data=spec, rules=protocol("amodal", "folder")
    )
    assert [row["name"] for row in found.rows] == ["0.png"]
    assert "nothing left of it" in found.left_out["1.png"]


class Counted:
    """A set that counts how many of its pictures are alive."""

    def __init__(self, count: int) -> None:
        self.count, self.read, self.most = count, 0, 0
        self.images: list[weakref.ref[np.ndarray]] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        self.read += 1
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (3, 32, 32), np.uint8)
        self.images.append(weakref.ref(image))
        gc.collect()
        self.most = max(self.most, sum(each() is not None for each in self.images))
        return Example(
            name=str(index),
            image=image,
            depth=rng.uniform(1, 5, (32, 32)).astype(np.float32),
            depth_valid=np.ones((32, 32), bool),
        )


def test_a_set_larger_than_memory_is_read_again_with_the_same_scores(predictor, monkeypatch):
    asked = {"data": "counted", "rules": protocol("depth", "counted"), "batch_size": 2}
    kept = Counted(9)
    first = evaluate(predictor, "depth", kept, **asked)
    size = 32 * 32 * (3 + 4 + 1)  # of an example: image, depth, mask
    monkeypatch.setattr(judge, "free_memory", lambda: 8 * size)
    streamed = Counted(9)
    second = evaluate(predictor, "depth", streamed, **asked)
    assert first.rows == second.rows
    assert (kept.read, streamed.read) == (9, 9 + 8)  # there is room for one
    assert kept.most == 9 and streamed.most <= 5  # it, and those of two groups


def test_wrong_options_are_no_fault_of_the_pictures(predictor):
    with pytest.raises(InputError, match="steps"):
        evaluate(
            predictor, "depth", Counted(2), data="d", rules=protocol("depth", "d"), steps=100_000
        )


def test_calls_are_bounded_by_pixels():
    assert together(64, 64) == TOGETHER
    assert together(3000, 4000) == 1
    for side in range(8, 5000, 97):
        assert together(side, side) == 1 or together(side, side) * side**2 <= PIXELS


def test_out_of_memory_is_one_line(monkeypatch, capsys, tmp_path, random_model):
    say = {
        MemoryError(): "out of memory: a smaller",
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"
        ): "allocate",
    }
    for error, words in say.items():

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(Predictor, "predict_examples", fail)
        line = f"evaluate --model {random_model} --task depth --data procedural:2 --size 32"
        assert main([*line.split(), "--out", str(tmp_path / "x.json")]) == 1
        assert words in capsys.readouterr().err
    formats.write_image(tmp_path / "a.png", RNG.integers(0, 256, (3, 32, 32), np.uint8))

    def no_memory(*_, **__):
        raise MemoryError

    monkeypatch.setattr("PIL.Image.Image.load", no_memory)
    with pytest.raises(MemoryError):
        formats.read_image(tmp_path / "a.png")
    assert not (tmp_path / "x.json").exists()


def test_what_was_left_out_stands_in_the_scores(tmp_path: Path, random_model, capsys):
    folder = rooms(tmp_path / "set", [3.0, 0.0])
    line = ["evaluate", "--model", str(random_model), "--task", "depth"]
    assert main([*line, "--data", f"folder:{folder}", "--out", str(tmp_path / "x.json")]) == 0
    assert "1 images (1 left out)" in " ".join(capsys.readouterr().out.split())
    assert list(json.loads((tmp_path / "x.json").read_text())["left_out"]) == ["1.png"]
