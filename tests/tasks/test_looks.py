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
from lookharder.tasks.closer.matching import fit, inside, warp
from lookharder.tasks.closer.windows import Grid


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
    assert (found - truth)[..., *middle].abs().mean() < 0.1, "polished"
    kept = fit(first, second, truth, wrong)
    torch.testing.assert_close(kept[..., *middle], truth[..., *middle], atol=0.05, rtol=0)


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
