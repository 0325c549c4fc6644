"""A sum of power laws inside a ceiling: the error of the image-independent baseline, near which trainings begin.

    log y = μ - log(1 + e^-t)        t = e^λ log( Σ_k e^(α_k - a_k log x_k) ), the log odds of y below its ceiling e^μ

θ is that of the sum, then λ, the logarithm of the power, and μ. With s the logarithm of the sum, q = 1 - y e^-μ:

    dt = e^λ ds + t dλ        d log y = dμ + q dt        d² log y = q d²t - q (1 - q) dt dt'

Everything else, starts and exact second derivatives, is that of `design`, which this one is made of.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from lookharder.scaling.law.design import STEEPEST, Design, Expansion

POWERS = (0.7, 1.2, 2.0, 3.5)  # from which descents start
CEILINGS = (1.03, 1.2, 2.0)  # likewise, in largest values
FARTHEST = 60.0  # logarithm of a coefficient, with variables near 1
POWER = (0.1, 10.0)  # limits
CEILING = (1.0, 10.0)  # likewise, in smallest and in largest values


@dataclass(frozen=True)
class Bounded:
    """The points of a fit of a bounded sum.

    Attributes:
        inner: of the sum, which has no offset: there is no floor.
    """

    inner: Design

    @property
    def unknowns(self) -> int:
        """How many numbers are fitted."""
        return self.inner.unknowns + 2

    def natural(self, theta: Float[np.ndarray, "*b P"]) -> Float[np.ndarray, "*b Q"]:
        """(offset 0, log coefficients, exponents, power, ceiling) in the units of the variables, from unknowns."""
        own = self.inner.natural(theta[..., :-2])
        return np.concatenate([own, np.exp(theta[..., -2:])], -1)

    def values(self, theta: Float[np.ndarray, "b P"]) -> Float[np.ndarray, "b n"]:
        """Logarithm of the law at each point."""
        log_odds = np.exp(theta[:, -2:-1]) * self.inner.values(theta[:, :-2])
        values: np.ndarray = theta[:, -1:] - np.logaddexp(0, -log_odds)
        return values

    def expand(self, theta: Float[np.ndarray, "b P"]) -> Expansion:
        """The law to second order."""
        log_sum, slope, bend = self.inner.expand(theta[:, :-2])
        power = np.exp(theta[:, -2])[:, None]
        t = power * log_sum
        log_y = theta[:, -1:] - np.logaddexp(0, -t)
        q = 1 - np.exp(log_y - theta[:, -1:])
        dt = np.concatenate([power[..., None] * slope, t[:, None], np.zeros_like(t)[:, None]], 1)
        first = q[:, None] * dt
        first[:, -1] = 1
        p = self.inner.unknowns

        def second(weights: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b P P"]:
            total: np.ndarray = -(dt * (weights * q * (1 - q))[:, None]) @ dt.swapaxes(1, 2)
            pull = weights * q
            mixed = (power[..., None] * slope * pull[:, None]).sum(2)  # of power and the sum's
            total[:, :p, :p] += power[..., None] * bend(pull)
            total[:, :p, p] += mixed
            total[:, p, :p] += mixed
            total[:, p, p] += (pull * t).sum(1)
            return total

        return log_y, first, second

    def starts(self, log_y: Float[np.ndarray, "b n"], count: int) -> Float[np.ndarray, "b s P"]:
        """Those of the sum whose log odds the values are, for a grid of powers and ceilings; the best few of all."""
        b, found, losses = len(log_y), [], []
        most = log_y.max(1, keepdims=True)
        for power, ceiling in product(POWERS, CEILINGS):
            top = most + np.log(ceiling)
            odds = log_y - top - np.log1p(-np.exp(log_y - top))
            for inner in self.inner.starts(odds / power, 2).swapaxes(0, 1):
                theta = np.concatenate([inner, np.full((b, 1), np.log(power)), top], 1)
                found.append(theta)
                losses.append(np.abs(self.values(theta) - log_y).sum(1))
        order = np.argsort(np.array(losses), axis=0, kind="stable")[:count].T
        return np.array(found)[order, np.arange(b)[:, None]]

    def bounds(
        self, log_y: Float[np.ndarray, "b n"]
    ) -> tuple[Float[np.ndarray, "b P"], Float[np.ndarray, "b P"]]:
        """Where unknowns may lie; the ceiling no lower than the smallest value."""
        k = self.inner.logs.shape[1]
        far = np.repeat([FARTHEST, STEEPEST], k)
        b = len(log_y)
        ends = []
        for sign, power, edge in (
            (-1, POWER[0], log_y.min(1) + np.log(CEILING[0])),
            (1, POWER[1], log_y.max(1) + np.log(CEILING[1])),
        ):
            fixed = np.broadcast_to([*(sign * far), np.log(power)], (b, 2 * k + 1))
            ends.append(np.concatenate([fixed, edge[:, None]], 1))
        return ends[0], ends[1]
