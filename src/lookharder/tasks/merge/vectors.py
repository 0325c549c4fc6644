"""The median of vectors, e.g. of flow in pixels: no fit, no normalisation.

The geometric median has the least sum of distances to the draws and turns with the axes, which a median of u and of v
does not. Weiszfeld's iteration (1937) is the mean of the draws, each weighted by 1 / its distance:

    m <- sum_i w_i d_i / sum_i w_i          w_i = 1 / sqrt(|d_i - m|^2 + smoothing^2)

It goes on at a pixel until that pixel stands still, and leaves it alone from then on; so a picture's result does not
depend on what else is in the batch.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.tasks.merge.moments import own_order
from lookharder.tasks.merge.rank import count_draws, median

STILL = 0.1  # of the smoothing: a step this small ends a pixel's iteration
RUN = 2**13  # pixels at a time on a CPU: their draws stay in the cache


@torch.no_grad()
def vector_median(
    draws: Float[Tensor, "N *B 2 H W"],
    *,
    component_wise: bool = False,
    iterations: int = 50,
    smoothing: float = 1e-3,
) -> tuple[Float[Tensor, "*B 2 H W"], Float[Tensor, "*B H W"]]:
    """The vector with the least sum of distances to the draws: a median that rotates with them.

    Args:
        draws: vectors, e.g. flow in pixels, for any batch of pictures.
        component_wise: take the median of u and of v instead, which is where the iteration starts.
        iterations: at most.
        smoothing: in the unit of the draws; a distance d counts as sqrt(d^2 + smoothing^2), finite
            weight at d = 0.

    Returns:
        merged, and the median distance of the draws to it in the same unit. Bit for bit the same for
        any order of the draws and for any batch.

    Raises:
        InputError: no draw.
    """
    # Between two draws every point is a median: keep the middle, the one that is free of order.
    still = component_wise or count_draws(draws) <= 2
    batch = draws.shape[1:-3]
    pictures = draws.reshape(len(draws), -1, *draws.shape[-3:]).double()  # (N, B, 2, H, W)
    merged = torch.empty_like(pictures[0])
    spread = torch.empty_like(merged[:, 0])
    for i in range(len(merged)):
        vectors = pictures[own_order(pictures[:, i].flatten(1)), i].flatten(2)  # (N, 2, P)
        middle, distance = merged[i].flatten(1), spread[i].flatten()
        run = RUN if draws.device.type == "cpu" else vectors.shape[2]
        for start in range(0, vectors.shape[2], run):
            part = vectors[..., start : start + run]
            found = median(part)[0]
            if not still:
                found = _weiszfeld(part, found, iterations, smoothing)
            middle[:, start : start + run] = found
            distance[start : start + run] = median(_length(part - found))[0]
    merged, spread = merged.to(draws.dtype), spread.to(draws.dtype)
    return merged.reshape(*batch, *merged.shape[1:]), spread.reshape(*batch, *spread.shape[1:])


def _weiszfeld(
    vectors: Float[Tensor, "N 2 P"], start: Float[Tensor, "2 P"], iterations: int, smoothing: float
) -> Float[Tensor, "2 P"]:
    """The iteration, on the pixels that still move."""
    merged, here = start.clone(), start
    moving = torch.arange(start.shape[1], device=start.device)
    vectors = torch.cat([vectors, torch.ones_like(vectors[:, :1])], dim=1)  # (N, 3, P): u, v, 1
    for _ in range(iterations):
        u, v = (vectors[:, :2] - here).square_().unbind(1)
        weight = (u + v).add_(smoothing**2).sqrt_().reciprocal_()  # (N, P)
        total = _total(weight[:, None] * vectors)  # (3, P)
        following = total[:2] / total[2]
        moved = (following - here).abs_().amax(0) > STILL * smoothing
        merged[:, moving] = here = following
        if not moved.all():
            here, moving, vectors = here[:, moved], moving[moved], vectors[..., moved]
        if not len(moving):
            break
    return merged


def _total(draws: Float[Tensor, "N *map"]) -> Float[Tensor, "*map"]:
    """Their sum, by halves; `sum(0)` rounds by the place of a pixel in the map, this does not."""
    while len(draws) > 1:
        half = len(draws) // 2
        folded = draws[:half] + draws[half : 2 * half]
        if len(draws) % 2:
            folded[0] += draws[-1]
        draws = folded
    return draws[0]


def _length(vectors: Float[Tensor, "N 2 P"]) -> Float[Tensor, "N P"]:
    u, v = vectors.unbind(1)
    return (u * u + v * v).sqrt()
