"""How far errors go beyond the spread of members, on pictures with truth: the model's bounds of uncertainty.

    python -m benchmarks error_bounds sight DATA --out docs/results/error-bounds.json

DATA holds one folder a set, as for `real_samples`. A factor for each task and level (`predict.settings.ErrorBound`) is
fitted on every second picture and tried on the others; then fitted on all, and written into the model's table. Errors
of depth are those of the aligned map in its own unit. Masks are right or wrong, and are left out.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import Device
from lookharder.chain import find
from lookharder.data.source import open_spec
from lookharder.evaluate.evaluation import protocol
from lookharder.evaluate.survey import truth_of
from lookharder.files import write_json
from lookharder.metrics.calibration import bounding_factor, ratios
from lookharder.metrics.scores import SCORES
from lookharder.predict.predictor import Predictor
from lookharder.predict.settings import LEVEL, ErrorBound, SettingsTable

SETS = {"depth": ("nyuv2", "nyuv2/train?split=val"), "flow": ("seven_flow", "seven_flow")}
LEVELS = (LEVEL, 0.9)


def beyond(predictor: Predictor, task: str, spec: str, members: int) -> list[np.ndarray]:
    """Error / (u + mean of u) of each valid pixel, picture by picture; u is the plain spread."""
    score, data = SCORES[task], open_spec(spec, 64)
    rules = protocol(task, spec.partition(":")[0], predictor.chain)
    found = []
    for index in range(len(data)):
        example = data[index]
        result = predictor.predict_examples(
            [example], task, ensemble_size=members, output_uncertainty=True
        )
        prediction = np.moveaxis(result.prediction[0], -1, 0)
        spread = result.uncertainty[0, ..., 0].astype(np.float64)
        judged = score.error_map(prediction, spread, truth_of(example, score), rules)
        error = judged.error / judged.trivial if task == "depth" else judged.error
        plain = ErrorBound(task=task, level=0.5, factor=1.0, pictures=0, members=0, data="")
        bound = plain.of(torch.from_numpy(spread)[None])[0].numpy()
        found.append(ratios(error[judged.valid], bound[judged.valid]))
    return found


def run(model: str, data: Path, *, out: Path, members: int = 8, device: Device = "auto") -> None:
    predictor, folder = Predictor.from_pretrained(model, device), find(model)
    table = SettingsTable.read(folder) or SettingsTable(data="", errors={}, rows=())
    plain = replace(table, bounds=())
    predictor = Predictor(predictor.chain, predictor.device, name=model, settings=plain)
    rows, bounds = [], []
    for task, (reader, path) in SETS.items():
        pictures = beyond(predictor, task, f"{reader}:{data / path}", members)
        fitted, tried = pictures[::2], pictures[1::2]
        for level in LEVELS:
            half = bounding_factor(fitted, level)
            row = {
                "task": task,
                "data": path,
                "members": members,
                "level": level,
                "plain": float(np.mean([(ratio <= 0.5).mean() for ratio in tried])),
                "held_out": float(np.mean([(ratio <= half).mean() for ratio in tried])),
                "pictures": len(pictures),
                "factor": bounding_factor(pictures, level),
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
            if np.isfinite(row["factor"]):
                known = {
                    name: row[name] for name in ("task", "level", "factor", "pictures", "members")
                }
                bounds.append(ErrorBound(data=reader, **known))
    replace(table, bounds=tuple(bounds)).write(folder)
    write_json(out, rows)
