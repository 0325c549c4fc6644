"""An evaluation as a table: each metric with its interval, beside the trivial answers.

    metric   better   model               flat    ramp    mean_map
    abs_rel  lower    0.11 [0.09, 0.13]   0.55    0.41    0.30

A score that does not beat the trivial answers says nothing about seeing.
"""

from lookharder.evaluate.evaluation import Evaluation
from lookharder.metrics.scores import SCORES
from lookharder.metrics.statistics import in_words
from lookharder.visualize.html import Table


def score_table(evaluation: Evaluation, everything: bool = False) -> Table:
    """The main metrics of an evaluation, or all of them."""
    means, score = evaluation.means, SCORES[evaluation.task]
    trivial = list(dict.fromkeys(key.split(".")[1] for key in means if key.startswith("trivial.")))
    metrics = (
        [key for key in means if "." not in key]
        if everything
        else [key for key in score.main if key in means]
    )
    rows = []
    for metric in metrics:
        row = means[metric]
        others = [means.get(f"trivial.{name}.{metric}") for name in trivial]
        rows.append(
            (
                metric,
                "higher" if score.grows(metric) else "lower",
                in_words(row),
                *("" if other is None else f"{other['mean']:.3f}" for other in others),
            )
        )
    return Table(columns=("metric", "better", "model [95 %]", *trivial), rows=rows)
