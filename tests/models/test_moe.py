import json
from dataclasses import replace
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from lookharder.errors import InputError
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.moe import Backend, Experts, MoE, MoEConfig, Router
from lookharder.seeding import torch_generator

BACKENDS = get_args(Backend)
CONFIG = MoEConfig(experts=4, active=2, shared=1, z=0.001)
DIT = DiTConfig(
    input_size=8,
    patch_size=2,
    in_channels=6,
    out_channels=3,
    hidden_size=32,
    depth=3,
    num_heads=2,
    num_classes=5,
    learn_sigma=True,
    routes=(0, 1, 2, 2),
    moe=replace(CONFIG, shared=2),
)


@torch.no_grad()
def filled(module, *seed):
    """Every parameter random, the scale of what goes through kept."""
    generator = torch_generator("weights", *seed)
    for parameter in module.parameters():
        fan_in = parameter.shape[-1]
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return module


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch_generator("inputs", seed, *shape))


def picks(tokens, config, seed=0):
    """Experts (N, K), distinct for each token, and their gates."""
    generator = torch_generator("picks", seed)
    scores = torch.rand(tokens, config.experts, generator=generator)
    gates, experts = scores.topk(config.active, dim=1)
    return experts, gates


def like(module, width, hidden, backend):
    """The same weights, another way through them."""
    config = module.config if isinstance(module, Experts) else module.router.config
    other = type(module)(width, hidden, replace(config, backend=backend))
    other.load_state_dict(module.state_dict())
    return other.to(next(module.parameters()).dtype)


def run_moe(moe, x):
    """Output, then the gradients of input and parameters, through the gates and the loss alike."""
    x = x.clone().requires_grad_()
    out, routing = moe(x)
    ((out * normal(*out.shape, seed=1)).sum() + routing.loss).backward()
    return out.detach(), {"x": x.grad} | {n: p.grad for n, p in moe.named_parameters()}


def run_experts(module, x, experts, gates):
    leaves = {"x": x.clone().requires_grad_(), "gates": gates.clone().requires_grad_()}
    out = module(leaves["x"], experts, leaves["gates"])
    (out * normal(*out.shape, seed=1)).sum().backward()
    grads = {n: v.grad for n, v in leaves.items()}
    return out.detach(), grads | {n: p.grad for n, p in module.named_parameters()}


def assert_agree(one, other, forward=1e-5, backward=1e-4):
    """Relative to the largest value, and to the largest gradient."""
    (out, grads), (expected, expected_grads) = one, other
    torch.testing.assert_close(out, expected, rtol=0, atol=forward * expected.abs().max().item())
    largest = max(grad.abs().max().item() for grad in expected_grads.values())
    for name, grad in expected_grads.items():
        torch.testing.assert_close(grads[name], grad, rtol=0, atol=backward * largest)


shapes = st.fixed_dictionaries(
    {
        "experts": st.integers(1, 6),
        "active": st.integers(1, 3),
        "tokens": st.integers(1, 12),
        "width": st.integers(1, 12),
        "hidden": st.integers(1, 12),
        "expert": st.sampled_from(["swiglu", "gelu"]),
        "renormalise": st.booleans(),
        "shared": st.integers(0, 2),
        "seed": st.integers(0, 99),
    }
)


def drawn(shape):
    config = MoEConfig(
        experts=shape["experts"],
        active=min(shape["active"], shape["experts"]),
        shared=shape["shared"],
        expert=shape["expert"],
        renormalise=shape["renormalise"],
        z=0.01,
    )
    return config, shape["tokens"], shape["width"], shape["hidden"], shape["seed"]


# ---- three ways through the experts


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_all_backends_agree(shape):
    config, tokens, width, hidden, seed = drawn(shape)
    moe = filled(MoE(width, hidden, config), seed)
    x = normal(1, tokens, width, seed=seed)
    expected = run_moe(like(moe, width, hidden, "loop"), x)
    for backend in ("grouped", "padded_bmm"):
        assert_agree(run_moe(like(moe, width, hidden, backend), x), expected)


@pytest.mark.parametrize("expert", ["swiglu", "gelu"])
@pytest.mark.parametrize("width", [16, 10])  # rows of whole 16-byte units, and not
def test_backends_agree_at_ordinary_widths(expert, width):
    config = replace(CONFIG, experts=8, expert=expert)
    moe = filled(MoE(width, 4 * width, config))
    x = normal(3, 50, width)
    expected = run_moe(like(moe, width, 4 * width, "loop"), x)
    for backend in ("grouped", "padded_bmm"):
        assert_agree(run_moe(like(moe, width, 4 * width, backend), x), expected)


@torch.no_grad()
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("expert", ["swiglu", "gelu"])
def test_a_token_is_what_the_formula_says(backend, expert):
    """Token by token, in float64."""
    config = replace(CONFIG, expert=expert, backend=backend, renormalise=expert == "gelu")
    moe = filled(MoE(8, 12, config))
    x = normal(1, 20, 8)
    out, routing = moe(x)
    weights = {name: parameter.double() for name, parameter in moe.named_parameters()}
    for token, result in zip(x[0].double(), out[0], strict=True):
        p = (weights["router.weight"] @ token).softmax(0)
        chosen = p.argsort(descending=True)[:2].tolist()
        scale = p[chosen].sum() if config.renormalise else 1.0
        gate, value = (weights["shared.glu.weight"] @ token).chunk(2)
        total = weights["shared.out.weight"] @ (F.silu(gate) * value)
        for e in chosen:
            if expert == "swiglu":
                gate, value = (weights["experts.glu_weight"][e] @ token).chunk(2)
                y = weights["experts.out_weight"][e] @ (F.silu(gate) * value)
            else:
                h = weights["experts.in_weight"][e] @ token + weights["experts.in_bias"][e]
                h = F.gelu(h, approximate="tanh")
                y = weights["experts.out_weight"][e] @ h + weights["experts.out_bias"][e]
            total = total + p[e] / scale * y
        torch.testing.assert_close(result.double(), total, rtol=1e-5, atol=1e-5)
    assert routing.gates.shape == (20, 2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("expert", ["swiglu", "gelu"])
@pytest.mark.parametrize("tokens", [1, 7])
@pytest.mark.parametrize("width", [16, 10])
def test_an_expert_without_tokens_has_a_gradient_of_exactly_zero(backend, expert, tokens, width):
    config = replace(CONFIG, experts=5, expert=expert, backend=backend)
    module = filled(Experts(width, 20, config))
    experts = torch.tensor([[3, 1]]).expand(tokens, 2)  # first, middle and last get none
    gates = normal(tokens, 2).abs()
    rubbish = [torch.full_like(p, torch.nan) for p in module.parameters()]
    del rubbish  # memory that was not written would now show
    out, grads = run_experts(module, normal(tokens, width), experts, gates)
    for name, _ in module.named_parameters():
        assert not grads[name][[0, 2, 4]].any(), name
        assert all(grads[name][e].abs().sum() > 0 for e in (1, 3)), name
    loop = run_experts(
        like(module, width, 20, "loop"), normal(tokens, width), experts.flip(1), gates.flip(1)
    )
    loop[1]["gates"] = loop[1]["gates"].flip(1)
    assert_agree((out, grads), loop)  # and the order of a token's picks does not matter


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_router_that_has_collapsed_trains_two_experts_alone(backend):
    moe = filled(MoE(8, 8, replace(CONFIG, experts=6, backend=backend)))
    with torch.no_grad():
        moe.router.weight[:, 0] = torch.tensor([-1e3, 0.0, -1e3, 0.0, -1e3, -1e3])
    x = torch.cat([torch.ones(2, 5, 1), normal(2, 5, 7)], dim=2)
    _, grads = run_moe(moe, x)
    assert set(moe(x)[1].experts.unique().tolist()) == {1, 3}
    for name in ("experts.glu_weight", "experts.out_weight"):
        assert not grads[name][[0, 2, 4, 5]].any()
        assert all(grads[name][e].abs().sum() > 0 for e in (1, 3))
    assert all(grad.isfinite().all() for grad in grads.values())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("expert", ["swiglu", "gelu"])
def test_gradients_are_those_of_finite_differences(backend, expert):
    config = replace(CONFIG, experts=3, expert=expert, backend=backend)
    module = filled(Experts(4, 3, config)).double()
    experts, gates = picks(5, config)
    names, weights = zip(*module.named_parameters(), strict=True)

    def forward(x, gates, *weights):
        state = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(module, state, (x, experts, gates))

    x = normal(5, 4).double().requires_grad_()
    leaves = [w.detach().clone().requires_grad_() for w in weights]
    assert torch.autograd.gradcheck(forward, (x, gates.double().requires_grad_(), *leaves))


@pytest.mark.parametrize("renormalise", [False, True])
def test_the_router_s_gradient_is_that_of_finite_differences(renormalise):
    """In float32, which a router computes in, with picks that the step does not change."""
    moe = filled(MoE(8, 8, replace(CONFIG, renormalise=renormalise, balance=1.0, z=1.0)))
    x, direction = normal(1, 8, 8), normal(4, 8, seed=2)
    _, grads = run_moe(moe, x)
    start, chosen, values = moe.router.weight.detach().clone(), [], []
    with torch.no_grad():
        for step in (-0.005, 0.005):
            moe.router.weight.copy_(start + step * direction)
            out, routing = moe(x)
            chosen.append(routing.experts)
            values.append((out * normal(*out.shape, seed=1)).sum() + routing.loss)
    assert torch.equal(*chosen)
    slope = (values[1] - values[0]) / 0.01
    torch.testing.assert_close(
        slope, (grads["router.weight"] * direction).sum(), rtol=5e-3, atol=1e-3
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_runs_give_the_same_bits(backend):
    moe = filled(MoE(16, 24, replace(CONFIG, backend=backend)))
    x = normal(2, 33, 16)
    (out, grads), (again, grads_again) = run_moe(moe, x), run_moe(like(moe, 16, 24, backend), x)
    assert torch.equal(out, again)
    assert all(torch.equal(grads[name], grads_again[name]) for name in grads)


@pytest.mark.parametrize("backend", BACKENDS)
@torch.no_grad()
def test_tokens_do_not_meet(backend):
    moe = filled(MoE(16, 24, replace(CONFIG, backend=backend)))
    x = normal(3, 20, 16)
    out = moe(x)[0]
    order = torch.randperm(60, generator=torch_generator("order"))
    shuffled = moe(x.flatten(0, 1)[order].view(3, 20, 16))[0].flatten(0, 1)
    torch.testing.assert_close(shuffled, out.flatten(0, 1)[order], rtol=0, atol=1e-6)
    alone = torch.cat([moe(x[i : i + 1])[0] for i in range(3)])
    torch.testing.assert_close(alone, out, rtol=0, atol=1e-6)
    others = torch.cat([x[:1], normal(2, 20, 16, seed=5)])
    torch.testing.assert_close(moe(others)[0][:1], out[:1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_tokens_are_no_error(backend):
    module = Experts(8, 8, replace(CONFIG, backend=backend))
    x = torch.zeros(0, 8, requires_grad=True)
    out = module(x, torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, 2))
    out.sum().backward()
    assert out.shape == (0, 8)


# ---- half precision, static shapes


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("expert", ["swiglu", "gelu"])
def test_half_precision_stays_close_and_routes_as_before(backend, expert):
    moe = filled(MoE(16, 32, replace(CONFIG, expert=expert, backend=backend)))
    x = normal(2, 30, 16)
    expected, routing = moe(x)
    with torch.autocast("cpu", torch.bfloat16):
        out, mixed = moe(x)
    for field in ("experts", "gates", "probabilities", "loss"):
        assert torch.equal(getattr(mixed, field), getattr(routing, field)), field
    assert mixed.gates.dtype == torch.float32
    assert (out.float() - expected).norm() < 0.01 * expected.norm()
    out.float().square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in moe.parameters())

    half, routing = moe.bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16 and routing.gates.dtype == torch.float32
    assert (half.float() - expected).norm() < 0.05 * expected.norm()


def test_backends_agree_in_half_precision():
    moe = filled(MoE(16, 32, CONFIG))
    results = {}
    for backend in BACKENDS:
        with torch.autocast("cpu", torch.bfloat16):
            results[backend] = run_moe(like(moe, 16, 32, backend), normal(2, 30, 16))
    for backend in ("grouped", "padded_bmm"):
        out, grads = results[backend]
        assert_agree((out.float(), grads), results["loop"], forward=0.01, backward=0.02)


@pytest.mark.skipif(not hasattr(F, "grouped_mm"), reason="this torch has no grouped product")
def test_grouped_and_padded_bmm_read_no_value_on_the_host():
    """Tensors without values stop whatever asks for one; torch describes its grouped product in bfloat16 only."""
    for backend in BACKENDS:
        moe = MoE(16, 32, replace(CONFIG, expert="gelu", backend=backend)).bfloat16()
        with FakeTensorMode(allow_non_fake_inputs=True):
            x = torch.empty(2, 30, 16, dtype=torch.bfloat16, requires_grad=True)
            if backend == "loop":
                with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
                    moe(x)
            else:
                moe(x)[0].sum().backward()
                assert x.grad.shape == x.shape


def test_padded_bmm_exports():
    class Output(nn.Module):
        def __init__(self, moe):
            super().__init__()
            self.moe = moe

        def forward(self, x):
            return self.moe(x)[0]

    moe = filled(MoE(8, 8, replace(CONFIG, backend="padded_bmm")))
    program = torch.export.export(Output(moe), (normal(2, 5, 8),))
    x = normal(2, 5, 8, seed=3)
    torch.testing.assert_close(program.module()(x), moe(x)[0], rtol=0, atol=1e-6)


@torch.no_grad()
def test_padded_bmm_needs_no_data():
    with torch.device("meta"):
        moe = MoE(8, 8, replace(CONFIG, backend="padded_bmm"))
        out, routing = moe(torch.zeros(2, 5, 8))
    assert out.shape == (2, 5, 8) and routing.experts.shape == (10, 2)


# ---- router and its losses


def test_routing_is_the_reference_implementation_s(parity_copy):
    path = parity_copy("moe_gate_balance_loss")
    with safe_open(path, "pt") as opened:
        facts = json.loads(opened.metadata()["config"])
    tensors = load_file(path)
    config = MoEConfig(
        experts=facts["num_experts"],
        active=facts["top_k"],
        balance=facts["alpha"],
        renormalise=facts["norm_topk_prob"],
    )
    router = Router(64, config)
    router.load_state_dict({"weight": tensors["gate.weight"]})
    routing = router(tensors["input.hidden"].flatten(0, 1))
    (experts, order), (expected, expected_order) = (
        picked.sort(1) for picked in (routing.experts, tensors["output.topk_idx"])
    )
    assert torch.equal(experts, expected)
    gates = tensors["output.topk_weight"].gather(1, expected_order)
    torch.testing.assert_close(routing.gates.gather(1, order), gates, atol=1e-5, rtol=0)
    loss = tensors["output.aux_loss"].squeeze()
    torch.testing.assert_close(routing.loss, loss, atol=1e-5, rtol=0)


@given(shapes)
@settings(max_examples=40, deadline=None)
def test_gates_are_the_largest_probabilities(shape):
    config, tokens, width, _, seed = drawn(shape)
    routing = filled(Router(width, config), seed)(normal(tokens, width, seed=seed))
    assert routing.probabilities.shape == (tokens, config.experts)
    torch.testing.assert_close(routing.probabilities.sum(1), torch.ones(tokens))
    probable = routing.probabilities.gather(1, routing.experts)
    largest = routing.probabilities.sort(1, descending=True).values[:, : config.active]
    assert torch.equal(probable, largest)
    assert all(len(set(row)) == config.active for row in routing.experts.tolist())
    if config.renormalise:
        torch.testing.assert_close(routing.gates.sum(1), torch.ones(tokens))
        probable = probable / probable.sum(1, keepdim=True)
    torch.testing.assert_close(routing.gates, probable)


@pytest.mark.parametrize(("experts", "active"), [(1, 1), (4, 1), (8, 2), (8, 8)])
def test_an_undecided_router_costs_alpha_and_the_square_of_log_experts(experts, active):
    """Whatever is picked, E sum_e f_e / E = 1."""
    config = MoEConfig(experts=experts, active=active, balance=0.3, z=0.01)
    router = Router(8, config)
    nn.init.zeros_(router.weight)
    loss = router(normal(50, 8)).loss
    expected = 0.3 + 0.01 * torch.tensor(float(experts)).log() ** 2
    torch.testing.assert_close(loss, expected)


def test_a_collapsed_router_costs_experts_over_active():
    """All mass on one, of which the picks are 1 / K: alpha E / K."""
    config = MoEConfig(experts=8, active=2, balance=0.3)
    router = Router(4, config)
    nn.init.zeros_(router.weight)
    with torch.no_grad():
        router.weight[5] = 100.0
    loss = router(torch.ones(10, 4)).loss
    torch.testing.assert_close(loss, torch.tensor(0.3 * 8 / 2))


def test_descending_the_balance_loss_balances():
    config = MoEConfig(experts=6, active=2, balance=1.0)
    router = filled(Router(8, config))
    with torch.no_grad():
        router.weight[:, 0] += torch.tensor([3.0, 2.0, 0.0, 0.0, -1.0, -2.0])
    x = torch.cat([torch.ones(200, 1), normal(200, 7)], dim=1)

    def load(routing):
        return routing.experts.flatten().bincount(minlength=6) / 400

    before = router(x)
    optimizer = torch.optim.SGD(router.parameters(), lr=1.0)
    for _ in range(60):
        optimizer.zero_grad()
        router(x).loss.backward()
        optimizer.step()
    after = router(x)
    assert before.loss > 1.5 and load(before).max() > 0.4 and load(before).min() < 0.02
    assert after.loss < 1.02 and load(after).max() < 0.25 and load(after).min() > 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"experts": 0},
        {"active": 0},
        {"active": 5},
        {"shared": -1},
        {"expert": "relu"},
        {"balance": -0.1},
        {"balance": float("nan")},
        {"balance": float("inf")},
        {"z": -0.1},
        {"backend": "scatter"},
    ],
)
def test_configurations_that_cannot_be_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    config = replace(CONFIG)
    object.__setattr__(
        config, name, value
    )  # past the tests' type checks, which a user does not have
    with pytest.raises(InputError, match="allowed") as caught:
        config.__post_init__()
    assert caught.value.argument == f"moe.{name}"
    assert f"got {value}" in str(caught.value)


# ---- in the transformer


def dit_inputs(batch=5):
    x = normal(batch, 6, 8, 8)
    t = torch.randint(1000, (batch,), generator=torch_generator("t"))
    return x, t, torch.arange(4, 4 + batch)


def random_dit(config=DIT):
    network, generator = DiT(config), torch_generator("random", 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return network


@torch.no_grad()
def test_the_tape_has_a_routing_for_each_block_and_changes_nothing():
    network, tape = random_dit(), []
    out = network(*dit_inputs(), tape)
    assert len(tape) == 3
    assert all(routing.experts.shape == (5 * 16, 2) for routing in tape)
    assert not torch.equal(tape[0].experts, tape[1].experts)
    assert torch.equal(network(*dit_inputs()), out)
    dense: list = []
    DiT(replace(DIT, moe=None))(*dit_inputs(), dense)
    assert dense == []


def test_gradients_reach_every_parameter_of_the_transformer():
    network, tape = random_dit(), []
    prediction = network(*dit_inputs(), tape)
    (prediction.square().mean() + sum(routing.loss for routing in tape)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert all(block.moe.router.weight.grad.abs().sum() > 0 for block in network.blocks)


@pytest.mark.parametrize("backend", BACKENDS)
@torch.no_grad()
def test_a_fresh_transformer_returns_zeros(backend):
    network = DiT(replace(DIT, moe=replace(CONFIG, backend=backend)))
    assert not network(*dit_inputs()).any()


@torch.no_grad()
def test_backends_agree_in_the_transformer():
    network = random_dit()
    expected = network(*dit_inputs())
    for backend in ("loop", "padded_bmm"):
        other = DiT(replace(DIT, moe=replace(DIT.moe, backend=backend)))
        other.load_state_dict(network.state_dict())
        torch.testing.assert_close(other(*dit_inputs()), expected, atol=1e-5, rtol=1e-5)


def test_the_transformer_s_weights_are_a_function_of_the_generator_alone():
    torch.manual_seed(1)
    first = DiT(DIT, torch_generator(3)).state_dict()
    torch.manual_seed(2)
    again = DiT(DIT, torch_generator(3)).state_dict()
    other = DiT(DIT, torch_generator(4)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    for name in ("router.weight", "experts.glu_weight", "experts.out_weight", "shared.glu.weight"):
        name = f"blocks.1.moe.{name}"
        assert not torch.equal(first[name], other[name]), name


def test_initial_weights_follow_their_laws():
    weights = DiT(replace(DIT, hidden_size=64)).state_dict()
    fans = {"experts.glu_weight": 64 + 256, "experts.out_weight": 256 + 64}
    fans |= {"shared.glu.weight": 64 + 128, "shared.out.weight": 128 + 64}
    for name, fan in fans.items():
        values = weights[f"blocks.0.moe.{name}"]
        assert values.abs().max() <= (6 / fan) ** 0.5, name
        assert values.std() == pytest.approx((2 / fan) ** 0.5, rel=0.02), name
    routers = torch.cat([weights[f"blocks.{i}.moe.router.weight"] for i in range(3)])
    assert routers.std() == pytest.approx(0.02, rel=0.1)


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch():
    network, (x, t, y) = random_dit(), dit_inputs()
    together = network(x, t, y)
    alone = torch.cat([network(x[i : i + 1], t[i : i + 1], y[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    backwards = network(x.flip(0), t.flip(0), y.flip(0)).flip(0)
    torch.testing.assert_close(together, backwards, atol=1e-5, rtol=1e-5)
