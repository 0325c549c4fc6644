"""A faster network in the same system: bfloat16 weights, compiled blocks, cached blocks. Each is off by default.

    chain = accelerate(Chain.load(folder), precision="bf16", compiled=True)        once
    denoiser = cached_denoiser(chain, every=2)                                     once for each trajectory

    bf16        weights and tokens have 8 bits of precision; routers, sinusoids, latents and the sampler keep float32.
                Only worth it where the processor multiplies bfloat16; "auto" finds out
    compiled    torch.compile fuses each block, at the first call and again for a new shape; needs a C++ compiler
    every       all blocks run in every so many steps only, see `models.cache`; changes the answer

They can be combined. The chain that is given stays as it is, and shares its weights wherever their type is kept.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F

from lookharder.chain import Chain
from lookharder.diffusion.denoiser import Denoiser
from lookharder.errors import InputError
from lookharder.models.cache import Cached
from lookharder.models.compile import compile_block
from lookharder.models.dit import DiT, DiTBlock

Precision = Literal["fp32", "bf16", "auto"]
TURNS = 3


def accelerate(
    chain: Chain, *, precision: str | torch.dtype = "fp32", compiled: bool = False
) -> Chain:
    """Make a faster copy of a system, for prediction.

    Args:
        chain: the system; its autoencoder is shared.
        precision: "bf16" or `torch.bfloat16` rounds the weights; save the chain that was given, not this one.
        compiled: fuse the blocks.

    Raises:
        InputError: an unknown precision.
    """
    known: dict[str | torch.dtype, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
    known |= {dtype: dtype for dtype in known.values()}
    if precision not in known:
        allowed = "fp32 or bf16, by these names or as types of torch"
        raise InputError("precision", repr(precision), allowed)
    dtype = known[precision]
    with torch.device("meta"):
        network = DiT(chain.config.model)
    weights = {  # a router compares near equals
        name: value.to(torch.float32 if "router" in name else dtype)
        for name, value in chain.network.state_dict().items()
    }
    network.load_state_dict(weights, assign=True)
    if compiled:
        for block in network.blocks:
            assert isinstance(block, DiTBlock)
            block.forward = compile_block(block)  # type: ignore[method-assign]
    return Chain(chain.config, network.eval(), chain.autoencoder)


def load(
    folder: Path,
    *,
    precision: str | torch.dtype = "fp32",
    compiled: bool = False,
    device: str | torch.device = "cpu",
) -> Chain:
    """Read a model folder, and accelerate it where something is asked.

    Args:
        folder: the model.
        precision: as of `accelerate`, or "auto": bf16 where the device is quicker at it.
        compiled: as of `accelerate`.
        device: where the network will work.
    """
    chain = Chain.load(folder)
    if precision == "auto":
        precision = "bf16" if bfloat16_pays(device) else "fp32"
    if compiled or precision not in ("fp32", torch.float32):
        return accelerate(chain, precision=precision, compiled=compiled)
    return chain


def precision_of(chain: Chain) -> Precision:
    """Of the network's matrices."""
    return "bf16" if chain.network.t_embedder.mlp[0].weight.dtype == torch.bfloat16 else "fp32"


def bfloat16_pays(device: str | torch.device) -> bool:
    """Whether a device multiplies matrices sooner in bfloat16 than in float32, by trying: a few milliseconds.

    Processors that lack the instruction are ten times slower at it, those that have it up to twice as fast. A product
    has the size of an MLP of DiT-S over 256 tokens, and the best of three turns counts.
    """
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.ones(256, 384, dtype=dtype, device=device)
        weight = torch.ones(1536, 384, dtype=dtype, device=device)
        turns = []
        for _ in range(1 + TURNS):  # the first starts threads and picks a kernel
            begin = time.perf_counter()
            F.linear(x, weight).sum().item()  # which waits for the device
            turns.append(time.perf_counter() - begin)
        seconds[dtype] = min(turns[1:])
    return seconds[torch.bfloat16] < seconds[torch.float32]


def cached_denoiser(chain: Chain, every: int) -> Denoiser:
    """The chain's denoiser for one trajectory, which runs all blocks in every `every`-th call only.

    Raises:
        InputError: `every` below 1.
    """
    if every == 1:
        return chain.denoiser
    return replace(chain.denoiser, network=Cached(chain.network, every))
