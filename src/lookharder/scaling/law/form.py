"""Laws: a sum of terms that each fall with one thing, above what no amount removes or below what an error can be.

    value = E + Σ_k A_k x_k^-a_k        offset E >= 0, coefficients A > 0, exponents a (positive: the value falls)

One variable, e.g. training compute: E + A C^-a. Two, e.g. parameters N and training images D: E + A N^-a + B D^-b.
An exponent means something only together with its offset: with E forced to 0, what cannot be removed hides in an
exponent that looks small.

    value = M / (1 + u^-g)          u = Σ_k A_k x_k^-a_k, ceiling M, power g

is a law inside a ceiling. Trainings begin near the error of the image-independent baseline, where no sum of powers is
straight. The odds of the error below the ceiling are a power of the sum; g says what size and images do to each other.

A law knows how sure it is: `samples` are the laws of resampled measurements, and every interval is read from them.
It knows where it was measured: beyond that range it extrapolates, `beyond` says by what factor, and `held_out` what
happened when the largest measurement was predicted from the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
from jaxtyping import Float

from lookharder.errors import InputError
from lookharder.scaling.law.formula import evaluate, exp, times
from lookharder.scaling.law.held_out import HeldOut
from lookharder.seeding import numpy_generator

NumberOrArray = int | float | np.ndarray


@dataclass(frozen=True, kw_only=True)
class Law:
    """A fitted law.

    Attributes:
        variables: what its terms fall with, in order.
        offset: what remains, E; 0 in a law without one.
        log_coefficients: natural logarithms of A, which themselves may be too large for a float.
        exponents: a, positive where more is better.
        has_offset: whether E was fitted.
        points: how many measurements it was fitted to.
        smallest: least measured value of each variable.
        largest: greatest.
        r2: share of the variance of log value that it explains.
        scatter: standard deviation of log value around it; 0 where points are as many as unknowns.
        power: g of a law inside a ceiling.
        ceiling: M; None for a law without.
        samples: (offset, log coefficients, exponents) of each law fitted to resampled measurements, and (power,
            ceiling) where there is one.
        residuals: log measured - log fitted, in the order of the variables.
        held_out: how it predicts the largest measurement from the others; None where they are too few.
    """

    variables: tuple[str, ...]
    offset: float
    log_coefficients: tuple[float, ...]
    exponents: tuple[float, ...]
    has_offset: bool
    points: int
    smallest: tuple[float, ...]
    largest: tuple[float, ...]
    r2: float
    scatter: float
    power: float = 1.0
    ceiling: float | None = None
    samples: tuple[tuple[float, ...], ...] = ()
    residuals: tuple[float, ...] = ()
    held_out: HeldOut | None = None

    def __post_init__(self) -> None:
        k = len(self.variables)
        columns = (self.log_coefficients, self.exponents, self.smallest, self.largest)
        if not k or {len(column) for column in columns} != {k}:
            got = f"columns of {[len(column) for column in columns]} numbers"
            raise InputError("law", got, f"one each of {list(self.variables)}")
        if any(len(row) != len(self.theta) for row in self.samples):
            raise InputError("law.samples", "other widths", f"{len(self.theta)} numbers each")
        told = (*self.theta, *self.residuals)
        if self.ceiling is None and self.power != 1:
            raise InputError("law.power", self.power, "1, without a ceiling")
        ends = np.array([self.theta, *self.samples])[:, -2:]  # power and ceiling, if there is one
        if self.ceiling is not None and (self.offset or self.has_offset or ends.min() <= 0):
            raise InputError("law.ceiling", str(self), "ceiling and power above 0, and no offset")
        if self.offset < 0 or not (np.isfinite(told).all() and np.isfinite(self.samples).all()):
            raise InputError("law", str(self), "finite numbers, the offset 0 or more")
        if self.samples and not (self.points > self.fitted and len(self.residuals) == self.points):
            got = f"{len(self.residuals)} of {self.points} points"
            raise InputError("law.residuals", got, f"one of each of more than {self.fitted} points")

    @property
    def theta(self) -> tuple[float, ...]:
        """The parameters of this law, in the order of a row of `samples`."""
        inside = () if self.ceiling is None else (self.power, self.ceiling)
        return (self.offset, *self.log_coefficients, *self.exponents, *inside)

    @property
    def fitted(self) -> int:
        """How many unknowns were fitted."""
        return len(self.theta) - (not self.has_offset)

    @property
    def exponent(self) -> float:
        """Of a law of one variable: a in E + A x^-a."""
        return self._only("exponent", self.exponents)

    @property
    def coefficient(self) -> float:
        """Of a law of one variable: A in E + A x^-a."""
        return exp(self._only("coefficient", self.log_coefficients))

    @property
    def coefficients(self) -> tuple[float, ...]:
        """A, in the order of the variables."""
        return tuple(map(exp, self.log_coefficients))

    def __str__(self) -> str:
        terms = [f"{self.offset:.4g}"] if self.has_offset else []
        for name, a, c in zip(self.variables, self.exponents, self.coefficients, strict=True):
            terms.append(f"{c:.4g} {name}^{-a:.4g}")
        total = " + ".join(terms)
        if self.ceiling is None:
            return total
        return f"{self.ceiling:.4g} / (1 + ({total})^{-self.power:.4g})"

    def predict(self, *x: NumberOrArray) -> NumberOrArray:
        """The value of the law, one number or array of equal shapes for each variable.

        Raises:
            InputError: for a number of variables that is not the law's, or a value that is not positive.
        """
        values = self._evaluate(np.array([self.theta]), x)[0]
        return float(values) if values.ndim == 0 else values

    def terms(self, value: float) -> float:
        """What offset and terms have to sum to for this value, above 0; infinite where the ceiling lies below it."""
        if not value > 0:
            raise InputError("value", value, "a positive number")
        if self.ceiling is None:
            return value
        if value >= self.ceiling:
            return float("inf")
        return exp(float(np.log(value / (self.ceiling - value))) / self.power)

    def band(
        self, *x: NumberOrArray, level: float = 0.95, measurement: bool = False, seed: int = 0
    ) -> tuple[NumberOrArray, NumberOrArray]:
        """Where the law lies with a confidence of `level`, pointwise.

        Args:
            x: as for `predict`.
            level: of confidence.
            measurement: where one more measurement would lie: its scatter counts too.
            seed: of that scatter.

        Raises:
            InputError: the law has no samples.
        """
        self._require_samples(level)
        values = self.sample(*x, measurement=measurement, seed=seed)
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return (float(low), float(high)) if low.ndim == 0 else (low, high)

    def sample(
        self, *x: NumberOrArray, measurement: bool = False, seed: int = 0
    ) -> Float[np.ndarray, "b *s"]:
        """The value of each resampled law, b of them; of one x, (b,).

        Args:
            x: as for `predict`.
            measurement: what a measurement would be by each: with the scatter of one.
            seed: of that scatter.

        Raises:
            InputError: as `predict`.
        """
        values = self._evaluate(np.array(self.samples).reshape(-1, len(self.theta)), x)
        if not (measurement and self.samples):
            return values
        free = self.points - self.fitted
        noise = numpy_generator(seed, "scatter").choice(np.array(self.residuals), values.shape)
        scattered: np.ndarray = values * np.exp(noise * (self.points / free) ** 0.5)
        return scattered

    def interval(
        self, name: str, level: float = 0.95, variable: str | None = None
    ) -> tuple[float, float]:
        """Where a parameter lies with a confidence of `level`; the fitted value is inside, at an end perhaps.

        Args:
            name: "offset", "coefficient" or "exponent"; inside a ceiling also "power" or "ceiling".
            level: of confidence; below 0.9 the interval is narrower than it says (`fitting` has the figures).
            variable: whose, in a law of several.

        Raises:
            InputError: there is no such parameter, or the law has no samples.
        """
        column = self._column(name, variable)
        values = np.array(self._require_samples(level))[:, column]
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        low, high = min(low, self.theta[column]), max(high, self.theta[column])
        return (exp(low), exp(high)) if name == "coefficient" else (float(low), float(high))

    def scale(self, factor: float, factors: Sequence[float] = ()) -> "Law":
        """The law of a value that is `factor` times this law's.

        Args:
            factor: positive.
            factors: by resampled measurements, at least one where the law has samples; paired with these in turn.

        Raises:
            InputError: a factor that is not positive, or none for the samples.
        """
        if not (factor > 0 and all(f > 0 for f in factors)) or (self.samples and not factors):
            got = f"{factor} and {len(factors)} others"
            raise InputError("factor", got, "positive numbers, with at least one for the samples")
        k = len(self.variables)
        theta = times(self.theta, factor, k)
        again = islice(cycle(factors), len(self.samples))
        return replace(
            self,
            offset=theta[0],
            log_coefficients=theta[1 : k + 1],
            ceiling=None if self.ceiling is None else theta[-1],
            samples=tuple(times(row, f, k) for f, row in zip(again, self.samples, strict=True)),
            held_out=None,
        )

    def beyond(self, *x: float) -> float:
        """By what factor a place lies outside what was measured; 1 inside."""
        self._check(x)
        outside = [
            max(v / most, least / v, 1.0)
            for v, least, most in zip(x, self.smallest, self.largest, strict=True)
        ]
        return float(max(outside))

    def _column(self, name: str, variable: str | None) -> int:
        """Where a parameter is in a row of samples."""
        places = {"offset": 0} if self.has_offset else {}
        places |= {} if self.ceiling is None else {"power": -2, "ceiling": -1}
        if name in places:
            return places[name]
        if name not in ("coefficient", "exponent"):
            known = [*places, "coefficient", "exponent"]
            raise InputError("name", repr(name), f"one of {known} of this law")
        return 1 + self._index(variable) + (len(self.variables) if name == "exponent" else 0)

    def _index(self, variable: str | None) -> int:
        if variable is None and len(self.variables) == 1:
            return 0
        if variable not in self.variables:
            raise InputError("variable", repr(variable), f"one of {list(self.variables)}")
        return self.variables.index(variable)

    def _only(self, name: str, values: tuple[float, ...]) -> float:
        if len(values) != 1:
            raise InputError(name, f"a law of {list(self.variables)}", "a law of one variable")
        return values[0]

    def _require_samples(self, level: float) -> tuple[tuple[float, ...], ...]:
        if not 0 < level < 1:
            raise InputError("level", level, "a share in (0, 1)")
        if not self.samples:
            got = f"a law of {self.points} points"
            raise InputError("interval", got, f"one of more than {self.fitted}")
        return self.samples

    def _check(self, x: tuple[NumberOrArray, ...]) -> None:
        if len(x) != len(self.variables):
            raise InputError(
                "x", f"{len(x)} variables", f"one value each of {list(self.variables)}"
            )
        for name, value in zip(self.variables, x, strict=True):
            if not (np.isfinite(value) & (np.asarray(value) > 0)).all():
                raise InputError(name, value, "positive finite numbers")

    def _evaluate(
        self, theta: Float[np.ndarray, "b Q"], x: tuple[NumberOrArray, ...]
    ) -> Float[np.ndarray, "b *s"]:
        self._check(x)
        return evaluate(theta, np.stack([np.log(np.asarray(v, np.float64)) for v in x]))
