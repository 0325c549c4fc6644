"""How much depth flickers from frame to frame, and what is gained by one noise for all frames and by steadying.

    python -m benchmarks flicker [--scenes 60] [--pairs seven_flow:PATH] [--out docs/results/flicker.json]

Pairs of frames of the embedded photo world, and of a data set with flow if there is one. The answer of the second is
taken back to the first by the exact flow; the flicker is the mean difference of the two where the point is seen in
both, in units of depth in [0, 1]. Steadied is the first, with the second as the frame before it; the error is its
AbsRel. Intervals are 95 %, over pairs; changes are pair by pair.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Device
from lookharder.data.example import Example
from lookharder.data.source import open_spec
from lookharder.files import write_json
from lookharder.metrics import depth as depth_metrics
from lookharder.metrics.statistics import bootstrap_mean
from lookharder.predict.files.steady import SteadyFrame, steady
from lookharder.predict.inputs import batch_of
from lookharder.predict.options import Options
from lookharder.predict.predictor import Predictor

Depths = tuple[np.ndarray, np.ndarray]  # of both frames, each predicted alone


def run(
    *,
    model: str = "sight",
    scenes: int = 60,
    members: tuple[int, ...] = (1, 4),
    shares: tuple[float, ...] = (0.0, 0.3, 0.5, 0.7),
    pairs: str | None = None,
    device: Device = "cpu",
    out: Path = Path("docs/results/flicker.json"),
) -> None:
    predictor = Predictor.from_pretrained(model, device)
    world = f"procedural:{scenes}?world=photo&size=96x128"
    rows: list[dict[str, Any]] = []
    steadied = []
    for spec in (world,) if pairs is None else (world, pairs):
        data = open_spec(spec, 128)
        examples = [data[i] for i in range(len(data))]
        for count in members:
            own, shared = (
                [_alone(predictor, e, count, key) for e in examples] for key in (None, 0)
            )
            base = [_flicker(e, *depths) for e, depths in zip(examples, own, strict=True)]
            same = [_flicker(e, *depths) for e, depths in zip(examples, shared, strict=True)]
            row = {"data": spec.partition(":")[0], "members": count}
            rows.append(row | _compared(own=base, shared=same))
            print(rows[-1])
            if count == members[0]:
                steadied += [row | each for each in _steadied(examples, shared, shares)]
    write_json(out, {"model": model, "world": world, "noise": rows, "steady": steadied})


def _alone(predictor: Predictor, example: Example, members: int, key: int | None) -> Depths:
    task = predictor.chain.task("depth")
    options = Options(ensemble_size=members, processing_resolution=0)
    first, second = (
        list(predictor.predict("depth", batch_of(task, image, {}), options, noise_key=key))[-1]
        for image in (example.image, example.second)
    )
    return first.prediction[0, ..., 0], second.prediction[0, ..., 0]


def _flicker(example: Example, first: np.ndarray, second: np.ndarray) -> float:
    import cv2

    assert example.flow is not None and example.flow_valid is not None
    rows, columns = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
    there = columns + example.flow[0], rows + example.flow[1]
    back = cv2.remap(second, *there, cv2.INTER_LINEAR)
    hidden = False if example.occluded is None else example.occluded
    return float(np.abs(back - first)[example.flow_valid & ~np.asarray(hidden)].mean())


def _steadied(
    examples: Sequence[Example], depths: Sequence[Depths], shares: Sequence[float]
) -> list[dict[str, Any]]:
    """Flicker and error of first frames by the share of the frame before, beside those that are left alone."""
    found: list[dict[str, Any]] = []
    for share in (None, *shares):
        flicker, errors = [], []
        for example, (first, second) in zip(examples, depths, strict=True):
            assert example.second is not None
            if share is not None:
                before = SteadyFrame(image=example.second, alone=second, depth=second)
                # 0 fits and does not mix; `steady` would leave such a frame alone
                first = steady(before, example.image, first, share or 1e-9).depth
            flicker.append(_flicker(example, first, second))
            if example.depth is not None:
                scored = depth_metrics.evaluate(
                    first, example.depth, example.depth_valid, align=True, min_depth=1e-3
                )
                errors.append(scored["abs_rel"])
        row: dict[str, Any] = {"share": share, "flicker": bootstrap_mean(flicker, 0)._asdict()}
        found.append(row | ({"abs_rel": bootstrap_mean(errors, 0)._asdict()} if errors else {}))
        print(found[-1])
    return found


def _compared(**sides: Sequence[float]) -> dict[str, Any]:
    """Means of both sides, and of what the second changes."""
    first, second = (np.asarray(values) for values in sides.values())
    means = {name: bootstrap_mean(values, 0)._asdict() for name, values in sides.items()}
    return means | {"change": bootstrap_mean(second - first, 0)._asdict()}
