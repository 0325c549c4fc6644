"""Levels, steps and members raised together, members of the mirror image among them: what no cheaper setting equals.

    python -m benchmarks joint docs/results/joint.json

Scenes and scores are those of `levels.measure`, the models those that are shipped for each task. Writes a row a
setting, prints the settings that no cheaper one equals with their gain on one look, paired over scenes, and writes
these into the models' tables, by which a budget is spent.
"""

import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.harness import Device, machine
from benchmarks.levels import METRICS, ONE, effort_of, measure_settings, table, tell_model
from lookharder.chain import default_model, find
from lookharder.files import write_json
from lookharder.metrics.scores import SCORES
from lookharder.predict.predictor import Predictor

LEVELS, STEPS = (1, 2, 3), (1, 4)
MEMBERS = (
    (1, False),
    (2, True),
    (4, False),
    (4, True),
)  # how many, and whether every second one is mirrored


def together() -> Iterator[tuple[str, dict[str, Any]]]:
    for levels, steps, (members, mirror) in product(LEVELS, STEPS, MEMBERS):
        setting = {"levels": levels, "steps": steps, "members": members, "mirror": mirror}
        yield "together", setting


def run(out: Path, *, scenes: int = 8, device: Device = "auto") -> None:
    rows: list[dict[str, Any]] = []
    for task, metrics in METRICS.items():
        model = default_model(task)
        predictor = Predictor.from_pretrained(model, device)
        mine = measure_settings(predictor, task, scenes, together())
        rows += mine
        write_json(out, {"machine": machine(device), "time": time.time(), "rows": rows})
        kept = table(mine, predictor.chain.config.resolution)
        show(mine, [setting.effort for setting in kept], SCORES[task].error_name(metrics[0]))
        tell_model(find(model), kept, scenes)


def show(rows: list[dict[str, Any]], kept: list[Any], name: str) -> None:
    """A line of a table for each setting that is kept."""
    for row in sorted(rows, key=lambda row: row["macs"]):
        if effort_of(row) in kept:
            gap = row[f"{name}_less_one_look"]
            place = " | ".join(str(row[axis]) for axis in ONE)
            found = f"{row['macs'] / 1e9:.2f} | {row[name]['mean']:.3f}"
            gain = f"{gap['mean']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]"
            mirror = "yes" if row["mirror"] else "no"
            print(f"| {row['task']} | {place} | {mirror} | {found} | {gain} |")
