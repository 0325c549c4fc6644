"""Does the channels-last memory format pay for Stable Diffusion's autoencoder on this machine?

Random weights of the full size (the arithmetic does not care), one image, encode only; the two
layouts take turns in one process and their outputs must agree. On a busy machine read
`cpu_ratio`, with OMP_NUM_THREADS=1: processor time does not count the waiting.

    python benchmarks/kl_encode.py [--size 256] [--rounds 3] [--out kl_encode.json]
"""

import argparse
import copy
import json
import os
import platform
import statistics
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the image, pixels")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each layout")
    parser.add_argument("--out", type=Path, default=Path("kl_encode.json"))
    given = parser.parse_args()
    network = stable_diffusion()
    codecs = {
        "plain": KL(copy.deepcopy(network), KLConfig(source="random weights", channels_last=False)),
        "channels_last": KL(network, KLConfig(source="random weights")),
    }
    shape = (1, 3, given.size, given.size)
    image = torch.rand(shape, generator=torch_generator(0, "image")) * 2 - 1
    latents = {name: codec.encode(image) for name, codec in codecs.items()}  # warm up
    difference = (latents["plain"] - latents["channels_last"]).abs().max().item()
    torch.testing.assert_close(latents["plain"], latents["channels_last"], rtol=1e-4, atol=1e-4)
    seconds: dict[str, list[float]] = {name: [] for name in codecs}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in codecs}
    for _ in range(given.rounds):
        for name, codec in codecs.items():
            begin, cpu_begin = time.perf_counter(), time.process_time()
            codec.encode(image)
            seconds[name].append(time.perf_counter() - begin)
            cpu_seconds[name].append(time.process_time() - cpu_begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    cpu_medians = {name: statistics.median(values) for name, values in cpu_seconds.items()}
    macs = codecs["plain"].macs(given.size, given.size)[0]
    result = {
        "size": given.size,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "ratio": medians["plain"] / medians["channels_last"],
        "cpu_ratio": cpu_medians["plain"] / cpu_medians["channels_last"],
        "gflops": {name: 2 * macs / median / 1e9 for name, median in medians.items()},
        "largest_difference": difference,
        "encode_macs": macs,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    write_json(given.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
