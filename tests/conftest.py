"""Fixtures that all tests share."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lookharder.chain import Chain
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of a reference file or data set outside the repository; skips where it is absent."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"reference data absent: shared/{relative}")
        return path

    return find


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small generalist with random weights, resolution 32, 2 steps by default."""
    chain = Chain.build(
        replace(pixel_chain(width=32, depth=1, heads=2, resolution=32), steps=2), torch_generator(0)
    )
    generator = torch_generator(1)
    with torch.no_grad():  # a fresh network answers zero; this one answers something
        for parameter in chain.network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    folder = tmp_path_factory.mktemp("models") / "random"
    chain.save(folder, "# Random weights\n")
    return folder


@pytest.fixture(scope="session")
def random_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random AutoencoderKL with Stable Diffusion's factor of 8 and 4 channels, in miniature."""
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = diffusers.AutoencoderKL(
            block_out_channels=(8,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            norm_num_groups=4,
            latent_channels=4,
        )
    folder = tmp_path_factory.mktemp("models") / "vae"
    vae.save_pretrained(folder)
    return folder
