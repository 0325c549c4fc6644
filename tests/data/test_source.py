"""Crops of photos of any size, and what is kept in memory."""

import json
from pathlib import Path

import numpy as np
import pytest

from lookharder.cli import main
from lookharder.data import formats
from lookharder.data.example import Example, collate
from lookharder.data.source import DataConfig, Remembered, examine, open_data, open_spec, sides_of
from lookharder.errors import InputError

RNG = np.random.default_rng(2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos of three sizes, with depth."""
    for name, (height, width) in {"a": (40, 70), "b": (50, 20), "c": (16, 16)}.items():
        formats.write_image(
            tmp_path / f"{name}.png", RNG.integers(0, 256, (3, height, width), np.uint8)
        )
        formats.write_depth_png(tmp_path / f"{name}_depth.png", RNG.uniform(1, 9, (height, width)))
    return tmp_path


def test_photos_of_any_size_make_a_batch(photos: Path):
    spec = f"folder:{photos}?depth_unit=mm&crop=24&views=5"
    data = open_data(DataConfig(spec=spec))
    assert len(data) == 15
    batch = collate([data[i] for i in range(15)])
    assert batch.image.shape == (15, 3, 24, 24) and batch.need("depth_valid").all()
    assert batch.name == ("a.png", "b.png", "c.png") * 5
    again = open_spec(spec, 64)
    for index in (14, 0, 7):  # a function of the index alone
        np.testing.assert_array_equal(data[index].image, again[index].image)
    pictures = {data[index].image.tobytes() for index in range(0, 15, 3)}
    assert len(pictures) == 5
    for index in (15, -16):
        with pytest.raises(IndexError):
            data[index]
    assert len(open_spec(f"folder:{photos}?depth_unit=mm&crop=24", 64)) == 64 * 3
    assert len(open_spec(f"folder:{photos}?depth_unit=mm", 64)) == 3


@pytest.mark.slow  # a process that imports torch
def test_a_store_holds_whole_scenes_and_no_photos(photos: Path, tmp_path: Path):
    config = DataConfig(spec="procedural:1:1?crop=16&views=3", size=32)
    kept = {"store": str(tmp_path / "store"), "workers": 1}
    stored, fresh = open_data(DataConfig(**vars(config) | kept)), open_data(config)
    assert len(stored) == len(fresh) == 3
    np.testing.assert_array_equal(stored[2].flow, fresh[2].flow)
    (image,) = tmp_path.glob("store/*/image.npy")
    assert np.load(image).shape == (1, 3, 32, 32)
    spec = f"folder:{photos}?depth_unit=mm&crop=16&views=2"
    assert len(open_data(DataConfig(**vars(config) | kept | {"spec": spec}))) == 6
    assert len(list(tmp_path.glob("store/*"))) == 1


def test_fine_tuning_on_a_folder_is_one_command(photos: Path, tmp_path: Path):
    out = tmp_path / "run"
    line = ["train", "smoke", "--quiet", "--out", str(out)]
    for value in (
        f"data.depth.spec=folder:{photos}?depth_unit=mm&crop=32",
        'train.mix={"depth": 1.0}',
        "train.iterations=2",
        "train.batch_size=4",
    ):
        line += ["--set", value]
    assert main(line) == 0
    rows = [json.loads(row) for row in (out / "metrics.jsonl").read_text().splitlines()]
    losses = [row["losses"]["depth"] for row in rows if "losses" in row]
    assert losses and all(0 < loss < 10 for loss in losses)
    assert (out / "model" / "config.json").exists()


def test_a_crop_may_be_of_another_shape_and_of_one_task():
    data = open_spec("procedural:2:1?only=depth&crop=16x24&views=2", 32)
    assert len(data) == 4
    example = data[3]
    assert example.image.shape == (3, 16, 24) and example.depth.shape == (16, 24)
    assert example.flow is None and example.whole is None
    assert sides_of(DataConfig(spec="procedural:2:1?only=depth&crop=16x24")) == (16, 24)
    assert sides_of(DataConfig(spec="folder:x?crop=16")) == (16, 16)
    assert sides_of(DataConfig(spec="folder:x", size=48)) == (48, 48)
    whole = open_spec("procedural:2:1?only=flow", 32)[0]
    assert whole.flow.shape == (2, 32, 32) and whole.depth is None
    with pytest.raises(InputError, match="only=pose"):
        open_spec("procedural:2:1?only=pose", 32)


@pytest.mark.parametrize(
    "options",
    ["crop=7", "crop=big", "crop=8x7", "crop=8x8x8", "crop=16&views=0", "views=3", "crop="],
)
def test_bad_crops(photos: Path, options: str):
    with pytest.raises(InputError, match=r"--data: got (crop|views)=.*crop=SIDE"):
        open_spec(f"folder:{photos}?{options}", 64)


class Counting:
    """Four examples of 192 bytes, and how often each was made."""

    def __init__(self) -> None:
        self.made = [0] * 4

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int, /) -> Example:
        self.made[index] += 1
        return Example(name=str(index), image=np.full((3, 8, 8), index, np.uint8))


def test_memory_is_filled_and_no_further():
    for room, made in ((4, [1, 1, 1, 1]), (2, [3, 3, 1, 1]), (0, [3, 3, 3, 3])):
        counting = Counting()
        data = Remembered(counting, most=room * 192 + 100)
        for _ in range(3):
            for index in (2, 3, 0, 1):
                assert (data[index].image == index).all()
        assert counting.made == made and len(data) == 4


def test_what_can_be_examined(photos: Path):
    assert examine(f"folder:{photos}?depth_unit=mm&crop=24").examples == 3
    (problem, *_) = examine(f"folder:{photos}").problems
    assert (problem.row, problem.field) == (1, "depth_unit")
    with pytest.raises(InputError, match="scenes have no files"):
        examine("procedural:3")
    (damage,) = examine(f"latents:{photos}").problems
    assert "manifest.json: got no such file" in damage.message


def test_the_verb_check(photos: Path, capsys: pytest.CaptureFixture):
    assert main(["check", "--data", f"folder:{photos}?depth_unit=mm"]) == 0
    assert "3 examples, no faults" in capsys.readouterr().out
    assert main(["check", "--data", f"folder:{photos}?depth_unit=m"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith(f"row 1, depth: {photos}/a_depth.png: median ")
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes()[:200])
    assert main(["check", "--data", f"folder:{photos}?depth_unit=mm"]) == 2
    (line, last) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"row 2, image: {photos}/b.png: got ") and ", allowed: " in line
    assert last.endswith("1 fault")
    for spec in ("folder:nowhere", "nobody:x", "procedural:3"):
        assert main(["check", "--data", spec]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1


@pytest.mark.parametrize(
    "spec", ["folder:x?depth_unit=mm&depth_unit=m", "procedural:2?size=32x32&"]
)
def test_an_option_is_given_once(spec: str):
    with pytest.raises(InputError, match=r"--data: got .* allowed: each option once"):
        open_spec(spec, 32)
