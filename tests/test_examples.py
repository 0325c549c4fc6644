"""Examples are run, briefly."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from lookharder.cli import main
from lookharder.data.formats import write_image
from lookharder.tasks.registry import TASKS

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_denoise_by_hand():
    errors = load("denoise_by_hand").main(steps=3)
    assert len(errors) == 3
    assert errors[-1] < 0.2, "the shipped model sees depth"


def test_train_one_task():
    before, after = load("train_one_task").main(iterations=30, scenes=8)
    assert after < 0.7 * before


def test_own_data():
    assert 0 < load("own_data").main(count=4) < 0.5, "the shipped model sees depth"


def test_own_task(monkeypatch):
    monkeypatch.setattr("lookharder.tasks.registry.TASKS", dict(TASKS))
    losses = load("own_task").main(iterations=40)
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_budget():
    one, sixteen, budget, until = load("budget").main()
    assert sixteen == 16 * one
    assert budget <= 1e9 and until <= sixteen * 4


def test_law():
    law = load("law").main(resamples=50)
    low, high = law.interval("exponent")
    assert low < 0.22 < high


@pytest.mark.filterwarnings("default")  # Ray warns of its own settings
def test_many_machines(tmp_path, request):
    ray = pytest.importorskip("ray", reason="the example is for those who have Ray")
    request.addfinalizer(ray.shutdown)
    for i in range(20):  # two groups, so that both shards have something to do
        image = np.random.default_rng(i).integers(0, 256, (3, 16, 16), np.uint8)
        write_image(tmp_path / "photos" / f"{i}.png", image)
    photos = str(tmp_path / "photos")
    codes = load("many_machines").main(photos, str(tmp_path / "out"), shards=2, model="tiny")
    assert codes == [0, 0]
    line = ["predict", "depth", photos, "--model", "tiny", "--out", str(tmp_path / "whole")]
    assert main(line) == 0
    for path in (tmp_path / "whole").glob("*.npy"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 20


def test_examples_are_short():
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 60
