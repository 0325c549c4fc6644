"""A task of one's own is one class and three rows: it then trains, is validated, predicts, is scored and reported.

Surface normals of the embedded world: no module of the package knows of them.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tests.places import within

from lookharder.cli import main
from lookharder.config import override
from lookharder.data.example import Dataset
from lookharder.data.formats import read_npy
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import DataConfig, open_spec
from lookharder.evaluate.forecast import forecast as drawn
from lookharder.evaluate.forecast_scores import forecast_scores
from lookharder.metrics.forecasts import ForecastRule
from lookharder.metrics.scores import SCORES, Score
from lookharder.predict.predictor import Predictor
from lookharder.recipes import RECIPES, pixel_chain
from lookharder.report import report
from lookharder.scaling.record import Record
from lookharder.tasks.base import TargetImage, Task, resize_map
from lookharder.tasks.registry import TASKS
from lookharder.training.batches import AHEAD
from lookharder.training.config import TrainConfig
from lookharder.training.forecast import forecast
from lookharder.training.monitor.validation import ValidationConfig
from lookharder.training.run import RunConfig
from lookharder.visualize.views import VIEWS, View


def normals_of(depth: torch.Tensor) -> torch.Tensor:
    """(B, H, W) depth -> (B, 3, H, W) unit vectors, of log depth as a height field."""
    vertical, horizontal = torch.gradient(depth.log(), dim=(1, 2))
    return F.normalize(torch.stack([horizontal, vertical, torch.full_like(depth, -0.1)], 1), dim=1)


@dataclass(frozen=True, kw_only=True)
class Normals(Task):
    """Direction in which each surface faces."""

    name: Literal["normals"] = "normals"

    @property
    def reads(self):
        return ("image", "depth", "depth_valid")

    def condition(self, batch):
        return torch.stack([batch.image, torch.ones_like(batch.image)], dim=1)

    def to_image(self, batch):
        valid = batch.need("depth_valid")
        images = normals_of(batch.need("depth").clamp_min(0.01))
        return TargetImage(images=images[:, None], known=valid)

    def from_image(self, images):
        return F.normalize(images[:, :, 0], dim=2)

    def merge(self, draws):
        mean = draws.mean(0)
        return F.normalize(mean, dim=1), 1 - mean.norm(dim=1).clamp(max=1)

    def resize(self, prediction, height, width):
        return F.normalize(resize_map(prediction, height, width), dim=1)


def angle(prediction, truth, rules):
    """Mean angle to the true direction, degrees."""
    depth = torch.from_numpy(truth["depth"]).clamp_min(0.01)
    cosine = (normals_of(depth[None])[0].numpy() * prediction).sum(0)[truth["depth_valid"]]
    return {"angle": float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())}


def towards_camera(truths, rules):
    facing = np.array([0, 0, -1.0], np.float32)[:, None, None]
    return {"facing": lambda truth: np.broadcast_to(facing, (3, *truth["depth"].shape))}


def misses(draws, truth, known, luma):
    """Mean angle of a draw to the true direction, radians."""
    cosine = (draws * truth).sum(1)[:, known].clip(-1, 1)
    return {"single": float(np.arccos(cosine).mean())}


def rgb(normals):
    return np.rint(127.5 * (np.moveaxis(normals, 0, -1) + 1)).astype(np.uint8)


def panel(example, values, painting):
    truth = normals_of(torch.from_numpy(example.depth).clamp_min(0.01)[None])[0].numpy()
    image = np.moveaxis(example.image, 0, -1)
    return [("input", image), ("truth", rgb(truth)), ("prediction", rgb(values))]


def show(array, painting, given, look):
    return rgb(array)


SCORE = Score(
    needs=("depth", "depth_valid"),
    evaluate=angle,
    trivial=towards_camera,
    main=("angle",),
    studied=("angle",),
    forecast=ForecastRule(names=("single", "spread"), score=misses, channels=3, bounds=(-1.0, 1.0)),
)
VIEW = View(
    title="Surface normals",
    panel=panel,
    strip={0: "normals: input", 1: "truth", 2: "predicted"},
    overview={1: "normals: truth", 2: "predicted"},
    array=lambda values: values.astype(np.float32),
    formats=("npy",),
    files={"picture": ".vis.png", "input": ".input.jpg"},
    show=show,
    captions=lambda record: {"input": "input", "picture": "normals"},
    meaning={"units": "none", "meaning": "unit vectors", "uncertainty_meaning": "1 - length"},
    read={".npy": read_npy},
)


def recipe() -> RunConfig:
    data = DataConfig(spec="procedural:16:1", size=32)
    return RunConfig(
        name="normals",
        chain=pixel_chain(width=32, depth=2, heads=2, resolution=32, tasks=(Normals(),)),
        data={"normals": data},
        train=TrainConfig(iterations=4, batch_size=4, mix={"normals": 1.0}),
        validation=ValidationConfig(every=2, data="procedural:2:3", scenes=2),
    )


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three rows of the task, and a recipe to train it by."""
    for table, row in ((TASKS, Normals), (SCORES, SCORE), (VIEWS, VIEW), (RECIPES, recipe)):
        monkeypatch.setitem(table, "normals", row)


@pytest.mark.usefixtures("rows")
def test_the_memory_of_a_task_of_ones_own_is_known():
    """Examples of a folder have the fields that it reads: three floats, one, and a byte a pixel, 17 bytes."""
    made = recipe()
    bytes_of = {
        spec: forecast(override(made, [f"data.normals.spec={spec}"])).examples
        for spec in ("folder:photos", "procedural:16:1")
    }
    read_ahead = made.train.batch_size * (AHEAD + 1)
    assert bytes_of["folder:photos"] == 32 * 32 * 17 * read_ahead
    assert bytes_of["procedural:16:1"] == 32 * 32 * 53 * read_ahead


@pytest.mark.usefixtures("rows")
def test_a_task_of_ones_own_goes_the_whole_way(tmp_path: Path):
    run = tmp_path / "run"
    assert main(["train", "normals", "--quiet", "--out", str(run)]) == 0
    validations = [json.loads(line) for line in (run / "validation.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in validations] == [2, 4]
    assert all(0 < row["normals.angle"] < 180 for row in validations)
    assert (run / "validation" / "00000004.png").exists()

    model = str(run / "model")
    example = ProceduralWorld(32, 5)[0]
    photo = tmp_path / "photo.png"
    Image.fromarray(np.moveaxis(example.image, 0, -1)).save(photo)
    out = tmp_path / "out"
    predict = ["predict", "normals", str(photo), "--members", "3", "--out", str(out)]
    assert main([*predict, "--model", model]) == 0
    stored = np.load(out / "photo.normals.npy", allow_pickle=False)
    np.testing.assert_allclose(np.linalg.norm(stored, axis=0), 1, atol=1e-5)
    record = json.loads((out / "predictions.jsonl").read_text())
    assert (record["shape"], record["dtype"]) == ([3, 32, 32], "float32")
    assert (out / "photo.normals.vis.png").exists() and (out / "index.html").exists()

    scores = tmp_path / "scores.json"
    evaluate = ["evaluate", "--task", "normals", "--data", "procedural:3:5", "--out", str(scores)]
    assert main([*evaluate, "--model", model]) == 0
    means = json.loads(scores.read_text())["means"]
    assert 0 < means["angle"]["mean"] < 180
    assert means["trivial.facing.angle"]["count"] == 3

    predictor = Predictor.from_pretrained(model)
    again = predictor.predict_examples([example], "normals", ensemble_size=3).prediction
    np.testing.assert_array_equal(np.moveaxis(again[0], -1, 0), stored)

    found = drawn(
        predictor.chain, "normals", ProceduralWorld(32, 5, count=2), steps=1, members=2, seed=0
    )
    forecasts = forecast_scores(found, "normals")
    assert tuple(forecasts) == ("single", "spread") and forecasts["single"].interval[0] > 0

    spec = "procedural:2:5?size=32x32"
    theirs = answers(open_spec(spec, 32), tmp_path / "theirs")
    read = ["evaluate", "--task", "normals", "--data", spec, "--predictions", str(theirs)]
    assert main([*read, "--out", str(tmp_path / "theirs.json")]) == 0
    exact = json.loads((tmp_path / "theirs.json").read_text())["means"]
    assert exact["angle"]["mean"] < 0.1 < exact["trivial.facing.angle"]["mean"]

    records = [measure(tmp_path, model, steps, means["angle"]) for steps in (1, 2)]
    page = report(records, [], tmp_path / "report.html", root=tmp_path).read_text()
    assert "angle, normals" in page
    kept = json.loads((tmp_path / "pictures.json").read_text())["steps"]
    assert kept["titles"][:2] == ["input", "truth"] and len(kept["titles"]) == 4


def answers(scenes: Dataset, folder: Path) -> Path:
    """The true directions of some scenes, as files of somebody's answers."""
    for i in range(len(scenes)):
        depth = torch.from_numpy(scenes[i].depth).clamp_min(0.01)
        np.save(within(folder / f"{scenes[i].name}.npy"), normals_of(depth[None])[0].numpy())
    return folder


def measure(root: Path, model: str, steps: int, angle: dict[str, float]) -> Record:
    """A record of a study, and the job that a report draws its pictures from."""
    job = root / "runs" / f"job{steps}" / "job.json"
    job.parent.mkdir(parents=True)
    told = {"size": 32, "scenes": 2, "steps": steps, "members": 1, "seed": 0}
    job.write_text(json.dumps({"config": told, "needs": ["made"]}))
    if not (root / "runs" / "made").exists():
        (root / "runs" / "made").symlink_to(Path(model).parent)
    return Record(
        study="steps",
        claim="",
        run=f"job{steps}",
        point={"size": "n1", "steps": steps},
        seed=0,
        params=1,
        active_params=1,
        train_macs=1.0,
        train_macs_paper=1.0,
        inference_macs=float(steps),
        task="normals",
        metric="angle",
        value=angle["mean"],
        low=angle["low"],
        high=angle["high"],
        images=3,
        seconds=math.pi,
        machine="",
        versions={},
        time=0.0,
        protocol="",
    )
