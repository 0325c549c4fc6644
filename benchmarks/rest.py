"""What is saved where windows of flow that have come to rest are not looked at again, and what it costs in error.

    python -m benchmarks rest seven_flow:PATH [--out docs/results/rest.json]

The same pairs by every rule in turn, at three levels; seconds are of the processor, with OMP_NUM_THREADS=1.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Device, machine
from lookharder.data.source import open_spec
from lookharder.files import write_json
from lookharder.metrics import flow as flow_metrics
from lookharder.predict.predictor import Predictor


def run(
    data: str,
    *,
    model: str = "tiny",
    levels: int = 3,
    changes: tuple[float, ...] = (1.0, 2.0),
    device: Device = "cpu",
    out: Path = Path("docs/results/rest.json"),
) -> None:
    predictor, pairs = Predictor.from_pretrained(model, device), open_spec(data, 128)
    examples = [pairs[i] for i in range(len(pairs))]
    rows: list[dict[str, Any]] = []
    for change in (None, *changes):
        until = None if change is None else f"change:{change}"
        errors, macs, began = [], 0, time.process_time()
        for each in examples:
            result = predictor(each.image, "flow", second=each.second, levels=levels, until=until)
            flow = np.moveaxis(result.prediction[0], -1, 0)
            errors.append(flow_metrics.evaluate(flow, each.flow, each.flow_valid)["epe"])
            macs += result.macs
        seconds = (time.process_time() - began) / len(examples)
        rows.append(
            {
                "until": until,
                "epe": float(np.mean(errors)),
                "macs": macs / len(examples),
                "cpu_seconds": seconds,
            }
        )
        print(rows[-1], flush=True)
    write_json(
        out, {"data": data.partition(":")[0], "model": model, "rows": rows} | machine(device)
    )
