import argparse
import json
import os
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from lookharder.errors import InputError
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.foreign import unpickle
from lookharder.models.foreign.networks import load_network
from lookharder.models.layers import sincos_positions
from lookharder.seeding import torch_generator

CONFIG = DiTConfig(
    input_size=6,
    patch_size=2,
    in_channels=3,
    hidden_size=40,
    depth=2,
    num_heads=4,
    num_classes=7,
    learn_sigma=True,
    mlp_ratio=2.0,
)


def foreign_state(config: DiTConfig = CONFIG) -> dict[str, torch.Tensor]:
    """A DiT's weights as its authors store them."""
    generator = torch_generator("foreign")
    side = config.input_size // config.patch_size
    positions = sincos_positions((side, side), side, config.hidden_size)[None]
    return {"pos_embed": positions} | {
        name: torch.randn(weight.shape, generator=generator)
        for name, weight in DiT(config).state_dict().items()
    }


def assert_loaded(network: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    ours = network.state_dict()
    assert set(ours) | {"pos_embed"} == set(state)
    assert all(torch.equal(ours[name], state[name].float()) for name in ours)
    assert not network.training


@torch.no_grad()
def test_the_reference_file_loads_and_predicts_as_it_did(parity, tmp_path):
    path = parity("dit_dense")
    tensors = load_file(path)
    arguments = tensors["input.x"], tensors["input.t"], tensors["input.y"]
    torch.testing.assert_close(load_network(path)(*arguments), tensors["output"], atol=1e-5, rtol=0)
    bare = {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
    heads = load_network(path).config.num_heads
    save_file(bare, tmp_path / "bare.safetensors")
    torch.testing.assert_close(
        load_network(tmp_path / "bare.safetensors", num_heads=heads)(*arguments),
        tensors["output"],
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, learn_sigma=False, patch_size=1, input_size=4),
        replace(CONFIG, depth=3, hidden_size=64, num_heads=4),
    ],
)
def test_a_file_becomes_the_network_it_came_from(config, tmp_path):
    state = foreign_state(config)
    save_file(state, tmp_path / "dit.safetensors")
    network = load_network(tmp_path / "dit.safetensors", num_heads=4)
    assert network.config == config
    assert_loaded(network, state)


def test_heads_by_argument_then_header_then_size_or_not_at_all(tmp_path):
    path = tmp_path / "dit.safetensors"
    state = foreign_state()
    save_file(state, path)
    with pytest.raises(
        InputError, match=r"num_heads: got nothing .* 2 blocks of width 40.*--heads"
    ):
        load_network(path)
    save_file(state, path, {"config": json.dumps({"num_heads": 2})})
    assert load_network(path).config.num_heads == 2
    assert load_network(path, num_heads=5).config.num_heads == 5
    a1 = replace(CONFIG, depth=12, hidden_size=256, num_heads=16, mlp_ratio=0.1)
    save_file(foreign_state(a1), path)
    assert load_network(path).config.num_heads == 16


@pytest.mark.parametrize("heads", [0, 3, "4"])
def test_impossible_heads_are_refused(heads, tmp_path):
    save_file(
        foreign_state(), tmp_path / "x.safetensors", {"config": f'{{"num_heads": "{heads}"}}'}
    )
    with pytest.raises(InputError, match=f"num_heads: got {heads}, allowed: divisors of"):
        if isinstance(heads, str):
            load_network(tmp_path / "x.safetensors")
        else:
            load_network(tmp_path / "x.safetensors", num_heads=heads)


def test_half_precision_weights_load_as_float32(tmp_path):
    state = {name: weight.bfloat16() for name, weight in foreign_state().items()}
    save_file(state, tmp_path / "half.safetensors")
    network = load_network(tmp_path / "half.safetensors", num_heads=4)
    assert network.final_layer.linear.weight.dtype == torch.float32
    assert_loaded(network, state)


def test_a_training_checkpoint_gives_its_average(tmp_path):
    state = foreign_state()
    checkpoint = {
        "model": {name: torch.zeros_like(weight) for name, weight in state.items()},
        "ema": state,
        "opt": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4}]},
        "args": argparse.Namespace(model="DiT-XL/2"),
    }
    torch.save(checkpoint, tmp_path / "0003.pt")
    assert_loaded(load_network(tmp_path / "0003.pt", num_heads=4), state)


class Intruder:
    """A pickle that runs a command when it is opened."""

    def __init__(self, path):
        self.command = f"touch {path}"

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_malicious_pickle_runs_nothing(tmp_path):
    trace = tmp_path / "trace"
    torch.save(foreign_state() | {"intruder": Intruder(trace)}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=r"bad\.pt: got UnpicklingError: .*system"):
        load_network(tmp_path / "bad.pt")
    assert not trace.exists()
    # The same file does harm to whoever trusts it, so the test above can fail.
    torch.load(tmp_path / "bad.pt", weights_only=False)
    assert trace.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is capped on Linux only")
def test_a_pickle_that_would_fill_the_memory_is_stopped(tmp_path):
    torch.save({"w": torch.ones(1).expand(10**10)}, tmp_path / "bomb.pt")  # 40 GB from 1 KB
    with pytest.raises(InputError, match=r"bomb\.pt: got .*allocate"):
        load_network(tmp_path / "bomb.pt")


def test_a_pickle_of_something_else_is_refused(tmp_path):
    torch.save({"weight": torch.ones(2), "epoch": 3, "losses": [1.0]}, tmp_path / "other.pth")
    with pytest.raises(SystemExit, match="other things than tensors: losses"):
        unpickle.convert(tmp_path / "other.pth", tmp_path / "out.safetensors")
    torch.save([torch.ones(2)], tmp_path / "other.pth")
    with pytest.raises(SystemExit, match="a list"):
        unpickle.convert(tmp_path / "other.pth", tmp_path / "out.safetensors")


def test_every_missing_and_unexpected_key_is_listed(tmp_path):
    state = foreign_state()
    missing = ["pos_embed", "x_embedder.proj.weight", "blocks.1.attn.qkv.bias"]
    for key in missing:
        del state[key]
    unexpected = ["blocks.1.attn.rel_pos.weight", "head.weight"]
    save_file(state | {key: torch.ones(1) for key in unexpected}, tmp_path / "x.safetensors")
    with pytest.raises(InputError) as caught:
        load_network(tmp_path / "x.safetensors")
    for key in missing:
        assert f"missing {key}" in str(caught.value)
    for key in unexpected:
        assert f"unexpected {key}" in str(caught.value)
    assert str(caught.value).count(" missing ") == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("blocks.1.attn.proj.weight", torch.ones(40, 39)),
        ("t_embedder.mlp.0.bias", torch.ones(40, dtype=torch.int8)),
        ("x_embedder.proj.weight", torch.ones(40, 12)),
        ("x_embedder.proj.weight", torch.ones(40, 3, 0, 0)),
        ("pos_embed", torch.ones(1, 8, 40)),
    ],
)
def test_a_misshapen_tensor_is_listed(key, value, tmp_path):
    save_file(foreign_state() | {key: value}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=f"misshapen {key}"):
        load_network(tmp_path / "x.safetensors")


def test_other_positions_are_refused(tmp_path):
    state = foreign_state()
    state["pos_embed"] += 1e-3
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=r"pos_embed that differs by 0\.001"):
        load_network(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"blocks.0.unknown.0.weight": torch.ones(1)}, r"blocks\.\*\.unknown\.\*\.weight.*DiT"),
        ({}, "no tensors"),
        (
            {"state.a": torch.ones(1), "b": torch.ones(1)},
            r"b beside other weights, allowed: keys state\.\*",
        ),
    ],
)
def test_unknown_layouts_are_refused_with_what_was_found(tensors, message, tmp_path):
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=message):
        load_network(tmp_path / "x.safetensors")


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not a header")
    (tmp_path / "x.bin").write_bytes(b"")
    (tmp_path / "x.onnx").write_bytes(b"")
    save_file({"a": torch.ones(1)}, tmp_path / "header.safetensors", {"config": "{"})
    for name, message in (
        ("absent.pt", "no such file"),
        ("x.safetensors", "a whole safetensors file"),
        ("x.bin", "EOFError"),
        ("x.onnx", "suffix '.onnx'"),
        ("header.safetensors", "config metadata"),
    ):
        with pytest.raises(InputError, match=message):
            load_network(tmp_path / name)
