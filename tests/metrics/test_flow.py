"""Flow metrics against another implementation's numbers, closed forms and properties."""

import numpy as np
import pytest
import torch

from lookharder.errors import InputError
from lookharder.metrics.flow import align_affine_per_component, epe_fitted, evaluate


def fields(seed=0):
    rng = np.random.default_rng(seed)
    target = rng.normal(0, 8, (2, 12, 16))
    return target + rng.normal(0, 2, target.shape), target, rng.random((12, 16)) < 0.6


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_equals_raft_convention(raft_field, kind):
    gt, stored = raft_field
    pred, expected = stored["pred"], stored["expected"]
    ours = evaluate(*(kind(x.transpose(2, 0, 1).copy()) for x in (pred, gt)))
    assert ours == pytest.approx(expected, abs=1e-6)


def test_closed_form_of_a_constant_error():
    target = np.stack([np.full((4, 5), 30.0), np.zeros((4, 5))])
    pred = target + np.array([3.0, 4.0])[:, None, None]
    assert evaluate(pred, target) == {
        "epe": 5.0,
        "fl_all": 100.0,
        "px1": 0.0,
        "px3": 0.0,
        "px5": 0.0,
    }


def test_an_outlier_is_off_by_3_pixels_and_by_5_percent():
    # (error, length): only the third is beyond both bounds; 3 px and 5 % themselves are not.
    error, length = (
        np.array([[2.9, 3.1, 3.1, 3.0, 5.0]]),
        np.array([[1.0, 100.0, 10.0, 1.0, 100.0]]),
    )
    target = np.stack([length, np.zeros_like(length)])
    pred = target + np.stack([np.zeros_like(error), error])
    assert evaluate(pred, target)["fl_all"] == pytest.approx(20.0)


def test_no_motion_is_not_a_division_by_zero():
    still = np.zeros((2, 3, 3))
    assert evaluate(still, still)["fl_all"] == 0
    assert evaluate(still + 4, still)["fl_all"] == 100


def test_invalid_pixels_are_never_read():
    pred, target, valid = fields()
    ours = evaluate(pred, np.where(valid, target, np.nan), valid)
    error = np.linalg.norm((pred - target)[:, valid], axis=0)
    assert ours["epe"] == pytest.approx(error.mean())
    assert ours["px3"] == pytest.approx((error < 3).mean())


def test_each_component_is_fitted_alone():
    _, target, valid = fields(1)
    pred = (target - np.array([2.0, -1.0])[:, None, None]) / np.array([4.0, -0.5])[:, None, None]
    aligned, scale, shift = align_affine_per_component(pred, target, valid)
    np.testing.assert_allclose(scale, [4.0, -0.5])
    np.testing.assert_allclose(shift, [2.0, -1.0])
    np.testing.assert_allclose(aligned, target, atol=1e-12)
    assert epe_fitted(pred, target, valid) == pytest.approx(0, abs=1e-12)
    assert evaluate(pred, target, valid)["epe"] > 1


def test_fitting_returns_the_kind_that_came():
    pred, target, _ = fields(2)
    aligned = align_affine_per_component(torch.from_numpy(pred), torch.from_numpy(target))[0]
    assert isinstance(aligned, torch.Tensor)
    np.testing.assert_array_equal(aligned, align_affine_per_component(pred, target)[0])


@pytest.mark.parametrize(
    ("argument", "shapes"),
    [
        ("target", ((12, 16, 2), (12, 16, 2), (12, 16))),
        ("pred", ((2, 12, 15), (2, 12, 16), (12, 16))),
        ("valid", ((2, 12, 16), (2, 12, 16), (16, 12))),
    ],
)
def test_bad_shapes_are_named(argument, shapes):
    pred, target, valid = shapes
    with pytest.raises(InputError) as error:
        evaluate(np.zeros(pred), np.zeros(target), np.ones(valid, bool))
    assert error.value.argument == argument


def test_no_valid_pixel_is_an_error():
    pred, target, valid = fields()
    with pytest.raises(InputError, match="valid: got no valid pixel"):
        evaluate(pred, target, np.zeros_like(valid))
