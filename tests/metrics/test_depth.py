"""Depth metrics against another implementation's numbers, closed forms and properties."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open

from lookharder.errors import InputError
from lookharder.metrics.depth import align_affine, align_depth, boundary_f1, evaluate

NAMES = {
    "abs_relative_difference": "abs_rel",
    "squared_relative_difference": "sq_rel",
    "rmse_linear": "rmse",
    "rmse_log": "rmse_log",
    "log10": "log10",
    "delta1_acc": "delta1",
    "delta2_acc": "delta2",
    "delta3_acc": "delta3",
    "i_rmse": "i_rmse",
    "silog_rmse": "silog",
}


def scene(seed=0, height=24, width=32):
    rng = np.random.default_rng(seed)
    target = rng.uniform(0.5, 9.0, (height, width))
    return rng.uniform(0.0, 1.0, (height, width)), target, rng.random((height, width)) < 0.7


@pytest.fixture
def marigold(parity, shared):
    """(pred, gt, mask, aligned, expected, range) of the Marigold implementation: a synthetic map, a Hypersim frame.

    Of the frame, the file's `gt` holds the first bytes at full size (a strided view written without its strides), so
    the ground truth is cut from that frame; that it is the same frame is checked first.
    """
    path = parity("depth_metrics")
    with safe_open(path, "np") as file:
        stored = {name: file.get_tensor(name) for name in ("pred", "gt", "mask", "aligned")}
        meta = file.metadata()
    truth = stored["gt"]
    if "Marigold" in meta.get("source", ""):
        frame = shared("data/hypersim/val/ai_015_004/depth_plane_cam_00_fr0002.png")
        metres = np.asarray(Image.open(frame)).astype(np.float64) / 1000
        truth = metres[::6, ::6][:120, :160]
        raw = np.array_equal(stored["gt"].ravel(), metres.ravel()[: truth.size])
        assert raw or np.array_equal(stored["gt"], truth)
    limits = {"min_depth": float(meta["min_depth"]), "max_depth": float(meta["max_depth"])}
    return (
        stored["pred"],
        truth,
        stored["mask"],
        stored["aligned"],
        json.loads(meta["expected"]),
        limits,
    )


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_equals_marigold(marigold, kind):
    *arrays, expected, limits = marigold
    pred, gt, mask, reference = (kind(np.ascontiguousarray(array)) for array in arrays)
    aligned, scale, shift = align_affine(pred, gt, mask)
    assert type(aligned) is type(pred)
    assert (scale, shift) == pytest.approx((expected["scale"], expected["shift"]), rel=1e-9)
    np.testing.assert_allclose(np.asarray(aligned), np.asarray(reference), rtol=0, atol=1e-9)
    scores = evaluate(aligned.clip(limits["min_depth"], limits["max_depth"]), gt, mask)
    assert scores == pytest.approx(
        {ours: expected[theirs] for theirs, ours in NAMES.items()}, abs=1e-7
    )
    assert evaluate(pred, gt, mask, align=True, **limits) == pytest.approx(scores, abs=1e-12)


def test_alignment_recovers_a_planted_affine_from_valid_pixels_alone():
    _, target, mask = scene()
    pred = np.where(mask, (target + 0.8) / 3.5, np.nan)
    aligned, scale, shift = align_affine(pred, np.where(mask, target, -1), mask)
    assert (scale, shift) == pytest.approx((3.5, -0.8), abs=1e-12)
    np.testing.assert_allclose(aligned[mask], target[mask], atol=1e-12)


def test_alignment_equals_lstsq():
    pred, target, mask = scene(1)
    design = np.stack([pred[mask], np.ones(mask.sum())], axis=1)
    expected = np.linalg.lstsq(design, target[mask], rcond=None)[0]
    assert align_affine(pred, target, mask)[1:] == pytest.approx(tuple(expected), rel=1e-10)


def test_a_constant_prediction_becomes_the_mean():
    _, target, mask = scene(2)
    aligned, scale, shift = align_affine(np.full_like(target, 0.1), target, mask)
    assert scale == 0
    assert shift == pytest.approx(target[mask].mean())
    assert np.ptp(aligned) == 0


@given(st.floats(0.01, 100), st.floats(-50, 50), st.integers(0, 9))
def test_aligned_scores_do_not_depend_on_the_scale_of_the_prediction(scale, shift, seed):
    pred, target, mask = scene(seed)
    scores = evaluate(pred, target, mask, align=True)
    assert evaluate(scale * pred + shift, target, mask, align=True) == pytest.approx(
        scores, abs=1e-6
    )


def test_closed_form_of_a_prediction_twice_as_deep():
    _, target, mask = scene(3)
    scores = evaluate(2 * target, target, mask)
    inside = target[mask]
    assert scores == pytest.approx(
        {
            "abs_rel": 1.0,
            "sq_rel": inside.mean(),
            "rmse": np.sqrt((inside**2).mean()),
            "rmse_log": np.log(2),
            "log10": np.log10(2),
            "delta1": 0.0,
            "delta2": 0.0,
            "delta3": 0.0,
            "i_rmse": np.sqrt((0.25 / inside**2).mean()),
            "silog": 0.0,
        },
        abs=1e-5,
    )


def test_a_perfect_prediction():
    _, target, mask = scene(4)
    scores = evaluate(target, target, mask)
    shares = {"delta1": 1.0, "delta2": 1.0, "delta3": 1.0}
    assert scores == dict.fromkeys(scores, 0.0) | shares


def test_thresholds_are_strict_and_powers_of_five_quarters():
    target = np.array([[4.0, 4.0, 4.0, 4.0]])
    pred = target * [1.24, 1.25, 1.5625, 1.95]
    scores = evaluate(pred, target)
    assert [scores[f"delta{k}"] for k in (1, 2, 3)] == [0.25, 0.5, 1.0]


def test_invalid_pixels_are_never_read():
    pred, target, mask = scene(5)
    spoilt = np.where(mask, pred, np.nan), np.where(mask, target, np.inf)
    assert evaluate(*spoilt, mask) == evaluate(pred, target, mask)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_any_precision_are_scored_in_float64(dtype):
    pred, target, mask = (torch.from_numpy(array) for array in scene(6))
    pred = (pred + 1).to(dtype).requires_grad_()
    ours = evaluate(pred, target, mask)
    assert ours == evaluate(pred.detach().double().numpy(), target.numpy(), mask.numpy())


def test_the_prediction_is_clipped_to_the_range():
    target = np.full((2, 2), 4.0)
    pred = np.array([[-3.0, 4.0], [4.0, 90.0]])
    scores = evaluate(pred, target, min_depth=1.0, max_depth=8.0)
    assert scores["abs_rel"] == pytest.approx((3 / 4 + 1) / 4)
    assert np.isfinite(list(evaluate(pred, target).values())).all()


BAD = [
    ("mask", {"mask": np.zeros((24, 32), bool)}),
    ("mask", {"mask": np.ones((24, 31), bool)}),
    ("mask", {"mask": np.full((24, 32), 0.5)}),
    ("pred", {"pred": np.ones((24, 31))}),
    ("pred", {"pred": np.full((24, 32), np.nan)}),
    ("target", {"target": np.zeros((24, 32))}),
    ("target", {"target": np.ones((2, 24, 32)), "pred": np.ones((2, 24, 32))}),
    ("min_depth", {"min_depth": 0.0}),
    ("min_depth", {"min_depth": 2.0, "max_depth": 1.0}),
]


@pytest.mark.parametrize(("argument", "change"), BAD)
def test_bad_input_is_named(argument, change):
    pred, target, mask = scene()
    with pytest.raises(InputError) as error:
        evaluate(**({"pred": pred, "target": target, "mask": mask} | change))
    assert error.value.argument == argument


@pytest.mark.parametrize("space", ["linear", "log", "disparity"])
def test_a_map_is_fitted_in_the_space_in_which_it_is_affine(space):
    rng = np.random.default_rng(3)
    depth = rng.uniform(0.5, 20, (12, 16))
    values = {"linear": depth, "log": np.log(depth), "disparity": 1 / depth}[space]
    mask = rng.random(depth.shape) < 0.8
    noisy = np.where(mask, depth, 0.0)  # what is not valid may be anything
    aligned, scale = align_depth(0.3 * values + 0.1, noisy, mask, space, 0.1, 80.0)
    np.testing.assert_allclose(aligned, depth, rtol=1e-9)
    assert scale == pytest.approx(1 / 0.3)
    others = {"linear", "log", "disparity"} - {space}
    for other in others:
        wrong, _ = align_depth(0.3 * values + 0.1, noisy, mask, other, 0.1, 80.0)
        assert np.abs(wrong - depth).mean() > 0.1
        assert wrong.min() >= 0.1 and wrong.max() <= 80.0


def test_steps_in_depth_are_counted_pair_by_pair():
    pred, target, mask = scene(3)
    pred = target * np.exp(0.3 * (pred - 0.5))
    height, width, reach = *target.shape, 1  # 0.8 % of a diagonal of 40 pixels, rounded up
    pairs = [((y, x), (y + reach, x)) for y in range(height - reach) for x in range(width)]
    pairs += [((y, x), (y, x + reach)) for y in range(height) for x in range(width - reach)]
    scores = []
    for t in (1.05, 1.10, 1.15, 1.20, 1.25):
        hit = ours = theirs = 0
        for a, b in pairs:
            for i, j in ((a, b), (b, a)):
                if mask[i] and mask[j]:
                    has, true = pred[j] / pred[i] > t, target[j] / target[i] > t
                    hit, ours, theirs = hit + (has and true), ours + has, theirs + true
        scores.append(2 / (ours / hit + theirs / hit))
    assert boundary_f1(pred, target, mask) == pytest.approx(np.mean(scores), rel=1e-12)
    assert boundary_f1(7 * target, target) == 1
    assert boundary_f1(1 / target, target) == 0, "the wrong way round"
    assert boundary_f1(np.ones((9, 9)), np.ones((9, 9))) == 1
