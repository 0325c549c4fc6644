"""Error against compute over steps, draws, samplers and spacings: measured, drawn, and made the model's table.

    python -m benchmarks frontier.measure MODEL runs/frontier.jsonl --scenes 48 --steps 1 2 3 5 10 20
    python -m benchmarks frontier.measure MODEL runs/frontier.jsonl --scenes 16 --steps 50 100
    python -m benchmarks frontier.measure MODEL runs/frontier.jsonl --scenes 16 --reference
    python -m benchmarks frontier.measure MODEL runs/frontier.jsonl --scenes 48 --steps 1 2 5 --resolution 48
    python -m benchmarks frontier.measure sight runs/sight.jsonl --scenes 12 --steps 1 2 --ways 1 --world photo
    python -m benchmarks frontier.report MODEL runs/frontier.jsonl docs/results/frontier

Scenes are of the training seed beyond the training set. A line of the JSONL is one (task, sampler, spacing, steps): for
each number of draws, the error of each scene and its doubt. What is there already is not measured again, so that a run
may be stopped and taken up.
"""

import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from benchmarks.harness import Device
from lookharder.chain import find
from lookharder.data.example import Example, collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.evaluate.evaluation import protocol
from lookharder.evaluate.survey import truth_of
from lookharder.files import atomic, write_json
from lookharder.metrics.scores import SCORES
from lookharder.metrics.statistics import bootstrap_mean, paired_bootstrap
from lookharder.predict.effort import Effort
from lookharder.predict.inputs import resize
from lookharder.predict.predictor import Predictor
from lookharder.predict.sampling import BatchSampler
from lookharder.predict.settings import Setting, SettingsTable

TRAINING_SEED, BEYOND = 1, 2_000_000
METRIC = {"depth": "abs_rel", "flow": "epe", "amodal": "iou"}
WAYS = (("ddim", "trailing"), ("ddim", "leading"), ("ddpm", "trailing"), ("dpmpp-2m", "trailing"))
DRAWS, MEMBERS = 20, (1, 2, 5, 10, 20)
LABELS = {"depth": "AbsRel", "flow": "end-point error, pixels", "amodal": "1 - IoU"}


def error(task: str, prediction: np.ndarray, example, rules) -> float:
    truth = truth_of(example, SCORES[task])
    value = SCORES[task].evaluate(prediction, truth, rules)[METRIC[task]]
    return SCORES[task].error(METRIC[task], value)


@torch.inference_mode()
def measure_effort(
    predictor: Predictor, name: str, effort: Effort, examples: list, resolution: int
) -> dict:
    """Errors and doubts [draws][scene], from one set of draws: N draws are the first N of them."""
    chain, task, most = predictor.chain, predictor.chain.task(name), effort.members
    native = examples[0].image.shape[-2:]
    size = predictor.planner.working_size(*native, resolution)
    rules = protocol(name, "procedural", chain)
    errors = np.zeros((most, len(examples)))
    doubts, seconds = np.zeros_like(errors), 0.0
    for first in range(0, len(examples), 16):
        part = examples[first : first + 16]
        batch = resize(collate([seen(e) for e in part]), *size).to(predictor.device)
        sampler = BatchSampler(chain, task, batch, chain.condition(task, batch), effort)
        began = time.perf_counter()
        (latents,) = sampler.sample(range(most), range(len(part)))
        images = sampler.decode(latents).cpu()  # (N, B, F, 3, H, W)
        seconds += time.perf_counter() - began
        draws = task.from_image(images)  # (N, B, ...)
        for n in range(1, most + 1):
            merged, spread = task.merge(draws[:n])
            merged = task.resize(merged, *native) if size != native else merged
            values = merged.numpy() if name == "flow" else merged[:, None].numpy()
            for i, example in enumerate(part):
                errors[n - 1, first + i] = error(name, values[i], example, rules)
                doubts[n - 1, first + i] = float(spread[i].mean()) / n**0.5
    macs = effort.macs(chain.config.model, *sampler.shape[1:])
    return {
        "errors": errors.round(6).tolist(),
        "doubts": doubts.round(7).tolist(),
        "macs_per_draw": macs * task.fields,
        "seconds_per_draw": seconds / most / len(examples),
    }


def measure(
    model: str,
    records: Path,
    *,
    scenes: int = 48,
    steps: tuple[int, ...] = (1, 2, 3, 5, 10, 20, 50, 100),
    ways: int = len(WAYS),
    resolution: int | None = None,
    reference: bool = False,
    world: Literal["classic", "photo"] = "classic",
    device: Device = "auto",
) -> None:
    """The settings, one line of the JSONL each; `ways`: only the first so many; `reference`: 200 steps x 5 draws."""
    predictor = Predictor.from_pretrained(model, device)
    lines = records.read_text().splitlines() if records.exists() else []
    done = {key_of(json.loads(line)) for line in lines}
    own = predictor.chain.config.resolution
    size = (own * 3 // 4, own) if world == "photo" else (own, own)
    rendered = ProceduralWorld(size, TRAINING_SEED, world=world)
    examples = [rendered[BEYOND + i] for i in range(scenes)]
    resolution = resolution or own
    steps, most = ((200,), 5) if reference else (steps, DRAWS)
    tried = WAYS[:ways] if resolution == own and not reference else WAYS[:1]
    for count, (sampler, spacing), task in product(steps, tried, METRIC):
        effort = Effort(steps=count, members=most, sampler=sampler, spacing=spacing)
        key = {"task": task, "sampler": sampler, "spacing": spacing, "steps": count}
        key |= {"resolution": resolution, "world": world}
        if key_of(key) in done:
            continue
        found = measure_effort(predictor, task, effort, examples, resolution)
        with records.open("a") as file:
            file.write(json.dumps(key | found) + "\n")
        print(*key.values(), [round(float(np.mean(found["errors"][n - 1])), 4) for n in (1, most)])


def key_of(line: dict) -> tuple:
    return tuple(line[name] for name in ("task", "sampler", "spacing", "steps", "resolution"))


def seen(example: Example) -> Example:
    """What a prediction may see."""
    return Example(
        name=example.name, image=example.image, second=example.second, visible=example.visible
    )


def report(model: str, records: Path, out: Path) -> None:
    """What the lines say: JSON, picture, and the table of the model."""
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    (world,) = {line.get("world", "classic") for line in lines}  # errors of two do not compare
    settings = {key_of(line): line for line in lines}
    points = {task: points_of(settings, task) for task in METRIC}
    own = Predictor.from_pretrained(model).chain.config.resolution
    found = {task: answers(settings, points[task], task, own) for task in METRIC}
    write_json(out.with_suffix(".json"), {"answers": found, "points": points})
    for task, facts in found.items():
        print(task, json.dumps(facts, indent=1))
    write_table(find(model), points, own, world)
    shown = {t: [p for p in rows if p["resolution"] == own] for t, rows in points.items()}
    draw(shown, out.with_suffix(".png"))


def points_of(records: dict[tuple, dict], task: str) -> list[dict]:
    """Mean error of every setting with its interval, beside what it costs.

    `against_one` is the difference from one step and one draw, scene by scene. A setting that was measured on fewer
    scenes gets that of one step and one draw plus this difference: means over different scenes do not compare.
    """
    found = []
    for (owner, sampler, spacing, steps, resolution), line in sorted(records.items()):
        if owner != task:
            continue
        for members in MEMBERS:
            if members <= len(line["errors"]):
                errors = line["errors"][members - 1]
                one = records[task, "ddim", "trailing", 1, resolution]["errors"][0]
                mean, low, high = bootstrap_mean(errors, 0)
                gap = paired_bootstrap(errors, one[: len(errors)], 0)
                if len(errors) < len(one):
                    mean, low, high = (float(np.mean(one)) + end for end in gap)
                found.append(
                    {"sampler": sampler, "spacing": spacing, "steps": steps, "members": members}
                    | {"resolution": resolution}
                    | {"error": mean, "low": low, "high": high}
                    | {"against_one": dict(zip(("mean", "low", "high"), gap, strict=True))}
                    | {"scenes": len(line["errors"][0])}
                    | {"macs": line["macs_per_draw"] * members}
                    | {"seconds": line["seconds_per_draw"] * members}
                )
    return found


def difference(a: list[float], b: list[float]) -> dict[str, float]:
    """Mean of a - b over the scenes both have, with its interval, and as a share of the mean of b."""
    count = min(len(a), len(b))
    mean, low, high = paired_bootstrap(a[:count], b[:count], 0)
    share = mean / float(np.mean(b[:count]))
    return {"difference": mean, "low": low, "high": high, "relative": share, "scenes": count}


def answers(records: dict[tuple, dict], points: list[dict], task: str, own: int) -> dict:
    """The questions of the frontier, in numbers."""

    def errors(spacing: str, steps: int, members: int) -> list[float]:
        return records[task, "ddim", spacing, steps, own]["errors"][members - 1]

    mine = sorted(k for k in records if k[0] == task and k[4] == own)
    plain = [k[3] for k in mine if k[1:3] == ("ddim", "trailing") and k[3] <= 100]
    leading = [k[3] for k in mine if k[1:3] == ("ddim", "leading")]
    found = {
        "leading against trailing, 1 draw, by steps": {
            steps: difference(errors("leading", steps, 1), errors("trailing", steps, 1))
            for steps in leading
        },
        "steps against 1 step, trailing, 1 draw": {
            steps: difference(errors("trailing", steps, 1), errors("trailing", 1, 1))
            for steps in plain[1:]
        },
        "draws against 1 draw, trailing, by steps": {
            steps: {
                n: difference(errors("trailing", steps, n), errors("trailing", steps, 1))
                for n in MEMBERS[1:]
            }
            for steps in plain
        },
    }
    reference = records.get((task, "ddim", "trailing", 200, own))
    if reference is not None:
        target = reference["errors"][4]
        dear = reference["macs_per_draw"] * 5
        near = []
        for point in points:
            line = records[key_of(point | {"task": task})]
            gap = difference(line["errors"][point["members"] - 1], target)
            if gap["relative"] <= 0.01:
                near.append({**point, "gap": gap, "share_of_macs": point["macs"] / dear})
        found["cheapest within 1 % of 200 steps x 5 draws"] = min(
            near, key=lambda p: (p["macs"], p["error"])
        )
    found["adaptive draws, by steps"] = {
        steps: adaptive(records[task, "ddim", "trailing", steps, own]) for steps in plain
    }
    return found


def adaptive(line: dict) -> dict[str, float] | None:
    """Draws saved by stopping each scene at a doubt, at no more error than a fixed number of draws gives.

    For each fixed number the best threshold is taken; the largest saving is reported. It is chosen on the same scenes,
    so it is an upper bound of what stopping can save.
    """
    errors, doubts = np.array(line["errors"]), np.array(line["doubts"])  # (draws, scenes)
    most, scenes = errors.shape
    best = None
    for threshold in np.unique(np.quantile(doubts[1:], np.linspace(0, 1, 201))):
        done = doubts[1::2] <= threshold  # asked after 2, 4, 6, ... draws, as a call does
        last = np.where(done.any(0), 2 * done.argmax(0) + 2, most)
        error, spent = errors[last - 1, np.arange(scenes)].mean(), last.mean()
        for fixed in range(2, most + 1):
            saved = 1 - spent / fixed
            if error <= errors[fixed - 1].mean() and (best is None or saved > best["saved"]):
                best = {"fixed_draws": fixed, "mean_draws": float(spent), "saved": float(saved)}
                best |= {"error": float(error), "fixed_error": float(errors[fixed - 1].mean())}
    return best


def write_table(folder: Path, points: dict[str, list[dict]], own: int, world: str) -> None:
    """The settings on the frontier of each task (no cheaper one is as good), as the model's table."""
    rows = []
    for task, settings in points.items():
        least = np.inf
        for point in sorted(settings, key=lambda p: (p["macs"], p["error"])):
            if point["error"] < least and point["steps"] <= 100:
                least = point["error"]
                names = ("steps", "members", "sampler", "spacing")
                effort = Effort(**{name: point[name] for name in names})
                error = {name: point[name] for name in ("error", "low", "high")}
                rows.append(
                    Setting(task=task, resolution=point["resolution"], effort=effort, **error)
                )
    scenes = min(point["scenes"] for settings in points.values() for point in settings)
    data = f"{scenes} or more scenes of the {world} world of {own} pixels"
    errors = {"depth": "AbsRel", "flow": "end-point error", "amodal": "1 - IoU"}
    former = SettingsTable.read(folder) or SettingsTable(data="", errors={}, rows=())
    replace(former, data=data, errors=errors, rows=tuple(rows)).write(folder)


def draw(points: dict[str, list[dict]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    styles = {"trailing": "-", "leading": ":"}
    colours = {"ddim": "#1f5fa8", "ddpm": "#c05020", "dpmpp-2m": "#2e8b57"}
    for axis, (task, settings) in zip(axes, points.items(), strict=True):
        for sampler, spacing in WAYS:
            for members, width in ((1, 1.0), (5, 1.8), (20, 2.8)):
                line = [
                    p
                    for p in settings
                    if (p["sampler"], p["spacing"], p["members"]) == (sampler, spacing, members)
                    and p["steps"] <= 100
                ]
                line.sort(key=lambda p: p["steps"])
                label = f"{sampler}, {spacing}" if members == 5 else None
                x, y = [p["macs"] / 1e9 for p in line], [p["error"] for p in line]
                axis.plot(x, y, styles[spacing], color=colours[sampler], lw=width, label=label)
                if (sampler, spacing) == ("ddim", "trailing") and members == 5:
                    one = line[0]["error"] - line[0]["against_one"]["mean"]
                    low, high = ([one + p["against_one"][e] for p in line] for e in ("low", "high"))
                    axis.fill_between(x, low, high, color=colours[sampler], alpha=0.12, lw=0)
        axis.set(xscale="log", title=task, xlabel="GMACs a picture", ylabel=LABELS[task])
        axis.grid(alpha=0.25)
    title = (
        "along a line: 1 ... 100 steps; thin, middle, thick: 1, 5, 20 draws; "
        "band: 95 % of the difference from 1 step and 1 draw"
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title=title, ncols=4, loc="outside lower center", frameon=False)
    with atomic(path) as aside:
        figure.savefig(aside, dpi=130)
