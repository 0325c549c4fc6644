"""The verb `train` through the real entry point: it runs, is asked to stop, resumes, and finds itself finished."""

import json
import re
import signal
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lookharder import recipes
from lookharder.cli import main
from lookharder.training import run as run_module
from lookharder.training.distributed.runtime import Stop


@pytest.fixture
def short(monkeypatch) -> str:
    """A recipe of three iterations."""

    def recipe():
        config = recipes.smoke()
        data = {task: replace(value, spec="procedural:2:1") for task, value in config.data.items()}
        train = replace(config.train, iterations=3, batch_size=4)
        return replace(config, name="short", data=data, train=train, log_every=1)

    monkeypatch.setitem(recipes.RECIPES, "short", recipe)
    return "short"


def test_train_runs_and_finds_itself_finished(capsys, place, short):
    line = f"train {short} --set train.seed=4 --out {place}/run"
    assert main(line.split()) == 0
    said = capsys.readouterr()
    assert "finished: 3 iterations" in said.out and "images/s" in said.err
    assert json.loads((place / "run" / "config.json").read_text())["train"]["seed"] == 4
    assert main(line.split()) == 0
    assert "already finished" in capsys.readouterr().out
    assert (
        main(f"predict depth {place}/a.png --model {place}/run/model --out {place}/o".split()) == 0
    )


def test_the_help_names_every_recipe_that_is_not_the_papers(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    own = {name for name in recipes.RECIPES if not name.startswith("paper_")}
    assert own == set(re.findall(r"\w+", said)) & set(recipes.RECIPES)


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(capsys, place):
    before = sorted(place.rglob("*"))
    assert main(["train", "paper_table3_depth", "--set", "train.batch_size=512", "--dry-run"]) == 0
    said = capsys.readouterr().out
    for word in ("hypersim:", "4.83e+19", "one H100", "memory on cuda", "512 examples"):
        assert word in said
    assert "512 x 512 pixels, 1,024 tokens, as configured" in said
    assert sorted(place.rglob("*")) == before
    (place / "photos").mkdir()
    (place / "photos" / "a.png").write_bytes((place / "a.png").read_bytes())
    here = "data.depth.spec=folder:photos"
    for spec, words in (
        (here, "40 x 56 pixels, 6 tokens, by the first example"),
        (f"{here}?fit=48x48", "48 x 48 pixels, 9 tokens, by the first"),
    ):
        assert main(["train", "paper_fig3_a1", "--set", spec, "--dry-run"]) == 0
        assert words in capsys.readouterr().out
    priced = []
    for spec in (here, f"{here}?fit=32x48", f"{here}?fit=64x64"):
        assert main(["train", "paper_fig3_a1", "--set", spec, "--dry-run"]) == 0
        said = capsys.readouterr().out.splitlines()
        priced += [next(line for line in said if "MACs of a forward" in line)]
    assert priced[0] == priced[1] != priced[2]  # of the pictures that are here, in whole patches


def test_a_dry_run_prices_the_model_that_the_run_would_start_from(capsys, place):
    assert main(["train", "finetune", "--set", "init=sight", "--dry-run"]) == 0
    words = capsys.readouterr().out.split()
    assert "5,070,180" in words  # parameters of sight, as `inspect` counts them
    assert main(["train", "finetune", "--set", "init=nobody", "--dry-run"]) == 2
    assert "init: got 'nobody'" in capsys.readouterr().err


def test_train_of_another_recipe_is_refused(capsys, place, short):
    assert main(f"train {short} --quiet --out {place}/run".split()) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert main(f"train {short} --set train.seed=9 --out {place}/run".split()) == 2
    assert "--out" in capsys.readouterr().err


def test_train_asked_to_stop_exits_75_and_resumes(capsys, place, short, monkeypatch):
    @contextmanager
    def already_stopped():
        stop = Stop()
        stop.request(signal.SIGTERM)
        yield stop

    line = f"train {short} --out {place}/run".split()
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "signals", already_stopped)
        assert main(line) == 75
        assert "stopped at iteration 1 of 3" in capsys.readouterr().out
    assert main(line) == 0
    rows = (place / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["iteration"] for row in rows] == [1, 2, 3]
