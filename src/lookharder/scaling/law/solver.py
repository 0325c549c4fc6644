"""Robust fits of sums of power laws, many at once, in float64.

    log p(x) = log( e^θ0 + Σ_k e^(α_k - a_k log x_k) )          one term is constant, each other falls with its x_k
    minimise  Σ_i Huber_δ( log p(x_i) - log y_i )               over θ = (θ0, α, a); summed, not averaged

This is the objective of Hoffmann et al. (arXiv 2203.15556, section D.2), δ = 1e-3, so that a ratio off by 10 % counts
once, not a hundred times. Besiroglu et al. (arXiv 2404.10102) found that their optimiser had stopped early because the
terms were averaged, so here they are summed and Newton's method runs until nothing moves.

The terms are linear in θ, hence gradient and Hessian are exact and cheap: with π the share of each term in p, and V
its derivative by θ, d log p = Σ π V and d² log p = cov_π(V). A problem has 2 to 5 unknowns, a bootstrap has a
thousand problems on the same x: they are solved together, as arrays (problem, point, unknown).

Starts come by variable projection: on a grid of exponents the offset and coefficients that fit best in the sense of
least squares are linear, so each has a formula. The best few of the grid are descended from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float

DELTA = 1e-3
CONTINUATION = (
    0.1,
    0.03,
    0.01,
    0.003,
)  # of δ: from almost least squares to almost least deviations
GRID = {  # of exponents times the range of log x
    1: (-4.0, -1.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 12.0),
    2: (0.2, 0.6, 1.2, 2.0, 3.5, 6.0, 10.0),
}
STEEPEST = 60.0  # |a| times the range of log x
FRACTIONS = np.array([1.0, 0.5, 0.2, 0.05, 0.01])[:, None, None]  # of a step, the best is taken
FAINTEST = 25.0  # an offset e^-25 of the smallest value is none


@dataclass(frozen=True)
class Design:
    """The points of a fit, and whether there is an offset.

    Attributes:
        logs: logarithms of the variables, centred and divided by their ranges: exponents are near 1, units are gone.
        centre: what was subtracted.
        scale: what was divided by.
        offset: whether there is a constant term.
    """

    logs: Float[np.ndarray, "n K"]
    centre: Float[np.ndarray, "K"]
    scale: Float[np.ndarray, "K"]
    offset: bool

    @classmethod
    def of(cls, x: Float[np.ndarray, "n K"], offset: bool) -> "Design":
        """The design of positive variables."""
        logs = np.log(x)
        low, high = logs.min(0), logs.max(0)
        scale = np.where(high > low, high - low, 1.0)
        centre = (low + high) / 2
        return cls((logs - centre) / scale, centre, scale, offset)

    @property
    def unknowns(self) -> int:
        """How many numbers are fitted."""
        return 2 * self.logs.shape[1] + self.offset

    @cached_property
    def derivatives(self) -> Float[np.ndarray, "T n P"]:
        """Of the logarithm of each term at each point by each unknown; the constant term comes first."""
        n, k = self.logs.shape
        v = np.zeros((k + self.offset, n, self.unknowns))
        if self.offset:
            v[0, :, 0] = 1
        for i in range(k):
            v[i + self.offset, :, i + self.offset] = 1
            v[i + self.offset, :, i + self.offset + k] = -self.logs[:, i]
        return v

    def natural(self, theta: Float[np.ndarray, "*b P"]) -> Float[np.ndarray, "*b Q"]:
        """(offset, log coefficients, exponents) in the units of the variables, from unknowns; offset 0 if none."""
        k, o = self.logs.shape[1], int(self.offset)
        exponents = theta[..., o + k :] / self.scale
        coefficients = theta[..., o : o + k] + exponents * self.centre
        offset = np.exp(theta[..., :o]) if o else np.zeros((*theta.shape[:-1], 1))
        return np.concatenate([offset, coefficients, exponents], -1)

    def evaluate(
        self, theta: Float[np.ndarray, "b P"]
    ) -> tuple[Float[np.ndarray, "b n"], Float[np.ndarray, "T b n"]]:
        """Logarithm of the law at each point, and the share of each term in it."""
        terms = theta @ self.derivatives.swapaxes(1, 2)  # (T, b, n)
        top = terms.max(0)
        parts = np.exp(terms - top)
        total = parts.sum(0)
        return top + np.log(total), parts / total


def fit(
    design: Design,
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
    theta = _starts(design, log_y, starts)  # (b, s, P)
    for rough in (d for d in CONTINUATION if d > delta):
        theta, loss = _descend_all(design, log_y, theta, rough, iterations=8, tolerance=1e-3)
    log_p = design.evaluate(theta.reshape(-1, theta.shape[-1]))[0].reshape(*theta.shape[:2], -1)
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


def _starts(
    design: Design, log_y: Float[np.ndarray, "b n"], count: int
) -> Float[np.ndarray, "b s P"]:
    """By variable projection: for each exponents of the grid the best offset and coefficients, then the best few."""
    (n, k), b = design.logs.shape, len(log_y)
    centre = log_y.mean(1, keepdims=True)
    y = np.exp(log_y - centre)
    weights = np.exp(
        -log_y.mean(0) + log_y.mean()
    )  # relative errors: those of the mean problem do for a start
    found, losses = [], []
    for exponents in _grid(k):
        powers = np.exp(-design.logs * exponents)
        columns = np.concatenate([np.ones((n, int(design.offset))), powers], 1)
        solution = (
            np.linalg.pinv(columns * weights[:, None]) @ (y * weights).T
        ).T  # (b, offset + K)
        smallest = y.min(1, keepdims=True) * np.exp(-3.0)
        solution = np.maximum(solution, smallest / np.maximum(columns.max(0), 1e-300))
        theta = np.concatenate([np.log(solution) + centre, np.broadcast_to(exponents, (b, k))], 1)
        theta[:, : k + design.offset] -= (design.evaluate(theta)[0] - log_y).mean(1, keepdims=True)
        found.append(theta)
        losses.append(np.abs(design.evaluate(theta)[0] - log_y).sum(1))
    order = np.argsort(np.array(losses), axis=0, kind="stable")[:count].T  # (b, s)
    return np.array(found)[order, np.arange(b)[:, None]]


def _grid(k: int) -> Iterator[np.ndarray]:
    for exponents in product(GRID[min(k, 2)], repeat=k):
        yield np.array(exponents)


def _descend_all(
    design: Design,
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
    design: Design,
    log_y: Float[np.ndarray, "b n"],
    theta: Float[np.ndarray, "b P"],
    delta: float,
    iterations: int,
    tolerance: float,
) -> tuple[Float[np.ndarray, "b P"], Float[np.ndarray, "b"]]:
    """Newton's method, damped where it does not descend; directions of negative curvature are followed downwards."""
    v = design.derivatives
    t, n, p = v.shape
    outer = np.einsum("tnp,tnq->tnpq", v, v).reshape(t, n, p * p)
    low, high = _bounds(design, log_y)
    theta = np.clip(theta, low, high)
    loss = huber(design.evaluate(theta)[0] - log_y, delta)[0].sum(1)
    damping, quiet = np.full(len(theta), 1e-3), np.zeros(len(theta), int)
    active = np.arange(len(theta))
    for _ in range(iterations):
        at, y = theta[active], log_y[active]
        log_p, share = design.evaluate(at)
        _, slope, curvature = huber(log_p - y, delta)
        pull = share * slope  # (T, b, n)
        gradient = (pull @ v).sum(0)
        g = sum(share[i, :, None] * v[i].T for i in range(t))  # (b, P, n): d log p
        hessian = (pull @ outer).sum(0).reshape(-1, p, p)
        hessian += (g * (curvature - slope)[:, None]) @ g.swapaxes(1, 2)
        values, vectors = np.linalg.eigh(hessian)
        values = np.abs(values) + damping[active, None] * delta
        step = -(vectors @ ((gradient[:, None] @ vectors)[:, 0] / values)[..., None])[..., 0]
        step *= np.minimum(1, 2 / np.maximum(np.abs(step).max(1, keepdims=True), 1e-300))
        trial = np.clip(at + FRACTIONS * step, low[active], high[active])  # (S, b, P)
        s, m = trial.shape[:2]
        tried = huber(design.evaluate(trial.reshape(s * m, p))[0].reshape(s, m, n) - y, delta)[0]
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


def _bounds(
    design: Design, log_y: Float[np.ndarray, "b n"]
) -> tuple[Float[np.ndarray, "b P"], Float[np.ndarray, "b P"]]:
    """Where unknowns may lie: no term above all values, none fainter than can be told from 0, none steeper."""
    k, o = design.logs.shape[1], int(design.offset)
    least, most = log_y.min(1, keepdims=True), log_y.max(1, keepdims=True)
    floor = np.repeat(least - FAINTEST, o + k, 1)
    floor[:, o:] -= STEEPEST / 2  # a steep term is large at one end only
    roof = np.repeat(most + STEEPEST / 2, o + k, 1)
    steep = np.full((len(log_y), k), STEEPEST)
    return np.concatenate([floor, -steep], 1), np.concatenate([roof, steep], 1)
