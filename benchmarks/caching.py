"""What step-to-step caching of blocks saves, and what it costs in accuracy.

    python -m benchmarks caching --scenes 200 [--steps 10 50 --every 1 2 3 5] [--out docs/results/caching.json]

Held-out scenes. For each task, number of steps and k: multiply-adds for a picture, how far the prediction moved from
that without caching (mean; depth in [0, 1], flow in pixels, amodal the share of pixels that changed), and the error
against the truth with its 95 % interval, beside the change of the error picture by picture.
"""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Device
from lookharder.data.source import open_spec
from lookharder.evaluate.evaluation import protocol
from lookharder.evaluate.survey import truth_of
from lookharder.files import write_json
from lookharder.metrics.scores import SCORES
from lookharder.metrics.statistics import bootstrap_mean
from lookharder.predict.predictor import Predictor

ERRORS = {"depth": "abs_rel", "flow": "epe", "amodal": "iou"}  # 1 - iou


def run(
    *,
    model: str = "tiny",
    scenes: int = 200,
    tasks: tuple[str, ...] = tuple(ERRORS),
    steps: tuple[int, ...] = (10, 50),
    every: tuple[int, ...] = (1, 2, 3, 5),
    members: int = 1,
    device: Device = "auto",
    out: Path = Path("docs/results/caching.json"),
) -> None:
    predictor = Predictor.from_pretrained(model, device)
    data = open_spec(f"procedural:{scenes}", predictor.chain.config.resolution)
    examples = [data[i] for i in range(len(data))]
    about = {
        "what": "step-to-step caching: every k-th call runs all blocks, the others the first alone",
        "model": model,
        "data": f"procedural:{scenes}",
        "members": members,
    }
    rows: list[dict[str, Any]] = []
    for task in tasks:
        rules = protocol(task, "procedural", predictor.chain)
        for count in steps:
            plain: dict[str, Any] = {}
            for k in sorted({1, *every}):
                maps, errors, macs = [], [], 0
                for first in range(0, len(examples), 16):
                    part = examples[first : first + 16]
                    answer = predictor.predict_examples(
                        part,
                        task,
                        num_inference_steps=count,
                        ensemble_size=members,
                        processing_resolution=0,
                        cache=k,
                    )
                    macs += answer.macs
                    for example, prediction in zip(part, answer.prediction, strict=True):
                        prediction = np.moveaxis(prediction, -1, 0)
                        maps.append(prediction)
                        truth = truth_of(example, SCORES[task])
                        value = SCORES[task].evaluate(prediction, truth, rules)[ERRORS[task]]
                        errors.append(SCORES[task].error(ERRORS[task], value))
                if k == 1:
                    plain = {"maps": maps, "errors": errors, "macs": macs}
                moved = [
                    np.abs(a.astype(np.float64) - b).mean()
                    for a, b in zip(maps, plain["maps"], strict=True)
                ]
                worse = np.subtract(errors, plain["errors"]).tolist()
                row = {
                    "task": task,
                    "steps": count,
                    "every": k,
                    "macs_per_picture": macs / len(examples),
                    "macs_share": macs / plain["macs"],
                    "moved": float(np.mean(moved)),
                    "error": bootstrap_mean(errors, seed=0),
                    "error_change": bootstrap_mean(worse, seed=0),
                }
                rows.append(row)
                print(
                    f"{task:7} T = {count:3} k = {k}  MACs {row['macs_share']:6.1%}  moved "
                    f"{row['moved']:.4f}  error {row['error'][0]:.4f}  change "
                    "{:+.4f} [{:+.4f}, {:+.4f}]".format(*row["error_change"]),
                    flush=True,
                )
                write_json(out, about | {"rows": rows})
    print(f"-> {out}")
