"""Closed forms: the learning rate, the average, and what decays."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lookharder.errors import InputError
from lookharder.seeding import torch_generator
from lookharder.training.optim import (
    Ema,
    OptimConfig,
    build_optimizer,
    clip,
    ema_decay,
    gradient_norm,
    learning_rate,
    parameter_groups,
)


class Net(nn.Module):
    """One of each kind of parameter that a DiT has."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.patch = nn.Conv2d(3, 4, 2)
        self.norm = nn.LayerNorm(4)
        self.experts_weight = nn.Parameter(torch.ones(2, 4, 4))
        self.experts_bias = nn.Parameter(torch.ones(2, 4))
        self.positions = nn.Parameter(torch.ones(1, 9, 4), requires_grad=False)


def test_constant_rate_after_linear_warmup():
    config = OptimConfig(lr=2.0, warmup=3)
    rates = [learning_rate(config, i, 100) for i in range(5)]
    assert rates == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert learning_rate(OptimConfig(lr=2.0), 0, 100) == 2.0


def test_exponential_rate_is_a_geometric_sequence_as_in_marigold():
    config = OptimConfig(lr=3e-5, lr_schedule="exponential", final_lr_ratio=0.01, warmup=100)
    for iteration in (100, 101, 12_550, 24_999, 25_000):
        expected = 3e-5 * math.exp((iteration - 100) / (25_000 - 100) * math.log(0.01))
        assert learning_rate(config, iteration, 25_000) == pytest.approx(expected, rel=1e-12)
    assert learning_rate(config, 30_000, 25_000) == pytest.approx(3e-7, rel=1e-12)


def test_cosine_rate_is_that_of_torch():
    config = OptimConfig(lr=0.5, lr_schedule="cosine", final_lr_ratio=0.1)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=0.05)
    for iteration in range(41):
        assert learning_rate(config, iteration, 40) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_a_cooldown_ends_any_schedule_at_zero_as_one_minus_a_root_does():
    config = OptimConfig(lr=2.0, cooldown=16)
    rates = [learning_rate(config, i, 100) for i in (0, 83, 84, 88, 93, 100, 120)]
    assert rates == pytest.approx([2.0, 2.0, 2.0, 1.0, 0.5, 0.0, 0.0])
    falling = OptimConfig(lr=2.0, lr_schedule="cosine", final_lr_ratio=0.1, cooldown=16)
    plain = OptimConfig(lr=2.0, lr_schedule="cosine", final_lr_ratio=0.1)
    assert learning_rate(falling, 88, 100) == pytest.approx(learning_rate(plain, 88, 100) / 2)
    with pytest.raises(InputError, match="cooldown"):
        OptimConfig(cooldown=-1)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["constant", "exponential", "cosine"]),
    st.integers(0, 20),
    st.integers(1, 60),
    st.floats(0.001, 1.0),
)
def test_rate_rises_to_the_peak_then_never_rises(schedule, warmup, length, ratio):
    config = OptimConfig(lr=1e-3, lr_schedule=schedule, warmup=warmup, final_lr_ratio=ratio)
    horizon = warmup + length
    rates = [learning_rate(config, i, horizon) for i in range(horizon + 5)]
    assert rates.index(max(rates)) == warmup
    assert rates[warmup] == 1e-3
    assert all(a < b for a, b in pairwise(rates[: warmup + 1]))
    assert all(a >= b for a, b in pairwise(rates[warmup:]))
    final = 1.0 if schedule == "constant" else ratio
    assert rates[horizon] == rates[-1] == pytest.approx(1e-3 * final)


def test_only_weight_matrices_decay():
    model = Net()
    names = {parameter: name for name, parameter in model.named_parameters()}
    decayed, kept = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert {names[p] for p in decayed["params"]} == {"patch.weight", "experts_weight"}
    assert {names[p] for p in kept["params"]} == {
        "table.weight",
        "patch.bias",
        "norm.weight",
        "norm.bias",
        "experts_bias",
    }


def test_decay_is_decoupled_and_spares_the_rest():
    model = Net()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, OptimConfig(lr=0.5, weight_decay=0.1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 1 - 0.5 * 0.1 if name in ("patch.weight", "experts_weight") else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_first_update_of_adamw_in_closed_form():
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    config = OptimConfig(lr=0.25, betas=(0.5, 0.75), eps=0.125)
    optimizer = build_optimizer(model, config)
    gradient = torch.tensor([[1.0, -2.0, 0.5], [4.0, 0.0, -8.0]])
    model.weight.grad = gradient
    optimizer.step()
    # bias correction makes the moments g and g^2
    expected = before - 0.25 * gradient / (gradient.abs() + 0.125)
    torch.testing.assert_close(model.weight.detach(), expected)


def test_a_model_without_trainable_parameters_is_refused():
    with pytest.raises(InputError, match="no trainable parameter"):
        build_optimizer(nn.Identity(), OptimConfig())


@pytest.mark.parametrize("limit", [None, 0.5, 20.0, 1e9])
def test_clipping_is_that_of_torch(limit):
    ours, theirs = Net(), Net()
    generator = torch_generator(0, "gradients")
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        if mine.requires_grad:
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
    norm = gradient_norm(ours).item()
    clip(ours, norm, limit)
    expected = nn.utils.clip_grad_norm_(theirs.parameters(), math.inf if limit is None else limit)
    assert norm == float(expected)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        if mine.requires_grad:
            torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("poison", [math.inf, math.nan])
def test_a_gradient_that_is_not_finite_has_no_finite_norm(poison):
    model = nn.Linear(2, 2)
    model.weight.grad, model.bias.grad = torch.full((2, 2), poison), torch.ones(2)
    assert not math.isfinite(gradient_norm(model).item())


def test_ema_is_the_weighted_sum_of_all_weights():
    decay, model = 0.9, nn.Linear(4, 4)
    ema = Ema(model, OptimConfig(ema_decay=decay, ema_warmup=False))
    history = [model.weight.detach().double().clone()]
    generator = torch_generator(0, "weights")
    for iteration in range(30):
        with torch.no_grad():
            model.weight.copy_(torch.randn(4, 4, generator=generator))
        history.append(model.weight.detach().double().clone())
        ema.update(model, iteration)
    n = len(history) - 1
    expected = decay**n * history[0] + sum(
        (1 - decay) * decay ** (n - k) * history[k] for k in range(1, n + 1)
    )
    torch.testing.assert_close(ema.shadow["weight"].double(), expected, rtol=0, atol=1e-6)


def test_ema_warmup_forgets_the_initial_weights():
    config = OptimConfig(ema_decay=0.999)
    assert ema_decay(config, 0) == 0.1
    assert ema_decay(config, 80) == 81 / 90
    assert ema_decay(config, 8990) == pytest.approx(0.999)
    assert ema_decay(config, 10**6) == 0.999

    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    ema = Ema(model, config)
    nn.init.constant_(model.weight, 0.0)
    for iteration in range(20):
        ema.update(model, iteration)
    # what is left of the start is the product of the decays: 20! 9! / 29!
    left = math.prod((1 + i) / (10 + i) for i in range(20))
    assert ema.shadow["weight"].item() == pytest.approx(left, rel=1e-5)


def test_ema_is_float32_keeps_frozen_parameters_and_copies_back():
    model = Net().to(torch.bfloat16)
    ema = Ema(model, OptimConfig())
    for iteration in range(3):
        ema.update(model, iteration)
    assert all(tensor.dtype == torch.float32 for tensor in ema.state().values())
    assert torch.equal(ema.shadow["positions"], torch.ones(1, 9, 4))
    # the average of equal weights is that weight, exactly
    for name, parameter in model.named_parameters():
        assert torch.equal(ema.shadow[name], parameter.detach().float())

    other = Net()
    ema.copy_to(other)
    for name, parameter in other.named_parameters():
        assert torch.equal(parameter.detach(), ema.shadow[name])


def test_ema_loads_its_own_state_and_no_other():
    ema = Ema(Net(), OptimConfig())
    other = Ema(Net(), OptimConfig())
    other.load(ema.state())
    for name, tensor in ema.shadow.items():
        assert torch.equal(other.shadow[name], tensor)
        assert other.shadow[name].data_ptr() != tensor.data_ptr()
    state = ema.state()
    with pytest.raises(InputError, match=r"norm\.bias"):
        other.load({name: tensor for name, tensor in state.items() if name != "norm.bias"})
    with pytest.raises(InputError, match="stranger"):
        other.load({**state, "stranger": torch.zeros(1)})
    with pytest.raises(InputError, match=r"table\.weight"):
        other.load({**state, "table.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0.0),
        ("lr", math.nan),
        ("final_lr_ratio", 1.5),
        ("warmup", -1),
        ("betas", (0.9, 1.0)),
        ("weight_decay", -0.1),
        ("eps", 0.0),
        ("clip_norm", 0.0),
        ("ema_decay", 1.0),
    ],
)
def test_bad_values_are_named(field, value):
    with pytest.raises(InputError, match=rf"optim\.{field}"):
        OptimConfig(**{field: value})


def test_an_unknown_schedule_is_named():
    with pytest.raises(Exception, match="lr_schedule"):  # by the type checker, where it is on
        OptimConfig(lr_schedule="linear")


def test_a_ratio_of_zero_suits_a_cosine_but_no_exponential():
    assert learning_rate(OptimConfig(lr_schedule="cosine", final_lr_ratio=0.0), 10, 10) == 0
    with pytest.raises(InputError, match=r"optim\.final_lr_ratio"):
        OptimConfig(lr_schedule="exponential", final_lr_ratio=0.0)
