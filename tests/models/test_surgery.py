from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.errors import InputError
from lookharder.models.config import UPCYCLED
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.layers import sincos_positions
from lookharder.models.surgery import (
    deviation,
    extend_labels,
    interpolate_positions,
    route_patch_embedding,
    upcycle,
    widen_input,
)
from lookharder.seeding import torch_generator

CONFIG = DiTConfig(
    input_size=4,
    patch_size=2,
    in_channels=2,
    hidden_size=16,
    depth=2,
    num_heads=2,
    num_classes=7,
    learn_sigma=True,
    mlp_ratio=2.0,
)
ROUTES = [(), (0,), (0, 0), (0, 1), (2, 1, 0)]
PATCHES, LABELS = "x_embedder.proj.weight", "y_embedder.embedding_table.weight"
a_few = settings(deadline=None, max_examples=8)
seeds = st.integers(0, 999)


def random_dit(config: DiTConfig = CONFIG, seed: int = 0, dtype=torch.float64) -> DiT:
    """A network whose every parameter is random; in double, where equal means equal."""
    network, generator = DiT(config), torch_generator("random", seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return network.to(dtype)


@st.composite
def shapes(draw, routes=ROUTES):
    """Arguments of DiTConfig, which is not built here, as beartype draws numbers behind hypothesis's back."""
    patch, heads = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return {
        "input_size": patch * draw(st.integers(1, 3)),
        "patch_size": patch,
        "in_channels": draw(st.integers(1, 3)),
        "hidden_size": 8 * heads,
        "depth": draw(st.integers(1, 2)),
        "num_heads": heads,
        "num_classes": draw(st.integers(1, 9)),
        "learn_sigma": draw(st.booleans()),
        "out_channels": draw(st.sampled_from([None, 1, 2])),
        "mlp_ratio": 2.0,
        "routes": draw(st.sampled_from(routes)),
        "qk_norm": draw(st.booleans()),
    }


def latents(config: DiTConfig, batch: int, name: str = "noisy") -> torch.Tensor:
    shape = (batch, config.in_channels, config.input_size, config.input_size)
    return torch.randn(shape, generator=torch_generator(name))


@torch.no_grad()
def run(network: DiT, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    t = torch.linspace(0, 999, len(y)).long()
    return network(x.to(network.final_layer.linear.weight.dtype), t, y)


def assert_same(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-9) -> None:
    """Within a share of the largest output, which is not zero."""
    peak = expected.abs().max().item()
    assert peak > 1e-2
    torch.testing.assert_close(actual, expected, atol=tolerance * peak, rtol=0)


def differing(one: DiT, other: DiT) -> set[str]:
    a, b = one.state_dict(), other.state_dict()
    return {k for k in a.keys() | b.keys() if k not in a or k not in b or not a[k].equal(b[k])}


# Every operation


OPERATIONS = [
    lambda dit: widen_input(dit, 1),
    lambda dit: widen_input(dit, 2),
    lambda dit: extend_labels(dit, 3),
    lambda dit: route_patch_embedding(dit, (0, 1)),
    lambda dit: upcycle(dit, 4, 2),
    lambda dit: upcycle(dit, 1, 1, renormalise=False),
]


@pytest.mark.parametrize("operate", OPERATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("training", [False, True])
def test_the_source_is_untouched_and_the_result_its_own(operate, dtype, training):
    source = random_dit(replace(CONFIG, routes=(0, 0)), dtype=dtype).train(training)
    source.requires_grad_(False)
    config, state = source.config, {k: v.clone() for k, v in source.state_dict().items()}
    result = operate(source)
    parameters = list(result.parameters())
    assert {p.dtype for p in parameters} == {dtype}
    assert {p.device for p in parameters} == {torch.device("cpu")}
    assert all(p.requires_grad and p.is_contiguous() for p in parameters)
    assert all(module.training == training for module in result.modules())
    memories = {p.untyped_storage().data_ptr() for p in [*parameters, *source.parameters()]}
    assert len(memories) == len(parameters) + len(state)
    with torch.no_grad():
        for parameter in parameters:
            parameter.zero_()
    assert source.config == config
    assert not any(p.requires_grad for p in source.parameters())
    assert all(state[k].equal(v) for k, v in source.state_dict().items())


@pytest.mark.parametrize("operate", OPERATIONS)
def test_no_values_are_needed(operate):
    with torch.device("meta"):
        source = DiT(replace(CONFIG, routes=(0, 0)))
    assert all(p.is_meta for p in operate(source).parameters())


# widen_input


@given(shape=shapes(), seed=seeds, copies=st.integers(1, 3))
@a_few
def test_copies_of_one_latent_give_the_output_of_one(shape, seed, copies):
    config = DiTConfig(**shape)
    source = random_dit(config, seed)
    wide = widen_input(source, copies)
    assert wide.config.in_channels == copies * config.in_channels
    assert (wide.config.predicted, wide.config.emitted) == (config.predicted, config.emitted)
    assert differing(source, wide) == ({PATCHES} if copies > 1 else set())
    for part in wide.state_dict()[PATCHES].chunk(copies, 1):
        assert part.equal(source.state_dict()[PATCHES] / copies)
    y = torch.arange(config.label_rows)
    x = latents(config, len(y))
    assert_same(run(wide, x.repeat(1, copies, 1, 1), y), run(source, x, y))


def test_a_half_and_a_third_as_published():
    source = random_dit()
    weight = source.state_dict()[PATCHES]
    for copies, share in ((2, 0.5), (3, 1 / 3)):
        parts = widen_input(source, copies).state_dict()[PATCHES].split(2, dim=1)
        assert len(parts) == copies
        for part in parts:
            torch.testing.assert_close(part, share * weight)


@given(
    shape=shapes(routes=[(0, 1), (2, 1, 0)]),
    seed=seeds,
    copies=st.integers(2, 3),
    data=st.data(),
)
@a_few
def test_an_embedding_alone_sees_the_last_latent_only(shape, seed, copies, data):
    config = DiTConfig(**shape)
    source = random_dit(config, seed)
    embeddings = st.integers(0, config.embeddings - 1)
    alone = tuple(data.draw(st.lists(embeddings, unique=True, min_size=1)))
    wide = widen_input(source, copies, alone)
    parts = wide.state_dict()[PATCHES].chunk(copies, 1)
    for index in range(config.embeddings):
        rows = slice(index * config.hidden_size, (index + 1) * config.hidden_size)
        weight = source.state_dict()[PATCHES][rows]
        first, last = (0 * weight, weight) if index in alone else (weight / copies, weight / copies)
        assert all(part[rows].equal(first) for part in parts[:-1])
        assert parts[-1][rows].equal(last)

    y = torch.arange(config.label_rows)
    x, other = latents(config, len(y)), latents(config, len(y), "condition")
    by_label = [0] * config.num_classes + [*config.routes, 0]
    kept = torch.tensor([route in alone for route in by_label])
    conditioned = run(wide, torch.cat([other] * (copies - 1) + [x], 1), y)
    assert_same(conditioned[kept], run(source, x, y)[kept])
    assert_same(run(wide, x.repeat(1, copies, 1, 1), y), run(source, x, y))


# extend_labels


@given(shape=shapes(), seed=seeds, data=st.data())
@a_few
def test_new_labels_are_means_and_old_ones_stay(shape, seed, data):
    config = DiTConfig(**shape)
    source = random_dit(config, seed)
    tasks = data.draw(st.integers(1, config.num_classes))
    longer = extend_labels(source, tasks)
    assert longer.config == replace(config, routes=config.routes + (0,) * tasks)
    assert differing(source, longer) == {LABELS}
    old, new = source.state_dict()[LABELS], longer.state_dict()[LABELS]
    assert new[: config.null_label].equal(old[: config.null_label])
    assert new[-1].equal(old[-1])

    start, sizes = 0, []
    for row in new[config.null_label : -1]:  # contiguous groups, by hand
        size = config.num_classes // tasks + (len(sizes) < config.num_classes % tasks)
        assert row.equal(old[start : start + size].mean(0))
        start, sizes = start + size, [*sizes, size]
    assert (len(sizes), start) == (tasks, config.num_classes)

    y = torch.arange(config.label_rows)
    moved = torch.where(y == config.null_label, longer.config.null_label, y)
    assert longer.config.null_label == config.null_label + tasks
    x = latents(config, len(y))
    assert_same(run(longer, x, moved), run(source, x, y))


def test_four_tasks_of_a_thousand_classes_take_250_each():
    source = random_dit(replace(CONFIG, num_classes=1000))
    with torch.no_grad():
        table = source.y_embedder.embedding_table.weight
        table.copy_(torch.arange(1001.0)[:, None].expand_as(table))
    rows = extend_labels(source, 4).state_dict()[LABELS][1000:, 0]
    assert rows.tolist() == [124.5, 374.5, 624.5, 874.5, 1000]


# route_patch_embedding


@given(
    shape=shapes(routes=[()]),
    seed=seeds,
    routes=st.sampled_from([(0,), (1,), (0, 0), (1, 0), (2, 1), (0, 0, 0), (2, 1, 1), (3, 1, 2)]),
)
@a_few
def test_routed_copies_keep_the_output_of_every_label(shape, seed, routes):
    config = DiTConfig(**{**shape, "routes": (0,) * len(routes)})
    source = random_dit(config, seed)
    routed = route_patch_embedding(source, routes)
    assert routed.config == replace(config, routes=routes)
    for name in ("weight", "bias"):
        parts = routed.state_dict()[f"x_embedder.proj.{name}"].chunk(1 + max(routes))
        assert all(part.equal(source.state_dict()[f"x_embedder.proj.{name}"]) for part in parts)
    y = torch.arange(config.label_rows)
    x = latents(config, len(y))
    assert_same(run(routed, x, y), run(source, x, y))


def test_copies_learn_apart():
    routed = route_patch_embedding(random_dit(replace(CONFIG, routes=(0, 0))), (1, 2))
    output = routed(latents(CONFIG, 1).double(), torch.tensor([5]), torch.tensor([8]))
    output.square().sum().backward()
    moved = routed.x_embedder.proj.weight.grad.unflatten(0, (3, -1)).flatten(1).any(1)
    assert moved.tolist() == [False, False, True]


# upcycle


def with_backend(network: DiT, backend: str) -> DiT:
    config = network.config
    other = DiT(replace(config, moe=replace(config.moe, backend=backend)))
    other.load_state_dict(network.state_dict())
    return other


@pytest.mark.parametrize("backend", ["loop", "grouped", "padded_bmm"])
@given(shape=shapes(), seed=seeds, experts=st.integers(1, 5), data=st.data())
@a_few
def test_upcycled_networks_start_where_dense_ones_ended(backend, shape, seed, experts, data):
    config = DiTConfig(**shape)
    source = random_dit(config, seed, torch.float32)
    active = data.draw(st.integers(1, experts))
    sparse = with_backend(upcycle(source, experts, active), backend)
    y = torch.arange(config.label_rows)
    x = latents(config, len(y))
    assert_same(run(sparse, x, y), run(source, x, y), 1e-5)


def test_experts_are_copies_and_routers_random():
    source = random_dit(replace(CONFIG, hidden_size=64))
    sparse = upcycle(source, 8, 2)
    assert sparse.config == replace(source.config, moe=UPCYCLED)
    dense, state = source.state_dict(), sparse.state_dict()
    for block in range(2):
        mlp, moe = f"blocks.{block}.mlp.", f"blocks.{block}.moe."
        for expert in range(8):
            for kind in ("weight", "bias"):
                for theirs, ours in (("fc1", "in"), ("fc2", "out")):
                    copied = state[f"{moe}experts.{ours}_{kind}"][expert]
                    assert copied.equal(dense[f"{mlp}{theirs}.{kind}"])
    routers = [state[f"blocks.{block}.moe.router.weight"] for block in range(2)]
    assert all(router.shape == (8, 64) for router in routers)
    assert not routers[0].equal(routers[1])
    assert torch.stack(routers).std().item() == pytest.approx(0.02, rel=0.1)
    assert torch.stack(routers).mean().item() == pytest.approx(0, abs=0.003)
    kept = {name for name in dense if ".mlp." not in name or name.startswith("t_embedder")}
    assert all(state[name].equal(dense[name]) for name in kept)


def test_a_router_is_a_function_of_its_generator_alone():
    source = random_dit()
    torch.manual_seed(1)
    one = upcycle(source, 4, 2, generator=torch_generator(1))
    default = upcycle(source, 4, 2)
    torch.manual_seed(2)
    assert not differing(one, upcycle(source, 4, 2, generator=torch_generator(1)))
    assert not differing(default, upcycle(source, 4, 2))
    routers = {f"blocks.{block}.moe.router.weight" for block in range(2)}
    assert differing(one, upcycle(source, 4, 2, generator=torch_generator(2))) == routers
    assert differing(one, default) == routers


@given(shape=shapes(), seed=seeds)
@a_few
def test_gates_that_do_not_sum_to_one_deviate(shape, seed):
    config = DiTConfig(**shape)
    source = random_dit(config, seed, torch.float32)
    assert deviation(source, upcycle(source, 4, 2)) < 1e-5
    assert deviation(source, upcycle(source, 4, 2, renormalise=False)) > 1e-3
    assert deviation(source, upcycle(source, 4, 4, renormalise=False)) < 1e-5  # all gates: 1


# deviation


def scaled(source: DiT, factor: float) -> DiT:
    """Its output times a factor."""
    other = widen_input(source, 1)
    with torch.no_grad():
        for parameter in other.final_layer.linear.parameters():
            parameter.mul_(factor)
    return other


def test_deviation_is_a_share_of_the_largest_output():
    source, silent = random_dit(), DiT(CONFIG)
    assert deviation(source, source) == 0
    for factor in (0.0, 0.5, 3.0):
        assert deviation(source, scaled(source, factor)) == pytest.approx(abs(factor - 1))
    assert deviation(scaled(source, 10.0), source) == pytest.approx(0.9)
    assert deviation(silent, upcycle(silent, 4, 2, renormalise=False)) == 0
    assert deviation(silent, source) == float("inf")


def test_deviation_draws_from_its_generator_every_label_it_may():
    source = random_dit(replace(CONFIG, num_classes=2))
    other = upcycle(source, 4, 1, renormalise=False)
    torch.manual_seed(1)
    first = deviation(source, other)
    torch.manual_seed(2)
    assert deviation(source, other) == first
    assert deviation(source, other, torch_generator(5)) != first
    for row in range(3):  # a change of any label's vector is seen, of null's too
        changed = widen_input(source, 1)
        with torch.no_grad():
            changed.y_embedder.embedding_table.weight[row] += 1
        assert deviation(source, changed, samples=32) > 0


@pytest.mark.parametrize(
    "operate",
    [
        lambda dit: widen_input(dit, 3),
        lambda dit: extend_labels(dit, 3),
        lambda dit: route_patch_embedding(dit, (1, 2)),
    ],
)
def test_deviation_compares_across_surgery(operate):
    source = random_dit(replace(CONFIG, routes=(0, 0)))
    assert deviation(source, operate(source), samples=32) < 1e-9


# interpolate_positions


@given(
    patch=st.integers(1, 2),
    side=st.integers(1, 4),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
)
@a_few
@torch.no_grad()
def test_these_are_the_positions_that_the_network_adds(patch, side, rows, columns):
    network = random_dit(replace(CONFIG, patch_size=patch, input_size=patch * side)).float()
    native = interpolate_positions(network, patch * side, patch * side)
    assert native.equal(sincos_positions((side, side), side, 16))
    double = interpolate_positions(network, 2 * patch * side, 2 * patch * side)
    even = double.unflatten(0, (2 * side, 2 * side))[::2, ::2].flatten(0, 1)
    torch.testing.assert_close(even, native, atol=1e-6, rtol=0)

    table = interpolate_positions(network, patch * rows, patch * columns)
    assert table.shape == (rows * columns, 16)
    for parameter in network.x_embedder.parameters():
        parameter.zero_()
    seen = []
    network.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    x = torch.ones(1, 2, patch * rows, patch * columns)
    assert run(network, x, torch.tensor([0])).shape == (1, 4, patch * rows, patch * columns)
    assert seen[0].equal(table)


# All together


@given(seed=seeds)
@settings(a_few, max_examples=4)
def test_an_image_generator_becomes_a_generalist_and_still_generates(seed):
    source = random_dit(CONFIG, seed, torch.float32)
    before = {k: v.clone() for k, v in source.state_dict().items()}
    extended = extend_labels(source, 3)
    routed = route_patch_embedding(extended, (1, 2, 3))
    generalist = upcycle(widen_input(routed, 3, alone=(0,)), 4, 2)
    assert generalist.config == replace(
        CONFIG,
        in_channels=6,
        out_channels=2,
        routes=(1, 2, 3),
        moe=replace(UPCYCLED, experts=4),
    )
    classes = torch.arange(7)
    labels = torch.cat([classes, torch.tensor([10])])  # and null, which was 7
    x = latents(CONFIG, 8)
    expected = run(source, x, torch.arange(8))
    for condition in (0 * x, latents(CONFIG, 8, "condition")):
        assert_same(
            run(generalist, torch.cat([condition, condition, x], 1), labels), expected, 1e-5
        )
    tasks = torch.tensor([7, 8, 9])
    perceived = run(generalist, x[:3].repeat(1, 3, 1, 1), tasks)
    assert_same(perceived, run(extended, x[:3], tasks), 1e-5)
    assert all(before[k].equal(v) for k, v in source.state_dict().items())
    # the order does not matter
    assert not differing(generalist, widen_input(upcycle(routed, 4, 2), 3, alone=(0,)))


# Errors


@pytest.mark.parametrize(
    ("argument", "operate"),
    [
        ("copies", lambda dit: widen_input(dit, 0)),
        ("alone", lambda dit: widen_input(dit, 2, alone=(0, 1))),
        ("alone", lambda dit: widen_input(dit, 2, alone=(-1,))),
        ("tasks", lambda dit: extend_labels(dit, 0)),
        ("tasks", lambda dit: extend_labels(dit, 8)),
        ("routes", lambda dit: route_patch_embedding(dit, (1,))),
        ("routes", lambda dit: route_patch_embedding(dit, (1, 2, 3))),
        ("routes", lambda dit: route_patch_embedding(dit, (0, 2))),
        ("dit", lambda dit: route_patch_embedding(route_patch_embedding(dit, (0, 1)), (0, 1))),
        ("moe.active", lambda dit: upcycle(dit, 2, 3)),
        ("moe.active", lambda dit: upcycle(dit, 2, 0)),
        ("moe.experts", lambda dit: upcycle(dit, 0, 0)),
        ("dit", lambda dit: upcycle(upcycle(dit, 2, 1), 2, 1)),
        ("samples", lambda dit: deviation(dit, dit, samples=0)),
        ("height", lambda dit: interpolate_positions(dit, 3, 4)),
        ("height", lambda dit: interpolate_positions(dit, 0, 4)),
        ("width", lambda dit: interpolate_positions(dit, 4, 5)),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(argument, operate):
    with pytest.raises(InputError) as caught:
        operate(random_dit(replace(CONFIG, routes=(0, 0))))
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"in_channels": 3, "out_channels": 2}, "in_channels"),
        ({"in_channels": 4}, "predicted"),
        ({"input_size": 8}, "input_size"),
        ({"patch_size": 4}, "patch_size"),
        ({"num_classes": 8}, "num_classes"),
        ({"learn_sigma": False}, "emitted"),
        ({"routes": ()}, "routes"),
    ],
)
def test_networks_that_surgery_does_not_relate_are_not_compared(changed, name):
    config = replace(CONFIG, routes=(0,))
    with pytest.raises(InputError, match=f"after: got another .*{name}"):
        deviation(DiT(config), DiT(replace(config, **changed)))
