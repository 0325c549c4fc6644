"""The published solver against diffusers' own."""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch

from lookharder.errors import InputError
from lookharder.tasks import merge


def members(seed, n, size=(21, 30)):
    """Depth in [0, 1] as a network gives it, (N, H, W) float32."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(size, generator=rng)
    scale, shift = 0.5 + 0.4 * torch.rand(n, 1, 1, generator=rng), 0.1 * torch.rand(n, 1, 1)
    return (scale * truth + shift + 0.05 * torch.randn(n, *size, generator=rng)).clamp(0, 1)


@pytest.fixture(scope="module")
def published():
    """`ensemble_depth` itself; of transformers its module needs the names of two types, for annotations."""
    pytest.importorskip("diffusers")  # looks for transformers, and must not find the stand-in
    with pytest.MonkeyPatch.context() as patch:
        if not find_spec("transformers"):
            stand_in = ModuleType("transformers")
            vars(stand_in).update(CLIPTextModel=object, CLIPTokenizer=object)
            patch.setitem(sys.modules, "transformers", stand_in)
        module = import_module("diffusers.pipelines.marigold.pipeline_marigold_depth")

    def solve(draws, **options):
        found = module.MarigoldDepthPipeline.ensemble_depth(
            draws[:, None], output_uncertainty=True, **options
        )
        return tuple(x[0, 0] for x in found)

    return solve


@pytest.mark.parametrize(
    ("n", "ours", "theirs"),
    [
        (2, {}, {}),
        (5, {}, {}),
        (6, {"max_res": 12}, {"max_res": 12}),
        (4, {"max_res": None, "max_iter": 5}, {"max_res": None, "max_iter": 5}),
        (3, {"tol": 1e-6, "max_iter": 9}, {"tol": 1e-6, "max_iter": 9}),
        (4, {"regularizer": 0.3}, {"regularizer_strength": 0.3}),
        (4, {"regularizer": 0.0}, {"regularizer_strength": 0.0}),
    ],
)
def test_it_is_the_published_solver(published, n, ours, theirs):
    draws = members(n, n)
    found = merge.merge_affine(draws, solver=merge.Marigold(**ours))
    for a, b in zip(found, published(draws, **theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_its_name_means_the_published_options():
    draws = members(0, 3)
    by_name = merge.merge_affine(draws, solver="marigold")
    for a, b in zip(by_name, merge.merge_affine(draws, solver=merge.Marigold()), strict=True):
        assert torch.equal(a, b)
    assert merge.merge_flagged(draws, solver="marigold").kept.all()


def test_one_member_is_the_identity():
    draw = 0.2 + 0.5 * members(0, 1)
    merged, uncertainty = merge.merge_affine(draw, solver="marigold")
    assert torch.equal(merged, draw[0])
    assert not uncertainty.any()


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("max_res", lambda: merge.Marigold(max_res=0)),
        ("tol", lambda: merge.Marigold(tol=0.0)),
        ("max_res", lambda: merge.merge_affine(members(0, 2, (2, 30)), None, merge.Marigold(max_res=3))),
        ("mask", lambda: merge.merge_affine(members(0, 2), torch.ones(21, 30) > 0, "marigold")),
        ("draws", lambda: merge.merge_affine(members(0, 2) / 0, solver="marigold")),
    ],
)  # fmt: skip
def test_bad_input_is_named(argument, call):
    with pytest.raises(InputError, match=argument):
        call()
