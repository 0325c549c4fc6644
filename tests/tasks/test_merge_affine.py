"""Moments, weights, flags and promises of the affine merge, against explicit formulas and between solvers."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.errors import InputError
from lookharder.tasks import merge
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.tasks.merge.moments import BLOCK, moments, own_order
from lookharder.tasks.merge.rank import RUN, comparators, lower_median


def draws_of(seed, n=6, noise=0.05, size=(24, 30), dtype=torch.float32):
    """(truth (H, W), draws (N, H, W)): noisy views under unknown scale > 0 and shift."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(size, generator=rng, dtype=torch.float64)
    draws = truth + noise * torch.randn(n, *size, generator=rng, dtype=torch.float64)
    scale = torch.rand(n, 1, 1, generator=rng, dtype=torch.float64) + 0.2
    shift = torch.randn(n, 1, 1, generator=rng, dtype=torch.float64)
    return truth, (scale * draws + shift).to(dtype)


def error(merged, truth):
    """Root mean square after the best scale and shift."""
    x, y = merged.double().flatten(), truth.flatten()
    design = torch.stack([x, torch.ones_like(x)], 1)
    return (design @ torch.linalg.lstsq(design, y).solution - y).square().mean().sqrt().item()


@pytest.mark.parametrize("n", range(1, 11))
def test_the_network_sorts_every_pattern_of_zeros_and_ones(n):
    """The 0-1 principle: a network that sorts those sorts everything."""
    patterns = np.array(list(itertools.product([0, 1], repeat=n))).T
    rows = patterns.copy()
    for i, j in comparators(n):
        rows[[i, j]] = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
    np.testing.assert_array_equal(rows, np.sort(patterns, axis=0))


def test_ten_rows_take_31_comparators():
    assert len(comparators(10)) == 31


@pytest.mark.parametrize("n", [3, 4])
def test_medians_are_the_same_over_the_seams_of_runs(n):
    pixels = 2 * RUN * torch.get_num_threads() + 5
    draws = torch.randn(n, pixels, generator=torch.Generator().manual_seed(n))
    merged, spread = merge.median(draws)
    values = draws.numpy()
    np.testing.assert_array_equal(merged, np.median(values, axis=0))
    np.testing.assert_array_equal(spread, np.median(np.abs(values - merged.numpy()), axis=0))
    assert torch.equal(lower_median(draws), torch.median(draws, dim=0).values)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_moments_in_float32_are_those_of_float64(offset, weighted):
    """Depth 1000 +- 0.01: products of float32 numbers as they come would keep no digit of the deviation."""
    rng = torch.Generator().manual_seed(0)
    pixels = 3 * BLOCK + 77
    common = torch.randn(pixels, generator=rng)
    draws = offset + 0.01 * (common + 0.3 * torch.randn(5, pixels, generator=rng))
    weight = torch.rand(pixels, generator=rng) if weighted else None
    values = draws.double().numpy()
    share = None if weight is None else weight.double().numpy()
    mean, covariance = moments(draws, list(range(5)), weight)
    expected = np.average(values, axis=1, weights=share)
    np.testing.assert_allclose(mean, expected, rtol=1e-9, atol=1e-8)
    expected = np.cov(values, aweights=share, ddof=0)
    assert np.abs(covariance.numpy() - expected).max() < 2e-5 * expected.max()


def test_a_large_offset_does_not_lose_the_answer():
    truth, draws = draws_of(0, n=7, dtype=torch.float64)
    far = (1000 + 0.01 * draws).float()
    ours, exact = merge.merge_affine(far), merge.merge_affine(far.double())
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=1e-5)
    assert error(ours[0], truth) < 1.1 * error(merge.merge_affine(draws)[0], truth)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 12),
    solver=st.sampled_from(["gram", "zscore"]),
    coarse=st.booleans(),
)
def test_the_order_of_draws_does_not_change_a_bit(seed, n, solver, coarse):
    """Coarse values make equal draws, ties and equal samples."""
    _, draws = draws_of(seed, n, size=(9, 11))
    draws = draws.mul(2).round() if coarse else draws
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    ours = merge.merge_flagged(draws, solver=solver)
    again = merge.merge_flagged(draws[order], solver=solver)
    assert torch.equal(ours.prediction, again.prediction)
    assert torch.equal(ours.uncertainty, again.uncertainty)
    assert coarse or torch.equal(ours.kept[order], again.kept)
    for reduce in (merge.mean, merge.median, merge.mean_vote):
        for a, b in zip(reduce(draws), reduce(draws[order]), strict=True):
            assert torch.equal(a, b)


def test_the_order_is_found_where_the_sample_of_pixels_is_blind():
    draws = torch.zeros(3, 1000)
    draws[0, 501], draws[2, 501] = 2.0, 1.0
    assert own_order(draws) == [1, 2, 0]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 8),
    spread=st.floats(0.1, 2),
    solver=st.sampled_from(["gram", "zscore"]),
)
def test_positive_affine_maps_of_the_draws_do_not_matter(seed, n, spread, solver):
    _, draws = draws_of(seed, n, size=(9, 11), dtype=torch.float64)
    rng = torch.Generator().manual_seed(seed)
    scale = torch.exp(spread * torch.randn(n, 1, 1, generator=rng, dtype=torch.float64))
    shift = 10 * torch.randn(n, 1, 1, generator=rng, dtype=torch.float64)
    ours = merge.merge_affine(draws, solver=solver)
    again = merge.merge_affine(scale * draws + shift, solver=solver)
    for a, b in zip(ours, again, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_weights_are_those_of_the_formula():
    """The top eigenvector of the weighted correlations, by numpy."""
    _, draws = draws_of(2, n=5, noise=0.4, dtype=torch.float64)
    weight = torch.rand(draws.shape[1:], generator=torch.Generator().manual_seed(3)).double()
    values, share = draws.flatten(1).numpy(), weight.flatten().numpy()
    mean = np.average(values, axis=1, weights=share)
    covariance = np.cov(values, aweights=share, ddof=0)
    unit = np.sqrt(np.diag(covariance))
    top = np.linalg.eigh(covariance / np.outer(unit, unit))[1][:, -1]
    expected = np.abs(top) / unit
    scale, shift = merge.solve_affine(draws, weight=weight)
    np.testing.assert_allclose(scale, expected, rtol=1e-9)
    np.testing.assert_allclose(shift, -expected * mean, rtol=1e-8, atol=1e-12)
    assert not np.allclose(scale, merge.solve_affine(draws)[0], rtol=1e-3)


def test_weights_of_zero_and_one_are_a_mask():
    _, draws = draws_of(4)
    mask = torch.rand(draws.shape[1:], generator=torch.Generator().manual_seed(5)) < 0.5
    spoilt = torch.where(mask, draws, torch.nan)
    by_mask = merge.merge_affine(spoilt, mask)
    by_weight = merge.merge_affine(spoilt, weight=3 * mask.float())
    assert by_mask[0][mask].isfinite().all()
    for a, b in zip(by_mask, by_weight, strict=True):
        torch.testing.assert_close(a[mask], b[mask], rtol=0, atol=1e-6)


def test_failed_draws_are_flagged():
    _, draws = draws_of(6, n=5)
    flat, mirrored = torch.full_like(draws[:1], 0.3), 0.5 - 2 * draws[:1]
    merged = merge.merge_flagged(torch.cat([flat, draws, mirrored]))
    assert merged.kept.tolist() == [False, *[True] * 5, False]
    alone = merge.merge_flagged(draws)
    assert alone.kept.all()
    torch.testing.assert_close(merged.prediction, alone.prediction, rtol=0, atol=1e-6)
    assert not merge.merge_flagged(flat.expand(3, -1, -1)).kept.any()


def test_closed_form_is_no_worse_than_the_others_on_average():
    """Planted truth, members of unequal quality, one of them an outlier: mean error over scenes."""
    found = {solver: [] for solver in ("gram", "zscore", "marigold")}
    for seed in range(6):
        rng = torch.Generator().manual_seed(seed)
        truth, draws = draws_of(seed, n=6, noise=0.0, size=(20, 20), dtype=torch.float64)
        sigma = 0.02 + 0.1 * torch.rand(6, 1, 1, generator=rng, dtype=torch.float64)
        noise = torch.randn(6, 20, 20, generator=rng, dtype=torch.float64)
        draws = draws + draws.std((1, 2), keepdim=True) * sigma * noise
        other = torch.rand(20, 20, generator=rng, dtype=torch.float64)
        draws[0] = 0.5 * draws[0] + 0.5 * other
        for solver, errors in found.items():
            errors.append(error(merge.merge_affine(draws, solver=solver)[0], truth))
    mean = {solver: np.mean(errors) for solver, errors in found.items()}
    assert mean["gram"] <= mean["zscore"]
    assert mean["gram"] <= mean["marigold"]


def test_a_batch_is_its_pictures_bit_for_bit():
    rng = torch.Generator().manual_seed(0)
    depth = torch.rand(5, 3, 17, 19, generator=rng)
    flow = 3 * torch.randn(5, 3, 2, 17, 19, generator=rng)
    flow[:, 1] = flow[:1, 1]  # a picture that stands still at once
    masks = torch.rand(5, 3, 17, 19, generator=rng) < 0.5
    for task, draws in ((Depth(), depth), (Flow(), flow), (Amodal(), masks)):
        together = task.merge(draws)
        for i in range(3):
            alone = task.merge(draws[:, i : i + 1])
            for a, b in zip(together, alone, strict=True):
                assert torch.equal(a[i], b[0]), task.name


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 9))
def test_vectors_in_any_order_give_the_same_bits(seed, n):
    rng = torch.Generator().manual_seed(seed)
    draws = torch.randn(n, 2, 2, 3, 5, generator=rng)
    order = torch.randperm(n, generator=rng)
    for component_wise in (False, True):
        ours = merge.vector_median(draws, component_wise=component_wise)
        again = merge.vector_median(draws[order], component_wise=component_wise)
        assert all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))


def test_a_soft_vote_of_certain_draws_is_the_vote():
    rng = torch.Generator().manual_seed(0)
    votes = torch.rand(6, 4, 5, generator=rng) < 0.5
    for a, b in zip(merge.mean_vote(votes.float()), merge.vote(votes), strict=True):
        assert torch.equal(a, b)
    sure_and_unsure = torch.tensor([0.9, 0.4, 0.4])[:, None]  # two votes against, yet likely
    mask, uncertainty = merge.mean_vote(sure_and_unsure)
    assert mask.item()
    assert uncertainty.item() == pytest.approx(1 - 1.7 / 3)


@pytest.mark.parametrize("inside", [torch.inference_mode, torch.enable_grad])
def test_any_mode_of_torch_gives_the_same(inside):
    _, plain = draws_of(1)
    with inside():
        draws = plain.clone().requires_grad_(inside is torch.enable_grad)
        flow = torch.stack([draws, draws], dim=1)
        ours = merge.merge_affine(draws), merge.vector_median(flow), merge.mean(draws)
    expected = (
        merge.merge_affine(plain),
        merge.vector_median(torch.stack([plain, plain], 1)),
        merge.mean(plain),
    )
    for a, b in zip(itertools.chain(*ours), itertools.chain(*expected), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "weight",
    [torch.zeros(4, 4), -torch.ones(4, 4), torch.full((4, 4), torch.inf)],
)
def test_bad_weights_are_named(weight):
    with pytest.raises(InputError, match="weight"):
        merge.merge_affine(torch.rand(2, 4, 4), weight=weight)
