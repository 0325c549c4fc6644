"""A run folder: resume by the same command, bit for bit, also after kill -9."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lookharder.chain import Chain
from lookharder.config import override
from lookharder.errors import InputError
from lookharder.models.surgery import upcycle
from lookharder.recipes import smoke
from lookharder.training import checkpoint
from lookharder.training.run import run

SETTINGS = [
    "chain.model.depth=1",
    "chain.model.hidden_size=32",
    "train.batch_size=4",
    "train.iterations=10",
    "checkpoint_every=5",
    "log_every=1",
    *[f"data.{task}.spec=procedural:4:1" for task in ("generation", "depth", "flow", "amodal")],
]
SMALL = override(smoke(), SETTINGS)


def state_of(folder: Path) -> dict:
    found = checkpoint.load_latest(folder / "checkpoints")
    return {name: tensor.numpy().tobytes() for name, tensor in found.tensors.items()}


def losses_of(folder: Path) -> list[tuple]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["iteration"], row["loss"], row["grad_norm"]) for row in rows]


def finish(folder: Path) -> None:
    for _ in run(SMALL, folder):
        pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(folder)
    return folder


def test_a_run_leaves_what_it_promises(whole):
    assert json.loads((whole / "config.json").read_text())["name"] == "smoke"
    assert [iteration for iteration, *_ in losses_of(whole)] == list(range(1, 11))
    assert sorted(p.name for p in (whole / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_ten_iterations_are_five_and_five(whole, tmp_path):
    for step in run(SMALL, tmp_path / "run"):
        if step.iteration == 7:  # between two checkpoints: iterations 6 and 7 are done again
            break
    finish(tmp_path / "run")
    assert state_of(tmp_path / "run") == state_of(whole)
    assert losses_of(tmp_path / "run") == losses_of(whole)
    first, second = (
        load_file(f / "model" / "model.safetensors") for f in (whole, tmp_path / "run")
    )
    assert all((first[name] == second[name]).all() for name in first)


def test_a_finished_run_is_found_finished(whole):
    before = state_of(whole)
    assert list(run(SMALL, whole)) == []
    assert state_of(whole) == before


def test_a_damaged_checkpoint_is_skipped_and_said_so(whole, tmp_path, caplog):
    finish(tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "00000010" / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    finish(tmp_path / "run")
    assert "00000010" in caplog.text
    assert state_of(tmp_path / "run") == state_of(whole)


def test_another_recipe_is_refused(whole):
    with pytest.raises(InputError, match=r"a run with other \['train'\]"):
        next(run(override(SMALL, ["train.seed=1"]), whole))


def test_a_run_starts_from_a_model_and_experts_start_as_the_dense_model_does(whole, tmp_path):
    chain = Chain.load(whole / "model")
    experts = upcycle(chain.network, 4, 2)
    mixed = replace(chain.config, model=experts.config)
    Chain(mixed, experts, chain.autoencoder).save(tmp_path / "experts", "# Experts\n")
    rows = {}
    for name, folder in (("dense", whole / "model"), ("experts", tmp_path / "experts")):
        settings = [*SETTINGS, "train.iterations=2", f"init={folder}"]
        for _ in run(override(smoke(), settings), tmp_path / f"run-{name}"):
            pass
        lines = (tmp_path / f"run-{name}" / "metrics.jsonl").read_text().splitlines()
        rows[name] = [json.loads(line) for line in lines]
    assert rows["experts"][0]["losses"] == pytest.approx(rows["dense"][0]["losses"], rel=1e-4)
    assert rows["dense"][0]["routing_loss"] == 0
    assert (
        0.005 < rows["experts"][0]["routing_loss"] < 0.1
    )  # alpha for an even router, of each layer
    assert Chain.load(tmp_path / "run-experts" / "model").config == mixed
    with pytest.raises(InputError, match="init: got 'absent'"):
        next(run(override(smoke(), [*SETTINGS, "init=absent"]), tmp_path / "none"))


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="holds something else"):
        next(run(SMALL, tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def command(folder: Path) -> list[str]:
    settings = [
        argument
        for setting in [*SETTINGS, "train.iterations=60"]
        for argument in ("--set", setting)
    ]
    return [
        sys.executable,
        "-m",
        "lookharder",
        "train",
        "smoke",
        *settings,
        "--out",
        str(folder),
        "--quiet",
    ]


def kill_and_finish(folder: Path, kills: int) -> int:
    """Run the command, killing it at random moments of its work; returns how many kills struck."""
    chance, struck = random.Random(5), 0
    while struck < kills:
        process = subprocess.Popen(command(folder))
        target = (struck + 1) * 60 // (kills + 2)
        while process.poll() is None and _done(folder) < target:
            time.sleep(0.01)  # polls until the work is where it is to be struck
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        struck += process.wait() == -signal.SIGKILL
        if process.returncode == 0:
            break
    subprocess.run(command(folder), check=True)
    return struck


def _done(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_killed_runs_end_bit_identical(kills, tmp_path):
    subprocess.run(command(tmp_path / "whole"), check=True)
    assert kill_and_finish(tmp_path / "killed", kills) == kills
    assert state_of(tmp_path / "killed") == state_of(tmp_path / "whole")
    assert losses_of(tmp_path / "killed") == losses_of(tmp_path / "whole")


def test_sigterm_saves_and_says_so(tmp_path):
    process = subprocess.Popen(command(tmp_path / "run"))
    while process.poll() is None and _done(tmp_path / "run") < 7:
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=20) == 75
    saved = checkpoint.load_latest(tmp_path / "run" / "checkpoints").iteration
    assert saved == losses_of(tmp_path / "run")[-1][0]
