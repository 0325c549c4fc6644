"""Merging draws against brute force, planted failures and the properties it promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.errors import InputError
from lookharder.tasks import merge

SOLVERS = ["gram", "zscore"]


def ensemble(seed=0, n=6, noise=0.05, size=(14, 18), affine=True):
    """(truth (H, W) in [0, 1], draws (N, H, W) float64): noisy views of it under unknown scale > 0 and shift."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(size, generator=rng, dtype=torch.float64)
    truth = (truth - truth.min()) / (truth.max() - truth.min())
    draws = truth + noise * torch.randn(n, *size, generator=rng, dtype=torch.float64)
    if affine:
        scale = torch.rand(n, 1, 1, generator=rng, dtype=torch.float64) + 0.2
        draws = scale * draws + torch.randn(n, 1, 1, generator=rng, dtype=torch.float64)
    return truth, draws


def close(a, b, atol=1e-6):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_median_is_the_true_one_for_even_n():
    draws = torch.tensor([4.0, 1.0, 3.0, 2.0])[:, None, None]
    assert torch.median(draws, dim=0).values.item() == 2.0  # the trap
    merged, spread = merge.median(draws)
    assert (merged.item(), spread.item()) == (2.5, 1.0)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 11, 32])
def test_median_equals_numpy(n):
    draws = torch.randn(n, 5, 7, generator=torch.Generator().manual_seed(n))
    merged, spread = merge.median(draws)
    np.testing.assert_array_equal(merged, np.median(draws.numpy(), axis=0))
    np.testing.assert_array_equal(spread, np.median(np.abs(draws.numpy() - merged.numpy()), axis=0))


def test_mean_and_deviation_take_leading_axes():
    draws = torch.randn(5, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    merged, spread = merge.mean(draws)
    np.testing.assert_allclose(merged, draws.numpy().mean(0), atol=1e-6)
    np.testing.assert_allclose(spread, draws.numpy().std(0), atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n", [2, 5, 10])
def test_affine_copies_give_back_the_map(solver, n):
    truth, draws = ensemble(n=n, noise=0.0)
    merged, uncertainty = merge.merge_affine(draws, solver=solver)
    close(merged, truth, atol=1e-12)
    close(uncertainty, torch.zeros_like(truth), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 9),
    st.sampled_from([0.02, 0.3, 3.0]),
    st.sampled_from(SOLVERS),
)
def test_order_and_affine_of_the_draws_do_not_matter(seed, n, noise, solver):
    _, draws = ensemble(seed, n, noise)
    merged, uncertainty = merge.merge_affine(draws, solver=solver)
    assert merged.min() == 0 and merged.max() == 1 and uncertainty.min() >= 0
    rng = torch.Generator().manual_seed(seed)
    scale = torch.exp(2 * torch.randn(n, 1, 1, generator=rng, dtype=torch.float64))
    shift = 5 * torch.randn(n, 1, 1, generator=rng, dtype=torch.float64)
    shuffled = (scale * draws + shift)[torch.randperm(n, generator=rng)]
    again = merge.merge_affine(shuffled, solver=solver)
    close(again[0], merged)
    close(again[1], uncertainty)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=6, max_size=6),
        min_size=1,
        max_size=5,
    )
)
def test_any_draws_merge_into_the_unit_range_in_any_order(rows):
    """Few values make ties, constants, mirror images and uncorrelated draws: the degenerate cases."""
    draws = torch.tensor(rows, dtype=torch.float64).reshape(-1, 2, 3)
    merged, uncertainty = merge.merge_affine(draws)
    assert merged.isfinite().all() and uncertainty.isfinite().all()
    assert merged.min() >= 0 and merged.max() <= 1
    backwards = merge.merge_affine(draws.flip(0))
    close(backwards[0], merged)
    close(backwards[1], uncertainty)


def test_one_draw_is_the_identity():
    draw = torch.rand(1, 6, 7, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    merged, uncertainty = merge.merge_affine(draw)
    assert torch.equal(merged, draw[0])
    assert not uncertainty.any()
    merged, uncertainty = merge.merge_affine(10 * draw - 3)
    close(merged, (draw[0] - draw.min()) / (draw.max() - draw.min()))
    assert not uncertainty.any()


@pytest.mark.parametrize("n", [2, 5, 10])
def test_equal_draws_are_certain(n):
    draw = ensemble(n=1)[1]
    merged, uncertainty = merge.merge_affine(draw.expand(n, -1, -1))
    close(merged, (draw[0] - draw.min()) / (draw.max() - draw.min()), atol=1e-12)
    close(uncertainty, torch.zeros_like(merged), atol=1e-12)


def test_the_closed_form_is_least_over_positive_scales():
    """No positive scales with free shifts give a smaller sum of squared differences at the same gauge."""
    _, draws = ensemble(3, n=5, noise=0.2)

    def cost(scale, shift):
        aligned = (scale[:, None, None] * draws + shift[:, None, None]).flatten(1)
        gauge = (scale**2 * draws.flatten(1).var(1, correction=0)).sum()
        return (torch.cdist(aligned, aligned) ** 2).sum() / gauge

    scale, shift = merge.solve_affine(draws)
    best = cost(scale, shift)
    rng = torch.Generator().manual_seed(0)
    for size in (1e-3, 1e-2, 1e-1, 1.0):
        for _ in range(50):
            other = scale * torch.exp(size * torch.randn(5, generator=rng, dtype=torch.float64))
            moved = shift + size * torch.randn(5, generator=rng, dtype=torch.float64)
            assert cost(other, -other * draws.mean((1, 2))) >= best - 1e-9
            assert cost(other, moved) >= best - 1e-9


def test_more_draws_are_better_and_alignment_is_why():
    truth, draws = ensemble(5, n=10, noise=0.1)
    flat = draws.flatten(1)
    low, high = flat.amin(1)[:, None, None], flat.amax(1)[:, None, None]
    single = ((draws - low) / (high - low) - truth).square().mean().sqrt()

    def error(merged):
        design = torch.stack([merged.flatten(), torch.ones(merged.numel(), dtype=torch.float64)], 1)
        fit = design @ torch.linalg.lstsq(design, truth.flatten()[:, None]).solution
        return (fit[:, 0] - truth.flatten()).square().mean().sqrt()

    assert error(merge.merge_affine(draws)[0]) < 0.6 * single
    assert error(merge.merge_affine(draws)[0]) < error(merge.median(draws)[0])


def test_failed_draws_are_left_out():
    _, draws = ensemble(7, n=5, noise=0.05)
    failed = torch.stack([-draws[0], torch.full_like(draws[0], 0.3)])
    everything = torch.cat([failed[:1], draws, failed[1:]])
    scale, _ = merge.solve_affine(everything)
    assert (scale[[0, -1]] == 0).all() and (scale[1:-1] > 0).all()
    for ours, expected in zip(
        merge.merge_affine(everything), merge.merge_affine(draws), strict=True
    ):
        close(ours, expected, atol=1e-12)


def test_the_result_is_the_median_of_the_aligned_draws_in_its_own_unit():
    _, draws = ensemble(11, n=4, noise=0.2)
    scale, shift = (x.numpy()[:, None, None] for x in merge.solve_affine(draws))
    aligned = scale * draws.numpy() + shift
    middle = np.median(aligned, axis=0)
    merged, uncertainty = merge.merge_affine(draws)
    np.testing.assert_allclose(merged, (middle - middle.min()) / np.ptp(middle), atol=1e-12)
    spread = np.median(np.abs(aligned - middle), axis=0) / np.ptp(middle)
    np.testing.assert_allclose(uncertainty, spread, atol=1e-12)


def test_constant_draws_give_their_median():
    draws = torch.tensor([0.2, 0.3, 0.9, 0.4])[:, None, None].expand(4, 3, 3)
    merged, uncertainty = merge.merge_affine(draws)
    close(merged, torch.full((3, 3), 0.35))
    close(uncertainty, torch.full((3, 3), 0.1))


def test_two_mirror_images_leave_no_shape():
    draw = torch.rand(1, 5, 5, generator=torch.Generator().manual_seed(0))
    merged, uncertainty = merge.merge_affine(torch.cat([draw, 1 - draw]))
    close(merged, torch.full((5, 5), 0.5))
    close(uncertainty, (draw[0] - 0.5).abs())


def test_only_the_mask_counts():
    truth, draws = ensemble(8, n=4, noise=0.1)
    mask = torch.rand(truth.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    spoilt = torch.where(
        mask, draws, 100 * torch.randn(draws.shape, generator=torch.Generator().manual_seed(2))
    )
    ours, spoilt = merge.merge_affine(draws, mask), merge.merge_affine(spoilt, mask)
    for a, b in zip(ours, spoilt, strict=True):
        close(a[mask], b[mask], atol=1e-12)
    assert ours[0][mask].min() == 0 and ours[0][mask].max() == 1
    assert spoilt[0].min() >= 0 and spoilt[0].max() <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_precision_that_came_goes(dtype):
    draws = ensemble(9, affine=False)[1].to(dtype)
    merged, uncertainty = merge.merge_affine(draws)
    assert merged.dtype == uncertainty.dtype == dtype
    close(merged.double(), merge.merge_affine(draws.double())[0], atol=2 * torch.finfo(dtype).eps)


def cost(points, point):
    return np.linalg.norm(points - point, axis=1).sum()


@pytest.mark.parametrize("n", [3, 4, 5, 8])
@pytest.mark.parametrize("spread", [0.02, 1.0, 30.0])
def test_vector_median_has_the_least_sum_of_distances(n, spread):
    """Outliers among them; the middle of such draws often lies on one of them that is not the median."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(n)
    draws = rng.normal(0, spread, (n, 2, 8, 8))
    draws[:2] *= 10
    merged = merge.vector_median(torch.from_numpy(draws))[0].numpy()
    for y, x in np.ndindex(8, 8):
        points = draws[:, :, y, x]
        starts = [points.mean(0), min(points, key=lambda p: cost(points, p))]
        options = {"xatol": 1e-7 * spread, "fatol": 1e-9 * spread}
        found = [
            minimize(lambda m: cost(points, m), s, method="Nelder-Mead", options=options).fun  # noqa: B023
            for s in starts
        ]
        assert cost(points, merged[:, y, x]) <= min(found) + 1e-4 * spread


@pytest.mark.parametrize("n", [3, 4, 5, 10])
@pytest.mark.parametrize("spread", [0.02, 1.0, 30.0])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-4), (torch.float32, 1e-2)])
def test_vector_median_is_where_nothing_pulls_away(n, spread, dtype, bound):
    """In each of 4,096 pixels unit vectors to the draws cancel, or, at a draw, those to the others are 1 at most."""
    draws = spread * torch.randn(n, 2, 64, 64, generator=torch.Generator().manual_seed(n))
    draws = draws.to(dtype)
    draws[: n * 2 // 5] *= 10
    away = draws - merge.vector_median(draws, still=1e-6 * spread)[0]
    far = away.norm(dim=1, keepdim=True)
    at_draw = far < 1e-9 * spread
    pull = torch.where(at_draw, 0.0, away / far).sum(0).norm(dim=0)
    excess = pull - at_draw.sum(0)[0]
    assert (excess <= bound).all(), excess.max()
    assert at_draw.any(0).any() and not at_draw.any(0).all(), "both cases are there"


def test_vector_median_of_a_few_points_in_closed_form():
    """A triangle's draw with an angle of 120 degrees or more, where diagonals cross, and the middle of a line."""
    for points, median in (
        ([[0, 0], [10, 1], [-10, 1]], [0, 0]),
        ([[0, 0], [4, 0], [2, 2 * 3**0.5]], [2, 2 / 3**0.5]),
        ([[0, 0], [6, 0], [6, 2], [0, 2]], [3, 1]),
        ([[0, 0], [1, 1], [3, 3], [9, 9]], [2, 2]),
        ([[5, 5], [5, 5], [5, 5], [0, 90], [-70, 0]], [5, 5]),
        ([[1, 2], [1, 2], [1, 2]], [1, 2]),
    ):
        draws = torch.tensor(points, dtype=torch.float64)[:, :, None, None]
        close(merge.vector_median(draws)[0].flatten(), torch.tensor(median).double(), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.floats(0, 6.28))
def test_vector_median_turns_with_the_axes_and_forgets_the_order(seed, n, angle):
    rng = torch.Generator().manual_seed(seed)
    draws = 10 * torch.randn(n, 2, 4, 5, generator=rng, dtype=torch.float64)
    merged, _ = merge.vector_median(draws)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    turned = torch.einsum("ij,njhw->nihw", turn, draws)[torch.randperm(n, generator=rng)]
    again = torch.einsum("ji,jhw->ihw", turn, merge.vector_median(turned)[0])
    close(again, merged, atol=1e-3)
    close(merge.vector_median(draws.flip(0))[0], merged)


def test_vector_median_ignores_a_minority_and_is_sure_of_equal_draws():
    draws = torch.zeros(5, 1, 2, 2, 2)
    draws[:, :, 0] = 3.0
    merged, uncertainty = merge.vector_median(draws)
    assert torch.equal(merged, draws[0]) and not uncertainty.any()
    draws[:2] = 1000.0
    merged, uncertainty = merge.vector_median(draws)
    close(merged, draws[-1])
    assert not uncertainty.any()


def test_component_wise_median():
    draws = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    merged, _ = merge.vector_median(draws, component_wise=True)
    np.testing.assert_allclose(merged, np.median(draws.numpy(), axis=0), rtol=1e-6)
    single = merge.vector_median(draws[:1])
    assert torch.equal(single[0], draws[0]) and not single[1].any()


def test_vote_is_the_majority():
    votes = torch.tensor(
        [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.bool
    )[:, None]
    mask, disagree = merge.vote(votes)
    assert mask.tolist() == [[True, True, False, False]]  # half is not a majority
    close(disagree, torch.tensor([[0.0, 0.25, 0.5, 0.0]]))


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("solver", {"solver": "bfgs"}),
        ("draws", {"draws": torch.zeros(0, 4, 4)}),
        ("draws", {"draws": torch.full((2, 4, 4), float("nan"))}),
        ("mask", {"mask": torch.zeros(4, 4, dtype=torch.bool)}),
    ],
)
def test_bad_input_is_named(argument, change):
    with pytest.raises(InputError) as error:
        merge.merge_affine(**({"draws": torch.rand(2, 4, 4)} | change))
    assert error.value.argument == argument


@pytest.mark.parametrize("reduce", [merge.median, merge.mean])
def test_no_draw_is_an_error(reduce):
    with pytest.raises(InputError, match="draws"):
        reduce(torch.zeros(0, 3, 3))
