"""Mask metrics against closed forms and scipy's distance transform."""

import math

import numpy as np
import pytest
import scipy
import torch

from lookharder.errors import InputError
from lookharder.metrics.segmentation import boundary_f, convex_hull, evaluate


def box(top, left, height, width, size=32):
    mask = np.zeros((size, size), bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_iou_of_overlapping_boxes():
    scores = evaluate(box(4, 4, 10, 10), box(4, 9, 10, 10))
    assert scores["iou"] == pytest.approx(50 / 150)
    assert scores["iou_invisible"] is None


def test_the_invisible_part_is_scored_alone():
    whole, visible = box(4, 4, 10, 20), box(4, 4, 10, 15)
    scores = evaluate(visible, whole, visible)  # a copy of its input finds nothing
    assert scores["iou"] == pytest.approx(0.75)
    assert scores["iou_invisible"] == 0.0
    assert evaluate(whole, whole, visible)["iou_invisible"] == 1.0
    half = box(4, 4, 10, 17)
    assert evaluate(half, whole, visible)["iou_invisible"] == pytest.approx(20 / 50)


def test_occluded_objects_are_scored_apart():
    whole, visible = box(4, 4, 10, 20), box(4, 4, 10, 15)
    assert evaluate(visible, whole, visible)["iou_occluded"] == pytest.approx(0.75)
    assert evaluate(whole, whole, whole)["iou_occluded"] is None
    assert evaluate(whole, whole)["iou_occluded"] is None


@pytest.mark.parametrize("seed", range(8))
def test_the_convex_hull_is_scipys_to_a_pixel(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 50), bool)
    mask[rng.integers(5, 35, 6), rng.integers(5, 45, 6)] = True
    hull = convex_hull(mask)
    assert (hull >= mask).all()
    found = scipy.spatial.ConvexHull(np.argwhere(mask))
    y, x = np.indices(mask.shape)
    signed = (found.equations @ np.stack([y.ravel(), x.ravel(), np.ones(y.size)])).max(0)
    distance = signed.reshape(mask.shape)  # to the nearest edge, where one is near; negative inside
    assert hull[distance < -0.75].all() and not hull[distance > 0.75].any()


def test_the_convex_hull_of_nothing_and_of_a_convex_shape_is_itself():
    assert not convex_hull(np.zeros((8, 9), bool)).any()
    np.testing.assert_array_equal(convex_hull(box(3, 4, 5, 6)), box(3, 4, 5, 6))
    lying = box(10, 4, 1, 20)
    np.testing.assert_array_equal(convex_hull(lying), lying)


def test_an_object_that_hides_nothing_has_no_invisible_score():
    whole = box(4, 4, 10, 20)
    assert evaluate(whole, whole, whole)["iou_invisible"] is None
    assert evaluate(box(0, 0, 30, 30), whole, whole)["iou_invisible"] is None


def test_empty_masks():
    empty, full = box(0, 0, 0, 0), box(4, 4, 10, 10)
    scores = evaluate(empty, empty)
    assert {name: value for name, value in scores.items() if value is not None} == {
        "iou": 1.0,
        "boundary_f": 1.0,
    }
    assert evaluate(empty, full)["iou"] == evaluate(full, empty)["iou"] == 0.0
    assert evaluate(empty, full)["boundary_f"] == 0.0


@pytest.mark.parametrize(
    "kind", [torch.from_numpy, lambda m: m.astype(np.uint8) * 255, lambda m: m.astype(float)]
)
def test_masks_of_any_kind(kind):
    masks = box(4, 4, 10, 10), box(6, 5, 10, 10), box(6, 5, 4, 4)
    assert evaluate(*map(kind, masks)) == evaluate(*masks)


def test_boundary_f_equals_a_distance_transform():
    from scipy.ndimage import binary_erosion, distance_transform_edt

    rng = np.random.default_rng(0)
    grid = np.mgrid[:40, :56]
    for _ in range(5):
        centres, radii = rng.uniform(10, 30, (2, 2)), rng.uniform(5, 14, 2)
        pred, target = (
            np.hypot(grid[0] - c[0], grid[1] - c[1]) < r
            for c, r in zip(centres, radii, strict=True)
        )
        edges = [m & ~binary_erosion(m, border_value=1) for m in (pred, target)]
        reach = math.ceil(0.03 * math.hypot(40, 56))
        precision = (distance_transform_edt(~edges[1])[edges[0]] <= reach).mean()
        recall = (distance_transform_edt(~edges[0])[edges[1]] <= reach).mean()
        expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        assert boundary_f(pred, target, tolerance=0.03) == pytest.approx(expected)


def test_boundary_f_forgives_one_pixel_and_not_four():
    target = box(8, 8, 12, 12)
    assert boundary_f(box(9, 9, 12, 12), target, tolerance=0.04) == 1.0  # 2 px
    assert boundary_f(box(12, 12, 12, 12), target, tolerance=0.04) < 0.6


@pytest.mark.parametrize(
    ("argument", "masks"),
    [
        ("pred", (np.ones((4, 5), bool), np.ones((4, 4), bool))),
        ("pred", (np.full((4, 4), 0.3), np.ones((4, 4), bool))),
        ("target", (np.ones((1, 4, 4), bool), np.ones((1, 4, 4), bool))),
        ("visible", (np.ones((4, 4), bool), np.ones((4, 4), bool), np.ones((4, 5), bool))),
    ],
)
def test_bad_masks_are_named(argument, masks):
    with pytest.raises(InputError) as error:
        evaluate(*masks)
    assert error.value.argument == argument


def test_the_overlap_is_told_by_how_much_is_hidden():
    whole = box(0, 0, 10, 20)
    for hidden, name in ((1, "0_10"), (2, "0_10"), (3, "10_30"), (10, "30_50"), (11, "50_100")):
        found = evaluate(whole, whole, box(0, hidden, 10, 20))
        told = {key for key, value in found.items() if "hidden" in key and value is not None}
        assert told == {f"iou_hidden_{name}"}
