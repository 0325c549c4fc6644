"""What cannot teach is refused before a run begins; what cannot be used is named, counted and left out."""

import json
from pathlib import Path

import numpy as np
import pytest

from lookharder.config import override
from lookharder.data import formats
from lookharder.data.example import Example
from lookharder.data.usable import TRIES, Usable
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.recipes import smoke
from lookharder.training import checkpoint
from lookharder.training.run import run

RNG = np.random.default_rng(2)
SETTINGS = [
    "chain.model.depth=1",
    "chain.model.hidden_size=32",
    "train.batch_size=2",
    "train.iterations=6",
    "checkpoint_every=1000",
    "log_every=1",
]


def photographs(folder: Path, count: int, share: float = 1.0) -> Path:
    """Pictures with depth that is known in this share of the pixels."""
    folder.mkdir()
    for i in range(count):
        formats.write_image(folder / f"p{i}.png", RNG.integers(0, 256, (3, 64, 64), np.uint8))
        depth = RNG.uniform(1, 9, (64, 64)).astype(np.float32)
        formats.write_npy(
            folder / f"p{i}_depth.npy", np.where(RNG.random((64, 64)) < share, depth, 0)
        )
    return folder


def depth_run(spec: str, *more: str):
    return override(
        smoke(), [*SETTINGS, 'train.mix={"depth": 1.0}', f"data.depth.spec={spec}", *more]
    )


def test_sparse_truth_that_teaches_nothing_is_refused(tmp_path: Path):
    folder = photographs(tmp_path / "sparse", 3, share=0.05)
    with pytest.raises(InputError, match="without one wholly known cell"):
        next(run(depth_run(f"folder:{folder}"), tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_damaged_picture_is_left_out_and_the_run_goes_on(tmp_path: Path, caplog):
    say_once.cache_clear()
    folder = photographs(tmp_path / "set", 4)
    (folder / "p1.png").write_bytes((folder / "p1.png").read_bytes()[:3000])
    formats.write_npy(folder / "p2_depth.npy", np.zeros((64, 64), np.float32))
    steps = list(run(depth_run(f"folder:{folder}?crop=64&views=1"), tmp_path / "run"))
    assert len(steps) == 6 and all(step.loss > 0 for step in steps)
    assert caplog.text.count("left out") == 2
    assert "p1.png" in caplog.text and "`depth_valid` without a single pixel" in caplog.text


def test_a_run_saves_before_it_leaves_on_bad_input(tmp_path: Path, monkeypatch):
    folder, out = photographs(tmp_path / "set", 4), tmp_path / "run"
    read, calls = Usable.__getitem__, []

    def failing(self: Usable, index: int) -> Example:
        calls.append(index)
        if len(calls) > 12:
            raise InputError("data (p1)", "nothing", "something")
        return read(self, index)

    monkeypatch.setattr(Usable, "__getitem__", failing)
    with pytest.raises(InputError, match="p1"):
        list(run(depth_run(f"folder:{folder}"), out))
    found = checkpoint.load_latest(out / "checkpoints")
    rows = (out / "metrics.jsonl").read_text().splitlines()
    assert found is not None and found.iteration == len(rows) >= 1


@pytest.mark.parametrize(("label", "good"), [(0, True), (15, True), (16, False), (20, False)])
def test_labels_are_classes_of_the_model_and_no_rows_of_its_tasks(
    tmp_path: Path, label: int, good: bool
):
    rows = []
    for i in range(4):
        formats.write_image(tmp_path / f"{i}.png", RNG.integers(0, 256, (3, 64, 64), np.uint8))
        rows.append({"image": f"{i}.png", "label": label if i == 3 else 0})
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = override(
        smoke(),
        [
            *SETTINGS,
            "train.iterations=1",
            'train.mix={"generation": 1.0}',
            f"data.generation.spec=folder:{tmp_path / 'm.jsonl'}",
        ],
    )
    classes = config.chain.model.num_classes
    assert classes == 16
    if good:
        assert len(list(run(config, tmp_path / "run"))) == 1
    else:
        with pytest.raises(InputError, match=f"label {label}, allowed: 0 to 15"):
            next(run(config, tmp_path / "run"))


class Broken:
    def __init__(self, good: set[int], count: int) -> None:
        self.good, self.count = good, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        if index not in self.good:
            raise InputError(f"{index}.png", "no picture", "a picture")
        return Example(name=str(index), image=np.zeros((3, 8, 8), np.uint8))


def test_the_next_usable_example_stands_in():
    data = Usable(Broken({2, 5}, 8), ())
    assert [data[i].name for i in range(8)] == ["2", "2", "2", "5", "5", "5", "2", "2"]
    assert sorted(data.left_out) == [0, 1, 3, 4, 6, 7]
    with pytest.raises(InputError, match=f"{TRIES} unusable examples"):
        Usable(Broken(set(), 100), ())[7]
