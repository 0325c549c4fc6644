"""A good file of every format, and what reads it."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from lookharder.chain import ChainConfig
from lookharder.config import read_as, to_json
from lookharder.data import formats
from lookharder.data.formats.exr import read_exr, write_exr
from lookharder.data.latents.manifest import LatentFacts, read_manifest, write_manifest
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.readers import check_data, open_data
from lookharder.data.readers.shards import walk
from lookharder.data.store import Stored, store
from lookharder.errors import InputError
from lookharder.models.foreign.weightfile import read as read_weights
from lookharder.predict.files.folder import hold
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

RESULTS = Path(__file__).parents[2] / "docs" / "results"


@dataclass(frozen=True)
class Reader:
    """What reads a file.

    Attributes:
        path: of the good file.
        read: what reads it, given the path.
        exact: what is accepted is what the good file says, or it is a fault.
    """

    path: Path
    read: Callable[[Path], object]
    exact: bool = False


def ledger(folder: Path) -> None:
    """Ask a ledger everything about its jobs."""
    book = Ledger(folder)
    for name in (path.name for path in (folder / "runs").iterdir()):
        book.job(name)
        if book.state(name) == "done":
            book.result(name)
        book.error(name)


def summarised(folder: Path) -> None:
    """Read and sum up the history of a run."""
    summary(read_history(folder))


def verified(path: Path) -> None:
    """Verify a checkpoint; those who do pass over one that is damaged."""
    try:
        checkpoint_manifest.verify(path.parent)
    except (DamagedError, FileNotFoundError) as error:
        raise InputError("checkpoint", error, "a whole one") from error


def checked(path: Path) -> None:
    """Ask what is wrong with a manifest; the first thing is raised."""
    for problem in check_data(path):
        raise InputError(problem.field, problem.message, "an example")


def results(path: Path) -> None:
    """Read the records of a folder of results."""
    with hold(path.parent):
        pass


def texts(folder: Path) -> dict[str, Reader]:
    """Files of ours that are JSON, and others' lists."""
    config, found = smoke(), {}

    def text(name: str, value: Any, read: Callable[[Path], object], lines: bool = False) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [json.dumps(row) for row in value] if lines else [json.dumps(value, indent=1)]
        path.write_text("\n".join(rows) + "\n")
        found[name] = Reader(path, read)

    text("model/config.json", to_json(config.chain), lambda p: read_as(ChainConfig, p))
    text("run.json", to_json(config), lambda p: read_as(RunConfig, p))
    laws = json.loads((RESULTS / "laptop" / "laws.json").read_text())
    few = {**laws, "families": laws["families"][:1], "series": [], "claims": []}
    text("laws.json", few, Laws.read)
    plans = {"laws": "abc", "plans": [{"family": "x"}]}
    text("plans.json", plans, lambda p: read_trained_plans(p, "abc"))
    table = {"data": "d", "errors": {"depth": "x"}, "rows": []}
    text("settings/frontier.json", table, lambda p: SettingsTable.read(p.parent))
    row = {"iteration": 1, "losses": {"depth": 0.5}, "seconds": 1.0, "time": 9.0, "mfu": None}
    (folder / "history").mkdir()
    (folder / "history" / "config.json").write_text("{}")
    rows = [row, {**row, "iteration": 2}]
    text("history/metrics.jsonl", rows, lambda p: summarised(p.parent), lines=True)
    measured = (RESULTS / "laptop" / "records.jsonl").read_text().splitlines()[:2]
    text("records.jsonl", list(map(json.loads, measured)), Records.read, lines=True)
    answer = {"task": "depth", "name": "a", "files": {"array": "a.depth.npy"}, "source": "/a.png"}
    text("out/predictions.jsonl", [answer], results, lines=True)
    formats.write_image(folder / "a.png", np.zeros((3, 8, 8), np.uint8))
    text("m.jsonl", [{"image": "a.png", "label": 3}], checked, lines=True)
    region = {"order": 1, "occlude_rate": 0.1, "segmentation": [0, 0, 5, 0, 5, 5]}
    (folder / "coco").mkdir()
    formats.write_image(folder / "coco" / "a.jpg", np.zeros((3, 8, 8), np.uint8))
    text("coco/a.json", {"regions": [region]}, lambda p: open_data(f"coco_amodal:{p.parent}")[0])
    return found


def folders(folder: Path) -> dict[str, Reader]:
    """Files that say what lies beside them."""
    found = {}
    facts = LatentFacts(
        spec="s", size=8, task={}, autoencoder={}, weights=None, sources=2, moments=False,
        dtype="float32", condition=(3, 2, 2), target=(1, 3, 2, 2), known=(1, 2, 2), count=3, shard=2,
    )  # fmt: skip
    (folder / "latents").mkdir()
    write_manifest(folder / "latents", facts, ["0" * 64])
    found["latents"] = Reader(
        folder / "latents" / "manifest.json", lambda p: read_manifest(p.parent)
    )
    point = folder / "points" / "00000020"
    point.mkdir(parents=True)
    save_file({"a": torch.zeros(3)}, point / "s.safetensors")
    described = {"s.safetensors": checkpoint_manifest.describe(point / "s.safetensors")}
    sealed = checkpoint_manifest.write(point, 20, {}, described)
    found["checkpoint"] = Reader(sealed, verified)
    store(ProceduralWorld(8, 0, count=2), folder, "store")
    found["store/facts.json"] = Reader(
        folder / "store" / "facts.json", lambda p: np.array(Stored(p.parent).names), exact=True
    )
    job = Job(kind="x", config={"a": 1}, title="t")
    (folder / "book").mkdir()
    book = Ledger(folder / "book")
    book.plan(job)
    lease = book.take(job.hash, "me")
    assert lease is not None and book.publish(lease, {"r": 1})
    for name in ("job.json", "done.json"):
        path = book.folder(job.hash) / name
        found[f"ledger {name}"] = Reader(path, lambda p: ledger(p.parents[2]))
    weights = folder / "w.safetensors"
    save_file({"a": torch.zeros(3)}, weights, metadata={"config": '{"num_heads": 2}'})
    found["safetensors"] = Reader(weights, read_weights)
    return found


def binaries(folder: Path) -> dict[str, Reader]:
    """Pictures, arrays and archives."""
    rng, found = np.random.default_rng(0), {}
    pixels = rng.integers(0, 256, (8, 9, 3), np.uint8)
    values = rng.uniform(1, 5, (8, 9)).astype(np.float32)
    flow = rng.normal(0, 3, (2, 8, 9)).astype(np.float32)
    for suffix in ("png", "jpg", "bmp", "webp", "ppm"):
        Image.fromarray(pixels).save(folder / f"picture.{suffix}")
        found[f"picture.{suffix}"] = Reader(folder / f"picture.{suffix}", formats.read_image)
    writers: Mapping[str, tuple[Callable[[Path], None], Callable[[Path], object], bool]] = {
        "depth.png": (lambda p: formats.write_depth_png(p, values), formats.read_depth_png, True),
        "flow.png": (lambda p: formats.write_kitti_flow(p, flow), formats.read_kitti_flow, True),
        "vkitti.png": (lambda p: formats.write_kitti_flow(p, flow), formats.read_vkitti_flow, True),
        "mask.png": (lambda p: formats.write_mask(p, values > 3), formats.read_mask, True),
        "flow.flo": (lambda p: formats.write_flo(p, flow), formats.read_flo, False),
        "depth.pfm": (lambda p: formats.write_pfm(p, values), formats.read_pfm, False),
        "depth.npy": (lambda p: formats.write_npy(p, values), formats.read_npy, False),
        "depth.npz": (lambda p: formats.write_npz(p, {"depth": values}), formats.read_npz, False),
        "depth.tiff": (lambda p: formats.write_tiff(p, values), formats.read_tiff, False),
        "depth.exr": (lambda p: write_exr(p, {"Y": values}), read_exr, False),
    }
    for name, (write, read, exact) in writers.items():
        write(folder / name)
        found[name] = Reader(folder / name, read, exact)
    with tarfile.open(folder / "x-000000.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, data in (("a.png", (folder / "picture.png").read_bytes()), ("a.cls", b"3")):
            about = tarfile.TarInfo(member)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    found["shard.tar"] = Reader(folder / "x-000000.tar", walk)
    return found


def good(folder: Path) -> dict[str, Reader]:
    """All of them, by name."""
    return texts(folder) | folders(folder) | binaries(folder)
