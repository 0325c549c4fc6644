"""A forecast scored, picture by picture, by what a user would do with it.

    crps, energy         how far a pixel is off, in the unit of the answer (a share of the depth range; pixels of flow)
    gradients, variogram whether neighbours hang together
    order, order_log     depth: which of two pixels across an edge of the picture is nearer (Brier, nats)
    edge_f1_error        depth: steps of a single draw that are none, or are missing
    spread, squares      variance of the draws, and square error of their mean: equal of a true posterior
    ged, best            masks: generalised energy distance, and 1 - IoU of the best draw
    area, brier          masks: CRPS of the area of the whole, in shares of the true one; and by pixel
    patches              of all pictures together: distance of a draw's patches from the truth's

Less is better for all but `spread`. A draw is a whole answer: `single` is its error, the mean over draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lookharder.evaluate.forecast import Forecast
from lookharder.metrics import draws as scores
from lookharder.metrics.depth import boundary_f1
from lookharder.metrics.patches import patch_cdfs, patch_distance
from lookharder.metrics.statistics import Interval, bootstrap_mean

APART = 4  # pixels between the two whose order is asked
EDGE = 0.75  # quantile of the differences of brightness above which two pixels lie across an edge
COMMON = ("single", "spread", "squares", "variogram", "gradients", "patches")
FORECAST_SCORES: Mapping[str, tuple[str, ...]] = {  # by task
    "depth": ("crps", "order", "order_log", "edge_f1_error", *COMMON),
    "flow": ("energy", *COMMON),
    "amodal": ("ged", "best", "area", "brier", *COMMON),
}
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
    """All scores of a forecast of two draws or more.

    Args:
        found: the forecast.
        task: depth, flow or amodal.
        seed: of the intervals.
    """
    score = {"depth": _depth, "flow": _flow, "amodal": _mask}[task]
    rows = [{**score(found, scene), **_common(found, scene)} for scene in range(len(found.truth))]
    scored: dict[str, ForecastScore] = {}
    for name in FORECAST_SCORES[task]:
        values = [row[name] for row in rows if name in row]
        if name == "patches":
            scored[name] = ForecastScore(interval=_patches(found, seed), images=len(rows))
            continue
        kept = tuple(float(f"{value:.{DIGITS}g}") for value in values) if name in KEPT else None
        interval = bootstrap_mean(values, seed)
        scored[name] = ForecastScore(interval=interval, images=len(values), per_image=kept)
    return scored


def _patches(found: Forecast, seed: int) -> Interval:
    """Of one draw of each picture, component by component; flow in units of its largest motion."""
    unit = np.abs(found.truth).max()
    ours, theirs = (
        np.stack([np.concatenate([patch_cdfs(c[None] / unit) for c in each]) for each in maps])
        for maps in (found.draws[0], found.truth)
    )
    return patch_distance(ours, theirs, seed)


def _common(found: Forecast, scene: int) -> dict[str, float]:
    draws, truth, known = found.draws[:, scene], found.truth[scene], found.known[scene]
    spread, squares = scores.spread_and_error(draws[..., known], truth[..., known])
    maps = [(draws[:, c], truth[c]) for c in range(len(truth))]
    return {
        "spread": spread,
        "squares": squares,
        "variogram": float(np.mean([scores.variogram(*pair) for pair in maps])),
        "gradients": float(np.mean([scores.gradient_energy(*pair) for pair in maps])),
    }


def _depth(found: Forecast, scene: int) -> dict[str, float]:
    draws, truth, known = found.draws[:, scene, 0], found.truth[scene, 0], found.known[scene]
    # a step of 5 % of depth is one of 5 % of the range, in a map from 1 to 2
    edges = [boundary_f1(1 + draw, 1 + truth, known) for draw in draws]
    return {
        "crps": float(scores.crps(draws, truth)[known].mean()),
        "single": float(np.abs(draws - truth)[:, known].mean()),
        "edge_f1_error": 1 - float(np.mean(edges)),
        **_order(draws, truth, known, found.luma[scene]),
    }


def _order(
    draws: np.ndarray, truth: np.ndarray, known: np.ndarray, luma: np.ndarray
) -> dict[str, float]:
    """Of pairs that the picture, and not the truth, chooses; pairs that are truly equal have no order."""
    asked, farther, chosen, bright = [], [], [], []
    for axis in (-2, -1):
        cut = [[slice(None)] * 2, [slice(None)] * 2]
        cut[0][axis], cut[1][axis] = slice(APART, None), slice(None, -APART)
        late, early = (tuple(each) for each in cut)
        asked.append((np.sign(draws[:, *late] - draws[:, *early]) + 1).reshape(len(draws), -1) / 2)
        farther.append((truth[late] - truth[early]).ravel())
        chosen.append((known[late] & known[early]).ravel())
        bright.append(np.abs(luma[late] - luma[early]).ravel())
    lit, difference = np.concatenate(bright), np.concatenate(farther)
    pairs = np.concatenate(chosen) & (difference != 0) & (lit >= np.quantile(lit, EDGE))
    if not pairs.any():
        return {}
    events = np.concatenate(asked, 1)[:, pairs], difference[pairs] > 0
    return {
        "order": float(scores.brier(*events).mean()),
        "order_log": float(scores.log_score(*events).mean()),
    }


def _flow(found: Forecast, scene: int) -> dict[str, float]:
    draws, truth, known = found.draws[:, scene], found.truth[scene], found.known[scene]
    return {
        "energy": float(scores.energy(draws, truth)[known].mean()),
        "single": float(np.linalg.norm(draws - truth, axis=1)[:, known].mean()),
    }


def _mask(found: Forecast, scene: int) -> dict[str, float]:
    draws, truth = found.draws[:, scene, 0] > 0.5, found.truth[scene, 0] > 0.5
    area = draws.sum((1, 2), dtype=np.float64) / max(1, truth.sum())
    return {
        "ged": scores.mask_energy(draws, truth),
        "best": scores.best_mask(draws, truth),
        "single": float(np.mean([scores.best_mask(draw[None], truth) for draw in draws])),
        "area": float(scores.crps(area[:, None], np.ones(1))[0]),
        "brier": float(scores.brier(draws.astype(np.float64), truth).mean()),
    }
