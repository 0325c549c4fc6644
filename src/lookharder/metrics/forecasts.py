"""Draws for one picture, scored as a forecast of its truth in the terms of each task: what `Score.forecast` holds.

    crps, energy         how far a pixel is off, in the unit of the answer (a share of the depth range; pixels of flow)
    order, order_log     depth: which of two pixels across an edge of the picture is nearer (Brier, nats)
    edge_f1_error        depth: steps of a single draw that are none, or are missing
    ged, best            masks: generalised energy distance, and 1 - IoU of the best draw
    area, brier          masks: CRPS of the area of the whole, in shares of the true one; and by pixel
    single               error of one draw, the mean over draws

Less is better.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lookharder.metrics import draws as scores
from lookharder.metrics.depth import boundary_f1

APART = 4  # pixels between the two whose order is asked
EDGE = 0.75  # quantile of the differences of brightness above which two pixels lie across an edge
LOOKS = ("variogram", "gradients", "patches")  # whether a draw holds together
COMMON = ("single", "spread", "squares", *LOOKS)  # of every task

Draws = Float[np.ndarray, "N C H W"]
Truth = Float[np.ndarray, "C H W"]
Known = Bool[np.ndarray, "H W"]
Luma = Float[np.ndarray, "H W"]


@dataclass(frozen=True, kw_only=True)
class ForecastRule:
    """How draws of a task are scored as a forecast.

    Attributes:
        names: all its scores, in the order in which they are listed.
        score: (draws, truth, where that is known, brightness of the picture) -> its own scores of one picture, and
            `single`; one that does not apply is left out.
        channels: C, of an answer.
        bounds: between which the truth must lie.
    """

    names: tuple[str, ...]
    score: Callable[[Draws, Truth, Known, Luma], dict[str, float]]
    channels: int = 1
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def studied(self) -> tuple[str, ...]:
        """Those that a study records."""
        return tuple(name for name in self.names if name not in LOOKS)


def _depth(draws: Draws, truth: Truth, known: Known, luma: Luma) -> dict[str, float]:
    draws, truth = draws[:, 0], truth[0]
    # a step of 5 % of depth is one of 5 % of the range, in a map from 1 to 2
    edges = [boundary_f1(1 + draw, 1 + truth, known) for draw in draws]
    return {
        "crps": float(scores.crps(draws, truth)[known].mean()),
        "single": float(np.abs(draws - truth)[:, known].mean()),
        "edge_f1_error": 1 - float(np.mean(edges)),
        **_order(draws, truth, known, luma),
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


def _flow(draws: Draws, truth: Truth, known: Known, luma: Luma) -> dict[str, float]:
    return {
        "energy": float(scores.energy(draws, truth)[known].mean()),
        "single": float(np.linalg.norm(draws - truth, axis=1)[:, known].mean()),
    }


def _mask(draws: Draws, truth: Truth, known: Known, luma: Luma) -> dict[str, float]:
    draws, truth = draws[:, 0] > 0.5, truth[0] > 0.5
    area = draws.sum((1, 2), dtype=np.float64) / max(1, truth.sum())
    return {
        "ged": scores.mask_energy(draws, truth),
        "best": scores.best_mask(draws, truth),
        "single": float(np.mean([scores.best_mask(draw[None], truth) for draw in draws])),
        "area": float(scores.crps(area[:, None], np.ones(1))[0]),
        "brier": float(scores.brier(draws.astype(np.float64), truth).mean()),
    }


DEPTH_DRAWS = ForecastRule(
    names=("crps", "order", "order_log", "edge_f1_error", *COMMON), score=_depth
)
FLOW_DRAWS = ForecastRule(
    names=("energy", *COMMON), score=_flow, channels=2, bounds=(-np.inf, np.inf)
)
MASK_DRAWS = ForecastRule(names=("ged", "best", "area", "brier", *COMMON), score=_mask)
