"""Pairs as a further look shows them: what is shown and what is learnt belong together."""

import numpy as np
import pytest
import torch

from lookharder.data.example import Example
from lookharder.seeding import numpy_generator
from lookharder.tasks.closer.rests import guess
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow

SIDE = 48


def picture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A picture that is known between its pixels too, (3, H, W) uint8."""
    waves = [np.sin(x / 5 + i) * np.cos(y / 7 - i) for i in range(3)]
    return np.rint(127.5 + 100 * np.stack(waves)).astype(np.uint8)


def pair(motion: tuple[float, float]) -> Example:
    """Two frames between which everything moves alike."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    flow = np.broadcast_to(np.array(motion, np.float32)[:, None, None], (2, SIDE, SIDE)).copy()
    return Example(
        name="waves",
        image=picture(x, y),
        second=picture(x - motion[0], y - motion[1]),
        flow=flow,
        flow_valid=np.ones((SIDE, SIDE), bool),
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_frame_shown_is_the_first_moved_by_what_is_learnt(seed: int):
    seen = Flow().further_look(pair((3.0, -2.0)), numpy_generator(seed))
    assert seen.flow is not None and seen.second is not None
    y, x = np.mgrid[:SIDE, :SIDE]
    expected = picture(x - seen.flow[0], y - seen.flow[1]).astype(float)
    inner = (slice(None), slice(10, -10), slice(10, -10))  # beyond, the border goes on
    assert np.abs(seen.second[inner] - expected[inner]).max() <= 3  # bilinear, and rounded twice
    assert np.abs(seen.flow).mean() < 3.6 and seen.flow.std() > 0


def test_another_generator_makes_another_guess_and_the_same_one_the_same():
    first, again, other = (
        Flow().further_look(pair((1.0, 0.0)), numpy_generator(seed)).flow for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_motion_that_is_not_known_says_nothing():
    known = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    known[:20, :30] = True
    flow = torch.randn(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    noisy = torch.where(known, flow, torch.nan)
    torch.testing.assert_close(
        guess(noisy, known, numpy_generator(2)), guess(flow, known, numpy_generator(2))
    )
    nothing = guess(noisy, torch.zeros_like(known), numpy_generator(2))
    assert nothing.isfinite().all()


def test_tasks_whose_looks_are_alike_and_pairs_without_motion_stay():
    example = pair((1.0, 0.0))
    assert Depth().further_look(example, numpy_generator(0)) is example
    still = Example(name="still", image=example.image)
    assert Flow().further_look(still, numpy_generator(0)) is still
