"""Depth of a clip: less flicker, the same depth, no drift, and nothing carried over a cut."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lookharder.errors import InputError
from lookharder.predict.files.steady import LEAK, SteadyFrame, steady

RNG = np.random.default_rng(0)
H, W, STEP = 48, 64, 2
WIDE = 400  # of the scene that frames pass over


def smooth(sigma: float) -> np.ndarray:
    """A random field between 0 and 1."""
    field = gaussian_filter(RNG.normal(size=(H, WIDE)), sigma)
    return (field - field.min()) / (field.max() - field.min())


PICTURE = (255 * np.stack([smooth(2.0)] * 3)).astype(np.uint8)
DEPTH = smooth(8.0).astype(np.float32)


def frame(i: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame i of a camera that moves to the right: picture and depth."""
    seen = np.s_[..., i * STEP : i * STEP + W]
    return PICTURE[seen], DEPTH[seen]


def clip(count: int, *, scale: float = 1.0, shift: float = 0.0, noise: float = 0.0) -> SteadyFrame:
    """The last of so many frames whose answers are in another scale than the first's, and noisy."""
    last = None
    for i in range(count):
        image, depth = frame(i)
        own = scale * depth + shift if i else depth
        own = (own + RNG.normal(0, noise, (H, W))).clip(0, 1).astype(np.float32)
        last = steady(last, image, own, 0.5)
    return last


def test_scale_and_noise_of_a_frame_do_not_flicker():
    found, (_, wanted) = clip(2, scale=0.6, shift=0.3, noise=0.02), frame(1)
    assert np.abs(found.alone - wanted).mean() > 0.08
    assert np.abs(found.depth - wanted).mean() < 0.02


def test_where_nothing_is_known_a_frame_is_as_it_was_alone():
    before, (image, alone) = clip(3), frame(3)
    assert steady(None, image, alone, 0.5).depth is alone
    assert steady(before, image, alone, 0.0).depth is alone
    assert steady(before, image ^ 128, alone, 0.5).depth is alone, "after a cut"


def test_a_long_clip_does_not_fade():
    """Fitted to what is less noisy than itself, each answer would lose some of its range."""
    last, (_, truth) = clip(120, noise=0.05), frame(119)
    slope, _ = np.polyfit(truth.ravel(), last.depth.ravel(), 1)
    assert slope == pytest.approx(1, abs=0.1)
    assert np.abs(last.depth - truth).mean() < 0.8 * np.abs(last.alone - truth).mean()


def test_the_range_of_a_clip_follows_that_of_its_frames():
    """Answers that have another range from the second on are shown in it some 1 / LEAK frames later."""
    early, late = (clip(count, scale=0.6, shift=0.3) for count in (2, round(4 / LEAK)))
    apart = [np.abs(each.depth - each.alone).mean() for each in (early, late)]
    assert apart[0] > 0.08 and apart[1] < 0.1 * apart[0]


def test_a_frame_without_depth_ends_nothing():
    """Where an answer is flat it has no scale; the frames after it have theirs."""
    last = clip(3)
    flat = np.full_like(last.alone, 0.5)
    last = steady(last, frame(3)[0], flat, 0.5)
    assert last.depth is flat
    for i in (4, 5, 6):
        last = steady(last, *frame(i), 0.5)
        assert last.scale == pytest.approx(1, abs=0.1)
    assert np.abs(last.depth - frame(6)[1]).mean() < 0.02


def test_a_share_is_less_than_all():
    with pytest.raises(InputError, match="steady"):
        steady(clip(1), *frame(1), 1.0)
