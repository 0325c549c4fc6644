"""What it takes to decide what is open: seeds and images of a comparison, a larger point of a law.

    error²  = spread of the gain on other images² + variance between seeds * sum over networks of (share² / n)
    power   = P(T > t_0.975),   T: Student's t around effect / error with (n - 1) degrees of freedom a network

A comparison decides an effect where an effect of that size would leave 0 outside its interval four times in five. More
seeds do not narrow what other images would change: where that alone is too wide, more images are what is lacking.

    factor  = how many times the compute of the largest point it takes until   law(factor * x) < law(x) e^(-2 scatter)

A law shows itself where the value falls by more than points scatter, and it predicts that to within about as much.
"""

from dataclasses import dataclass

import numpy as np

from lookharder.report.compare import Scatter
from lookharder.scaling.law import Law

EFFECT = 3.0  # percent of the error
POWER = 0.8
MOST_SEEDS = 100


@dataclass(frozen=True, kw_only=True)
class Power:
    """What it would take to decide an effect.

    Attributes:
        seeds: of each network, on the images that there are; None where `MOST_SEEDS` are not enough, or the spread
            between seeds is not known.
        images: with as many seeds as one likes; None where `seeds` is known.
    """

    seeds: int | None
    images: int | None = None


def power(found: Scatter, effect: float = EFFECT, wanted: float = POWER) -> Power:
    """What it would take to decide an effect with a probability.

    Args:
        found: a gain, and what it varies by.
        effect: percent.
        wanted: the probability.
    """
    from scipy.stats import nct, norm, t

    images = float(found.of_images.var())
    share = sum(w**2 for w in found.shares)
    for n in range(2, MOST_SEEDS + 1) if found.free else ():
        free = len(found.shares) * (n - 1)
        error = np.sqrt(images + found.of_seeds * share / n)
        if error == 0 or nct.sf(t.ppf(0.975, free), free, effect / error) >= wanted:
            return Power(seeds=n)
    enough = (effect / (norm.ppf(0.975) + norm.ppf(wanted))) ** 2  # of a variance
    return Power(seeds=None, images=int(np.ceil(found.images * images / enough)))


def power_words(found: Scatter | None, high: float, needed: float, seeds: int) -> str:
    """What an undecided comparison lacks, or what it has decided all the same.

    Args:
        found: the gain, and what it varies by; None where that is not known.
        high: upper end of its interval, percent.
        needed: the gain above which the claim holds.
        seeds: fewest of what was compared.
    """
    if found is None:
        return ""
    if not found.free:
        return "one seed: the interval is over images alone, it takes a second training"
    if high < 0 > needed:
        off = power(found, abs(found.value - needed)).seeds
        takes = f"more than {MOST_SEEDS} seeds" if off is None else _seeds(off, seeds)
        return f"worse, by about the {-needed:g} % that are allowed: to tell whether by more takes {takes}"
    it_takes = power(found)
    if it_takes.seeds is None:
        return (
            f"to tell a difference of {EFFECT:g} % takes {it_takes.images} images, and more seeds"
        )
    if it_takes.seeds <= seeds:
        return f"a difference of {EFFECT:g} % would have been told: this one is smaller"
    return f"to tell a difference of {EFFECT:g} % takes {_seeds(it_takes.seeds, seeds)}"


def law_words(law: Law) -> str:
    """What a law that is open says of its largest point, and where a point would have to lie to decide it."""
    held, words = law.held_out, "the exponent may be 0"
    if held is not None and law.interval("exponent")[0] > 0:
        words = f"of the largest point the law is off by {100 * held.error:+.1f} %, the point before it by "
        words += (
            f"{100 * held.baseline_error:+.1f} %, and points scatter by {100 * law.scatter:.1f} %"
        )
    factor = farther(law)
    if factor is None:
        return f"{words}: no larger point would tell, so near is the floor"
    return f"{words}: to tell takes a point at {factor:.2g} times the compute of the largest"


def farther(law: Law) -> float | None:
    """By what factor of its variable a law falls by twice its scatter beyond the largest point; None: nowhere."""
    level = float(law.predict(law.largest[0]))
    above, left = level - law.offset, level * np.exp(-2 * law.scatter) - law.offset
    if law.exponent <= 0 or left <= 0:
        return None
    return float((above / left) ** (1 / law.exponent))


def _seeds(wanted: int, there: int) -> str:
    return f"{wanted} seeds of each network, in place of {there}"
