"""The points of a fit as a problem in θ: a sum of power laws and its derivatives, on the log.

    log p(x) = log( e^θ0 + Σ_k e^(α_k - a_k log x_k) )          with an offset a constant; each other falls

The terms are linear in θ, hence gradient and Hessian are exact and cheap: with π the share of each term in p, and V
its derivative by θ, d log p = Σ π V and d² log p = cov_π(V). A bootstrap has a thousand problems on the same x: they
are evaluated together, as arrays (problem, point, unknown).

Starts come by variable projection: on a grid of exponents the offset and coefficients that fit best in the sense of
least squares are linear, so each has a formula. The best few of the grid are descended from.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float

GRID = {  # of exponents times the range of log x
    1: (-4.0, -1.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 12.0),
    2: (0.2, 0.6, 1.2, 2.0, 3.5, 6.0, 10.0),
}
STEEPEST = 60.0  # |a| times the range of log x
FAINTEST = 25.0  # an offset e^-25 of the smallest value is none

Expansion = tuple[  # logarithm of a law, its derivatives by each unknown, and the sum of its second ones by weights
    Float[np.ndarray, "b n"],
    Float[np.ndarray, "b P n"],
    Callable[[Float[np.ndarray, "b n"]], Float[np.ndarray, "b P P"]],
]


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
        return 2 * int(self.logs.shape[1]) + self.offset

    @cached_property
    def derivatives(self) -> Float[np.ndarray, "T n P"]:
        """Derivatives of the logarithm of each term at each point by each unknown; the constant term comes first."""
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

    def values(self, theta: Float[np.ndarray, "b P"]) -> Float[np.ndarray, "b n"]:
        """Logarithm of the law at each point."""
        return self.evaluate(theta)[0]

    def evaluate(
        self, theta: Float[np.ndarray, "b P"]
    ) -> tuple[Float[np.ndarray, "b n"], Float[np.ndarray, "T b n"]]:
        """Logarithm of the law at each point, and the share of each term in it."""
        terms = theta @ self.derivatives.swapaxes(1, 2)  # (T, b, n)
        top = terms.max(0)
        parts = np.exp(terms - top)
        total = parts.sum(0)
        return top + np.log(total), parts / total

    @cached_property
    def outer(self) -> Float[np.ndarray, "T n PP"]:
        """Products of the derivatives of each term by each two unknowns."""
        v = self.derivatives
        products: np.ndarray = np.einsum("tnp,tnq->tnpq", v, v)
        return products.reshape(*v.shape[:2], -1)

    def expand(self, theta: Float[np.ndarray, "b P"]) -> Expansion:
        """The law to second order."""
        log_p, share = self.evaluate(theta)
        v, p = self.derivatives, self.unknowns
        first = sum(share[i, :, None] * v[i].T for i in range(len(v)))

        def second(weights: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b P P"]:
            inside: np.ndarray = ((share * weights) @ self.outer).sum(0).reshape(-1, p, p)
            inside -= (first * weights[:, None]) @ first.swapaxes(1, 2)
            return inside

        return log_p, first, second

    def starts(self, log_y: Float[np.ndarray, "b n"], count: int) -> Float[np.ndarray, "b s P"]:
        """By variable projection: the best offset and coefficients for all exponents of the grid, then the best few."""
        (n, k), b = self.logs.shape, len(log_y)
        centre = log_y.mean(1, keepdims=True)
        y = np.exp(log_y - centre)
        weights = np.exp(
            -log_y.mean(0) + log_y.mean()
        )  # relative errors: those of the mean problem do for a start
        smallest = y.min(1, keepdims=True) * np.exp(-3.0)
        found, losses = [], []
        for exponents in _grid(k):
            powers = np.exp(-self.logs * exponents)
            columns = np.concatenate([np.ones((n, int(self.offset))), powers], 1)
            solution = (
                np.linalg.pinv(columns * weights[:, None]) @ (y * weights).T
            ).T  # (b, offset + K)
            solution = np.maximum(solution, smallest / np.maximum(columns.max(0), 1e-300))
            theta = np.concatenate(
                [np.log(solution) + centre, np.broadcast_to(exponents, (b, k))], 1
            )
            miss = self.values(theta) - log_y
            shift = miss.mean(1, keepdims=True)  # all terms times a factor are the law times it
            theta[:, : k + self.offset] -= shift
            found.append(theta)
            losses.append(np.abs(miss - shift).sum(1))
        order = np.argsort(np.array(losses), axis=0, kind="stable")[:count].T  # (b, s)
        return np.array(found)[order, np.arange(b)[:, None]]

    def bounds(
        self, log_y: Float[np.ndarray, "b n"]
    ) -> tuple[Float[np.ndarray, "b P"], Float[np.ndarray, "b P"]]:
        """Where unknowns may lie: no term above all values, none fainter than can be told from 0, none steeper."""
        k, o = self.logs.shape[1], int(self.offset)
        least, most = log_y.min(1, keepdims=True), log_y.max(1, keepdims=True)
        floor = np.repeat(least - FAINTEST, o + k, 1)
        floor[:, o:] -= STEEPEST / 2  # a steep term is large at one end only
        roof = np.repeat(most + STEEPEST / 2, o + k, 1)
        steep = np.full((len(log_y), k), STEEPEST)
        return np.concatenate([floor, -steep], 1), np.concatenate([roof, steep], 1)


def _grid(k: int) -> Iterator[np.ndarray]:
    for exponents in product(GRID[min(k, 2)], repeat=k):
        yield np.array(exponents)
