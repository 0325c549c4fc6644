"""What a law predicts for the largest measurement from the others."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What the law of all other points predicts for the largest measurement.

    Attributes:
        at: where it lies, one number a variable.
        measured: its value; the mean where it was repeated.
        predicted: what the law of the others says.
        low: lower end of the 95 % interval for a measurement there; None where the others are too few for one.
        high: upper end.
        baseline: the value of the largest of the others, the answer of no law at all.
    """

    at: tuple[float, ...]
    measured: float
    predicted: float
    low: float | None
    high: float | None
    baseline: float

    @property
    def error(self) -> float:
        """Relative error of the law's prediction; positive where it is too large."""
        return self.predicted / self.measured - 1

    @property
    def baseline_error(self) -> float:
        """Relative error of the baseline, likewise."""
        return self.baseline / self.measured - 1
