"""By how many seeds would the scatter that was measured decide a gain of so many percent?

    error²  = spread of the gain on other images² + variance between seeds * sum over networks of (share² / n)
    power   = P(T > t_0.975),   T: Student's t around effect / error with (n - 1) degrees of freedom a network

A comparison decides an effect where an effect of that size would leave 0 outside its interval four times in five. More
seeds do not narrow what other images would change: where that alone is too wide, more images are what is lacking.
"""

from dataclasses import dataclass

import numpy as np

from lookharder.report.compare import Scatter

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
    if high < 0 > needed:
        return f"worse, by about the {-needed:g} % that are allowed"
    if found is None:
        return ""
    if not found.free:
        return "one seed: the interval is over images alone"
    it_takes = power(found)
    if it_takes.seeds is not None and it_takes.seeds <= seeds:
        return f"{EFFECT:g} % would have been told"
    if it_takes.seeds is not None:
        return f"to tell {EFFECT:g} % takes {it_takes.seeds} seeds"
    return f"to tell {EFFECT:g} % takes {it_takes.images} images, and seeds"
