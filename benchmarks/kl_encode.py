"""Does the channels-last memory format pay for Stable Diffusion's autoencoder on this machine?

Random weights of the full size (the arithmetic does not care), one image, encode only; the two
layouts take turns in one process and their outputs must agree. On a busy machine read
`cpu_ratio`, with OMP_NUM_THREADS=1: processor time does not count the waiting.

    python -m benchmarks kl_encode [--size 256] [--rounds 3] [--out kl_encode.json]
"""

import copy
import json
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from benchmarks.harness import machine, take_turns
from lookharder.autoencoder import KL, KLConfig
from lookharder.files import write_json
from lookharder.seeding import torch_generator


def stable_diffusion() -> AutoencoderKL:
    """The architecture of SD 1 and 2 with random weights: 83.7 M parameters, 8x, 4 channels."""
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=0.18215,
    )


def run(*, size: int = 256, rounds: int = 3, out: Path = Path("kl_encode.json")) -> None:
    network = stable_diffusion()
    codecs = {
        "plain": KL(copy.deepcopy(network), KLConfig(source="random weights", channels_last=False)),
        "channels_last": KL(network, KLConfig(source="random weights")),
    }
    shape = (1, 3, size, size)
    image = torch.rand(shape, generator=torch_generator(0, "image")) * 2 - 1
    latents = {name: codec.encode(image) for name, codec in codecs.items()}  # warm up
    difference = (latents["plain"] - latents["channels_last"]).abs().max().item()
    torch.testing.assert_close(latents["plain"], latents["channels_last"], rtol=1e-4, atol=1e-4)
    times = take_turns(
        {name: partial(codec.encode, image) for name, codec in codecs.items()}, rounds, warm_up=0
    )
    medians, cpu_medians = times.medians(), times.cpu_medians()
    macs = codecs["plain"].macs(size, size)[0]
    result = {
        "size": size,
        "seconds": times.wall,
        "cpu_seconds": times.cpu,
        "ratio": medians["plain"] / medians["channels_last"],
        "cpu_ratio": cpu_medians["plain"] / cpu_medians["channels_last"],
        "gflops": {name: 2 * macs / median / 1e9 for name, median in medians.items()},
        "largest_difference": difference,
        "encode_macs": macs,
        **machine(),
    }
    write_json(out, result)
    print(json.dumps(result, indent=2))
