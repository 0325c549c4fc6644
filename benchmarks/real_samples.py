"""Scores of a model on small excerpts of published sets, beside the trivial answers: does it transfer?

    python -m benchmarks real_samples DATA --out docs/results

DATA holds one folder a set, in the set's own layout. Without `--model` each task is done by the shipped model that is
the default for it. Writes `real-samples.json` (all rows) and `real-samples.md` (the
table). A handful of pictures is no benchmark; the table says whether the model sees anything at all in real pictures.
"""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import Device
from lookharder.chain import default_model
from lookharder.data.source import open_spec
from lookharder.evaluate.evaluation import Evaluation, evaluate, protocol
from lookharder.files import atomic, write_json
from lookharder.metrics.scores import SCORES
from lookharder.predict.predictor import Predictor

SETS = (  # reader, folder below DATA, task
    ("nyuv2", "nyuv2/train?split=val", "depth"),
    ("hypersim", "hypersim/val", "depth"),
    ("livingroom", "livingroom", "depth"),
    ("tum_rgbd", "tum_rgbd", "depth"),
    ("kitti_depth", "kitti_depth", "depth"),
    ("middlebury_stereo", "middlebury_stereo", "depth"),
    ("flying_chairs", "flying_chairs", "flow"),
    ("kitti_flow", "kitti_flow/training", "flow"),
    ("seven_flow", "seven_flow", "flow"),
    ("pix2gestalt", "pix2gestalt", "amodal"),
    ("coco_amodal", "coco_amodal", "amodal"),
)
SHOWN = {
    "depth": ("abs_rel", "delta1"),
    "flow": ("epe", "fl_all"),
    "amodal": ("iou", "iou_occluded", "iou_invisible"),
}


def score(
    predictors: Mapping[str, Predictor], data: Path, resolution: int | None
) -> list[Evaluation]:
    """Every set, by the model of its task."""
    results = []
    for reader, folder, task in SETS:
        dataset, predictor = open_spec(f"{reader}:{data / folder}", 64), predictors[task]
        rules = protocol(task, reader, predictor.chain)
        results.append(
            evaluate(predictor, task, dataset, data=reader, rules=rules, resolution=resolution)
        )
    return results


def table(results: list[Evaluation], command: str) -> str:
    lines = [
        "# Real samples",
        "",
        "Steps, members and levels are the models' defaults. Written by",
        "",
        f"    {command}",
        "",
        "Lower is better for abs_rel, epe and fl_all; higher for delta1 and iou. Depth is aligned by scale and",
        "shift; flow is in pixels at native size and never fitted. Beside the model stand answers without a network:",
        "maps that ignore the picture (mean_map has seen the truth), no motion, OpenCV's dense inverse search (dis),",
        "the visible mask and its convex hull.",
        "",
        summary(results),
        "| set | task | pictures | metric | model | trivial answers |",
        "| --- | --- | ---: | --- | ---: | --- |",
    ]
    for result in results:
        for metric in SHOWN[result.task]:
            if metric not in result.means:
                continue
            trivial = ", ".join(
                f"{key.split('.')[1]} {value['mean']:.3f}"
                for key, value in result.means.items()
                if key.startswith("trivial.") and key.endswith(f".{metric}")
            )
            mean = result.means[metric]["mean"]
            lines.append(
                f"| {result.data} | {result.task} | {len(result.rows)} | {metric} | {mean:.3f} | {trivial} |"
            )
    return "\n".join(lines) + "\n"


REFERENCE = {
    "depth": ("ramp",),
    "flow": ("zero", "dis"),
    "amodal": ("visible", "hull"),
}  # of `summary`


def summary(results: list[Evaluation]) -> str:
    """One line a set: what the model reaches beside what one would have without it, and where it wins."""
    lines = [
        "| set | pictures | measure | model | levels | error or score | without a model | better on |",
        "| --- | ---: | --- | --- | ---: | ---: | --- | ---: |",
    ]
    for result in results:
        score = SCORES[result.task]
        metric = "iou_occluded" if result.task == "amodal" else SHOWN[result.task][0]
        sign = 1 if metric in score.higher else -1
        rows = [row for row in result.rows if row.get(metric) is not None]
        others = REFERENCE[result.task]
        wins = sum(
            all(sign * (row[metric] - row[f"trivial.{name}.{metric}"]) > 0 for name in others)
            for row in rows
        )
        beside = ", ".join(
            f"{n} {result.means[f'trivial.{n}.{metric}']['mean']:.3f}" for n in others
        )
        model = result.means[metric]["mean"]
        measure = f"{metric}, {'higher' if sign > 0 else 'lower'} is better"
        error = f"{model:.3f}"
        cells = (result.data, len(rows), measure, result.model, result.levels, error, beside, wins)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def run(
    data: Path,
    *,
    out: Path,
    model: str | None = None,
    resolution: int | None = None,
    device: Device = "auto",
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    predictors = {
        task: Predictor.from_pretrained(model or default_model(task), device) for task in REFERENCE
    }
    results = score(predictors, data, resolution)
    write_json(out / "real-samples.json", [result.to_json() for result in results])
    chosen = f" --model {model}" if model else ""
    command = f"python -m benchmarks real_samples DATA{chosen} --out {out}"
    with atomic(out / "real-samples.md") as aside:
        aside.write_text(table(results, command), encoding="utf-8")
