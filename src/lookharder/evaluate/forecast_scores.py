"""A forecast scored, picture by picture, by what a user would do with it.

    gradients, variogram whether neighbours hang together
    spread, squares      variance of the draws, and square error of their mean: equal of a true posterior
    patches              of all pictures together: distance of a draw's patches from the truth's

Beside these stand the scores of the task, as its row of `SCORES` has them (`metrics.forecasts`). Less is better for
all but `spread`. Where the truth is not known nothing counts, neither a pixel nor a pair or a patch with one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lookharder.evaluate.forecast import Forecast
from lookharder.metrics import draws as scores
from lookharder.metrics.patches import has_patch, patch_cdfs, patch_distance
from lookharder.metrics.scores import forecast_rule
from lookharder.metrics.statistics import Interval, bootstrap_mean

KEPT = (
    "crps",
    "energy",
    "ged",
    "single",
    "order",
    "gradients",
)  # picture by picture, to be compared
DIGITS = 5  # significant, of a kept value


@dataclass(frozen=True, kw_only=True, eq=False)
class ForecastScore:
    """One score of a forecast.

    Attributes:
        interval: the mean over pictures, or a number of all of them, with its 95 % interval.
        images: how many pictures.
        per_image: values of single pictures; None for a number of all of them, and where they are not kept.
    """

    interval: Interval
    images: int
    per_image: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        mean, low, high = self.interval
        kept = None if self.per_image is None else list(self.per_image)
        return {"value": mean, "low": low, "high": high, "images": self.images, "per_image": kept}


def forecast_scores(found: Forecast, task: str, seed: int = 0) -> dict[str, ForecastScore]:
    """All scores of a forecast of two draws or more; one that applies to no picture is left out.

    Args:
        found: the forecast.
        task: one whose draws are scored as a forecast.
        seed: of the intervals.

    Raises:
        InputError: another task.
    """
    rule = forecast_rule(task)
    rows = []
    for scene in range(len(found.truth)):
        draws, truth = found.draws[:, scene], found.truth[scene]
        own = rule.score(draws, truth, found.known[scene], found.luma[scene])
        rows.append({**own, **_common(found, scene)})
    scored: dict[str, ForecastScore] = {}
    for name in rule.names:
        values = [row[name] for row in rows if np.isfinite(row.get(name, np.nan))]
        if values:
            kept = tuple(float(f"{value:.{DIGITS}g}") for value in values) if name in KEPT else None
            interval = bootstrap_mean(values, seed)
            scored[name] = ForecastScore(interval=interval, images=len(values), per_image=kept)
        elif name == "patches" and (patches := _patches(found, seed)) is not None:
            scored[name] = patches
    return scored


def _patches(found: Forecast, seed: int) -> ForecastScore | None:
    """Of one draw of each picture, component by component; flow in units of its largest motion."""
    unit = np.abs(np.where(found.known[:, None], found.truth, 0.0)).max()
    whole = [has_patch(known) for known in found.known]
    if unit == 0 or not any(whole):
        return None
    ours, theirs = (
        np.stack(
            [
                np.concatenate([patch_cdfs(c[None] / unit, known=known[None]) for c in each])
                for each, known in zip(maps[whole], found.known[whole], strict=True)
            ]
        )
        for maps in (found.draws[0], found.truth)
    )
    return ForecastScore(interval=patch_distance(ours, theirs, seed), images=sum(whole))


def _common(found: Forecast, scene: int) -> dict[str, float]:
    draws, truth, known = found.draws[:, scene], found.truth[scene], found.known[scene]
    spread, squares = scores.spread_and_error(draws[..., known], truth[..., known])
    maps = [(draws[:, c], truth[c], known) for c in range(len(truth))]
    return {
        "spread": spread,
        "squares": squares,
        "variogram": float(np.mean([scores.variogram(*each) for each in maps])),
        "gradients": float(np.mean([scores.gradient_energy(*each) for each in maps])),
    }
