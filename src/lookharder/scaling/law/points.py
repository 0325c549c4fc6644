"""The measurements that a law is fitted to, checked and in an order that does not depend on how they came."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.errors import InputError

Values = Sequence[int] | Sequence[float] | Sequence[int | float] | np.ndarray
PerImage = Sequence[Sequence[float]] | np.ndarray


class TooFew(InputError):
    """Fewer points, or different places, than a law has unknowns."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FitPoints:
    """Measurements.

    Attributes:
        names: of the K variables.
        x: (n, K) positive, their values.
        y: (n,) positive, what was measured.
        images: (n, I) whose means are y; None where values of single images are not kept.
        group: (n,) a number for what each point shares with others, e.g. its network.
    """

    names: tuple[str, ...]
    x: Float[np.ndarray, "n K"]
    y: Float[np.ndarray, "n"]
    images: Float[np.ndarray, "n I"] | None
    group: Int[np.ndarray, "n"]

    @classmethod
    def of(
        cls,
        variables: Mapping[str, Values],
        value: Values,
        per_image: PerImage | None,
        groups: Sequence[Hashable] | None,
    ) -> "FitPoints":
        """The points in order of x, of equal x in order of y; arguments as of `fit_law`.

        Raises:
            InputError: numbers that are not positive, or columns of different lengths.
        """
        names = tuple(variables)
        columns = [_positive(name, values) for name, values in variables.items()]
        y = _positive("value", value)
        if bad := [len(column) for column in columns if len(column) != len(y)]:
            raise InputError("value", f"{len(y)} values", f"{bad[0]}, one for each of {names[0]}")
        if groups is not None and len(groups) != len(y):
            raise InputError("groups", f"{len(groups)}", f"{len(y)}, one for each value")
        images = None if per_image is None else np.asarray(per_image, np.float64)
        if images is not None and (
            images.ndim != 2 or len(images) != len(y) or not (images >= 0).all() or not images.size
        ):
            allowed = f"({len(y)}, images), 0 or more each"
            raise InputError("per_image", f"shape {images.shape}", allowed)
        x = np.stack(columns, 1)
        order = np.lexsort((y, *x.T[::-1]))
        return cls(
            names=names,
            x=x[order],
            y=y[order],
            images=None if images is None else images[order],
            group=_numbered([groups[i] if groups is not None else 0 for i in order]),
        )

    @property
    def largest(self) -> Bool[np.ndarray, "n"]:
        """The point that is largest by the product of its variables, and all that lie at the same place."""
        return self.at(self.x[np.log(self.x).sum(1).argmax()])

    def at(self, place: Float[np.ndarray, "K"]) -> Bool[np.ndarray, "n"]:
        """Which points lie at a place."""
        here: np.ndarray = (self.x == place).all(1)
        return here

    def where(self, chosen: Bool[np.ndarray, "n"]) -> "FitPoints":
        """Some of the points."""
        return FitPoints(
            names=self.names,
            x=self.x[chosen],
            y=self.y[chosen],
            images=None if self.images is None else self.images[chosen],
            group=_numbered(self.group[chosen].tolist()),
        )

    def check(self, unknowns: int, places: int) -> None:
        """Check that every unknown can be told from the others.

        Args:
            unknowns: how many numbers are to be fitted.
            places: how many different values each variable needs.

        Raises:
            TooFew: there are too few points, or too few values of a variable.
        """
        if len(self.y) < unknowns:
            allowed = f"{unknowns} or more, one for each unknown"
            raise TooFew("value", f"{len(self.y)} points", allowed)
        for name, values in zip(self.names, self.x.T, strict=True):
            if (found := len(np.unique(values))) < places:
                raise TooFew(name, f"{found} different values", f"{places} or more")


def _positive(name: str, values: Values) -> Float[np.ndarray, "n"]:
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise InputError(name, f"shape {array.shape}", "(n,) numbers")
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        raise InputError(name, f"{array[bad][0]} at {int(bad.argmax())}", "positive finite numbers")
    return array


def _numbered(groups: Sequence[Hashable]) -> Int[np.ndarray, "n"]:
    """Groups as numbers from 0, in the order in which they come."""
    known = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    return np.array([known[group] for group in groups], np.int64)
