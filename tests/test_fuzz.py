"""Every reader of a file, fed with damaged copies of good files: an InputError or a result, nothing else.

A few of each in `make test`; ten thousand of each, or as many as a minute allows, in `make test-slow`. Seeds are fixed.
"""

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lookharder.chain import Chain, ChainConfig
from lookharder.config import read_as, to_json
from lookharder.data import formats
from lookharder.data.latents.manifest import LatentFacts, read_manifest, write_manifest
from lookharder.data.readers import check_data, open_data
from lookharder.data.store import Stored
from lookharder.errors import InputError
from lookharder.models.foreign.weightfile import read as read_weights
from lookharder.predict.settings import SettingsTable
from lookharder.recipes import smoke
from lookharder.report.budgets import read_trained_plans
from lookharder.scaling.laws import Laws
from lookharder.scaling.record import Records
from lookharder.study.queue.jobs import Job
from lookharder.study.queue.ledger import Ledger
from lookharder.training.checkpoint import manifest as checkpoint_manifest
from lookharder.training.checkpoint.manifest import DamagedError
from lookharder.training.monitor.history import read_history, summary
from lookharder.training.run_config import RunConfig

RESULTS = Path(__file__).parents[1] / "docs" / "results"
RNG = np.random.default_rng(1)
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e300, "", "x", [], {}, [[]], {"name": {"a": 1}}, "\x1b[31m", 2**63,
)  # fmt: skip
RAW = ("[" * 5000, "NaN", "1e400", "9" * 5000, r'"\ud800"', '{"a": 1, "a": 2}', "-Infinity", "")


def ledger(folder: Path) -> None:
    book = Ledger(folder)
    for name in (path.name for path in (folder / "runs").iterdir()):
        book.job(name)
        if book.state(name) == "done":
            book.result(name)
        book.error(name)


def summarised(folder: Path) -> None:
    summary(read_history(folder))


def verified(path: Path) -> None:
    with contextlib.suppress(DamagedError, FileNotFoundError):  # as those who call it expect
        checkpoint_manifest.verify(path.parent)


def good(folder: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """By name a whole file, and what reads it: given the file's path."""
    config = smoke()
    files: dict[str, tuple[Path, Callable[[Path], object]]] = {}

    def text(name: str, value: Any, read: Callable[[Path], object], lines: bool = False) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [json.dumps(row) for row in value] if lines else [json.dumps(value, indent=1)]
        path.write_text("\n".join(rows) + "\n")
        files[name] = (path, read)

    text("model/config.json", to_json(config.chain), lambda p: read_as(ChainConfig, p))
    text("run.json", to_json(config), lambda p: read_as(RunConfig, p))
    laws = json.loads((RESULTS / "laptop" / "laws.json").read_text())
    text(
        "laws.json",
        {**laws, "families": laws["families"][:1], "series": [], "claims": []},
        Laws.read,
    )
    text(
        "plans.json",
        {"laws": "abc", "plans": [{"family": "x"}]},
        lambda p: read_trained_plans(p, "abc"),
    )
    table = {"data": "d", "errors": {"depth": "x"}, "rows": []}
    text("settings/frontier.json", table, lambda p: SettingsTable.read(p.parent))
    row = {"iteration": 1, "losses": {"depth": 0.5}, "seconds": 1.0, "time": 9.0, "mfu": None}
    (folder / "history").mkdir()
    (folder / "history" / "config.json").write_text("{}")
    text(
        "history/metrics.jsonl",
        [row, {**row, "iteration": 2}],
        lambda p: summarised(p.parent),
        True,
    )
    formats.write_image(folder / "a.png", np.zeros((3, 8, 8), np.uint8))
    text("m.jsonl", [{"image": "a.png", "label": 3}], check_data, lines=True)
    region = {"order": 1, "occlude_rate": 0.1, "segmentation": [0, 0, 5, 0, 5, 5]}
    (folder / "coco").mkdir()
    formats.write_image(folder / "coco" / "a.jpg", np.zeros((3, 8, 8), np.uint8))
    text("coco/a.json", {"regions": [region]}, lambda p: open_data(f"coco_amodal:{p.parent}")[0])
    facts = LatentFacts(
        spec="s", size=8, task={}, autoencoder={}, weights=None, sources=2, moments=False,
        dtype="float32", condition=(3, 2, 2), target=(1, 3, 2, 2), known=(1, 2, 2), count=3, shard=2,
    )  # fmt: skip
    (folder / "latents").mkdir()
    write_manifest(folder / "latents", facts, ["0" * 64])
    files["latents"] = (folder / "latents" / "manifest.json", lambda p: read_manifest(p.parent))
    point = folder / "points" / "00000020"
    point.mkdir(parents=True)
    save_file({"a": torch.zeros(3)}, point / "s.safetensors")
    described = {"s.safetensors": checkpoint_manifest.describe(point / "s.safetensors")}
    files["checkpoint"] = (checkpoint_manifest.write(point, 20, {}, described), verified)
    (folder / "store").mkdir()
    formats.write_npy(folder / "store" / "image.npy", np.zeros((2, 3, 8, 8), np.uint8))
    sha256 = hashlib.sha256((folder / "store" / "image.npy").read_bytes()).hexdigest()
    stored = {"arrays": {"image": sha256}, "names": ["a", "b"], "labels": [0, None]}
    text("store/facts.json", stored, lambda p: Stored(p.parent)[0])
    job = Job(kind="x", config={"a": 1}, title="t")
    book = Ledger(folder / "book")
    book.plan(job)
    lease = book.take(job.hash, "me")
    assert lease is not None and book.publish(lease, {"r": 1})
    for name in ("job.json", "done.json"):
        path = book.folder(job.hash) / name
        files[f"ledger {name}"] = (path, lambda p: ledger(p.parents[2]))
    save_file(
        {"a": torch.zeros(3)}, folder / "w.safetensors", metadata={"config": '{"num_heads": 2}'}
    )
    files["safetensors"] = (folder / "w.safetensors", read_weights)
    return files


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits and bytes changed, cut, filled; where it is JSON also values that are odd, doubled or deep."""
    way = int(rng.integers(0, 6))
    place = int(rng.integers(0, max(1, len(data))))
    if way == 0:
        return data[:place] + bytes((data[place] ^ 1 << int(rng.integers(8)),)) + data[place + 1 :]
    if way == 1:
        return data[:place]
    if way == 2:
        return data[:place] + bytes(int(rng.integers(1, 40))) + data[place:]
    try:
        values = [json.loads(line) for line in data.decode().strip().split("\n")]
    except ValueError:
        try:
            values = [json.loads(data)]
        except ValueError:
            return data[place:]
    spots: list[tuple[Any, Any]] = []
    stack = list(values)
    while stack:
        node = stack.pop()
        keys = (
            node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        )
        spots += [(node, key) for key in keys]
        stack += [node[key] for key in keys]
    if not spots:
        return data
    node, key = spots[int(rng.integers(len(spots)))]
    if way == 3 and isinstance(node, dict):
        del node[key]
    elif way == 4:
        node[key] = ODD[int(rng.integers(len(ODD)))]
    else:
        node[key] = "@"
    text = "\n".join(json.dumps(value) for value in values)
    return text.replace('"@"', RAW[int(rng.integers(len(RAW)))]).encode()


def fuzz(folder: Path, name: str, times: int, seconds: float) -> int:
    path, read = good(folder)[name]
    read(path)  # the whole file is read
    data, rng, began = (
        path.read_bytes(),
        np.random.default_rng(list(name.encode())),
        time.monotonic(),
    )
    for number in range(times):
        if time.monotonic() - began > seconds:
            return number
        wrong = damaged(data, rng)
        path.write_bytes(wrong)
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error) and "\x1b" not in str(error)
        except Exception as error:
            error.add_note(f"{name}, number {number}: {wrong[:200]!r}")
            raise
    return times


NAMES = (
    "model/config.json", "run.json", "laws.json", "plans.json", "settings/frontier.json",
    "history/metrics.jsonl", "m.jsonl", "coco/a.json", "latents", "checkpoint", "store/facts.json",
    "ledger job.json", "ledger done.json", "safetensors",
)  # fmt: skip


def test_every_name_is_fuzzed(tmp_path: Path):
    assert set(good(tmp_path)) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_one_line(tmp_path: Path, name: str):
    assert fuzz(tmp_path, name, times=60, seconds=60) == 60


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_ten_thousand_damaged_files_are_one_line_each(tmp_path: Path, name: str):
    assert fuzz(tmp_path, name, times=10_000, seconds=60) > 100


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
