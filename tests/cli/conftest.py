"""Inputs of verbs, good and bad."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(0)


def photo(path: Path, height: int = 40, width: int = 56) -> Path:
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


def stencil(path: Path, height: int = 40, width: int = 56, empty: bool = False) -> Path:
    values = np.zeros((height, width), np.uint8)
    values[height // 4 : height // 2, width // 4 : width // 2] = 0 if empty else 255
    Image.fromarray(values).save(path)
    return path


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Path:
    """A folder of inputs, good and bad, and the model; `place` is a copy of it."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("a.png", "b.png", "c.jpg"):
        photo(folder / name)
    photo(folder / "other_size.png", 40, 57)
    photo(folder / "dot.png", 1, 1)
    Image.fromarray(np.zeros((10, 20_000), np.uint8)).save(folder / "wide.png")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:2000])
    (folder / "text.png").write_text("not a picture\n")
    stencil(folder / "mask.png")
    stencil(folder / "empty_mask.png", empty=True)
    stencil(folder / "other_mask.png", 20, 20)
    (folder / "points.json").write_text("[[3, 30, 1.0], [50, 4, 4.0]]")
    (folder / "text.json").write_text('"text"')
    (folder / "nothing").mkdir()
    (folder / "file").write_text("in the way\n")
    (folder / "model").symlink_to(random_model)
    return folder


@pytest.fixture
def place(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: inputs, good and bad, and the model."""
    shutil.copytree(inputs, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
