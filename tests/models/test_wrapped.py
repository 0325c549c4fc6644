"""Weights as training scripts leave them: wrapped, prefixed, averaged, beside figures, or not there at all."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lookharder.errors import InputError
from lookharder.models.dit import DiT, DiTConfig
from lookharder.models.foreign import weightfile
from lookharder.models.foreign.networks import export_state, load_network
from lookharder.seeding import torch_generator


def weights(seed: int) -> dict[str, torch.Tensor]:
    config = DiTConfig(
        input_size=4, patch_size=2, in_channels=4, hidden_size=16, depth=1, num_heads=4,
        num_classes=3, learn_sigma=True, routes=(),
    )  # fmt: skip
    return export_state(DiT(config, generator=torch_generator(seed)))


AVERAGE, RAW = weights(0), weights(1)


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


WRAPPED: dict[str, Any] = {
    "bare": AVERAGE,
    "ddp": under("module.", AVERAGE),
    "compiled": under("_orig_mod.", AVERAGE),
    "both": under("module._orig_mod.", AVERAGE),
    "other_way": under("_orig_mod.module.", AVERAGE),
    "deepspeed": {"module": AVERAGE, "global_steps": 3, "optimizer": {"a": [1]}},
    "empty_ema": {"ema": {}, "model": AVERAGE},
    "no_ema": {"ema": None, "model": AVERAGE},
    "model_ema": {"model": RAW, "model_ema": AVERAGE},
    "ema_state_dict": {"state_dict": RAW, "ema_state_dict": AVERAGE},
    "nested": {"model": {"state_dict": under("module.", AVERAGE)}, "epoch": 3},
    "figures": {"model": AVERAGE, "best": np.float64(0.3), "epoch": np.int64(4)},
    "arguments": {"model": AVERAGE, "args": argparse.Namespace(out=Path("x"), lr=1e-4)},
    "among": {**AVERAGE, "epoch": 3, "note": "x"},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_average_is_found_however_it_is_wrapped(tmp_path: Path, name: str, opened_here):
    torch.save(WRAPPED[name], tmp_path / "m.pt")
    found = export_state(load_network(tmp_path / "m.pt", num_heads=4))
    assert all(torch.equal(found[key], AVERAGE[key]) for key in AVERAGE)


def test_a_stray_average_beside_bare_weights_is_what_is_named(tmp_path: Path):
    save_file(AVERAGE | {"ema.decay": torch.ones(1)}, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"got ema\.decay beside other weights, allowed: keys ema"):
        load_network(tmp_path / "m.safetensors")


def test_a_file_that_takes_too_long_to_open_is_one_line(tmp_path: Path, monkeypatch):
    """What is counted is the processor time of the process that opens it, not the time on the wall."""
    spinning = tmp_path / "python"
    spinning.write_text("#!/bin/sh\nulimit -S -t $5\nwhile :; do :; done\n")
    spinning.chmod(0o755)
    torch.save(AVERAGE, tmp_path / "m.pt")
    monkeypatch.setattr(weightfile, "UNPICKLE_SECONDS", 0)
    monkeypatch.setattr("sys.executable", str(spinning))
    with pytest.raises(InputError, match="not open after 1 s of processor time"):
        load_network(tmp_path / "m.pt")


def test_processor_time_is_capped(tmp_path: Path, fork):
    code = "from lookharder.models.foreign import unpickle as u; from pathlib import Path\n"
    code += "import os, resource\nu.cap_resources(Path('/proc/self/exe'), 77)\n"
    code += "print(resource.getrlimit(resource.RLIMIT_CPU))"
    done = fork(code)
    assert done.wait() == 0 and "(77, 78)" in done.said()


def test_a_suffix_of_two_parts_and_plain_data_beside_the_weights_are_read_by_its_own_process(
    tmp_path: Path,
):
    torch.save(WRAPPED["arguments"], tmp_path / "m.pth.tar")
    found = export_state(load_network(tmp_path / "m.pth.tar", num_heads=4))
    assert all(torch.equal(found[key], AVERAGE[key]) for key in AVERAGE)


def test_prefixes_of_safetensors_are_taken_off(tmp_path: Path):
    save_file(under("module._orig_mod.", AVERAGE), tmp_path / "m.safetensors")
    found = export_state(load_network(tmp_path / "m.safetensors", num_heads=4))
    assert all(torch.equal(found[key], AVERAGE[key]) for key in AVERAGE)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path, suffix: str):
    path = tmp_path / f"m{suffix}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 123\n")
    with pytest.raises(InputError, match="Git LFS pointer"):
        load_network(path)


def test_a_number_of_heads_that_nothing_says_is_asked_for(tmp_path: Path, opened_here):
    torch.save(AVERAGE, tmp_path / "m.pt")
    with pytest.raises(InputError, match=r"num_heads: got nothing .* allowed: .*--heads"):
        load_network(tmp_path / "m.pt")
    assert load_network(tmp_path / "m.pt", num_heads=4).config.num_heads == 4
