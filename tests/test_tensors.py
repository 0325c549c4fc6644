"""Weights are read strictly, and what is not finite neither enters nor leaves."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.conversion import convert
from lookharder.errors import InputError
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.foreign.networks import export_state, load_network
from lookharder.predict.predictor import Predictor
from lookharder.seeding import torch_generator
from lookharder.tensors import read_tensors, shapes_of

BAD = [float("nan"), float("inf"), float("-inf")]


def test_what_is_written_is_read(tmp_path: Path):
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}
    save_file(tensors, tmp_path / "m.safetensors", metadata={"k": "v"})
    read, metadata = read_tensors(tmp_path / "m.safetensors")
    assert metadata == {"k": "v"} and all(torch.equal(read[k], tensors[k]) for k in tensors)
    assert shapes_of(tmp_path / "m.safetensors") == {"a": (2, 3), "b": (2,)}


@pytest.mark.parametrize(
    "kind", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn]
)
def test_one_number_that_is_not_finite_is_found(tmp_path: Path, kind: torch.dtype):
    tensor = torch.ones(50)
    tensor[33] = float("nan")
    save_file({"good": torch.ones(2), "bad": tensor.to(kind)}, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"not finite in 1 of 2 tensors, e\.g\. bad"):
        read_tensors(tmp_path / "m.safetensors")


@pytest.mark.parametrize("value", BAD)
def test_a_model_with_such_weights_is_not_loaded(tmp_path: Path, random_model: Path, value: float):
    Chain.load(random_model).save(tmp_path / "m", "# m\n")
    path = tmp_path / "m" / "model.safetensors"
    state = load_file(path)
    state["final_layer.linear.bias"][0] = value
    save_file(state, path)
    with pytest.raises(InputError, match="not finite"):
        Predictor.from_pretrained(tmp_path / "m")


@pytest.mark.parametrize(("name", "write"), [("m.pt", torch.save), ("m.safetensors", save_file)])
def test_such_weights_are_not_converted(tmp_path: Path, name: str, write: Callable[..., None]):
    config = DiTConfig(
        input_size=8, patch_size=2, in_channels=4, hidden_size=32, depth=1, num_heads=4,
        num_classes=5, learn_sigma=True, routes=(),
    )  # fmt: skip
    state = export_state(DiT(config, generator=torch_generator(0)))
    state["blocks.0.attn.qkv.bias"][3] = float("nan")
    write(state, tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}.*not finite"):
        convert(tmp_path / name, tmp_path / "out", num_heads=4)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("task", ["depth", "flow", "amodal"])
def test_an_answer_that_is_not_finite_is_never_given(
    tmp_path: Path, random_model: Path, monkeypatch, capsys, task: str
):
    """Weights that are finite and too large."""
    chain = Chain.load(random_model)
    with torch.no_grad():
        for parameter in chain.network.parameters():
            parameter.mul_(1e30)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    more = {"flow": {"second": picture}, "amodal": {"mask": picture[..., 0] > 9}}.get(task, {})
    with pytest.raises(FloatingPointError, match="not finite"):
        Predictor(chain)(picture, task, **more)
    chain.save(tmp_path / "m", "# m\n")
    line = ["evaluate", "--task", task, "--model", str(tmp_path / "m"), "--data", "procedural:2"]
    assert main([*line, "--out", str(tmp_path / "x.json")]) == 1
    assert "not finite" in capsys.readouterr().err and not (tmp_path / "x.json").exists()


def test_a_configuration_larger_than_its_weights_is_never_built(tmp_path: Path, random_model: Path):
    Chain.load(random_model).save(tmp_path / "m", "# m\n")
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    config["model"]["depth"] = 500
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="parameters, where config"):
        Chain.load(tmp_path / "m")


def test_deep_metadata_is_one_line(tmp_path: Path):
    meta = json.dumps({"__metadata__": {"config": "[" * 10_000}}).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(meta)) + meta)
    with pytest.raises(InputError, match="config metadata"):
        load_network(tmp_path / "m.safetensors")
