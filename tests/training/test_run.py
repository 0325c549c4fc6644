"""A run folder: resume by the same command, bit for bit, also after kill -9."""

import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lookharder.chain import Chain
from lookharder.config import override
from lookharder.data.example import order
from lookharder.data.source import open_data
from lookharder.errors import InputError
from lookharder.models.surgery import upcycle
from lookharder.recipes import smoke
from lookharder.seeding import keyed_seed, torch_generator
from lookharder.training import checkpoint
from lookharder.training import run as run_module
from lookharder.training.loop import start, train
from lookharder.training.monitor.throughput import Meter
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


def test_how_it_is_computed_may_change_and_what_is_learnt_may_not(whole, tmp_path):
    for step in run(SMALL, tmp_path / "run"):
        if step.iteration == 6:
            break
    config = tmp_path / "run" / "config.json"
    old = json.loads(config.read_text())
    del old["runtime"], old["patience"]  # as a run has it that began before there were such fields
    config.write_text(json.dumps(old))
    with pytest.raises(InputError, match=r"a run with other \['runtime'\]"):
        next(run(override(SMALL, ["runtime.precision=bfloat16"]), tmp_path / "run"))
    settings = ["device=cpu", "keep=1", "log_every=5", "runtime.recompute=true"]
    for _ in run(override(SMALL, settings), tmp_path / "run"):
        pass
    assert json.loads(config.read_text())["runtime"]["recompute"] is True
    assert state_of(tmp_path / "run") == state_of(whole)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["00000010"]


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


def test_half_a_config_left_by_a_kill_is_no_foreign_file(tmp_path):
    half = tmp_path / ".config.0123abcd.json"
    half.write_text('{"na')
    for _ in run(override(SMALL, ["train.iterations=1"]), tmp_path):
        assert not half.exists()


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="holds something else"):
        next(run(SMALL, tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


COMMAND = "import sys; from lookharder.cli import main; sys.exit(main())"


def line(folder: Path) -> list[str]:
    settings = [f"--set={setting}" for setting in [*SETTINGS, "train.iterations=60"]]
    return ["train", "smoke", *settings, "--out", str(folder), "--quiet"]


def kill_and_finish(fork: Callable, folder: Path, kills: int) -> int:
    """Run the command, killing it at random moments of its work; returns how many kills struck."""
    chance, struck = random.Random(5), 0
    while struck < kills:
        child = fork(COMMAND, *line(folder))
        target = (struck + 1) * 60 // (kills + 2)
        while child.process.is_alive() and _done(folder) < target:
            time.sleep(0.01)  # polls until the work is where it is to be struck
        time.sleep(chance.uniform(0, 0.3))
        child.process.kill()
        struck += child.wait() == -signal.SIGKILL
        if child.wait() == 0:
            break
    assert fork(COMMAND, *line(folder)).wait() == 0
    return struck


def _done(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@pytest.mark.slow  # of the command; `test_faults` has the kills of a run in the fast suite
def test_killed_runs_end_bit_identical(tmp_path, fork):
    assert fork(COMMAND, *line(tmp_path / "whole")).wait() == 0
    assert kill_and_finish(fork, tmp_path / "killed", 5) == 5
    assert state_of(tmp_path / "killed") == state_of(tmp_path / "whole")
    assert losses_of(tmp_path / "killed") == losses_of(tmp_path / "whole")


def test_sigterm_saves_and_says_so(tmp_path, fork):
    child = fork(COMMAND, *line(tmp_path / "run"))
    while child.process.is_alive() and _done(tmp_path / "run") < 7:
        time.sleep(0.01)
    child.process.terminate()
    assert child.wait(20) == 75, child.said()
    saved = checkpoint.load_latest(tmp_path / "run" / "checkpoints").iteration
    assert saved == losses_of(tmp_path / "run")[-1][0]


# Numbers that are not finite

LENGTH = 1000
PATIENT = override(SMALL, ["checkpoint_every=3", "log_every=5", "patience=3"])
PATIENT = replace(
    PATIENT,
    data={"depth": PATIENT.data["depth"]},
    train=replace(PATIENT.train, mix={"depth": 1.0}, batch_size=1),
)


class Spoilt:
    """Four scenes over and over; those that the given iterations see have depths that are no numbers."""

    def __init__(self, iterations: set[int]) -> None:
        self.scenes = open_data(PATIENT.data["depth"])
        seed = keyed_seed(PATIENT.train.seed, "data", "depth")
        self.bad = {order(seed, iteration - 1, LENGTH) for iteration in iterations}

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int):
        example = self.scenes[index % 4]
        return replace(example, depth=example.depth * np.nan) if index in self.bad else example


def rows_of(folder: Path) -> list[dict]:
    timed = {"seconds", "data_seconds", "time", *Meter(1).row()}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


@pytest.fixture
def spoil(monkeypatch):
    def iterations(*numbers: int) -> None:
        data = Spoilt(set(numbers))
        monkeypatch.setattr(run_module, "open_data", lambda config: data)

    return iterations


def test_repeated_failures_are_passed_over_and_the_rest_is_as_if_they_had_never_been(
    spoil, tmp_path, caplog
):
    spoil(5, 6, 7)
    steps = list(run(PATIENT, tmp_path / "run"))
    assert [step.iteration for step in steps] == [1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7, 8, 9, 10]
    assert [step.iteration for step in steps if step.skipped] == [5, 6, 7]
    assert [step.iteration for step in steps if step.excluded] == [5, 6, 7]
    assert "iteration 5 left out" in caplog.text
    assert "depth/procedural/1/" in caplog.text

    chain = Chain.build(PATIENT.chain, torch_generator(PATIENT.train.seed, "weights"))
    state = start(chain, PATIENT.train)
    state.excluded = [(5, 7)]
    list(train(PATIENT.train, state, chain, {"depth": Spoilt(set())}))
    want = checkpoint.pack(chain.network, state.ema, state.optimizer)
    found = checkpoint.load_latest(tmp_path / "run" / "checkpoints").tensors
    assert all(torch.equal(found[name], want[name]) for name in want)

    rows = rows_of(tmp_path / "run")
    assert [row["iteration"] for row in rows] == [5, 10]
    window = rows[0]["passed_over"]
    assert (window["first"], window["last"], window["back_to"]) == (5, 7, 3)
    assert window["examples"] == list(dict.fromkeys(n for s in steps for n in s.skipped))

    for end in (6, 9, 12):  # killed amid the failures, on the way back, and after it
        folder = tmp_path / f"killed{end}"
        for _, step in zip(range(end), run(PATIENT, folder), strict=False):
            assert step.iteration <= 10
        list(run(PATIENT, folder))
        assert state_of(folder) == state_of(tmp_path / "run")
        assert rows_of(folder) == rows


def test_fewer_in_a_row_are_left_out_and_noted(spoil, tmp_path):
    spoil(6, 7, 9)
    steps = list(run(PATIENT, tmp_path / "run"))
    assert [step.iteration for step in steps] == list(range(1, 11))
    skipped = {r["iteration"]: r["skipped"] for r in rows_of(tmp_path / "run") if r["skipped"]}
    assert skipped.keys() == {6, 7, 9}
    assert all(
        name.startswith("depth/procedural/1/") for names in skipped.values() for name in names
    )
    assert checkpoint.intact(tmp_path / "run" / "checkpoints") == [10, 3]  # none amid failures


def test_what_no_going_back_mends_is_an_error(spoil, tmp_path):
    spoil(*range(5, 15))
    with pytest.raises(FloatingPointError, match=r"11 to 13.* after 2 times to go back"):
        list(run(override(PATIENT, ["train.iterations=14"]), tmp_path / "run"))
    found = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert found.meta["recovery"]["rollbacks"] == 2
    assert found.meta["recovery"]["windows"][0]["first"] == 4
    assert all(tensor.isfinite().all() for tensor in found.tensors.values())


def test_asked_to_stop_amid_failures_it_saves_what_was_before(spoil, tmp_path):
    spoil(5, 6, 7)
    for step in run(PATIENT, tmp_path / "run"):
        if step.iteration == 5:
            signal.raise_signal(signal.SIGTERM)
    assert step.iteration == 6
    assert checkpoint.load_latest(tmp_path / "run" / "checkpoints").iteration == 4
    list(run(PATIENT, tmp_path / "run"))
    list(run(PATIENT, tmp_path / "whole"))
    assert state_of(tmp_path / "run") == state_of(tmp_path / "whole")


def test_a_mistake_leaves_no_folder_that_belongs_to_it(tmp_path):
    wrong = override(SMALL, ["data.depth.spec=folder:" + str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match="nowhere"):
        next(run(wrong, tmp_path / "run"))
    with pytest.raises(InputError, match=r"train\.batch_size"):
        next(run(override(SMALL, ["runtime.accumulate=1000"]), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path):
    first = run(SMALL, tmp_path / "run")
    next(first)
    with pytest.raises(InputError, match="going on in another process"):
        next(run(SMALL, tmp_path / "run"))
    first.close()
    assert next(run(SMALL, tmp_path / "run")).iteration >= 1
