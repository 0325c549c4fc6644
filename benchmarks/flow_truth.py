"""How much of the error of flow may be the truth's own: what two methods of separate making are both off by.

    python -m benchmarks flow_truth seven_flow:PATH [--out docs/results/flow-truth.json]

Where the network and OpenCV's search (DIS) agree with each other, and lie to the same side of the truth by the same
amount, the truth is more likely off than both: that of hand-held pairs is made of the depth and the poses of another
camera. It is no proof, for further levels match the pictures, as the search does. In pixels, means over known pixels,
then over pairs.
"""

from pathlib import Path

import numpy as np

from benchmarks.harness import Device, machine
from lookharder.data.source import open_spec
from lookharder.files import write_json
from lookharder.metrics.flow import inverse_search
from lookharder.predict.predictor import Predictor


def run(
    data: str,
    *,
    model: str = "tiny",
    levels: int = 3,
    device: Device = "cpu",
    out: Path = Path("docs/results/flow-truth.json"),
) -> None:
    predictor, pairs = Predictor.from_pretrained(model, device), open_spec(data, 128)
    rows = []
    for each in (pairs[i] for i in range(len(pairs))):
        known = each.flow_valid
        result = predictor(each.image, "flow", second=each.second, levels=levels)
        ours = np.moveaxis(result.prediction[0], -1, 0) - each.flow
        frames = [frame.mean(0).round().astype(np.uint8) for frame in (each.image, each.second)]
        theirs = inverse_search(*frames) - each.flow
        rows.append(
            {
                "name": each.name,
                "motion": _length(each.flow, known),
                "model": _length(ours, known),
                "dis": _length(theirs, known),
                "model to dis": _length(ours - theirs, known),
                "offset of model": float(np.linalg.norm(ours[:, known].mean(1))),
                "offset of dis": float(np.linalg.norm(theirs[:, known].mean(1))),
                "between offsets": float(np.linalg.norm((ours - theirs)[:, known].mean(1))),
            }
        )
        print(rows[-1], flush=True)
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "name"}
    print(means)
    about = {"data": data.partition(":")[0], "model": model, "levels": levels}
    write_json(out, about | {"means": means, "rows": rows} | machine(device))


def _length(vectors: np.ndarray, known: np.ndarray) -> float:
    """Mean length of vectors (2, H, W) where they are known."""
    return float(np.linalg.norm(vectors[:, known], axis=0).mean())
