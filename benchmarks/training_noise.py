"""What steps are worth by the noise that a network was trained on: a table of the study's records.

    python -m benchmarks training_noise docs/results/training-noise/records.jsonl docs/results/training-noise/table.md

A row for each size, prediction and `time_shift` whose seeds are all there. Single answers: AbsRel at one step and one
draw, and what ten steps change of it at one draw and at five, by seed. Forecasts: CRPS of eight draws at 1, 2, 4, 10
and 20 steps; what ten steps gain on one step with Laplace noise, by seed with paired 95 % intervals over scenes; and
the Brier score of which of two pixels is nearer, of the draws and of the noise.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from lookharder.files import atomic
from lookharder.metrics.statistics import paired_bootstrap
from lookharder.scaling.record import Record, Records

SEEDS, MEMBERS, STEPS = (0, 1, 2), 8, (1, 2, 4, 10, 20)
COLUMNS = (
    *("size", "trained on", "AbsRel, T = 1, n = 1", "n = 1, T = 1 → 10", "n = 5, T = 1 → 10"),
    *("CRPS, T = 1, 2, 4, 10, 20", "noise: CRPS", "T = 10 less noise, by seed"),
    *("of the noise's CRPS", "order, Brier: draws, noise"),
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}\n"
Found = Mapping[str, Record]


def key(point: Mapping[str, int | float | str], metric: str, seed: int) -> str:
    return json.dumps([dict(point), metric, seed], sort_keys=True)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def row(found: Found, size: str, prediction: str, shift: float) -> str | None:
    """A line of the table; None where a measurement is missing."""
    place = {"size": size, "prediction": prediction, "time_shift": shift}
    noise = {"draws_of": "laplace", "members": MEMBERS, "steps": 1}

    def ask(point: Mapping[str, int | float | str], metric: str) -> list[Record]:
        return [found[key({**place, **point}, metric, seed)] for seed in SEEDS]

    def draws(steps: int, metric: str) -> list[Record]:
        return ask({"draws_of": "network", "members": MEMBERS, "steps": steps}, metric)

    def change(members: int) -> str:
        one, ten = (ask({"members": members, "steps": steps}, "abs_rel") for steps in (1, 10))
        percent = [100 * (b.value / a.value - 1) for a, b in zip(one, ten, strict=True)]
        return f"{mean(percent):+.1f} % ({', '.join(f'{each:+.1f}' for each in percent)})"

    try:
        single = mean([each.value for each in ask({"members": 1, "steps": 1}, "abs_rel")])
        crps = [mean([each.value for each in draws(steps, "crps")]) for steps in STEPS]
        rival, ten = ask(noise, "crps"), draws(10, "crps")
        order = [
            mean([each.value for each in asked])
            for asked in (draws(10, "order"), ask(noise, "order"))
        ]
        changes = change(1), change(5)
    except KeyError:
        return None
    apart = [
        paired_bootstrap(a.per_image or (), b.per_image or (), 0)
        for a, b in zip(ten, rival, strict=True)
    ]
    less = ", ".join(f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]" for gap in apart)
    shares = [100 * (a.value / b.value - 1) for a, b in zip(ten, rival, strict=True)]
    trained = f"{'uniform noise' if shift == 1 else f'`time_shift` {shift:g}'}, {prediction}"
    cells = [size, trained, f"{single:.3f}", *changes, ", ".join(f"{each:.3f}" for each in crps)]
    cells += [f"{mean([each.value for each in rival]):.3f}", less, f"{mean(shares):+.1f} %"]
    return "| " + " | ".join([*cells, f"{order[0]:.3f}, {order[1]:.3f}"]) + " |\n"


def run(records: Path, out: Path) -> None:
    found = {
        key(record.point, record.metric, record.seed): record
        for record in Records.read(records)
        if record.study == "training-noise"
    }
    points = [record.point for record in found.values()]
    axes = [sorted({point[name] for point in points}) for name in ("size", "time_shift")]
    lines = [
        row(found, str(size), prediction, float(shift))
        for size in axes[0]
        for prediction in ("x0", "v")
        for shift in axes[1]
    ]
    about = __doc__.split("\n\n", 2)
    text = (
        f"# {about[0].rstrip('.')}\n\n{about[2]}\n{HEAD}{''.join(line for line in lines if line)}"
    )
    with atomic(out) as path:
        path.write_text(text, encoding="utf-8")
    print(text)
