"""Masks and plain numbers: majority, mean probability, mean.

Sums are taken in rising order of the draws, pixel by pixel, so that their order does not matter to the last bit.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.tasks.merge.rank import count_draws, sort


def vote(
    draws: Bool[Tensor, "N *map"],
) -> tuple[Bool[Tensor, "*map"], Float[Tensor, "*map"]]:
    """True where more than half of the draws are; the share of draws that disagree, in [0, 0.5]."""
    share = draws.float().sum(0) / count_draws(draws)
    return share > 0.5, torch.minimum(share, 1 - share)


def mean_vote(
    draws: Float[Tensor, "N *map"],
) -> tuple[Bool[Tensor, "*map"], Float[Tensor, "*map"]]:
    """A vote in which draws may be unsure: where the mean probability is above one half.

    For certain draws (0 or 1) it is `vote`.

    Args:
        draws: the probability of each draw that the pixel belongs to the mask, in [0, 1].

    Returns:
        mask, and the probability that it is wrong at a pixel, by the draws, in [0, 0.5].

    Raises:
        InputError: no draw.
    """
    share = _total(sort(draws)) / count_draws(draws)
    return share > 0.5, torch.minimum(share, 1 - share)


def mean(
    draws: Float[Tensor, "N *map"],
) -> tuple[Float[Tensor, "*map"], Float[Tensor, "*map"]]:
    """The mean and the standard deviation (over N, so that one draw has 0)."""
    count = count_draws(draws)
    rising = sort(draws)
    merged = _total(rising) / count
    return merged, (_total((rising - merged).square()) / count).sqrt()


def _total(draws: Float[Tensor, "N *map"]) -> Float[Tensor, "*map"]:
    """Their sum, added one after another."""
    total = draws[0].clone()
    for draw in draws[1:]:
        total += draw
    return total
