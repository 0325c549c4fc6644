"""Inputs of verbs, good and bad."""

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


@pytest.fixture
def place(tmp_path: Path, random_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: inputs, good and bad, and the model."""
    for name in ("a.png", "b.png", "c.jpg"):
        photo(tmp_path / name)
    photo(tmp_path / "other_size.png", 40, 57)
    photo(tmp_path / "dot.png", 1, 1)
    Image.fromarray(np.zeros((10, 20_000), np.uint8)).save(tmp_path / "wide.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    (tmp_path / "text.png").write_text("not a picture\n")
    stencil(tmp_path / "mask.png")
    stencil(tmp_path / "empty_mask.png", empty=True)
    stencil(tmp_path / "other_mask.png", 20, 20)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file").write_text("in the way\n")
    (tmp_path / "model").symlink_to(random_model)
    monkeypatch.chdir(tmp_path)
    return tmp_path
