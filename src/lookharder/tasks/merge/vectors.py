"""The median of vectors, e.g. of flow in pixels: no fit, no normalisation.

The geometric median m has the least sum of distances to the draws d_i, and turns with the axes, which a median of u and
of v does not. The sum has a kink at each draw and is smooth between them:

    at a draw      it is the least where the others pull, by unit vectors, with no more than 1 (Vardi and Zhang 2000)
    between draws  m <- m + H^-1 g, Newton's step: g = sum_i a_i / |a_i|, H = sum_i (I - a_i a_i' / |a_i|^2) / |a_i|
                   with a_i = d_i - m, halved until it lowers the sum

It starts from a point that costs less than every draw, so it never comes to a kink. It goes on at a pixel until that
pixel stands still, and leaves it alone from then on: a picture's result does not depend on what else is in the batch.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.tasks.merge.moments import own_order
from lookharder.tasks.merge.rank import count_draws, median

HALVINGS = 30  # of a step that does not lower the sum
SAME = 8  # roundings of a sum of distances that do not make it another
RUN = 2**13  # pixels at a time on a CPU: their draws stay in the cache


@torch.no_grad()
def vector_median(
    draws: Float[Tensor, "N *B 2 H W"],
    *,
    component_wise: bool = False,
    iterations: int = 50,
    still: float = 1e-4,
) -> tuple[Float[Tensor, "*B 2 H W"], Float[Tensor, "*B H W"]]:
    """The vector with the least sum of distances to the draws: a median that rotates with them.

    Args:
        draws: vectors, e.g. flow in pixels, for any batch of pictures; computed in their precision, 32 bits at least.
        component_wise: take the median of u and of v instead.
        iterations: at most.
        still: a step this small, in the unit of the draws, ends a pixel's iteration.

    Returns:
        merged, and the median distance of the draws to it in the same unit. Bit for bit the same for
        any order of the draws and for any batch.

    Raises:
        InputError: no draw.
    """
    # Between two draws every point is a median: keep the middle, the one that is free of order.
    middle_is_it = component_wise or count_draws(draws) <= 2
    batch = draws.shape[1:-3]
    pictures = draws.reshape(len(draws), -1, *draws.shape[-3:])  # (N, B, 2, H, W)
    pictures = pictures.to(torch.promote_types(draws.dtype, torch.float32))
    merged = torch.empty_like(pictures[0])
    spread = torch.empty_like(merged[:, 0])
    for i in range(len(merged)):
        vectors = pictures[own_order(pictures[:, i].flatten(1)), i].flatten(2)  # (N, 2, P)
        middle, distance = merged[i].flatten(1), spread[i].flatten()
        run = RUN if draws.device.type == "cpu" else vectors.shape[2]
        for start in range(0, vectors.shape[2], run):
            part = vectors[..., start : start + run]
            found = median(part)[0]
            if not middle_is_it:
                found = _geometric(part, found, iterations, still)
            middle[:, start : start + run] = found
            distance[start : start + run] = median(_length(part - found))[0]
    merged, spread = merged.to(draws.dtype), spread.to(draws.dtype)
    return merged.reshape(*batch, *merged.shape[1:]), spread.reshape(*batch, *spread.shape[1:])


def _geometric(
    vectors: Float[Tensor, "N 2 P"], middle: Float[Tensor, "2 P"], iterations: int, still: float
) -> Float[Tensor, "2 P"]:
    """The geometric median, sought from the middle, or where a draw is better from there."""
    draw, least = _best_draw(vectors)
    far = _length(vectors - middle)
    better = (_total(far) <= _same(least)) & (far > 0).all(0)
    start = torch.where(better, middle, draw)
    other = (~better).nonzero()[:, 0]
    start[:, other] = _leave(vectors[..., other], draw[:, other])
    moving = (start != draw).any(0).nonzero()[:, 0]
    start[:, moving] = _descend(vectors[..., moving], start[:, moving], iterations, still)
    return start


def _best_draw(
    vectors: Float[Tensor, "N 2 P"],
) -> tuple[Float[Tensor, "2 P"], Float[Tensor, "P"]]:
    """The draw with the least sum of distances to the others, and that sum."""
    costs = torch.zeros_like(vectors[:, 0])
    for apart in range(1, len(vectors)):  # each pair once
        distance = _length(vectors[apart:] - vectors[:-apart])
        costs[apart:] += distance
        costs[:-apart] += distance
    least, place = costs.min(0)
    return vectors.gather(0, place.expand(1, 2, -1))[0], least


def _leave(vectors: Float[Tensor, "N 2 P"], draw: Float[Tensor, "2 P"]) -> Float[Tensor, "2 P"]:
    """The draw where it is the median, else a point that costs less (Vardi and Zhang)."""
    away = vectors - draw
    far = _length(away)
    near = 1 / far.where(far > 0, torch.inf)  # the draw itself, and others on it, have no direction
    pull = _total(near[:, None] * away)
    own, strength = _total((far == 0).to(far.dtype)), _length(pull[None])[0]
    share = (1 - own / strength.clamp(min=1e-300)).clamp(min=0)
    return draw + torch.where(share > 0, share * pull / _total(near), 0.0)


def _descend(
    vectors: Float[Tensor, "N 2 P"], start: Float[Tensor, "2 P"], iterations: int, still: float
) -> Float[Tensor, "2 P"]:
    """Newton's steps from where every draw costs more, on the pixels that still move."""
    found, here = start.clone(), start
    moving = torch.arange(start.shape[1], device=start.device)
    away = vectors - here
    far = _length(away)
    for _ in range(iterations):
        if not len(moving):
            break
        (u, v), near, cost = away.unbind(1), far.reciprocal(), _total(far)
        across = near**3 * v
        parts = torch.stack([near, near * u, near * v, across * u, across * v], 1)
        weight, g_u, g_v, h_uv, h_uu = _total(parts)  # H = [h_uu, -h_uv; -h_uv, weight - h_uu]
        h_vv = weight - h_uu
        step = torch.stack([h_vv * g_u + h_uv * g_v, h_uv * g_u + h_uu * g_v])
        step = step / (h_uu * h_vv - h_uv * h_uv)
        moved = step.abs().amax(0) > still
        away, far, lower = _look(vectors, here + step, cost)
        for _ in range(HALVINGS):
            if not (too_long := moved & ~lower).any():
                break
            step = torch.where(too_long, step / 2, step)
            away, far, lower = _look(vectors, here + step, cost)
        step = step.where(lower, 0.0)  # no step is short enough: rounding is all that is left
        found[:, moving] = here = here + step
        moved &= lower
        if not moved.all():
            here, moving, vectors = here[:, moved], moving[moved], vectors[..., moved]
            away, far = away[..., moved], far[:, moved]
    return found


def _look(
    vectors: Float[Tensor, "N 2 P"], point: Float[Tensor, "2 P"], cost: Float[Tensor, "P"]
) -> tuple[Float[Tensor, "N 2 P"], Float[Tensor, "N P"], Bool[Tensor, "P"]]:
    """Ways from a point to the draws, their lengths, and where the sum of these is no more than a cost."""
    away = vectors - point
    far = _length(away)
    return away, far, _total(far) <= _same(cost)


def _same(cost: Float[Tensor, "P"]) -> Float[Tensor, "P"]:
    """The most that rounding makes of a sum of distances."""
    return cost * (1 + SAME * torch.finfo(cost.dtype).eps)


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
