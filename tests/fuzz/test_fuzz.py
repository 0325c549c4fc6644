"""Readers and damaged files: a few of each here, ten thousand of each among the slow tests; files of former faults."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fuzz.__main__ import main as fuzz_all
from tests.fuzz.damage import fuzz
from tests.fuzz.readers import Reader, good, summarised

from lookharder.chain import Chain, ChainConfig
from lookharder.config import read_as
from lookharder.data import formats
from lookharder.data.readers import check_data
from lookharder.errors import InputError
from lookharder.models.foreign.weightfile import read as read_weights
from lookharder.predict.settings import SettingsTable
from lookharder.report.budgets import read_trained_plans
from lookharder.scaling.laws import Laws
from lookharder.scaling.record import Records
from lookharder.training.run_config import RunConfig


def test_damaged_files_are_one_line(tmp_path: Path):
    """A few of each; ten thousand of each are read by `python -m tests.fuzz`."""
    for name, reader in good(tmp_path).items():
        answers = fuzz(name, reader, times=40, seconds=60)
        assert answers.faults == [] and answers.inputs == 40, name
        assert answers.refused > 5, name


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_one_line_each(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["fuzz", "--out", str(tmp_path), "--seconds", "60"])
    assert fuzz_all() == 0
    found = json.loads((tmp_path / "fuzz.json").read_text())
    assert len(found) > 30 and all(each["inputs"] > 100 for each in found.values())


def test_a_fault_is_found(tmp_path: Path):
    """A reader that takes what comes, and one that breaks."""
    formats.write_mask(tmp_path / "m.png", np.eye(8, dtype=bool))
    careless = Reader(tmp_path / "m.png", lambda p: np.frombuffer(p.read_bytes(), np.uint8), True)
    assert fuzz("m", careless, 20, 60.0).faults[0].startswith("m, number 0: another value")
    (tmp_path / "m.json").write_text('{"a": 1}')
    broken = Reader(tmp_path / "m.json", lambda p: json.loads(p.read_text(errors="replace"))["a"])
    assert any("KeyError" in fault for fault in fuzz("m", broken, 40, 60.0).faults)


FOUND: dict[str, tuple[str, Callable[[Path], object]]] = {  # by folder: the file, and what reads it
    "model": ("config.json", lambda p: read_as(ChainConfig, p)),
    "runconfig": ("config.json", lambda p: read_as(RunConfig, p)),
    "laws": ("laws.json", Laws.read),
    "records": ("records.jsonl", Records.read),
    "frontier": ("frontier.json", lambda p: SettingsTable.read(p.parent)),
    "planner": ("planner.json", lambda p: read_trained_plans(p, "")),
    "history": ("metrics.jsonl", lambda p: summarised(p.parent)),
    "jsonl": ("m.jsonl", check_data),
    "depthpng": ("x.png", formats.read_depth_png),
    "kittiflow": ("x.png", formats.read_kitti_flow),
    "mixed-mask": ("x.img", formats.read_mask),
    "npy": ("x.npy", formats.read_npy),
    "safetensors": ("m.safetensors", read_weights),
}


@pytest.mark.parametrize("kind", FOUND)
def test_files_that_were_once_answered_by_a_traceback(shared: Callable[[str], Path], kind: str):
    name, read = FOUND[kind]
    folders = sorted(path for path in shared(f"cases/fuzz/{kind}").iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        if kind in (
            "jsonl",
            "planner",
            "laws",
            "npy",
        ):  # some of these mean something, or are listed
            with contextlib.suppress(InputError):
                read(folder / name)
        else:
            with pytest.raises(InputError):
                read(folder / name)


def test_a_model_folder_is_never_a_bomb(tmp_path: Path, random_model: Path):
    """Numbers of a configuration are bounded, and counted against the weights before a network is built."""
    shutil.copytree(random_model, tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    for keys, value in (
        (("model", "depth"), 10**8),
        (("model", "depth"), 999),
        (("model", "hidden_size"), 2**20),
        (("model", "num_classes"), 10**9),
        (("schedule", "steps"), 10**9),
        (("members",), 10**9),
        (("steps",), 10**9),
        (("resolution",), 10**9),
        (("autoencoder", "factor"), 10**6),
    ):
        changed = json.loads(json.dumps(config))
        node = changed
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value
        path.write_text(json.dumps(changed))
        began = time.monotonic()
        with pytest.raises(InputError):
            Chain.load(tmp_path / "m")
        assert time.monotonic() - began < 20


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks`:UserWarning")  # diffusers' own
def test_a_model_folder_asks_no_network(tmp_path: Path, random_model: Path, monkeypatch):
    pytest.importorskip("diffusers")
    shutil.copytree(random_model, tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    config["autoencoder"] = {"kind": "kl", "source": "someone/vae"}
    path.write_text(json.dumps(config))

    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", asked)
    monkeypatch.setattr("socket.getaddrinfo", asked)
    with pytest.raises(InputError, match="--allow-download"):
        Chain.load(tmp_path / "m")
