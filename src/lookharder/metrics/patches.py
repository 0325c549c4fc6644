"""Do pictures look like the truth, whatever they are pictures of? The distance between the patches of two sets.

    W = mean over directions of the integral of |F - G|        F, G: distributions of patches along a direction

It is the sliced Wasserstein distance of order 1 (Rabin et al. 2011) of all patches of a set, each less its mean: a
measure of perception in the sense of Blau & Michaeli (1711.06077), which a blurred answer has large and a sharp one
small, right or wrong. Distributions are counted on a grid: then another choice of pictures is another mean of counts.
"""

import numpy as np
from jaxtyping import Bool, Float

from lookharder.errors import InputError
from lookharder.metrics.statistics import Interval
from lookharder.seeding import numpy_generator

SIDE = 4  # of a patch, pixels
DIRECTIONS = 32
BINS = 512
REACH = 2.0  # the grid goes from minus to plus so much, the norm of a patch of zeros and ones less its mean


def patch_cdfs(
    maps: Float[np.ndarray, "N H W"],
    seed: int = 0,
    known: Bool[np.ndarray, "N H W"] | None = None,
) -> Float[np.ndarray, "D bins"]:
    """Distribution of the patches of some maps along each direction, on the grid.

    Args:
        maps: values of which patches hold differences of at most 1, say depths in [0, 1]; N >= 1.
        seed: key of the directions.
        known: where they are known: patches lie within; None = everywhere.

    Raises:
        InputError: maps smaller than a patch, or known in none.
    """
    if min(maps.shape[-2:]) < SIDE:
        raise InputError("maps", f"shape {maps.shape}", f"(N, H, W), sides of {SIDE} or more")
    patches = _patches(maps)
    if known is not None:
        patches = patches[_patches(known).all(1)]
    if not len(patches):
        raise InputError("known", "no whole patch", f"{SIDE} x {SIDE} pixels of a map at least")
    patches = patches - patches.mean(1, keepdims=True)
    directions = numpy_generator(seed, "patches").standard_normal((SIDE * SIDE, DIRECTIONS))
    directions -= directions.mean(0)  # patches have no mean
    along = patches @ (directions / np.linalg.norm(directions, axis=0))
    cells = ((along + REACH) * (BINS / (2 * REACH))).astype(int).clip(0, BINS - 1)
    counts = np.stack([np.bincount(column, minlength=BINS) for column in cells.T])
    cdf: np.ndarray = counts.cumsum(1) / len(patches)
    return cdf


def has_patch(known: Bool[np.ndarray, "H W"]) -> bool:
    """Whether a whole patch lies where a map is known."""
    return bool(min(known.shape) >= SIDE and _patches(known[None]).all(1).any())


def patch_distance(
    ours: Float[np.ndarray, "images D bins"],
    theirs: Float[np.ndarray, "images D bins"],
    seed: int = 0,
    resamples: int = 1000,
) -> Interval:
    """Distance between two sets of pictures, in the unit of the values, with its 95 % interval by the bootstrap.

    Chance adds to a distance, so that of a resampled set is no guide to its ends. How far resampled sets lie from the
    set itself is: by the triangle inequality the true distance is within that of the value.

    Args:
        ours: `patch_cdfs` of each picture of one set.
        theirs: of the other's, picture for picture of the same scenes.
        seed: of the resampling.
        resamples: how many sets are drawn.
    """
    apart = (ours - theirs).reshape(len(ours), -1)
    even = np.full(len(ours), 1 / len(ours))
    chosen = numpy_generator(seed, "bootstrap").multinomial(len(ours), even, resamples) / len(ours)
    cell = 2 * REACH / BINS
    value = float(np.abs(apart.mean(0)).mean() * BINS * cell)
    moved = np.abs((chosen - even) @ apart).mean(1) * BINS * cell
    chance = float(np.quantile(moved, 0.95))
    return Interval(value, max(0.0, value - chance), value + chance)


def _patches(maps: np.ndarray) -> np.ndarray:
    """All of their patches, (patches, pixels)."""
    windows = np.lib.stride_tricks.sliding_window_view(maps, (SIDE, SIDE), axis=(-2, -1))
    patches: np.ndarray = windows.reshape(-1, SIDE * SIDE)
    return patches
