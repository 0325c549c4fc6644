"""How a study is shown: its title, the axis of its curves, and what the lines are.

A study that is not in the table is shown too, over its training compute.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lookharder.metrics.scores import SCORES
from lookharder.scaling.record import Record


@dataclass(frozen=True, kw_only=True)
class Part:
    """One study on the page.

    Attributes:
        title: of its section.
        source: what of the paper it repeats.
        x: "train" or "inference" compute, or the name of an axis of its points.
        xlabel: what that is, and its unit.
        lines: axes of its points by which measurements are joined to lines.
        beside: where the pictures of its lines are put beside each other; empty = pictures along one line.
        question: what it asks, and
        how: the command that measures it, where no `lookharder study` does.
    """

    title: str
    source: str
    x: str
    xlabel: str
    lines: tuple[str, ...]
    beside: tuple[tuple[str, int | str], ...] = ()
    question: str = ""
    how: str = ""


TRAIN = "training compute, multiply-adds (3 forwards an image)"
INFERENCE = "compute of one answer, multiply-adds"
# axes of an answer, not of a network
ASKED = ("steps", "members", "spacing", "merge", "test_schedule")
STEPS = "denoising steps T"

# fmt: off
PARTS = {
    "model-size": Part(title="Model size", source="figures 2 and 3", x="train", xlabel=TRAIN,
                       lines=("steps", "members")),
    "pretraining": Part(title="Pre-training", source="figure 4", x="train", xlabel=TRAIN, lines=("size",)),
    "resolution": Part(title="Resolution", source="figure 5", x="resolution", xlabel="pixels a side",
                       lines=("size",)),
    "upcycling": Part(title="Upcycling", source="figure 6", x="train", xlabel=TRAIN,
                      lines=("experts", "active", "more_iterations"), beside=(("size", "n4"),)),
    "steps": Part(title="Denoising steps", source="figure 8", x="steps", xlabel=STEPS, lines=("size",)),
    "draws": Part(title="Draws", source="figure 9", x="members", xlabel="draws n", lines=("size", "steps", "merge")),
    "schedule": Part(title="Noise schedule", source="figure 10", x="steps", xlabel=STEPS,
                     lines=("train_schedule", "test_schedule"), beside=(("steps", 20),)),
    "spacing": Part(title="Spacing of steps", source="ours, on figure 8", x="steps", xlabel=STEPS,
                    lines=("prediction", "spacing"), beside=(("steps", 1),)),
    "trade": Part(title="Size against effort", source="section 1", x="inference", xlabel=INFERENCE,
                  lines=("size", "steps")),
    "generalist": Part(title="One network for all tasks", source="section 6.4", x="model", xlabel="",
                       lines=("size",)),
    "allocation": Part(title="Size against images", source="ours", x="train", xlabel=TRAIN, lines=("size",)),
    "closer": Part(title="Looking closer", source="ours", x="inference", xlabel=INFERENCE, lines=("along", "model"),
                   question="Does error fall as a power of the compute of an answer, spent on levels, steps or draws?",
                   how="python -m benchmarks levels.records DIR/others.jsonl MEASURED"),
}
METRICS = {
    "abs_rel": "AbsRel", "delta1_error": "1 - δ1", "loss": "diffusion loss", "epe": "end-point error, px",
    "iou_error": "1 - IoU", "iou_invisible_error": "1 - IoU of the hidden part",
    "boundary_f1_error": "1 - F1 of steps in depth",
}
WORDS = {
    "steps": "T", "members": "n", "train_macs": "C", "train_schedule": "trained on",
    "test_schedule": "asked by", "more_iterations": "iterations after", "along": "more",
}
# fmt: on


def main_metric(task: str) -> str | None:
    """The metric of a record that stands for a task; None for a task that is not scored."""
    score = SCORES.get(task)
    return None if score is None else score.error_name(score.main[0])


def is_main(task: str, metric: str) -> bool:
    """Whether a metric stands for its task, or is the loss: others say the same once more, and fold out."""
    return metric in (main_metric(task), "loss")


def part(study: str) -> Part:
    """The row of a study, or for one that is not in the table a plain row over training compute."""
    default = Part(title=study, source="", x="train", xlabel=TRAIN, lines=("size",))
    return PARTS.get(study, default)


def place_words(place: dict[str, int | float | str], axes: Sequence[str] | None = None) -> str:
    """Name the place of a measurement in words: "size n4, T = 10, n = 5"."""
    return ", ".join(
        axis_words(axis, str(value))
        for axis, value in place.items()
        if axes is None or axis in axes
    )


def axis_words(axis: str, value: str) -> str:
    """Name an axis and a value on it in words: "size n4", "T = 10"."""
    word = WORDS.get(axis, axis.replace("_", " "))
    return f"{word} = {value}" if len(word) == 1 else f"{word} {value}"


def metric_word(task: str, metric: str) -> str:
    """Name a metric and its task, as the label of an axis and a heading."""
    return f"{METRICS.get(metric, metric)}, {task}"


def at(record: Record, x: str) -> float | str:
    """The position of a measurement on the axis `x` of a `Part`; text where the axis has names instead of numbers."""
    if x == "train":
        return record.train_macs
    if x == "inference":
        return record.inference_macs
    value = record.point.get(x, record.train_macs)
    return value if isinstance(value, str) else float(value)
