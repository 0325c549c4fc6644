"""How much depth flickers from frame to frame, and what a noise that all frames share saves.

    python -m benchmarks flicker [--scenes 100] [--members 1 4] [--out docs/results/flicker.json]

Pairs of frames of the embedded photo world. The answer of the second is taken back to the first by the exact flow; the
flicker is the mean difference of the two where the point is seen in both, in units of depth in [0, 1]. Intervals are
95 %, over pairs; the change is pair by pair.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lookharder.data.source import open_spec
from lookharder.files import write_json
from lookharder.metrics.statistics import bootstrap_mean
from lookharder.predict.inputs import batch_of
from lookharder.predict.options import Options
from lookharder.predict.predictor import Predictor


def run(
    *,
    model: str = "sight",
    scenes: int = 100,
    members: tuple[int, ...] = (1, 4),
    out: Path = Path("docs/results/flicker.json"),
) -> None:
    predictor = Predictor.from_pretrained(model, "cpu")
    spec = f"procedural:{scenes}?world=photo&size=96x128"
    data = open_spec(spec, 128)
    examples = [data[i] for i in range(scenes)]
    rows: list[dict[str, Any]] = []
    for count in members:
        found = {
            noise: [_flicker(predictor, example, count, key) for example in examples]
            for noise, key in (("own", None), ("shared", 0))
        }
        row: dict[str, Any] = {"members": count}
        change = np.array(found["shared"]) - np.array(found["own"])
        for name, values in (*found.items(), ("change", change)):
            row[name] = bootstrap_mean(np.asarray(values), seed=0)._asdict()
        rows.append(row)
        print(row)
    write_json(out, {"model": model, "data": spec, "rows": rows})


def _flicker(predictor: Predictor, example: Any, members: int, key: int | None) -> float:
    import cv2

    task = predictor.chain.task("depth")
    options = Options(ensemble_size=members, processing_resolution=0)
    first, second = (
        list(predictor.predict("depth", batch_of(task, image, {}), options, noise_key=key))[-1]
        for image in (example.image, example.second)
    )
    height, width = example.image.shape[1:]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    there = columns + example.flow[0], rows + example.flow[1]
    back = cv2.remap(second.prediction[0, ..., 0], *there, cv2.INTER_LINEAR)
    seen = example.flow_valid & ~example.occluded
    return float(np.abs(back - first.prediction[0, ..., 0])[seen].mean())
