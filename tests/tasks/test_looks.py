"""What a task does between levels: windows cover and blend, motion is warped and fitted, an object is framed."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.data.example import Batch
from lookharder.seeding import torch_generator
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.closer.around import box_around
from lookharder.tasks.closer.matching import _mean, fit, inside, refine, warp
from lookharder.tasks.closer.windows import Grid, fit_to, low_pass
from lookharder.tasks.depth import Depth


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch_generator(0)) * 2 - 1


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 40), st.integers(8, 40), st.integers(2, 8), st.integers(2, 8))
def test_windows_cover_a_picture_and_blend_back_into_it(height, width, rows, columns):
    grid = Grid(size=(height, width), window=(rows, columns))
    pictures = noise(2, 3, height, width)
    parts = grid.cut(pictures)
    assert parts.shape == (2 * len(grid.corners), 3, rows, columns)
    torch.testing.assert_close(grid.blend(parts), pictures)
    tops = sorted({top for top, _ in grid.corners})
    assert all(b - a <= rows / 2 + 1 for a, b in pairwise(tops))


def test_windows_that_differ_blend_without_a_step():
    grid = Grid(size=(64, 64), window=(32, 32))
    levels = noise(len(grid.corners), 1, 1, 1).expand(-1, 1, 32, 32)
    whole = grid.blend(levels)
    steps = (whole[..., 1:] - whole[..., :-1]).abs().amax()
    assert steps < 0.15 * (levels.amax() - levels.amin()), "a border would be all of it"


def test_the_second_picture_is_warped_onto_the_first():
    second = noise(1, 3, 20, 30)
    flow = torch.tensor([4.0, -3.0])[None, :, None, None].expand(1, 2, 20, 30)
    warped = warp(second, flow)
    torch.testing.assert_close(warped[..., 3:, :-4], second[..., :-3, 4:], atol=1e-5, rtol=0)
    assert inside(flow).sum() == 17 * 26


def test_a_motion_is_taken_only_where_it_explains_the_pictures_better():
    plane = torch.nn.functional.avg_pool2d(noise(1, 3, 60, 60), 5, 1) * 3
    first, second = plane[..., 4:52, 4:52], plane[..., 4:52, 2:50]
    truth = torch.tensor([2.0, 0.0])[None, :, None, None].expand(1, 2, 48, 48)
    wrong = truth + torch.tensor([7.0, 7.0])[:, None, None]
    middle = slice(12, -12), slice(12, -12)
    found = fit(first, second, truth * 0, truth + 0.6)
    assert (found - truth)[..., *middle].abs().mean() < 0.1, "refined"
    kept = fit(first, second, truth, wrong)
    torch.testing.assert_close(kept[..., *middle], truth[..., *middle], atol=0.05, rtol=0)


def test_pairs_are_refined_one_by_one_and_what_is_given_stays():
    flow = noise(2, 2, 30, 41) * 2
    pictures = noise(2, 3, 30, 41), noise(3, 3, 30, 41)[1:]
    before = flow.clone()
    together = refine(pictures, flow)
    alone = [refine((a[None], b[None]), c[None]) for a, b, c in zip(*pictures, flow, strict=True)]
    assert torch.equal(together, torch.cat(alone))
    assert torch.equal(flow, before)
    assert not torch.equal(together, before)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3, 5, 7, 9, 11]))
def test_a_mean_over_a_square_is_that_of_its_pixels(height, width, side):
    values = noise(2, 3, height, width)
    wide = torch.nn.functional.pad(values, (side // 2,) * 4, mode="replicate")
    wanted = torch.nn.functional.avg_pool2d(wide, side, stride=1)
    torch.testing.assert_close(_mean(values, side), wanted)


def test_a_window_is_fitted_to_the_whole_by_least_squares_and_never_turned_over():
    windows, rest = noise(3, 1, 5, 7), noise(4, 1, 5, 7)[1:]
    whole = torch.tensor([2.0, 0.5, -1.0])[:, None, None, None] * windows + 3 + 0.1 * rest
    fitted = fit_to(windows, whole)
    for window, place, found in zip(windows, whole, fitted, strict=True):
        known = torch.stack([window.flatten(), torch.ones(35)], 1)
        wanted = torch.linalg.lstsq(known, place.reshape(-1, 1))[0]
        if wanted[0] > 0:
            torch.testing.assert_close(found.flatten(), (known @ wanted)[:, 0])
        else:
            torch.testing.assert_close(found, place.mean().expand_as(found))


def relief(height: int, width: int) -> torch.Tensor:
    """(1, 1, height, width) in [-0.6, 0.6]: a slope, and a body whose edges are sharp."""
    slope = torch.linspace(0.3, -0.3, height)[:, None].repeat(1, width)
    slope[height // 4 : height // 2, width // 3 : width // 2] -= 0.3
    return slope[None, None]


def test_windows_of_depth_bring_edges_to_a_coarse_answer_whatever_their_scale_and_shift():
    truth, window = relief(96, 128), (48, 64)
    coarse = torch.nn.functional.avg_pool2d(truth, 8)
    batch = Batch(name=("a",), image=truth.expand(-1, 3, -1, -1))
    shown, join = Depth(space="relative").look_again(
        batch, coarse[:, None].expand(-1, -1, 3, -1, -1), window
    )
    count = len(shown.image)
    scale, shift = noise(count, 1, 1, 1) * 0.4 + 0.8, noise(count, 1, 1, 1)
    better = join((shown.image * scale + shift)[:, None])[:, 0, :1]
    plain = torch.nn.functional.interpolate(coarse, (96, 128), mode="bilinear")
    off, before = (better - truth).abs(), (plain - truth).abs()
    assert off[before > 0.05].mean() < 0.3 * before[before > 0.05].mean(), "at the edges"
    assert off.mean() < before.mean()


def test_windows_of_depth_that_disagree_show_no_border():
    names, window = tuple("abcdefghijklmnopqrst"), (32, 48)
    batch = Batch(name=names, image=noise(20, 3, 64, 96))
    whole = low_pass(noise(20, 1, 32, 48), 5)[:, None].expand(-1, -1, 3, -1, -1)
    shown, join = Depth(space="relative").look_again(batch, whole, window)
    windows = low_pass(noise(len(shown.image), 1, 32, 48), 5)[:, None].expand(-1, -1, 3, -1, -1)
    ends = sorted({left for _, left in Grid(size=(64, 96), window=window).corners})
    steps = join(windows)[:, 0, 0].diff(dim=2).abs().mean((0, 1))
    borders = [x for left in ends for x in (left - 1, left + 47) if 0 <= x < 95]
    inside = [x for x in range(16, 79) if x not in borders]
    assert steps[borders].mean() < 1.1 * steps[inside].mean()


def test_the_slow_part_of_a_map_is_the_map_where_it_is_a_plane():
    plane = torch.linspace(0, 1, 60)[None, None, None] + torch.linspace(0, 2, 50)[:, None]
    middle = slice(10, -10), slice(10, -10)
    torch.testing.assert_close(low_pass(plane, 9)[..., *middle], plane[..., *middle])
    assert low_pass(noise(1, 1, 50, 60), 9).std() < 0.2 * noise(1, 1, 50, 60).std()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 39), st.integers(0, 29), st.integers(1, 20), st.integers(1, 20), st.floats(1, 3)
)
def test_a_box_holds_the_object_and_lies_in_the_picture(left, top, width, height, room):
    visible = torch.zeros(30, 40, dtype=torch.bool)
    visible[top : top + height, left : left + width] = True
    box = box_around(visible, (12, 16), room)
    assert visible[box.place].sum() == visible.sum()
    assert 0 <= box.top <= 30 - box.height
    assert 0 <= box.left <= 40 - box.width
    assert box.height >= 12
    assert box.width >= 16


@pytest.mark.parametrize(("side", "nearer"), [(8, True), (60, False)])
def test_a_small_object_is_looked_at_near_by_and_a_large_one_stays(side, nearer):
    visible = torch.zeros(1, 64, 64, dtype=torch.bool)
    visible[:, 2 : 2 + side, 2 : 2 + side] = True
    batch = Batch(name=("a",), image=noise(1, 3, 64, 64), visible=visible)
    white = torch.ones(1, 1, 3, 32, 32)
    shown, join = Amodal().look_again(batch, white, (32, 32))
    assert shown.image.shape == (1, 3, 32, 32)
    if nearer:
        torch.testing.assert_close(shown.image, batch.image[..., :32, :32])
    answer = Amodal().from_image(join(-white)[None])[0, 0]
    assert answer[visible[0]].all(), "what is visible is kept"
    assert answer.sum() == (32 * 32 if nearer else visible.sum())
