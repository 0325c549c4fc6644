"""An evaluation as a table: each metric with its interval, beside the trivial answers.

    metric   better   model               flat    ramp    mean_map
    abs_rel  lower    0.11 [0.09, 0.13]   0.55    0.41    0.30

A score that does not beat the trivial answers says nothing about seeing.
"""

from lookharder.evaluate.evaluation import Evaluation
from lookharder.visualize.html import Table

HIGHER = {"delta1", "delta2", "delta3", "px1", "px3", "px5", "iou", "iou_invisible", "boundary_f"}
MAIN = {
    "depth": ("abs_rel", "rmse", "delta1"),
    "flow": ("epe", "fl_all", "px1"),
    "amodal": ("iou", "iou_invisible", "boundary_f"),
}
NOTES = {
    "depth": "Depth is aligned to the truth by scale and shift. mean_map is the mean of this very truth: it sees the "
    "answers, so with few scenes it is hard to beat.",
    "flow": "Flow in pixels, fitted to nothing. zero says that nothing moves.",
    "amodal": "visible repeats the given part; iou_invisible counts the hidden part alone.",
}


def score_table(evaluation: Evaluation, everything: bool = False) -> Table:
    """The main metrics of an evaluation, or all of them."""
    means = evaluation.means
    trivial = list(dict.fromkeys(key.split(".")[1] for key in means if key.startswith("trivial.")))
    metrics = (
        [key for key in means if "." not in key]
        if everything
        else [key for key in MAIN[evaluation.task] if key in means]
    )
    rows = []
    for metric in metrics:
        row = means[metric]
        others = [means.get(f"trivial.{name}.{metric}") for name in trivial]
        rows.append(
            (
                metric,
                "higher" if metric in HIGHER else "lower",
                f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
                *("" if other is None else f"{other['mean']:.3f}" for other in others),
            )
        )
    return Table(columns=("metric", "better", "model [95 %]", *trivial), rows=rows)
