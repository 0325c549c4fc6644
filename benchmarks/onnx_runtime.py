"""One call of the denoiser by ONNX Runtime beside torch's, after their outputs were held equal.

    lookharder export sight --to onnx --out out/graphs
    python -m benchmarks onnx_runtime out/graphs [--batches 1 8 --out docs/results/onnx-runtime.json]

Random latents at the model's resolution (4:3), as many threads for one as for the other; sides alternate.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import machine, take_turns
from lookharder.chain import Chain, find
from lookharder.export import TOLERANCE
from lookharder.files import write_json
from lookharder.jsons import read_json
from lookharder.seeding import torch_generator


def run(
    folder: Path,
    *,
    batches: tuple[int, ...] = (1, 8),
    rounds: int = 15,
    out: Path = Path("docs/results/onnx-runtime.json"),
) -> None:
    import onnxruntime

    manifest = read_json(folder / "manifest.json")
    chain = Chain.load(find(manifest["model"]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        str(folder / "denoiser.onnx"), options, providers=["CPUExecutionProvider"]
    )
    rows = [_row(chain, session, manifest["resolution"], batch, rounds) for batch in batches]
    print(*rows, sep="\n")
    facts = {"model": manifest["model"], "opset": manifest["opset"]}
    facts |= {"onnxruntime": onnxruntime.__version__}
    write_json(out, {"machine": machine(), **facts, "rows": rows})


def _row(chain: Chain, session: Any, resolution: int, batch: int, rounds: int) -> dict[str, Any]:
    codec, unit = chain.autoencoder, chain.multiple
    height, width = (
        max(1, round(side / unit)) * unit // codec.factor
        for side in (resolution * 0.75, resolution)
    )
    generator = torch_generator("onnx_runtime", batch)

    def noise(channels: int) -> torch.Tensor:
        return torch.randn(batch, channels, height, width, generator=generator)

    x_t, condition = noise(codec.channels), noise(codec.channels * chain.config.sources)
    t = torch.tensor([chain.config.schedule.steps - 1])
    label = torch.tensor([chain.config.model.num_classes])
    named = {"x_t": x_t, "condition": condition, "t": t, "label": label}
    given = {name: value.numpy() for name, value in named.items()}

    @torch.inference_mode()
    def ours() -> np.ndarray:
        return chain.denoiser(x_t, t, condition, label).x0.numpy()

    wanted, found = ours(), session.run(["x0"], given)[0]
    difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    assert difference <= TOLERANCE, difference
    times = take_turns({"torch": ours, "onnx": lambda: session.run(["x0"], given)}, rounds)
    return {
        "batch": batch,
        "cells": [height, width],
        "difference": difference,
        "seconds": times.medians(),
        "cpu_seconds": times.cpu_medians(),
    }
