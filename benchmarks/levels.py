"""Which axis of compute pays: levels, steps or members? Error against MACs on large scenes whose truth is exact.

    python -m benchmarks levels.measure sight docs/results/levels --scenes 8
    python -m benchmarks levels.measure sight docs/results/levels-large --scenes 8 --width 1024
    python -m benchmarks levels.records docs/results/laptop/others.jsonl docs/results/levels-large.json
    python -m benchmarks levels.picture docs/results/looks.png

Scenes of the photographed world, 384 x 512 pixels or of another width, which no model was trained on. Every setting
answers the same scenes, so that differences to one look are paired. A power law is fitted to the levels but the last,
and the last is compared with what it predicts. Writes OUT.json and OUT.png, and, of 384 x 512, into the model's table,
by which a budget is spent, the settings that no cheaper one equals; `--seed` is that of the model's training. `records`
makes of what `measure` wrote the study "closer" of the report, which judges laws by its own rules. `picture` shows a
scene a task at one, two and three levels.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Device, machine
from lookharder.chain import Chain, default_model, find
from lookharder.data.source import open_spec
from lookharder.errors import InputError
from lookharder.evaluate.evaluation import Evaluation, evaluate, protocol
from lookharder.files import atomic, write_json
from lookharder.jsons import read_json
from lookharder.metrics.scores import SCORES
from lookharder.metrics.statistics import bootstrap_mean, paired_bootstrap
from lookharder.predict.effort import Effort, level_sizes
from lookharder.predict.predictor import Predictor
from lookharder.predict.settings import Setting, SettingsTable
from lookharder.scaling.record import Record, Records
from lookharder.study.facts import facts
from lookharder.visualize.views import VIEWS

SEED, WIDTH = 9, 512
METRICS = {"depth": ("abs_rel", "boundary_f1"), "flow": ("epe",), "amodal": ("iou",)}
LABELS = {"depth": "AbsRel", "flow": "end-point error, pixels", "amodal": "1 - IoU"}
ONE = {"levels": 1, "steps": 1, "members": 1}
CALLED = {"members": "draws"}  # by the report
AXES = {"levels": (2, 3, 4, 5), "steps": (2, 5, 10), "members": (4, 16)}


def size_of(width: int) -> tuple[int, int]:
    """(height, width) of a scene."""
    return width * 3 // 4, width


def spec_of(task: str, scenes: int, width: int = WIDTH) -> str:
    height, width = size_of(width)
    return f"procedural:{scenes}:{SEED}?world=photo&size={height}x{width}&only={task}"


def errors(result: Evaluation, metric: str) -> np.ndarray:
    score = SCORES[result.task]
    return np.array([score.error(metric, row[metric]) for row in result.rows])


def measure_settings(
    predictor: Predictor,
    task: str,
    scenes: int,
    settings: Iterable[tuple[str, dict[str, Any]]],
    width: int = WIDTH,
) -> list[dict[str, Any]]:
    """A row for each (axis, setting), compared with the first."""
    data = open_spec(spec_of(task, scenes, width), width)
    rules = protocol(task, "procedural", predictor.chain)
    rows: list[dict[str, Any]] = []
    base: Evaluation | None = None
    for axis, setting in settings:
        began = time.perf_counter()
        result = evaluate(predictor, task, data, data="levels", rules=rules, **setting)
        seconds = time.perf_counter() - began
        base = base or result
        row = {"task": task, "model": Path(predictor.name).name, "axis": axis, **setting}
        row |= {"macs": result.macs_per_image, "seconds_with_scoring": seconds / scenes}
        for metric in METRICS[task]:
            mine, one = errors(result, metric), errors(base, metric)
            name = SCORES[task].error_name(metric)
            row[name] = dict(zip(("mean", "low", "high"), bootstrap_mean(mine, 0), strict=True))
            gap = paired_bootstrap(mine, one, 0)
            row[f"{name}_less_one_look"] = dict(zip(("mean", "low", "high"), gap, strict=True))
            row[f"{name}_of_scenes"] = mine.round(5).tolist()
        rows.append(row)
        shown = {m: round(row[SCORES[task].error_name(m)]["mean"], 4) for m in METRICS[task]}
        print(task, setting, f"{row['macs'] / 1e9:.2f} GMACs", shown, flush=True)
    return rows


def one_by_one(predictor: Predictor, width: int) -> Iterator[tuple[str, dict[str, int]]]:
    """One look, then each number of ONE raised while the others stay; levels while the picture has more to show."""
    native = size_of(width)
    size = predictor.planner.working_size(*native)
    deepest = len(set(level_sizes(size, native, max(AXES["levels"]))))
    yield "one look", ONE
    for axis, values in AXES.items():
        shown = [value for value in values if axis != "levels" or value <= deepest]
        yield from ((axis, ONE | {axis: value}) for value in shown)


def law(
    rows: list[dict[str, Any]], name: str, seed: int = 0, resamples: int = 2_000
) -> dict[str, Any]:
    """log error = a + b log MACs through all levels but the last; the exponent's interval is over scenes."""
    levels = [row for row in rows if row["axis"] in ("one look", "levels")]
    macs = np.log([row["macs"] for row in levels])
    scenes = np.array([row[f"{name}_of_scenes"] for row in levels])  # (levels, scenes)
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, scenes.shape[1], (resamples, scenes.shape[1]))

    def exponent(means: np.ndarray) -> tuple[float, float]:
        slope, start = np.polyfit(macs[:-1], np.log(means[:-1]), 1)
        return float(slope), float(np.exp(start + slope * macs[-1]))

    slope, predicted = exponent(scenes.mean(1))
    drawn = [exponent(scenes[:, pick].mean(1))[0] for pick in picks]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "levels": [row["levels"] for row in levels],
        "exponent": slope,
        "low": float(low),
        "high": float(high),
        "last level predicted": predicted,
        "last level measured": float(scenes[-1].mean()),
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel a task: what each axis makes of the error, over MACs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, len(METRICS))
    for panel, (task, metrics) in zip(panels, METRICS.items(), strict=True):
        name = SCORES[task].error_name(metrics[0])
        mine = [row for row in rows if row["task"] == task]
        for axis, mark in (("levels", "o"), ("steps", "s"), ("members", "^")):
            curve = [row for row in mine if row["axis"] in ("one look", axis)]
            x, y = ([row["macs"] / 1e9 for row in curve], [row[name]["mean"] for row in curve])
            panel.plot(x, y, marker=mark, label=f"more {axis}")
            for row, a, b in zip(curve[1:], x[1:], y[1:], strict=True):
                panel.annotate(row[axis], (a, b), xytext=(4, 4), textcoords="offset points")
        panel.set(xscale="log", xlabel="GMACs a picture", ylabel=LABELS[task], title=task)
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.grid(alpha=0.3)
    panels[0].legend(frameon=False)
    with atomic(path) as aside:
        figure.savefig(aside, dpi=120, format="png")


def picture(out: Path, *, scenes: tuple[int, ...] = (9, 5, 7)) -> None:
    """A row a task: what is given, the truth, and the answer at one, two and three levels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 7), layout="constrained")
    rows = figure.subplots(len(METRICS), 5)
    for row, task, scene in zip(rows, METRICS, scenes, strict=True):
        given, truth, answer = list(VIEWS[task].strip)[:3]  # cells of its panel
        predictor = Predictor.from_pretrained(default_model(task))
        example = open_spec(spec_of(task, scene + 1), WIDTH)[scene]
        shown: list[tuple[str, np.ndarray]] = []
        for levels in (1, 2, 3):
            result = predictor.predict_examples([example], task, levels=levels)
            values = np.moveaxis(result.prediction[0], -1, 0)
            panel = VIEWS[task].panel(example, values, result.painting[0])
            shown = shown or [panel[given], panel[truth]]
            shown.append((f"{levels} level{'s' if levels > 1 else ''}", panel[answer][1]))
        for axes, (caption, cell) in zip(row, shown, strict=True):
            axes.imshow(cell)
            axes.set_title(caption.partition(":")[0], fontsize=10)
            axes.axis("off")
    with atomic(out) as aside:
        figure.savefig(aside, dpi=80, format="png")


def effort_of(row: dict[str, Any]) -> Effort:
    return Effort(**{name: row[name] for name in ONE}, mirror=row.get("mirror", False))


def table(rows: list[dict[str, Any]], resolution: int) -> tuple[Setting, ...]:
    """The settings that no cheaper one equals, task by task."""
    kept: list[Setting] = []
    for task, metrics in METRICS.items():
        least = np.inf
        for row in sorted((r for r in rows if r["task"] == task), key=lambda r: r["macs"]):
            error = row[SCORES[task].error_name(metrics[0])]
            if error["mean"] < least:
                least = error["mean"]
                found = {"error": error["mean"], "low": error["low"], "high": error["high"]}
                effort = effort_of(row)
                kept.append(Setting(task=task, resolution=resolution, effort=effort, **found))
    return tuple(kept)


def tell_model(folder: Path, found: tuple[Setting, ...], scenes: int) -> None:
    """Write settings into the model's table, in the place of those of the same tasks."""
    former = SettingsTable.read(folder) or SettingsTable(data="", errors={}, rows=())
    height, width = size_of(WIDTH)
    data = f"{scenes} scenes of the photo world of {width} x {height} pixels"
    new = {setting.task for setting in found}
    others = tuple(row for row in former.rows if row.task not in new)
    if others and former.data != data:
        raise InputError("--scenes", scenes, f"as many as of other tasks: {former.data}")
    errors = {task: name.replace(", pixels", "") for task, name in LABELS.items()}
    rows = tuple(sorted((*others, *found), key=lambda row: list(METRICS).index(row.task)))
    replace(former, data=data, errors=errors, rows=rows).write(folder)


def records(out: Path, measured: tuple[Path, ...]) -> None:
    """The records of what `measure` wrote, for the report of the studies beside them."""
    out.unlink(missing_ok=True)
    for path in measured:
        for record in records_of(read_json(path)):
            Records(out).append(record)


def records_of(measured: dict[str, Any]) -> Iterator[Record]:
    """A record for each metric of each setting; one look begins all three axes."""
    for row in measured["rows"]:
        axes = AXES if row["axis"] == "one look" else (row["axis"],)
        for metric in METRICS[row["task"]]:
            name = SCORES[row["task"]].error_name(metric)
            for axis in axes:
                yield record_of(row, name, axis, measured)


@cache
def network(model: str) -> Chain:
    return Chain.load(find(model))


def record_of(row: dict[str, Any], metric: str, axis: str, measured: dict[str, Any]) -> Record:
    values, about = row[f"{metric}_of_scenes"], measured["machine"]
    place = {name: row[name] for name in ONE}
    chain = network(row["model"])
    known = facts(chain)
    scenes = spec_of(row["task"], len(values), measured["width"])
    asked = json.dumps([row["model"], measured["seed"], row["task"], scenes, place])
    mean = float(np.mean(values))  # of rounded values, as the report resamples them
    return Record(
        study="closer",
        claim="ours",
        run=hashlib.blake2b(asked.encode(), digest_size=8).hexdigest(),
        point={"model": row["model"], "along": CALLED.get(axis, axis), **place},
        seed=measured["seed"],
        params=known["params"],
        active_params=known["active_params"],
        train_macs=0.0,
        train_macs_paper=0.0,
        inference_macs=row["macs"],
        task=row["task"],
        metric=metric,
        value=mean,
        low=min(row[metric]["low"], mean),
        high=max(row[metric]["high"], mean),
        images=len(values),
        per_image=tuple(values),
        seconds=len(values) * row["seconds_with_scoring"],
        machine=f"{about['processor']}, {about['threads']} threads",
        versions={"torch": about["torch"].split("+")[0]},
        time=measured["time"],
        protocol=protocol(row["task"], "procedural", chain).hash,
    )


def measure(
    model: str,
    out: Path,
    *,
    scenes: int = 12,
    width: int = WIDTH,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    predictor, folder = Predictor.from_pretrained(model, device), find(model)
    rows: list[dict[str, Any]] = []
    laws = {}
    for task in METRICS:
        mine = measure_settings(predictor, task, scenes, one_by_one(predictor, width), width)
        rows += mine
        laws[task] = law(mine, SCORES[task].error_name(METRICS[task][0]))
        print(task, laws[task])
        told = {"machine": machine(device), "time": time.time(), "width": width, "seed": seed}
        write_json(out.with_suffix(".json"), told | {"laws": laws, "rows": rows})  # as they come
    draw(rows, out.with_suffix(".png"))
    if width == WIDTH:
        tell_model(folder, table(rows, predictor.chain.config.resolution), scenes)
