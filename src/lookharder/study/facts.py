"""What a record must know of the model that was measured: its size, its cost, and what its trainings took."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lookharder import __version__
from lookharder.chain import Chain
from lookharder.hardware import pick_device
from lookharder.jsons import read_json
from lookharder.models.flops import breakdown

SPENT = ("train_images", "train_macs", "train_macs_paper")


def result_of(folder: Path) -> dict[str, Any]:
    """What a job that is done has found."""
    value: dict[str, Any] = read_json(folder / "done.json")["result"]
    return value


def lineage(folder: Path, chain: Chain) -> dict[str, Any]:
    """Facts of a model, with the compute and images that the trainings of a job and those before it took."""
    before = result_of(folder)
    return {**{name: before[name] for name in SPENT}, **facts(chain)}


def facts(chain: Chain) -> dict[str, Any]:
    """Its parameters, and where it is measured."""
    config = chain.config.model
    cost = breakdown(config, config.input_size, config.input_size).values()
    return {
        "params": sum(group.params for group in cost),
        "active_params": sum(group.active_params for group in cost),
        "machine": _machine(),
        "versions": {
            "python": platform.python_version(),
            "lookharder": __version__,
            "torch": torch.__version__.split("+")[0],
            "numpy": np.__version__,
        },
    }


def macs_of(chain: Chain) -> tuple[int, int]:
    """Multiply-adds of one forward at the model's own resolution: all, and all but those between tokens."""
    config = chain.config.model
    groups = breakdown(config, config.input_size, config.input_size)
    every = sum(group.macs for group in groups.values())
    return every, every - groups["attention"].macs


def _machine() -> str:
    """The processor, and the GPU where this worker has one."""
    found = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if pick_device("auto").type != "cuda":
        return found
    return f"{found}, {torch.cuda.get_device_name()}"
