"""The learning curve of a run: loss by task, averaged over windows of iterations, as JSON and a picture.

python -m benchmarks learning_curve runs/tiny docs/results/tiny-curve
"""

import json
from pathlib import Path
from statistics import mean

from lookharder.files import atomic, write_json


def windows(run: Path, length: int) -> list[dict]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    curve = []
    for first in range(0, rows[-1]["iteration"], length):
        part = [row for row in rows if first < row["iteration"] <= first + length]
        tasks = sorted({task for row in part for task in row["losses"]})
        losses = {t: mean(row["losses"][t] for row in part if t in row["losses"]) for t in tasks}
        seconds = mean(row["seconds"] for row in part)
        curve.append(
            {
                "iteration": part[-1]["iteration"],
                "losses": losses,
                "lr": part[-1]["lr"],
                "seconds": seconds,
            }
        )
    return curve


def run(run: Path, out: Path, *, window: int = 200) -> None:
    curve = windows(run, window)
    write_json(out.with_suffix(".json"), curve)

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    for task in sorted(curve[-1]["losses"]):
        known = [point for point in curve if task in point["losses"]]
        axes.plot([p["iteration"] for p in known], [p["losses"][task] for p in known], label=task)
    axes.set(xlabel="iteration", ylabel="training loss (MSE of x0)", yscale="log")
    axes.legend()
    with atomic(out.with_suffix(".png")) as aside:
        figure.savefig(aside, dpi=120)
