"""The ways in which draws are merged that a user can ask for."""

import numpy as np
import pytest
import torch

from lookharder.errors import InputError
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.tasks.generation import Generation
from lookharder.tasks.merge import Marigold, merge_affine

RNG = np.random.default_rng(3)


def depth_draws(count: int = 5) -> torch.Tensor:
    """(N, 1, 64, 72): one scene, each time with another scale, shift and noise, in [0, 1]."""
    scene = np.hypot(*np.mgrid[:64, :72]) / 96
    draws = [RNG.uniform(0.5, 0.9) * scene + RNG.uniform(0, 0.1) for _ in range(count)]
    noise = RNG.normal(0, 0.01, (count, 64, 72))
    return torch.from_numpy(np.clip(np.stack(draws) + noise, 0, 1))[:, None].float()


def test_depth_is_aligned_as_published_or_not_at_all():
    draws = depth_draws()
    for how, solver in (
        ("gram", "gram"),
        ("marigold", "marigold"),
        ("released", Marigold(max_res=50)),
    ):
        merged, spread = Depth().merged_by(how).merge(draws)
        wanted = merge_affine(draws[:, 0], solver=solver)
        torch.testing.assert_close((merged[0], spread[0]), wanted, rtol=0, atol=0)
    plain, _ = Depth().merged_by("median").merge(draws)
    np.testing.assert_array_equal(plain.numpy(), np.median(draws.numpy(), axis=0))
    mean, deviation = Depth().merged_by("mean").merge(draws)
    np.testing.assert_allclose(mean.numpy(), draws.numpy().mean(0), rtol=1e-5)
    np.testing.assert_allclose(deviation.numpy(), draws.numpy().std(0), rtol=1e-3, atol=1e-6)
    released, published = (Depth(merging=how).merge(draws)[0] for how in ("released", "marigold"))
    assert not torch.equal(released, published), "maps of 50 pixels are aligned otherwise"


def test_flow_by_the_mean_and_hidden_objects_by_the_median_of_their_colours():
    flow = torch.from_numpy(RNG.normal(size=(4, 1, 2, 6, 7)))
    merged, spread = Flow().merged_by("mean").merge(flow)
    np.testing.assert_allclose(merged.numpy(), flow.numpy().mean(0), rtol=1e-9)
    distance = np.hypot(*np.moveaxis(flow.numpy().std(0), 1, 0))
    np.testing.assert_allclose(spread.numpy(), distance, rtol=1e-9)
    assert not torch.allclose(Flow().merge(flow)[0], merged)

    task = Amodal().merged_by("median")
    paintings = torch.from_numpy(RNG.uniform(0.8, 1, (3, 1, 1, 3, 16, 16))).float()
    draws = task.from_image(paintings)
    mask, disagree = task.merge(draws)
    colours = np.median(paintings.numpy()[:, :, 0], axis=0)
    grey = np.einsum("bchw,c->bhw", colours, (0.299, 0.587, 0.114))
    np.testing.assert_array_equal(mask.numpy(), np.rint((grey + 1) * 127.5) <= 250)
    masks = Amodal().from_image(paintings).numpy()
    np.testing.assert_allclose(disagree.numpy(), (masks != mask.numpy()).mean(0), rtol=1e-6)
    assert mask.any() and not mask.all()


def test_what_a_task_does_not_know_is_refused():
    for task, how in (
        (Flow(), "gram"),
        (Amodal(), "mean"),
        (Depth(), "vote"),
        (Generation(), "mean"),
    ):
        with pytest.raises(InputError, match=f"merge: got '{how}'.*for task '{task.name}'"):
            task.merged_by(how)
        assert task.merged_by(None) is task
