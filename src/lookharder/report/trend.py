"""Does a gain grow with the network? Its slope over the logarithm of what a network costs.

    slope = sum over networks of c gain,   c = (x - mean x) / sum (x - mean x)²,   x = log10 MACs of one forward

Images are resampled, the same for all networks; what other seeds would change of a gain is taken to be the same for all
networks, and independent.
"""

from collections.abc import Sequence

import numpy as np

from lookharder.report.compare import RESAMPLES, Gain, Pair, Strata, scatter
from lookharder.seeding import numpy_generator

LEAST_NETWORKS = 3  # of a slope


def trend(strata: Strata, seed: int = 0) -> Gain | None:
    """Percent of the error that is gained more, for ten times the multiply-adds of a network.

    Args:
        strata: of one network each, all of its seeds asked in the same two ways.
        seed: of the resampling.

    Returns:
        None where there are fewer than three networks, values of single images are not kept, or no network has two
        seeds.
    """
    from scipy.stats import t as student

    found = [scatter({key: pairs}, numpy_generator(seed, "gain")) for key, pairs in strata.items()]
    each = [one for one in found if one is not None]
    free = sum(one.free for one in each)
    if len(each) < max(len(strata), LEAST_NETWORKS) or not free:
        return None
    x = np.log10([_forward(pairs) for pairs in strata.values()])
    share = (x - x.mean()) / np.square(x - x.mean()).sum()
    value = float(share @ [one.value for one in each])
    variance = sum(one.of_seeds * one.free for one in each) / free
    error = np.sqrt(variance * sum(c**2 / one.seeds[0] for c, one in zip(share, each, strict=True)))
    order = numpy_generator(seed, "trend").permutation(RESAMPLES)
    again = share @ np.stack([one.of_images for one in each])
    again = again + error * student.ppf((order + 0.5) / RESAMPLES, free)
    low, high = np.quantile(again, [0.025, 0.975])
    return Gain(value=value, low=min(float(low), value), high=max(float(high), value))


def _forward(pairs: Sequence[Pair]) -> float:
    """Multiply-adds of one forward of the network of some pairs."""
    before = pairs[0][0]
    calls = int(before.point.get("steps", 1)) * int(before.point.get("members", 1))
    return float(before.inference_macs / calls)
