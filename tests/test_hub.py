"""Models by their name on the hub, from a cache as the hub's own client lays it out; nothing here reaches a network."""

import shutil
import time
from pathlib import Path

import pytest

from lookharder.autoencoder.kl import DOWNLOADS
from lookharder.chain import find
from lookharder.errors import InputError

hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
errors = pytest.importorskip("huggingface_hub.errors")
REVISION = "0" * 40


@pytest.fixture
def cache(tmp_path: Path, random_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the model `someone/eyes`."""
    repo = tmp_path / "models--someone--eyes"
    shutil.copytree(random_model, repo / "snapshots" / REVISION)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(REVISION)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the hub was asked for; it never answers."""
    names: list[str] = []

    def away(name, **options):
        names.append(name)
        raise errors.HTTPError("no way to the hub")

    monkeypatch.setattr(hub, "model_info", away)
    return names


@pytest.fixture
def allowed():
    token = DOWNLOADS.set(True)
    yield
    DOWNLOADS.reset(token)


def test_the_cache_is_read_and_nobody_asked(cache, asked):
    assert (find("someone/eyes") / "config.json").is_file()
    with pytest.raises(InputError, match="--allow-download"):
        find("someone/else")
    for name in ("../eyes", "someone/eyes/more", "no/../way", "/etc/x"):
        with pytest.raises(InputError, match="a model folder"):
            find(name)
    assert asked == []


@pytest.mark.usefixtures("allowed")
def test_a_hub_that_is_away_is_one_line_at_once(cache, asked, caplog):
    began = time.perf_counter()
    assert (find("someone/eyes") / "config.json").is_file()
    assert "does not answer" in caplog.text
    with pytest.raises(InputError, match=r"someone/else' \(no way to the hub\)"):
        find("someone/else")
    assert asked == ["someone/eyes", "someone/else"]
    assert time.perf_counter() - began < 10
