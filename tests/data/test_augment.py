"""Augmentation keeps labels exact."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.data.augment import (
    augment,
    crop,
    crop_resize,
    cut,
    mirror,
    nearest,
    recolour,
    resize,
)
from lookharder.data.example import Example, collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.readers import open_data
from lookharder.errors import InputError
from lookharder.seeding import numpy_generator
from lookharder.tasks.amodal import Amodal


@cache
def example() -> Example:
    return ProceduralWorld(32, 5)[3]


def test_mirror_twice_is_nothing():
    twice = mirror(mirror(example()))
    for name, value in vars(example()).items():
        np.testing.assert_array_equal(getattr(twice, name), value)


def test_a_batch_is_mirrored_as_its_examples_are():
    """All of them, or those that are chosen."""
    examples = [scene(0), scene(1)]
    for chosen in ([True, True], [False, True]):
        whole = collate(examples).mirror(None if all(chosen) else torch.tensor(chosen))
        one_by_one = [mirror(e) if yes else e for e, yes in zip(examples, chosen, strict=True)]
        for name, value in vars(collate(one_by_one)).items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(getattr(whole, name), value, rtol=0, atol=0)


def test_mirrored_flow_points_at_the_mirrored_point():
    flipped = mirror(example())
    for row, column in [(3, 4), (20, 30), (31, 0)]:
        u, v = example().flow[:, row, column]
        arrives = column + u
        u2, v2 = flipped.flow[:, row, 31 - column]
        assert (31 - column) + u2 == np.float32(31 - arrives) or abs(
            31 - column + u2 - 31 + arrives
        ) < 1e-4
        assert v2 == v


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_recolouring_changes_no_label(seed):
    changed = recolour(example(), numpy_generator(seed))
    for name in ("depth", "depth_valid", "flow", "flow_valid", "occluded", "visible", "amodal"):
        assert getattr(changed, name) is getattr(example(), name)
    batch = collate([changed])
    mask = Amodal().from_image(Amodal().to_image(batch).images[None])[0, 0]
    np.testing.assert_array_equal(mask.numpy(), example().amodal)


def test_recolouring_is_one_map_for_both_frames():
    changed = recolour(example(), numpy_generator(1))
    values: dict[tuple, tuple] = {}
    for before, after in ((example().image, changed.image), (example().second, changed.second)):
        for old, new in zip(before.reshape(3, -1).T, after.reshape(3, -1).T, strict=True):
            assert values.setdefault(tuple(old), tuple(new)) == tuple(new)


def test_augment_is_a_function_of_its_key():
    first, again = (augment(example(), numpy_generator(9)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)


@cache
def scene(index: int, size: int = 64) -> Example:
    return ProceduralWorld(size, 8)[index]


SCENES = st.integers(0, 3)
SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=15, deadline=None)


def at(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear values of (3, H, W) at points inside the outermost centres, in float64."""
    x0, y0 = (
        np.clip(np.floor(c).astype(int), 0, n - 2)
        for c, n in zip((x, y), image.shape[:0:-1], strict=True)
    )
    wx, wy = x - x0, y - y0
    value = image.astype(np.float64)
    upper = value[:, y0, x0] * (1 - wx) + value[:, y0, x0 + 1] * wx
    lower = value[:, y0 + 1, x0] * (1 - wx) + value[:, y0 + 1, x0 + 1] * wx
    return upper * (1 - wy) + lower * wy


def mismatch(example: Example, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Largest difference of a channel to the second frame along the flow, where that can be seen; and where."""
    height, width = example.image.shape[1:]
    y, x = np.mgrid[:height, :width] + scale * example.flow.astype(np.float64)[::-1]
    seen = example.flow_valid & ~example.occluded
    seen &= (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    result = np.full((height, width), np.nan)
    moved = at(example.second, x[seen], y[seen])
    result[seen] = np.abs(moved - example.image[:, seen]).max(0)
    return result, seen


@FEW
@given(index=SCENES)
def test_mirrored_flow_fetches_the_same_colours(index: int):
    """The same numbers are interpolated: only x = 63 - (63 - x - u) - u is rounded, by float32's 4e-6 of 63."""
    before, seen = mismatch(scene(index))
    after, still = mismatch(mirror(scene(index)))
    np.testing.assert_array_equal(still[:, ::-1], seen)
    np.testing.assert_allclose(after[:, ::-1][seen], before[seen], atol=255 * 1e-5)


@FEW
@given(index=SCENES, seed=SEEDS, height=st.integers(8, 64), width=st.integers(8, 64))
def test_a_crop_fetches_the_same_colours(index: int, seed: int, height: int, width: int):
    """Every field is the window of itself; and what can be seen is seen, at the same difference."""
    example = scene(index)
    part = crop(example, numpy_generator(seed), (height, width))
    generator = numpy_generator(seed)
    top, left = (int(generator.integers(64 - side + 1)) for side in (height, width))
    window = (..., slice(top, top + height), slice(left, left + width))
    for name, value in vars(example).items():
        if isinstance(value, np.ndarray) and name != "occluded":
            np.testing.assert_array_equal(getattr(part, name), value[window])
    before, after = mismatch(example)[0][window], mismatch(part)[0]
    seen = ~np.isnan(after)
    np.testing.assert_allclose(after[seen], before[seen], atol=1e-9)


@FEW
@given(index=SCENES, seed=SEEDS, side=st.integers(8, 63))
def test_what_leaves_the_crop_is_occluded_there(index: int, seed: int, side: int):
    example = scene(index)
    generator = numpy_generator(seed)
    top, left = (int(generator.integers(64 - side + 1)) for _ in range(2))
    part = cut(example, top, left, side, side)
    for row in range(0, side, 5):
        for column in range(side):
            u, v = example.flow[:, top + row, left + column]
            x, y = column + u, row + v  # the pixel (x, y) covers x - 1/2 to x + 1/2
            inside = -0.5 <= x <= side - 0.5 and -0.5 <= y <= side - 0.5
            hidden = bool(example.occluded[top + row, left + column])
            assert part.occluded[row, column] == (hidden or not inside)


def test_a_crop_outside_is_refused():
    for window in ((0, 0, 65, 8), (-1, 0, 8, 8), (60, 0, 8, 8), (0, 0, 0, 8)):
        with pytest.raises(InputError, match="crop: got rows"):
            cut(scene(0), *window)
    with pytest.raises(InputError, match="crop"):
        crop(scene(0), numpy_generator(0), (8, 65))
    with pytest.raises(InputError, match="resize"):
        resize(scene(0), 0, 8)


@pytest.mark.parametrize("index", range(2))
def test_a_third_of_the_size_is_the_scene_rendered_at_that_size(index: int):
    """Of 3 x 3 pixels the middle one has the centre of the new one: geometry's own answer, to rounding."""
    small, shrunk = scene(index, 32), resize(scene(index, 96), 32, 32)
    for name in ("depth_valid", "visible", "amodal", "flow_valid", "occluded"):
        np.testing.assert_array_equal(getattr(shrunk, name), getattr(small, name), err_msg=name)
    known = small.depth_valid
    np.testing.assert_allclose(shrunk.depth[known], small.depth[known], rtol=1e-5)
    own = small.flow_valid
    error = np.abs(shrunk.flow - small.flow)[:, own]
    assert error.max() <= 0.5 / 3 + 1e-3  # half an old pixel
    assert np.median(error) < 0.01
    larger = resize(small, 96, 96)  # and back: each centre keeps what it had
    middle = (..., slice(1, None, 3), slice(1, None, 3))
    for name in ("depth", "depth_valid", "visible", "amodal", "flow_valid", "occluded"):
        np.testing.assert_array_equal(getattr(larger, name)[middle], getattr(small, name))
    np.testing.assert_allclose(larger.flow[middle][:, own] / 3, small.flow[:, own], atol=0.51)


def spread(image: np.ndarray, radius: int) -> np.ndarray:
    """Largest less smallest value within `radius` pixels, the worst channel."""
    padded = np.pad(image.astype(int), ((0, 0), (radius, radius), (radius, radius)), mode="edge")
    window = (2 * radius + 1, 2 * radius + 1)
    around = np.lib.stride_tricks.sliding_window_view(padded, window, axis=(1, 2))
    return (around.max((-1, -2)) - around.min((-1, -2))).max(0)


def test_twice_the_size_still_leads_to_the_same_colours():
    """The bound, not a guess, for the new pixel X inside the old pixel p that moves to t = p + flow(p):

        |new1(X) - new2(X + new flow)| <= mismatch(p) + spread of image around p + spread of second around t + 1

    X lies 1/4 from p, so new1(X) mixes neighbours of p. The new flow is within 1/2 of that of p, so X + flow lies
    within 3/4 of t, the new pixels mixed there within 1/2 more, the old ones these mix within 1 more: 2.25 < 3 of the
    pixel below t. Each picture is rounded once, by 1/2.
    """
    broken = 0
    for index in range(4):
        example = scene(index)
        twice = resize(example, 128, 128)
        before, seen = mismatch(example)
        y, x = (np.mgrid[:64, :64] + example.flow[::-1]).clip(0, 63).astype(int)
        allowed = before + spread(example.image, 1) + spread(example.second, 3)[y, x] + 1
        allowed = allowed.repeat(2, 0).repeat(2, 1)
        maps = {scale: mismatch(twice, scale) for scale in (1.0, 0.5, 2.0, -1.0)}
        both = np.all([still for _, still in maps.values()], 0) & seen.repeat(2, 0).repeat(2, 1)
        assert both.mean() > 0.3
        assert (maps[1.0][0][both] <= allowed[both] + 1e-6).all()
        means = {scale: after[both].mean() for scale, (after, _) in maps.items()}
        assert min(means, key=means.get) == 1.0  # no other scale of the flow fits as well
        broken += (maps[-1.0][0][both] > allowed[both]).sum()
    assert broken > 100  # the bound is one that wrong flow breaks


@FEW
@given(height=st.integers(4, 70), width=st.integers(4, 70), a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_depth_of_a_resized_plane(height: int, width: int, a: float, b: float):
    """A slope times half an old pixel each way: labels are those of the old pixel under the new centre."""
    rows, columns = 24, 36

    def plane(h: int, w: int) -> np.ndarray:
        y, x = (np.arange(h) + 0.5) / h, (np.arange(w) + 0.5) / w
        return (10 + a * x + b * y[:, None]).astype(np.float32)

    example = Example(
        name="plane",
        image=np.zeros((3, rows, columns), np.uint8),
        depth=plane(rows, columns),
        depth_valid=np.ones((rows, columns), bool),
    )
    found = resize(example, height, width)
    assert found.depth_valid.all()
    bound = abs(a) / columns / 2 + abs(b) / rows / 2 + 1e-5
    assert np.abs(found.depth - plane(height, width)).max() <= bound


@FEW
@given(seed=SEEDS, height=st.integers(2, 20), width=st.integers(2, 20), share=st.floats(0.01, 1))
def test_the_label_of_a_new_pixel_by_looking_at_every_old_one(seed, height, width, share):
    rows, columns = 9, 11
    known = np.random.default_rng(seed).random((rows, columns)) < share
    pixel, found = nearest(known, height, width)
    for i in range(height):
        for j in range(width):
            y, x = (i + 0.5) * rows / height, (j + 0.5) * columns / width
            under = int(y) * columns + int(x)
            distance = {
                row * columns + column: (row + 0.5 - y) ** 2 + (column + 0.5 - x) ** 2
                for row, column in zip(*known.nonzero(), strict=True)
                if int((row + 0.5) * height / rows) == i
                and int((column + 0.5) * width / columns) == j
            }
            if known.flat[under] or not distance:
                assert pixel[i, j] == under and found[i, j] == known.flat[under]
            else:
                assert found[i, j] and known.flat[pixel[i, j]]
                assert distance[pixel[i, j]] == pytest.approx(min(distance.values()), abs=1e-9)


def test_pictures_of_a_slope_keep_it():
    """A slope of colour stays one under interpolation and averaging, half a level of rounding apart."""
    x, y = np.meshgrid((np.arange(48) + 0.5) / 48, (np.arange(40) + 0.5) / 40)
    image = np.stack([250 * x, 250 * y, 125 * (x + y)])
    example = Example(name="slope", image=image.round().astype(np.uint8))
    for height, width in ((80, 96), (20, 24), (13, 17), (40, 11), (61, 48)):
        x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
        wanted = np.stack([250 * x, 250 * y, 125 * (x + y)])
        inner = (..., slice(2, -2), slice(2, -2))
        found = resize(example, height, width).image
        assert np.abs(found[inner] - wanted[inner]).max() <= 1.0 + 1e-3


def test_no_motion_between_two_surfaces_is_invented():
    """Two halves that move apart: each new pixel moves with one of them, to half a pixel; the unknown has no say."""
    flow = np.zeros((2, 12, 12), np.float32)
    flow[0, :, :6], flow[0, :, 6:] = -4, 5
    valid = np.ones((12, 12), bool)
    valid[::2, 3] = False
    flow[:, ~valid] = np.inf
    image = np.zeros((3, 12, 12), np.uint8)
    example = Example(name="apart", image=image, second=image, flow=flow, flow_valid=valid)
    for height, width in ((24, 18), (5, 5), (12, 30), (7, 12)):
        found = resize(example, height, width)
        u = found.flow[0][found.flow_valid] * 12 / width
        assert (np.minimum(np.abs(u + 4), np.abs(u - 5)) <= 0.5 + 1e-4).all()
        assert u.min() < -3.9 and u.max() > 4.9
        assert not found.flow[:, ~found.flow_valid].any()
        assert not found.flow[1].any()


@FEW
@given(index=SCENES, seed=SEEDS, height=st.integers(8, 80), width=st.integers(8, 80))
def test_amodal_contains_visible_whatever_is_done(index: int, seed: int, height: int, width: int):
    example = augment(scene(index), numpy_generator(seed))
    for changed in (
        resize(example, height, width),
        crop_resize(example, numpy_generator(seed, "crop"), (height, width)),
    ):
        assert changed.image.shape == (3, height, width)
        assert not (changed.visible & ~changed.amodal).any()
        assert changed.visible.any()
        collate([changed, changed])
    assert resize(example, 64, 64) is example


@FEW
@given(index=SCENES, seed=SEEDS)
def test_mirroring_and_shrinking_commute(index: int, seed: int):
    """Where no new centre falls between two old pixels, as for a third of 63."""
    example = crop(scene(index), numpy_generator(seed), (63, 63))
    example = replace(example, depth_valid=np.ones((63, 63), bool))  # no ties between neighbours
    one, two = mirror(resize(example, 21, 21)), resize(mirror(example), 21, 21)
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            other = getattr(two, name).astype(np.float64)
            np.testing.assert_allclose(value, other, atol=1 if value.dtype == np.uint8 else 1e-4)


def test_a_crop_shows_what_is_known():
    """One pixel of depth in a large frame: windows without it are not taken, nor is one invented."""
    depth = np.zeros((90, 160), np.float32)
    depth[7, 150] = 3
    image = np.zeros((3, 90, 160), np.uint8)
    example = Example(name="one", image=image, depth=depth, depth_valid=depth > 0)
    found = [crop_resize(example, numpy_generator(seed), (32, 32)) for seed in range(60)]
    assert 5 < sum(bool(one.depth_valid.any()) for one in found) < 60  # the middle has none
    for one in found:
        assert (one.depth == 3 * one.depth_valid).all()
    wide = replace(example, depth=None, depth_valid=None)
    areas = {crop_resize(wide, numpy_generator(seed), (9, 16)).image.shape for seed in range(5)}
    assert areas == {(3, 9, 16)}


REAL = {"flying_chairs": "flying_chairs", "kitti_flow": "kitti_flow/training"}


@pytest.mark.parametrize("name", REAL)
def test_measured_flow_still_leads_to_the_second_frame(shared: Callable[[str], Path], name: str):
    """On real files, of which KITTI's know the motion of one pixel in six; sides change by different factors."""
    example = open_data(f"{name}:{shared('data/' + REAL[name])}")[0]
    height, width = example.image.shape[1:]
    crops = [crop_resize(example, numpy_generator(seed), (128, 192)) for seed in range(3)]
    for changed in (
        resize(example, height // 2, width * 2 // 3),
        mirror(resize(example, height * 3 // 4, width // 3)),
        *crops,
    ):
        everything = replace(changed, occluded=np.zeros_like(changed.flow_valid))
        along, seen = mismatch(everything)
        still = replace(everything, flow=np.zeros_like(changed.flow))
        in_place = mismatch(still)[0][seen]
        assert seen.mean() > 0.05
        assert along[seen].mean() < 0.6 * in_place.mean()
    share = example.flow_valid.mean()  # a new pixel knows what any of its sixteen old ones does
    assert resize(example, height // 4, width // 4).flow_valid.mean() >= min(1.0, 1.5 * share)
