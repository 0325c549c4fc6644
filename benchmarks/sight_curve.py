"""What a run in progress sees in real pictures: its averaged weights, scored at its newest checkpoint.

    python -m benchmarks sight_curve runs/sight DATA docs/results/sight-curve.json

DATA holds one folder a set, as for `real_samples.py`. Adds a row to the curve: iteration, pictures seen, and for each
set the mean of its first metric beside the trivial answers'. With `--model FOLDER` the averaged weights are kept as a
model folder for `predict`; `--before` is how many pictures the weights had seen that a run began with.
"""

import json
from pathlib import Path

import torch

from benchmarks.real_samples import SHOWN, score
from lookharder import autoencoder
from lookharder.chain import Chain
from lookharder.config import from_json
from lookharder.errors import InputError
from lookharder.files import write_json
from lookharder.models.dit import DiT
from lookharder.predict.predictor import Predictor
from lookharder.training import checkpoint
from lookharder.training.run_config import RunConfig


def newest(run: Path) -> tuple[RunConfig, Chain, int]:
    """Configuration, system with the averaged weights, and iteration of a run's newest intact checkpoint."""
    config = from_json(RunConfig, json.loads((run / "config.json").read_text(encoding="utf-8")))
    found = checkpoint.load_latest(run / "checkpoints")
    if found is None:
        raise InputError("run", f"{run} without a checkpoint", "a run that has saved one")
    weights = {k[4:]: value for k, value in found.tensors.items() if k.startswith("ema.")}
    with torch.device("meta"):
        network = DiT(config.chain.model)
    network.load_state_dict(weights, assign=True)
    codec = autoencoder.build(dict(config.chain.autoencoder))
    return config, Chain(config.chain, network.eval(), codec), found.iteration


def run(
    run: Path,
    data: Path,
    curve: Path,
    *,
    resolution: int | None = None,
    model: Path | None = None,
    before: int = 0,
) -> None:
    config, chain, iteration = newest(run)
    if model is not None:
        chain.save(model, f"# {config.name} after {iteration} iterations\n", half=True)
    row: dict[str, float] = {
        "iteration": iteration,
        "pictures": before + iteration * config.train.batch_size,
        "resolution": resolution or chain.config.resolution,
    }
    for result in score(dict.fromkeys(SHOWN, Predictor(chain, name="sight")), data, resolution):
        for metric in SHOWN[result.task]:
            for key, value in result.means.items():
                if key.rpartition(".")[2] == metric:
                    row[f"{result.data}.{key}"] = round(value["mean"], 4)
    known = json.loads(curve.read_text(encoding="utf-8")) if curve.exists() else []
    same = ("pictures", "resolution")
    kept = [old for old in known if any(old[key] != row[key] for key in same)]
    write_json(curve, [*kept, row])
    for key, value in row.items():
        print(f"{key:40} {value}")
