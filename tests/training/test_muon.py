"""Muon against the singular value decomposition, against torch's own, and beside plain AdamW."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lookharder.errors import InputError
from lookharder.seeding import torch_generator
from lookharder.training.muon import Muon, orthogonal
from lookharder.training.optim import OptimConfig, build_optimizer


def matrices(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch_generator("muon", seed))


class Net(nn.Module):
    """A block with matrices, a stack of them and a bias, between a first and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 2)
        self.blocks = nn.ModuleList([nn.Linear(8, 8)])
        self.blocks[0].experts_weight = nn.Parameter(matrices(3, 8, 4))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int = 0) -> None:
    for i, parameter in enumerate(model.parameters()):
        parameter.grad = matrices(*parameter.shape, seed=100 * seed + i)
    optimizer.step()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(1, 24), st.integers(1, 24), st.integers(0, 99))
def test_singular_vectors_stay_and_values_go_near_one(count, rows, columns, seed):
    given_ = matrices(count, rows, columns, seed=seed)
    u, s, v = torch.linalg.svd(given_, full_matrices=False)
    found = orthogonal(given_)
    inside = u.mT @ found @ v.mT  # diagonal, as the vectors are the same
    values = inside.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(inside, torch.diag_embed(values), atol=2e-3, rtol=0)
    large = s > given_.norm(dim=(1, 2))[:, None] / 500
    assert (values[large] > 0.67).all() and (values[large] < 1.22).all()


def test_matrices_at_once_are_matrices_one_by_one():
    given_ = matrices(5, 6, 9)
    alone = torch.cat([orthogonal(one[None]) for one in given_])
    torch.testing.assert_close(orthogonal(given_), alone)
    assert torch.equal(orthogonal(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9")
def test_updates_are_those_of_torch_to_the_precision_of_bfloat16():
    ours, theirs = nn.Module(), nn.Module()
    for model in (ours, theirs):
        model.blocks = nn.Linear(16, 24, bias=False)
        model.blocks.weight = nn.Parameter(matrices(24, 16))
    config = OptimConfig(optimizer="muon", lr=0.1, weight_decay=0.1)
    mine = build_optimizer(ours, config)
    reference = torch.optim.Muon(
        theirs.parameters(),
        lr=0.1,
        weight_decay=0.1,
        momentum=0.95,
        adjust_lr_fn="match_rms_adamw",
    )
    for seed in range(3):
        step(ours, mine, seed)
        step(theirs, reference, seed)
    moved = (theirs.blocks.weight - matrices(24, 16)).abs().max()
    difference = (ours.blocks.weight - theirs.blocks.weight).abs().max()
    assert difference < 0.03 * moved


def test_only_matrices_of_blocks_are_orthogonal_and_the_rest_is_adamw():
    mixed, plain = Net(), Net()
    plain.load_state_dict(mixed.state_dict())
    settings_ = {"lr": 0.1, "weight_decay": 0.1, "betas": (0.5, 0.9)}
    muon = build_optimizer(mixed, OptimConfig(optimizer="muon", momentum=0.0, **settings_))
    adamw = build_optimizer(plain, OptimConfig(**settings_))
    assert isinstance(muon, Muon) and not isinstance(adamw, Muon)
    before = {name: value.clone() for name, value in mixed.state_dict().items()}
    step(mixed, muon)
    step(plain, adamw)
    hidden = {"blocks.0.weight", "blocks.0.experts_weight"}
    reference = dict(plain.named_parameters())
    for i, (name, parameter) in enumerate(mixed.named_parameters()):
        if name not in hidden:
            torch.testing.assert_close(parameter, reference[name], atol=0, rtol=0)
            continue
        gradient = matrices(*parameter.shape, seed=i).view(-1, *parameter.shape[-2:])
        expected = before[name] * (1 - 0.1 * 0.1)
        expected -= 0.1 * 0.2 * 8**0.5 * orthogonal(gradient).view(parameter.shape)
        torch.testing.assert_close(parameter.detach(), expected)


def test_parameters_without_gradient_are_left_alone():
    model = Net()
    optimizer = build_optimizer(model, OptimConfig(optimizer="muon"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("field", "value"), [("momentum", 1.0), ("momentum", -0.1)])
def test_bad_values_are_named(field, value):
    with pytest.raises(InputError, match=f"optim.{field}"):
        OptimConfig(**{field: value})
