"""What the networks of a study see: the same held-out scenes, predicted once more by each, in order of compute.

A study of more, of steps say, shows one line along its axis; one of kinds, of schedules say, shows them side by side.

    OUT/runs/RUN/job.json names the job that RUN measures ─► OUT/runs/JOB/model ─► predictions ─► OUT/pictures.json

A record alone cannot be looked at, a model can; models are large and go, so what was drawn is kept beside the records.
"""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lookharder.config import from_json, to_json
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED
from lookharder.errors import InputError
from lookharder.files import write_json
from lookharder.jsons import read_json
from lookharder.predict.predictor import Predictor
from lookharder.report.parts import METRICS, Part, at, main_metric, place_words
from lookharder.scaling.record import Record
from lookharder.visualize.views import VIEWS

SCENES, COLUMNS = 3, 7  # shown at most
KEPT = "pictures.json"
OWN_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]*")


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Pictures in rows, a row a scene.

    Attributes:
        titles: of the columns: input, truth, then where each prediction lies.
        notes: under the titles: the error that was measured there on all scenes.
        rows: PNG files as data URIs.
        runs: whose predictions they are, in order.
    """

    titles: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    runs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Kept:
    by_study: dict[str, Strip]


def pictures(study: str, records: Sequence[Record], part: Part, root: Path) -> Strip | None:
    """Draw the strip of one study, and keep it in ROOT/pictures.json for when its models are gone.

    What is kept stays until other columns can be drawn, and as many, or its measurements are no longer recorded.

    Args:
        study: its name.
        records: of this study.
        part: how it is shown.
        root: the folder that holds `runs`.

    Raises:
        InputError: what was kept is damaged.
    """
    kept, models = _kept(root / KEPT), _chosen(records, part, root)
    former = kept.get(study)
    if former is not None and not set(former.runs) <= {record.run for record in records}:
        former = None
    runs = tuple(record.run for record, *_ in models)
    if former is not None and (runs == former.runs or len(runs) < len(former.runs)):
        return former
    drawn = strip(models)
    if drawn is not None:
        write_json(root / KEPT, to_json({**kept, study: drawn}))
    return drawn or former


def strip(models: Sequence[tuple[Record, dict[str, Any], Path]]) -> Strip | None:
    """Predict the same scenes with some models, side by side; None of fewer than two.

    Args:
        models: the measurement, what its run was told, and the model that it measured.
    """
    titles, notes = ["input", "truth"], ["", ""]
    columns: list[list[np.ndarray]] = []
    for record, job, model in models if len(models) > 1 else ():
        task = record.task
        world = ProceduralWorld(job["size"], HELD_OUT_SEED, count=min(SCENES, job["scenes"]))
        examples = [world[i] for i in range(len(world))]
        predictor = Predictor.from_pretrained(str(model))
        more = {k: job[k] for k in ("sampler", "spacing", "noise_schedule", "merge") if k in job}
        result = predictor.predict_examples(
            examples,
            task,
            num_inference_steps=job["steps"],
            ensemble_size=job["members"],
            seed=job["seed"],
            **more,
        )
        view = VIEWS[task]
        cells = tuple(view.strip)  # input, truth, prediction
        panels = [
            view.panel(example, np.moveaxis(result.prediction[i], -1, 0), result.painting[i])
            for i, example in enumerate(examples)
        ]
        if not columns:
            columns += [[panel[cell][1] for panel in panels] for cell in cells[:2]]
        columns.append([panel[cells[2]][1] for panel in panels])
        titles.append(place_words(record.point))
        notes.append(f"{METRICS.get(record.metric, record.metric)} {record.value:.3g}")
    if not columns:
        return None
    rows = tuple(tuple(map(data_uri, row)) for row in zip(*columns, strict=True))
    return Strip(
        titles=tuple(titles),
        notes=tuple(notes),
        rows=rows,
        runs=tuple(record.run for record, *_ in models),
    )


def data_uri(picture: np.ndarray) -> str:
    """Encode a picture (H, W, 3) uint8 as a PNG inside a link."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _kept(path: Path) -> dict[str, Strip]:
    """Read the strips of a file, by study; none where there is no file."""
    if not path.is_file():
        return {}
    kept = from_json(_Kept, {"by_study": read_json(path)}, str(path)).by_study
    for study, found in kept.items():
        for link in (link for row in found.rows for link in row):
            if not OWN_PICTURE.fullmatch(link):  # a page promises to ask no network
                raise InputError(f"{path}: {study}", link[:60], "PNG files as data URIs")
    return kept


def _chosen(
    records: Sequence[Record], part: Part, root: Path
) -> list[tuple[Record, dict[str, Any], Path]]:
    """Choose the columns: the line with the most models, or a model of each line; first seeds, thinned to what fits."""
    kinds = [r for r in records if part.beside and set(part.beside) <= set(r.point.items())]
    lines: dict[tuple[Any, ...], dict[Any, tuple[Record, dict[str, Any], Path]]] = {}
    for record in sorted(kinds or records, key=lambda r: r.seed):
        if main_metric(record.task) != record.metric:
            continue
        found = _model(record, root)
        if found is not None:
            line = tuple(str(record.point.get(axis)) for axis in part.lines)
            row, column = ((), line) if kinds else (line, at(record, part.x))
            lines.setdefault((record.task, *row), {}).setdefault(column, (record, *found))
    if not lines:
        return []
    longest = max(lines.values(), key=len)
    ordered = sorted(longest.values(), key=lambda row: (row[0].train_macs, row[0].inference_macs))
    keep = sorted({round(i) for i in np.linspace(0, len(ordered) - 1, COLUMNS)})
    return [ordered[i] for i in keep]


def _model(record: Record, root: Path) -> tuple[dict[str, Any], Path] | None:
    """The configuration of a run and the folder of the model that it measured; None where either is gone."""
    path = root / "runs" / record.run / "job.json"
    if not path.is_file():
        return None
    job = read_json(path)
    if "data" in job["config"] or not job["needs"]:  # files of the user's: scenes are ours to show
        return None
    model = root / "runs" / job["needs"][0] / "model"
    return (job["config"], model) if (model / "config.json").is_file() else None
