"""By how much one thing is better than another, with an interval over seeds and images.

    gain = mean over strata of 100 (1 - after / before)        percent of the error that is gone; negative: it grew

Two measurements are a pair where they agree in everything but what is compared: size, effort, seed. All seeds of what
else they share (a size, say) are a stratum. Images are resampled, the same for all. What another seed would change is
estimated from all strata together, by the spread of the gain between seeds within each. Strata that differ only in how
the same networks were asked count as one independent network, w of the n strata. So with f degrees of freedom

    spread² = Σ (gain of a seed - mean of its stratum, averaged over the strata of a network)² / f
    f       = Σ (seeds of a network - 1)
    gain*   = mean over strata of the gain on other images + spread sqrt(Σ (w / n)² / seeds) * t

and t by Student's distribution, because a few seeds do not tell their own spread: its quantiles, shuffled, since its
tails are too long to be drawn. Where no stratum has two seeds, the interval is over images alone. Where a study has
more networks than the two that are compared, these tell of the spread too (`blocks`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from lookharder.report.blocks import Spread
from lookharder.report.parts import ASKED, axis_words
from lookharder.scaling.record import Record
from lookharder.seeding import numpy_generator

MOST, LEAST = "most", "least"  # the largest measured value of an axis, and the smallest above 0
RESAMPLES = 2000

# what a point must say to be chosen; an axis that it does not have does not exclude it
Selection = Mapping[str, int | float | str]
Pair = tuple[Record, Record]
Strata = dict[tuple[Any, ...], list[Pair]]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much less error, in percent.

    Attributes:
        value: the mean.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    value: float
    low: float
    high: float


def settle(choice: Selection, records: Sequence[Record]) -> dict[str, int | float | str]:
    """A choice with `MOST` and `LEAST` replaced by what was measured; axes that nothing has are left out."""
    found: dict[str, int | float | str] = {}
    for axis, wanted in choice.items():
        values = [record.point[axis] for record in records if axis in record.point]
        if not values:
            continue
        numbers = [v for v in values if not isinstance(v, str) and v > 0]
        if wanted in (MOST, LEAST):
            if numbers:
                found[axis] = max(numbers) if wanted == MOST else min(numbers)
        else:
            found[axis] = wanted
    return found


def pairs(records: Sequence[Record], before: Selection, after: Selection) -> Strata:
    """Pairs of measurements of one metric, by what they share apart from their seeds.

    Args:
        records: of one study, task and metric.
        before: as `settle` gives it.
        after: as `settle` gives it.
    """
    ours = {*before, *after}
    first: dict[tuple[Any, ...], Record] = {}
    second: dict[tuple[Any, ...], Record] = {}
    for record in records:
        rest = tuple(sorted((k, v) for k, v in record.point.items() if k not in ours))
        for choice, side in ((before, first), (after, second)):
            if all(record.point.get(axis, value) == value for axis, value in choice.items()):
                side[(*rest, record.seed)] = record
    strata: Strata = {}
    for key, record in first.items():
        other = second.get(key)
        if other is not None and other.run != record.run:
            strata.setdefault(key[:-1], []).append((record, other))
    return strata


def pair_trades(records: Sequence[Record], effort: Selection) -> Strata:
    """A larger network asked once, against the next smaller one asked more often.

    Args:
        records: of one study, task and metric.
        effort: how often, at any cost; empty: the dearest that costs no more, of equals that of more draws.
    """
    sizes = sorted({(r.params, str(r.point["size"])) for r in records if "size" in r.point})
    strata: Strata = {}
    for (_, small), (_, large) in pairwise(sizes):
        for once in records:
            if once.point.get("size") != large or (_effort(once)) != (1, 1):
                continue
            fits = [
                other
                for other in records
                if other.point.get("size") == small
                and other.seed == once.seed
                and _effort(other) != (1, 1)
                and all(other.point.get(axis) == value for axis, value in effort.items())
                and (effort or other.inference_macs <= once.inference_macs)
            ]
            if fits:
                often = max(fits, key=lambda r: (r.inference_macs, _effort(r)[::-1]))
                strata.setdefault((small, large), []).append((once, often))
    return strata


def _effort(record: Record) -> tuple[Any, Any]:
    return record.point.get("steps", 1), record.point.get("members", 1)


def seeds_of(strata: Strata) -> tuple[int, int]:
    """Fewest and most seeds of a stratum; 0 where there is none."""
    counts = [len(found) for found in strata.values()] or [0]
    return min(counts), max(counts)


def gain(strata: Strata, known: Spread | None = None, seed: int = 0) -> Gain | None:
    """The gain of all strata; None where there are none, or values of single images are not kept.

    Args:
        strata: what is compared.
        known: what else is known of the spread between seeds.
        seed: of resampling.
    """
    found = gains(strata, known, seed)
    if found is None:
        return None
    value, again = found
    low, high = np.quantile(again, [0.025, 0.975])
    return Gain(value=value, low=min(float(low), value), high=max(float(high), value))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scatter:
    """A gain, and what it would vary by.

    Attributes:
        value: the gain, percent.
        of_images: gains on other images, percent.
        of_seeds: variance of a network's gain from seed to seed, percent squared; 0 where it is not known.
        free: degrees of freedom of that.
        shares: of each network in the mean.
        seeds: of each network.
        images: how many.
    """

    value: float
    of_images: Float[np.ndarray, "resamples"]
    of_seeds: float
    free: int
    shares: tuple[float, ...]
    seeds: tuple[int, ...]
    images: int


def gains(
    strata: Strata, known: Spread | None = None, seed: int = 0
) -> tuple[float, np.ndarray] | None:
    """The gain, and those of resampled measurements, (RESAMPLES,); None as of `gain`."""
    from scipy.stats import t as student

    rng = numpy_generator(seed, "gain")
    found = scatter(strata, rng, known)
    if found is None or not found.free:
        return None if found is None else (found.value, found.of_images)
    quantiles: np.ndarray = student.ppf((rng.permutation(RESAMPLES) + 0.5) / RESAMPLES, found.free)
    share = sum(w**2 / n for w, n in zip(found.shares, found.seeds, strict=True))
    return found.value, found.of_images + float(np.sqrt(found.of_seeds * share)) * quantiles


def scatter(
    strata: Strata, rng: np.random.Generator, known: Spread | None = None
) -> Scatter | None:
    """What the gain of all strata varies by; None as of `gain`."""
    weights: dict[int, np.ndarray] = {}
    means, draws = [], []
    networks: dict[tuple[Any, ...], list[dict[int, float]]] = {}
    for key, found in strata.items():
        sides = [_values(records) for records in zip(*found, strict=True)]
        if any(side is None for side in sides):
            return None
        a, b = (side for side in sides if side is not None)  # (seeds, images)
        if a.shape != b.shape:
            return None
        images = a.shape[1]
        if images not in weights:
            even = np.full(images, 1 / images)
            weights[images] = rng.multinomial(images, even, RESAMPLES) / images  # (R, images)
        before, after = (weights[images] @ side.mean(0) for side in (a, b))
        means.append(100 * (1 - b.mean() / a.mean()))
        draws.append(100 * (1 - after / before))
        of_seeds = 100 * (1 - b.mean(1) / a.mean(1))
        off = dict(zip((r.seed for r, _ in found), of_seeds - of_seeds.mean(), strict=True))
        networks.setdefault(tuple(k for k in key if k[0] not in ASKED), []).append(off)
    if not means:
        return None
    squares, counts = 0.0, []
    for network in networks.values():
        seeds = {seed for stratum in network for seed in stratum}
        mean = [np.mean([stratum[s] for stratum in network if s in stratum]) for s in seeds]
        squares += float(np.square(mean).sum())
        counts.append(len(seeds))
    value, free = float(np.mean(means)), sum(counts) - len(counts)
    variance = squares / free if free else 0.0
    if known is not None and known.free > free:  # of logarithms: in percent of what the gain leaves
        free, variance = known.free, max(variance, known.variance * (1 - value / 100) ** 2)
    return Scatter(
        value=value,
        of_images=np.mean(draws, axis=0),
        of_seeds=variance,
        free=free,
        shares=tuple(len(network) / len(means) for network in networks.values()),
        seeds=tuple(counts),
        images=max(weights),
    )


def _values(records: Sequence[Record]) -> np.ndarray | None:
    rows = [record.per_image for record in records]
    kept = [row for row in rows if row is not None]
    if len(kept) < len(rows) or len({len(row) for row in kept}) != 1:
        return None
    return np.array(kept, np.float64)


def describe_change(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What changes from one to the other, and what both have: "n = 1 → 20", "T = 4"."""
    for axis, b in after.items():
        a = before.get(axis, b)
        yield axis_words(axis, _word(b) if a == b else f"{_word(a)} → {_word(b)}")


def _word(value: int | float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
