import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lookharder.errors import InputError
from lookharder.models.dit import SIZES, DiT, DiTConfig, sized
from lookharder.seeding import torch_generator

CONFIG = DiTConfig(
    input_size=8,
    patch_size=2,
    in_channels=6,
    out_channels=3,
    hidden_size=32,
    depth=2,
    num_heads=2,
    num_classes=5,
    learn_sigma=True,
    routes=(0, 1, 2, 2),
)


def random_dit(config: DiTConfig = CONFIG) -> DiT:
    """A network whose every parameter matters, unlike a fresh one."""
    network = DiT(config)
    generator = torch_generator("random", 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return network


def inputs(config: DiTConfig = CONFIG, size: tuple[int, int] = (8, 8), batch: int = 5):
    generator = torch_generator("inputs", *size)
    x = torch.randn(batch, config.in_channels, *size, generator=generator)
    t = torch.randint(1000, (batch,), generator=generator)
    return x, t, torch.arange(4, 4 + batch)  # a class, then tasks


@pytest.fixture(scope="module")
def reference(parity):
    path = parity("dit_dense")
    with safe_open(path, "pt") as opened:
        facts = json.loads(opened.metadata()["config"])
    facts.pop("source")
    tensors = load_file(path)
    network = DiT(DiTConfig(**facts))
    state = {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
    del state["pos_embed"]
    network.load_state_dict(state)
    return network, tensors


@torch.no_grad()
def test_output_is_the_reference_implementation_s(reference):
    network, tensors = reference
    output = network(tensors["input.x"], tensors["input.t"], tensors["input.y"])
    torch.testing.assert_close(output, tensors["output"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_guidance_is_the_reference_implementation_s(reference):
    network, tensors = reference
    x = tensors["input.x"][:1].repeat(2, 1, 1, 1)
    t, y = torch.tensor([250, 250]), torch.tensor([2, network.config.null_label])
    output = network.forward_with_cfg(x, t, y, 4.0)
    torch.testing.assert_close(output, tensors["output.cfg_scale4_t250_y2"], atol=1e-5, rtol=0)
    x[1] = torch.nan  # the second half is not read
    assert torch.equal(network.forward_with_cfg(x, t, y, 4.0), output)


@torch.no_grad()
def test_guidance_of_scale_one_is_none_and_of_zero_the_null_label_s():
    network, (x, t, y) = random_dit(), inputs(batch=2)
    x, t, y = x.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([y, torch.full((2,), 9)])
    out = network(x, t, y)
    torch.testing.assert_close(network.forward_with_cfg(x, t, y, 1.0)[:2], out[:2])
    torch.testing.assert_close(network.forward_with_cfg(x, t, y, 0.0)[:2, :3], out[2:, :3])
    with pytest.raises(InputError, match="batch of 3"):
        network.forward_with_cfg(x[:3], t[:3], y[:3], 1.0)


@pytest.mark.parametrize("size", [(8, 8), (2, 2), (4, 10), (12, 6)])
@pytest.mark.parametrize("learn_sigma", [False, True])
@torch.no_grad()
def test_a_fresh_network_returns_zeros_at_any_size(size, learn_sigma):
    config = replace(CONFIG, learn_sigma=learn_sigma)
    output = DiT(config)(*inputs(config, size))
    assert output.shape == (5, 6 if learn_sigma else 3, *size)
    assert not output.any()


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch():
    network, (x, t, y) = random_dit(), inputs()
    together = network(x, t, y)
    alone = torch.cat([network(x[i : i + 1], t[i : i + 1], y[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    backwards = network(x.flip(0), t.flip(0), y.flip(0)).flip(0)
    torch.testing.assert_close(together, backwards, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_label_chooses_the_patch_embedding():
    """With equal label vectors, labels differ only by their route: tasks 7 and 8 share one."""
    network = random_dit()
    network.y_embedder.embedding_table.weight[:] = 0
    x, t, _ = inputs(batch=1)
    outputs = [network(x, t, torch.tensor([label])) for label in range(10)]
    route = [0, 0, 0, 0, 0, 0, 1, 2, 2, 0]  # five classes, four tasks, null
    for one in range(10):
        for other in range(10):
            same = torch.allclose(outputs[one], outputs[other], atol=1e-6)
            assert same == (route[one] == route[other])


@torch.no_grad()
def test_tokens_know_their_place():
    """Without positions a transformer would send a shuffled image to the shuffled output."""
    network, (x, t, y) = random_dit(), inputs()
    swapped = torch.cat([x[..., 4:], x[..., :4]], dim=3)
    output = network(x, t, y)
    assert not torch.allclose(
        network(swapped, t, y), torch.cat([output[..., 4:], output[..., :4]], dim=3), atol=1e-3
    )


@pytest.mark.parametrize("qk_norm", [False, True])
def test_gradients_reach_every_parameter_and_the_input(qk_norm):
    config = replace(CONFIG, qk_norm=qk_norm)
    network, (x, t, y) = random_dit(config), inputs(config)
    network(x.requires_grad_(), t, y).square().mean().backward()
    assert x.grad.abs().sum() > 0
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_weights_are_a_function_of_the_generator_alone():
    torch.manual_seed(1)
    first = DiT(CONFIG, torch_generator(3)).state_dict()
    torch.manual_seed(2)
    again = DiT(CONFIG, torch_generator(3)).state_dict()
    other = DiT(CONFIG, torch_generator(4)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["blocks.1.attn.qkv.weight"], other["blocks.1.attn.qkv.weight"])


def test_initial_weights_follow_their_laws():
    config = replace(CONFIG, hidden_size=128, num_classes=500, qk_norm=True)
    weights = DiT(config).state_dict()
    bounds = {
        "x_embedder.proj.weight": 6 / (6 * 4 + 128),
        "blocks.0.attn.qkv.weight": 6 / (128 + 3 * 128),
        "blocks.1.mlp.fc2.weight": 6 / (128 + 4 * 128),
    }
    for name, squared in bounds.items():
        assert weights[name].abs().max() <= squared**0.5, name
        assert weights[name].std() == pytest.approx((squared / 3) ** 0.5, rel=0.02), name
    for name in ("t_embedder.mlp.0.weight", "t_embedder.mlp.2.weight"):
        assert weights[name].std() == pytest.approx(0.02, rel=0.02), name
    assert weights["y_embedder.embedding_table.weight"].std() == pytest.approx(0.02, rel=0.02)
    assert (weights["blocks.0.attn.q_norm.weight"] == 1).all()
    for name in weights:
        if name.endswith("bias") or "adaLN" in name or name.startswith("final_layer"):
            assert not weights[name].any(), name


@pytest.mark.parametrize("size", SIZES)
def test_every_size_builds_on_the_meta_device(size):
    config = sized(
        size,
        input_size=64,
        in_channels=12,
        out_channels=4,
        num_classes=1000,
        learn_sigma=True,
        routes=(0, 1, 2, 3),
    )
    with torch.device("meta"):
        network = DiT(config)
    assert all(parameter.is_meta for parameter in network.parameters())
    assert len(network.blocks) == SIZES[size].layers


def test_a_forward_without_data_reads_no_value_on_the_host():
    with torch.device("meta"):
        y = torch.zeros(2, dtype=torch.long)
        assert DiT(CONFIG)(torch.zeros(2, 6, 8, 4), y, y).shape == (2, 6, 8, 4)


def test_a_network_from_the_meta_device_is_complete_once_initialised():
    with torch.device("meta"):
        network = DiT(CONFIG)
    network.to_empty(device="cpu")
    network.initialise(torch_generator(3))
    expected = DiT(CONFIG, torch_generator(3)).state_dict()
    assert all(torch.equal(expected[k], v) for k, v in network.state_dict().items())
    assert not list(network.buffers())


@pytest.mark.parametrize("qk_norm", [False, True])
@torch.no_grad()
def test_half_precision_stays_close(qk_norm):
    network, (x, t, y) = random_dit(replace(CONFIG, qk_norm=qk_norm)), inputs()
    exact = network(x, t, y)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(x, t, y)
    assert (mixed.float() - exact).norm() < 0.05 * exact.norm()
    half = network.to(torch.bfloat16)(x.bfloat16(), t, y)
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("shape", [(5, 6, 7, 8), (5, 6, 8, 7), (5, 4, 8, 8)])
def test_images_that_do_not_fit_are_refused(shape):
    _, t, y = inputs()
    with pytest.raises(InputError, match=r"x: got shape .*6 channels.*multiples of 2"):
        DiT(CONFIG)(torch.zeros(shape), t, y)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_size": 7},
        {"input_size": 0},
        {"patch_size": 0},
        {"in_channels": 0},
        {"depth": 0},
        {"num_heads": 0},
        {"num_heads": 3},
        {"num_classes": -1},
        {"out_channels": 0},
        {"hidden_size": 30},
        {"mlp_ratio": 0.0},
        {"routes": (1, 3)},
        {"routes": (-1, 0)},
    ],
)
def test_configurations_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(InputError) as caught:
        replace(CONFIG, **wrong)
    assert caught.value.argument in wrong


def test_an_unknown_size_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"size: got 'XXL', allowed: nano, .*a6"):
        sized("XXL", input_size=8, in_channels=4, num_classes=1, learn_sigma=False)
