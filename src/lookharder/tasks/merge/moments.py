"""Weighted means and covariances of N draws over P pixels: one reading, exact to the type of the draws.

Depth can be 1000 +- 0.01, where sums of squares in float32 lose everything. So pixels are taken in blocks; each block
has an anchor c of its own (about its mean), and the matrix of z = x - c with a row of ones below it,

    G = [z; 1] diag(w) [z; 1]'   ->   sum w z z',  sum w z,  sum w

holds all moments of the block in one product. Blocks are joined in float64 (Chan, Golub and LeVeque 1979): with the
weight n_b, mean m_b and scatter S_b of each,

    m = sum n_b m_b / n          C = (sum S_b + sum n_b (m_b - m)(m_b - m)') / n

A matrix product rounds by the place of a row, so the rows are put in an order of their own first, found from what is
in them: the moments then do not depend on the order of the draws, to the last bit.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.tasks.merge.rank import run_length

BLOCK = 4096  # pixels whose products are summed in the type of the draws
PROBES = 64  # pixels that are compared to put draws in order, before all are


def own_order(draws: Float[Tensor, "N P"]) -> list[int]:
    """Indices that sort the draws by their values, first pixel first: the same sequence of draws, however they came.

    Ties are equal draws. A sample of the pixels settles it unless two draws agree on all of it.
    """
    for pixels in (draws[:, :: max(draws.shape[1] // PROBES, 1)], draws):
        distinct, place = pixels.nan_to_num().unique(dim=0, return_inverse=True)
        if len(distinct) == len(draws):
            break
    order: list[int] = place.argsort(stable=True).tolist()
    return order


def moments(
    draws: Float[Tensor, "N P"], order: list[int], weight: Float[Tensor, "P"] | None = None
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N N"]]:
    """Means and covariances (over the sum of weights) in float64.

    Args:
        draws: float32 or float64; products are made in this type.
        order: the rows to use and their order in the result, e.g. `own_order(draws)`.
        weight: of each pixel, >= 0, not all 0, same type; None for equal weights.

    Returns:
        mean (N,) and covariance (N, N), in that order. Not finite where the draws are not.
    """
    count, pixels = len(order), draws.shape[1]
    step = run_length(draws)
    work = draws.new_ones(count + 1, min(step, pixels))
    scaled = None if weight is None else torch.empty_like(work)
    found = []
    for start in range(0, pixels, step):
        run = draws[:, start : start + step]
        blocks = run.shape[1] // BLOCK * BLOCK
        for part in (slice(0, blocks), slice(blocks, run.shape[1])):  # whole blocks, and the rest
            if part.start < part.stop:
                split = (-1, min(BLOCK, part.stop - part.start))
                found.append(
                    _blocks(
                        run[:, part].unflatten(1, split),
                        order,
                        work[:, part].unflatten(1, split),
                        None if weight is None else weight[start:][part].unflatten(0, split),
                        None if scaled is None else scaled[:, part].unflatten(1, split),
                    )
                )
    totals, means, scatters = (torch.cat(parts) for parts in zip(*found, strict=True))
    total = totals.sum()
    mean = (totals[:, None] * means).sum(0) / total
    apart = means - mean
    between = (totals[:, None] * apart).mT @ apart
    return mean, (scatters.sum(0) + between) / total


def _blocks(
    draws: Float[Tensor, "N b p"],
    order: list[int],
    work: Float[Tensor, "M b p"],
    weight: Float[Tensor, "b p"] | None,
    scaled: Float[Tensor, "M b p"] | None,
) -> tuple[Float[Tensor, "b"], Float[Tensor, "b N"], Float[Tensor, "b N N"]]:
    """Weight, mean and scatter of each of b blocks; the last row of `work` is 1, the others are written."""
    anchor = draws.mean(2)
    for row, out in zip(order, work, strict=False):  # all but the last row of `work`
        torch.sub(draws[row], anchor[row, :, None], out=out)
    left = work if weight is None else torch.mul(work, weight, out=scaled)
    gram = torch.bmm(left.transpose(0, 1), work.permute(1, 2, 0)).double()  # (b, N + 1, N + 1)
    total = gram[:, -1, -1]
    offset = gram[:, :-1, -1] / total.clamp_min(torch.finfo(gram.dtype).tiny)[:, None]
    scatter = gram[:, :-1, :-1] - total[:, None, None] * offset[:, :, None] * offset[:, None]
    return total, anchor[order].double().mT + offset, scatter
