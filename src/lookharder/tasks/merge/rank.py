"""Order statistics over N draws, all pixels at once: minimum and maximum of whole rows, no sort per pixel.

A sorting network is a fixed list of comparators (i, j): row i becomes the smaller of the two, row j the larger.
Batcher's merge exchange (1968) has 31 of them for N = 10, against 45 of a bubble sort and a provable least of 29.

The median absolute deviation needs no second sort. Around the median m of sorted rows x_1 .. x_N the deviations are
two sorted lists, and with h = N // 2

    a_r = m - x_r      (r = 1 .. h, falling)          b_r = x_(N-h+r) - m      (r = 1 .. h, rising)

so the h smallest of all 2h are min(a_r, b_r): the largest of these is the h-th smallest deviation, the least of
max(a_r, b_r) the next one. For odd N the middle row adds a 0, and the median deviation is the h-th of the rest; for
even N it is the mean of the h-th and the next.

Pixels are taken in runs that stay in the cache. Every operation is a single IEEE rounding, so a pixel's result depends
on its own N values alone: not on their order, on the run or on the number of threads.
"""

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.errors import InputError

RUN = 2**15  # pixels of one run for each thread: torch hands out work in lots of this size


@cache
def comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Batcher's network for `count` rows (Knuth, volume 3, 5.2.2 M), pairs (i, j), i < j, in the order of use."""
    found: list[tuple[int, int]] = []
    top = 1 << max(count - 1, 0).bit_length() >> 1  # greatest power of two below count
    bit = top
    while bit:
        apart, match, partner = bit, 0, top
        while True:
            found += [(i, i + apart) for i in range(count - apart) if i & bit == match]
            if partner == bit:
                break
            apart, match, partner = partner - bit, bit, partner // 2
        bit //= 2
    return tuple(found)


def sort_rows(rows: list[Tensor], spare: Tensor) -> tuple[list[Tensor], Tensor]:
    """Sorts N equal tensors element by element, in place; `spare` is another such tensor.

    Returns:
        the rows in rising order and the spare one: the N + 1 tensors that came, in new roles.
    """
    rows = list(rows)
    for i, j in comparators(len(rows)):
        torch.minimum(rows[i], rows[j], out=spare)
        torch.maximum(rows[i], rows[j], out=rows[j])
        rows[i], spare = spare, rows[i]
    return rows, spare


@torch.no_grad()
def sort(draws: Float[Tensor, "N *map"]) -> Float[Tensor, "N *map"]:
    """A sorted copy over the first axis."""
    rows, _ = sort_rows(list(draws.clone().unbind(0)), torch.empty_like(draws[0]))
    return torch.stack(rows)


@torch.no_grad()
def median(
    draws: Float[Tensor, "N *map"],
) -> tuple[Float[Tensor, "*map"], Float[Tensor, "*map"]]:
    """The true median (mean of the middle two for even N) and the median absolute deviation.

    Args:
        draws: numbers in any unit, at least one draw.

    Returns:
        median and deviation in the unit and type of the draws.

    Raises:
        InputError: no draw.
    """
    count_draws(draws)
    flat = draws.flatten(1) if draws.dim() > 1 else draws[:, None]
    merged, spread = medians(flat, lambda part, out: out.copy_(part))
    return merged.reshape(draws.shape[1:]), spread.reshape(draws.shape[1:])


def lower_median(draws: Float[Tensor, "N *map"]) -> Float[Tensor, "*map"]:
    """The lower of the middle two for even N: what `torch.median` returns, several times sooner."""
    return sort(draws)[(len(draws) - 1) // 2]


def medians(
    draws: Float[Tensor, "N P"], place: Callable[[Tensor, Tensor], object]
) -> tuple[Float[Tensor, "P"], Float[Tensor, "P"]]:
    """Median and deviation of `place(draws)`, which is made a run at a time and never whole.

    Args:
        draws: N rows of P pixels.
        place: writes what belongs to the draws (N, p) of a run into its second argument (N, p).
    """
    count, pixels = draws.shape
    step = run_length(draws)
    work = draws.new_empty(count + 1, min(step, pixels))
    merged, spread = draws.new_empty(pixels), draws.new_empty(pixels)
    for start in range(0, pixels, step):
        run = slice(start, min(start + step, pixels))
        part = work[:, : run.stop - run.start]
        place(draws[:, run], part[:count])
        rows, spare = sort_rows(list(part[:count].unbind(0)), part[count])
        _middle(rows, merged[run])
        _deviation(rows, merged[run], spare, spread[run])
    return merged, spread


def run_length(draws: Tensor) -> int:
    """Pixels to take at once: a lot for each thread, or everything where memory is the accelerator's."""
    return RUN * torch.get_num_threads() if draws.device.type == "cpu" else max(draws[0].numel(), 1)


def count_draws(draws: Tensor) -> int:
    """How many draws there are; none is an `InputError`."""
    if len(draws) == 0:
        raise InputError("draws", "none", "at least one draw")
    return len(draws)


def _middle(rows: list[Tensor], out: Tensor) -> None:
    """The median of sorted rows."""
    half = len(rows) // 2
    if len(rows) % 2:
        out.copy_(rows[half])
    else:
        torch.add(rows[half - 1], rows[half], out=out).div_(2)


def _deviation(rows: list[Tensor], middle: Tensor, spare: Tensor, out: Tensor) -> None:
    """The median of |row - middle| for sorted rows, which are overwritten; the formula above."""
    half, even = len(rows) // 2, len(rows) % 2 == 0
    out.zero_()
    following = None
    for below, above in zip(rows[:half], rows[len(rows) - half :], strict=True):
        torch.sub(middle, below, out=below)
        torch.sub(above, middle, out=above)
        torch.minimum(below, above, out=spare)
        torch.maximum(out, spare, out=out)
        if even:
            torch.maximum(below, above, out=above)
            following = above if following is None else torch.minimum(following, above, out=above)
    if following is not None:
        out.add_(following).div_(2)
