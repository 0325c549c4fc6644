"""A model as ONNX graphs: the same numbers as torch at any batch and size; whole or not there."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.models.moe import MoEConfig
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator

needs_onnx = pytest.mark.skipif(
    find_spec("onnxruntime") is None or find_spec("onnxscript") is None,
    reason="the extra `onnx` is not installed",
)


def small(folder: Path, moe: MoEConfig | None) -> Chain:
    """Random weights, for those of a fresh network give zero."""
    config = pixel_chain(width=32, depth=1, heads=2, resolution=32)
    model = replace(config.model, moe=moe)
    chain = Chain.build(replace(config, model=model), torch_generator("export"))
    with torch.no_grad():
        for weight in chain.network.parameters():
            weight.copy_(
                0.2 * torch.randn(weight.shape, generator=torch_generator("w", weight.numel()))
            )
    chain.save(folder, "# small\n")
    return chain


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("moe", [None, MoEConfig(experts=4, active=2)], ids=["dense", "experts"])
def test_the_graphs_give_what_torch_gives(tmp_path, moe):
    import onnxruntime

    chain = small(tmp_path / "model", moe)
    # a process of its own: shapes that are checked while they run cannot be traced
    line = f"-m lookharder export {tmp_path}/model --to onnx --out {tmp_path}/graphs"
    subprocess.run([sys.executable, *line.split()], check=True, capture_output=True)
    names = sorted(path.name for path in (tmp_path / "graphs").iterdir())
    assert names == ["decoder.onnx", "denoiser.onnx", "encoder.onnx", "manifest.json"]
    manifest = json.loads((tmp_path / "graphs" / "manifest.json").read_text())
    assert manifest["opset"] == 18 and max(manifest["largest_difference"].values()) <= 1e-4

    open_graph = onnxruntime.InferenceSession
    step = manifest["steps"][0]
    t, cell = torch.tensor([step["t"]]), manifest["pixels_per_cell"]
    for task in (each for each in manifest["tasks"] if each["labels"]):
        label = torch.tensor(task["labels"][:1])
        for batch, rows, columns in ((1, 4, 4), (5, 6, 2)):
            noise = torch.randn(batch, manifest["latent_channels"], rows, columns)
            images = torch.rand(batch, 3, rows * cell, columns * cell) * 2 - 1
            (latent,) = open_graph(tmp_path / "graphs" / "encoder.onnx").run(
                None, {"images": images.numpy()}
            )
            sources = manifest["condition_channels"] // manifest["latent_channels"]
            condition = np.concatenate([latent] * sources, 1)
            x0, eps = open_graph(tmp_path / "graphs" / "denoiser.onnx").run(
                None,
                {
                    "x_t": noise.numpy(),
                    "condition": condition,
                    "t": t.numpy(),
                    "label": label.numpy(),
                },
            )
            with torch.no_grad():
                wanted = chain.denoiser(noise, t, torch.from_numpy(condition), label)
            assert np.abs(x0 - wanted.x0.numpy()).max() <= 1e-4 * wanted.x0.abs().max()
            assert np.abs(eps - wanted.eps.numpy()).max() <= 1e-4 * wanted.eps.abs().max()


@pytest.mark.skipif(find_spec("onnxruntime") is not None, reason="onnxruntime is installed")
def test_without_the_extra_it_says_so(tmp_path, capsys):
    assert main(["export", "tiny", "--to", "onnx", "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'lookharder[onnx]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
