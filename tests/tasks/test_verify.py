"""Verifiers: the truth keeps the symmetries they ask about, and what is not the truth scores less."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lookharder.data.augment import mirror
from lookharder.data.example import Batch, collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.errors import InputError
from lookharder.tasks.depth import Depth
from lookharder.tasks.verify import (
    Window,
    containment,
    depth_agreement,
    flip,
    flip_flow,
    flip_map,
    forward_backward_consistency,
    mask_agreement,
    photometric_consistency,
    warp,
)

EXAMPLES = [ProceduralWorld(64, 11)[i] for i in range(4)]


@pytest.fixture(scope="module")
def batch() -> Batch:
    return collate(EXAMPLES)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def equal(a: Batch, b: Batch) -> bool:
    pairs = [(getattr(a, field.name), getattr(b, field.name)) for field in fields(Batch)]
    return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in pairs)


def test_flip_equals_the_mirror_of_training(batch):
    assert equal(flip(batch), collate([mirror(example) for example in EXAMPLES]))


def test_flip_twice_is_the_identity_whatever_is_annotated(batch):
    assert equal(flip(flip(batch)), batch)
    bare = Batch(name=batch.name, image=batch.image, label=torch.arange(4))
    assert equal(flip(flip(bare)), bare)
    assert not equal(flip(bare), bare)


def test_undoing_a_flip_gives_the_truth_back(batch):
    flipped = flip(batch)
    assert torch.equal(flip_map(flipped.depth), batch.depth)
    assert torch.equal(flip_map(flipped.amodal), batch.amodal)
    assert torch.equal(flip_flow(flipped.flow), batch.flow)


def test_a_window_cuts_and_pastes(batch):
    window = Window(top=5, left=30, height=24, width=32)
    part = window.crop(batch)
    assert part.image.shape == (4, 3, 24, 32)
    assert torch.equal(part.depth, batch.depth[:, 5:29, 30:62])
    assert torch.equal(part.label, batch.label)
    back, inside = window.paste(part.flow, 64, 64), window.inside(64, 64)
    assert torch.equal(back, batch.flow * inside)
    assert torch.equal(window.cut(back), part.flow)
    assert inside.sum() == 24 * 32
    assert torch.equal(window.paste(part.amodal, 64, 64), batch.amodal & inside)


def test_a_window_that_does_not_fit_is_an_error(batch):
    for call in (
        lambda: Window(top=-1, left=0, height=4, width=4),
        lambda: Window(top=0, left=0, height=0, width=4),
        lambda: Window(top=40, left=0, height=25, width=4).crop(batch),
        lambda: Window(top=0, left=61, height=4, width=4).paste(torch.ones(4, 4), 64, 64),
        lambda: Window(top=0, left=0, height=4, width=4).paste(torch.ones(4, 5), 64, 64),
    ):
        with pytest.raises(InputError):
            call()


def test_true_depth_agrees_with_that_of_the_mirror_image_and_of_a_part(batch):
    """As a model with perfect eyes would see them: in [0, 1] by the extremes of what is in view."""
    task = Depth(low=0.0, high=1.0)

    def see(pictures):
        return task.from_image(task.to_image(pictures).images[None])[0]

    known = replace(batch, depth_valid=torch.ones_like(batch.depth_valid))
    whole, window = see(known), Window(top=8, left=8, height=40, width=48)
    mirrored = depth_agreement(whole, flip_map(see(flip(known))))
    torch.testing.assert_close(mirrored, torch.zeros(4), atol=1e-5, rtol=0)
    part = window.paste(see(window.crop(known)), 64, 64)
    cropped = depth_agreement(whole, part, window.inside(64, 64).expand(4, -1, -1))
    torch.testing.assert_close(cropped, torch.zeros(4), atol=1e-4, rtol=0)
    assert (depth_agreement(whole, see(flip(known))) < -0.1).all(), "not undone"
    assert (depth_agreement(whole, part) < cropped).all(), "zeros around the crop count"


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10), noise=st.floats(0, 2))
def test_depth_agreement_is_the_residual_of_the_best_fit(scale, shift, noise):
    x = random(1, 9, 7).double()
    y = scale * (x + noise * random(1, 9, 7, seed=1)) + shift
    design = torch.stack([x.flatten(), torch.ones(63)], 1)
    fitted = design @ torch.linalg.lstsq(design, y.flatten()).solution
    rms = (y.flatten() - fitted).square().mean().sqrt() / y.std(correction=0)
    assert depth_agreement(x, y).item() == pytest.approx(-rms.item(), abs=1e-6)
    torch.testing.assert_close(depth_agreement(y, x), depth_agreement(x, y), atol=1e-7, rtol=0)


def test_maps_that_run_against_each_other_or_are_flat_do_not_agree():
    x, mask = random(1, 5, 6), torch.ones(1, 5, 6, dtype=torch.bool)
    flat = torch.full_like(x, 0.7)
    for pair in ((x, -x), (x, flat), (flat, x), (flat, flat), (x, x, ~mask)):
        assert depth_agreement(*pair).item() == -1
    junk = torch.where(mask.triu(), x, torch.nan)
    assert depth_agreement(x, junk, mask.triu()).item() == pytest.approx(0, abs=1e-6)


def test_warp_by_whole_pixels_is_a_shift():
    values = random(2, 3, 6, 8)
    flow = torch.tensor([2.0, -1.0])[:, None, None].expand(2, 2, 6, 8)
    found, inside = warp(values, flow)
    expected = torch.zeros(6, 8, dtype=torch.bool)
    expected[1:, :6] = True
    assert torch.equal(inside, expected.expand(2, 6, 8))
    torch.testing.assert_close(found[..., 1:, :6], values[..., :5, 2:], atol=1e-5, rtol=1e-5)


def test_warp_is_exact_for_a_linear_picture_and_any_flow():
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(12.0), indexing="ij")
    flow = 2 * random(1, 2, 9, 12)
    found, inside = warp((3 * x - 2 * y + 1)[None, None], flow)
    expected = 3 * (x + flow[:, 0]) - 2 * (y + flow[:, 1]) + 1
    torch.testing.assert_close(found[0, 0][inside[0]], expected[inside], atol=1e-4, rtol=1e-5)
    assert 0 < inside.float().mean() < 1


def test_true_flow_explains_the_second_picture_and_beats_others(batch):
    seen = batch.flow_valid & ~batch.occluded
    truth = photometric_consistency(batch.image, batch.second, batch.flow, seen)
    found, inside = warp(batch.second, batch.flow)
    away = (found - batch.image).abs().mean(1)[inside & seen]
    assert away.median() < 0.02  # of a range of 2: edges are resampled, the rest is equal
    assert (truth > -0.08).all()
    others = [
        torch.zeros_like(batch.flow),
        -batch.flow,
        batch.flow.roll(1, 0),
        *(batch.flow + torch.tensor(s)[:, None, None] for s in ([1.5, 0], [0, -1.5], [-3, 3])),
        batch.flow + random(*batch.flow.shape),
    ]
    for other in others:
        assert (photometric_consistency(batch.image, batch.second, other, seen) < truth).all()


def test_nothing_to_judge_is_the_worst(batch):
    away = torch.full_like(batch.flow, 1e4)
    assert (photometric_consistency(batch.image, batch.second, away) == -torch.inf).all()
    assert (forward_backward_consistency(away, -away) == -torch.inf).all()


def test_the_inverse_of_a_flow_is_consistent():
    """x -> A x + b and back again; bilinear sampling of a linear field is exact."""
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    points = torch.stack([x, y])
    turn, shift = torch.tensor([[1.1, -0.2], [0.1, 0.9]]), torch.tensor([1.0, -2.0])[:, None, None]
    there = torch.einsum("ij,jhw->ihw", turn, points) + shift - points
    back = torch.einsum("ij,jhw->ihw", turn.inverse(), points - shift) - points
    consistent = forward_backward_consistency(there[None], back[None])
    torch.testing.assert_close(consistent, torch.zeros(1), atol=1e-4, rtol=0)
    off = back[None] + torch.tensor([0.5, 0.0])[:, None, None]
    assert forward_backward_consistency(there[None], off).item() == pytest.approx(-0.25, abs=0.01)


def test_forward_backward_leaves_out_what_it_is_told_to():
    flow, backward = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    backward[..., 0, 0] = 8.0
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    assert forward_backward_consistency(flow, backward).item() == pytest.approx(-0.5, abs=0.01)
    valid[..., 0, 0] = False
    assert forward_backward_consistency(flow, backward, valid).item() == 0


def test_masks(batch):
    assert (containment(batch.amodal, batch.visible) == 1).all()
    assert (containment(~batch.visible, batch.visible) == 0).all()
    undone = flip_map(flip(batch).amodal)
    assert (mask_agreement(batch.amodal, undone) == 1).all()
    assert (mask_agreement(batch.amodal, ~batch.amodal) == 0).all()
    left = torch.zeros(1, 4, 4, dtype=torch.bool)
    left[..., :2] = True
    middle = left.roll(1, -1)
    assert mask_agreement(left, middle).item() == pytest.approx(1 / 3)
    assert containment(left, middle).item() == 0.5
    nothing = left & ~left
    assert mask_agreement(nothing, nothing).item() == containment(left, nothing).item() == 1


def test_each_row_of_a_batch_is_scored_alone(batch):
    rows = [
        depth_agreement(batch.depth[i : i + 1], batch.depth[i : i + 1].roll(2, -1))
        for i in range(4)
    ]
    together = depth_agreement(batch.depth, batch.depth.roll(2, -1))
    torch.testing.assert_close(torch.cat(rows), together)
    zero = torch.zeros_like(batch.flow)
    rows = [
        photometric_consistency(*(v[i : i + 1] for v in (batch.image, batch.second, zero)))
        for i in range(4)
    ]
    together = photometric_consistency(batch.image, batch.second, zero)
    torch.testing.assert_close(torch.cat(rows), together)
