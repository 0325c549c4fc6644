"""Robust fits of laws to points, many at once, in float64.

    minimise  Σ_i Huber_δ( log p(x_i) - log y_i )               over θ, what p is made of; summed, not averaged

This is the objective of Hoffmann et al. (arXiv 2203.15556, section D.2), δ = 1e-3, so that a ratio off by 10 % counts
once, not a hundred times. Besiroglu et al. (arXiv 2404.10102) found that their optimiser had stopped early because the
terms were averaged, so here they are summed and Newton's method runs until nothing moves. What p is, where to start
from and how it changes with θ is said by its design; the problems of a bootstrap are solved together.
"""

import numpy as np
from jaxtyping import Float

from lookharder.scaling.law.bounded import Bounded
from lookharder.scaling.law.design import Design

DELTA = 1e-3
CONTINUATION = (
    0.1,
    0.03,
    0.01,
    0.003,
)  # of δ: from almost least squares to almost least deviations
FRACTIONS = np.array([1.0, 0.5, 0.2, 0.05, 0.01])[:, None, None]  # of a step, the best is taken


def fit(
    design: Design | Bounded,
    log_y: Float[np.ndarray, "b n"],
    delta: float = DELTA,
    starts: int = 6,
    finish: int | None = None,
    tolerance: float = 1e-11,
) -> tuple[Float[np.ndarray, "b P"], Float[np.ndarray, "b"]]:
    """The law of each row of values, and the objective there.

    Args:
        design: the points.
        log_y: logarithms of the values, one row a problem.
        delta: where Huber's loss turns from square to straight.
        starts: how many of the grid's starts each problem descends from.
        finish: how many of these descend all the way; None for all.
        tolerance: share of the objective that a step must gain to be followed by another.
    """
    theta = design.starts(log_y, starts)  # (b, s, P)
    for rough in (d for d in CONTINUATION if d > delta):
        theta, loss = _descend_all(design, log_y, theta, rough, iterations=8, tolerance=1e-3)
    log_p = design.values(theta.reshape(-1, theta.shape[-1])).reshape(*theta.shape[:2], -1)
    loss = huber(log_p - log_y[:, None], delta)[0].sum(-1)
    rows, kept = np.arange(len(theta))[:, None], loss.argsort(1, kind="stable")[:, :finish]
    theta, loss = _descend_all(design, log_y, theta[rows, kept], delta, 200, tolerance)
    best = loss.argmin(1)
    return theta[rows[:, 0], best], loss[rows[:, 0], best]


def huber(
    residual: Float[np.ndarray, "*s"], delta: float
) -> tuple[Float[np.ndarray, "*s"], Float[np.ndarray, "*s"], Float[np.ndarray, "*s"]]:
    """Huber's loss, its slope and its curvature."""
    size = np.abs(residual)
    inside = size <= delta
    loss = np.where(inside, residual**2 / 2, delta * (size - delta / 2))
    return loss, np.clip(residual, -delta, delta), inside.astype(np.float64)


def _descend_all(
    design: Design | Bounded,
    log_y: Float[np.ndarray, "b n"],
    theta: Float[np.ndarray, "b s P"],
    delta: float,
    iterations: int,
    tolerance: float,
) -> tuple[Float[np.ndarray, "b s P"], Float[np.ndarray, "b s"]]:
    b, s, p = theta.shape
    rows = np.repeat(log_y, s, 0)
    flat, loss = _descend(design, rows, theta.reshape(b * s, p), delta, iterations, tolerance)
    return flat.reshape(b, s, p), loss.reshape(b, s)


def _descend(
    design: Design | Bounded,
    log_y: Float[np.ndarray, "b n"],
    theta: Float[np.ndarray, "b P"],
    delta: float,
    iterations: int,
    tolerance: float,
) -> tuple[Float[np.ndarray, "b P"], Float[np.ndarray, "b"]]:
    """Newton's method, damped where it does not descend; directions of negative curvature are followed downwards."""
    n, p = log_y.shape[1], design.unknowns
    low, high = design.bounds(log_y)
    theta = np.clip(theta, low, high)
    loss = huber(design.values(theta) - log_y, delta)[0].sum(1)
    damping, quiet = np.full(len(theta), 1e-3), np.zeros(len(theta), int)
    active = np.arange(len(theta))
    for _ in range(iterations):
        at, y = theta[active], log_y[active]
        log_p, first, second = design.expand(at)
        _, slope, curvature = huber(log_p - y, delta)
        gradient = (first @ slope[..., None])[..., 0]
        hessian = second(slope) + (first * curvature[:, None]) @ first.swapaxes(1, 2)
        values, vectors = np.linalg.eigh(hessian)
        values = np.abs(values) + damping[active, None] * delta
        step = -(vectors @ ((gradient[:, None] @ vectors)[:, 0] / values)[..., None])[..., 0]
        step *= np.minimum(1, 2 / np.maximum(np.abs(step).max(1, keepdims=True), 1e-300))
        trial = np.clip(at + FRACTIONS * step, low[active], high[active])  # (S, b, P)
        s, m = trial.shape[:2]
        tried = huber(design.values(trial.reshape(s * m, p)).reshape(s, m, n) - y, delta)[0]
        tried = tried.sum(-1)
        best = tried.argmin(0)
        rows = np.arange(m)
        gain = loss[active] - tried[best, rows]
        better = gain > 0
        theta[active[better]] = trial[best, rows][better]
        loss[active[better]] = tried[best, rows][better]
        change = np.where(better, np.where(best < 2, 0.1, 1.0), 30.0)
        damping[active] = np.clip(damping[active] * change, 1e-7, 1e9)
        small = np.abs(step).max(1) < 1e-8
        settled = np.where(
            better, gain <= tolerance * loss[active], small | (damping[active] > 1e4)
        )
        quiet[active] = np.where(settled, quiet[active] + 1, 0)
        active = active[quiet[active] < 2]
        if not len(active):
            break
    return theta, loss
