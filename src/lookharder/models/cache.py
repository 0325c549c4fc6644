"""Step-to-step caching: what most blocks add to the tokens changes little from one denoising step to the next.

    call 0, k, 2k, ...     h = first blocks(embed(x, t, y)),   r = other blocks(h) - h,   out = emit(h + r)
    the others             h = first blocks(embed(x, t, y)),                              out = emit(h + r)

The first blocks and the last layer always see what is new: the latents, the time. The offset r of the others is the one
of the last full call. DeepCache (2312.00858) keeps deep features of a U-Net in this way, Delta-DiT (2406.01125) the
offset of a span of transformer blocks. It is lossy, and lossless at k = 1, where every call is full.

    denoiser = replace(chain.denoiser, network=Cached(chain.network, every=2))      one for each trajectory

Invariant: the network holds no state. A `Cached` is the state of one trajectory: one batch, its times in order.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lookharder.errors import InputError
from lookharder.models.config import DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.flops import count


class Cached:
    """A network for one trajectory, most of whose blocks run only in every k-th call.

    Args:
        network: dense or with experts.
        every: k; 1 = all blocks in every call, with the bits of `network` itself.
        first: blocks that run in every call.

    Raises:
        InputError: `every` below 1, or `first` not among the network's blocks.
    """

    def __init__(self, network: DiT, every: int, first: int = 1) -> None:
        _check(network.config, every, first)
        self.network, self.every, self.first = network, every, first
        self.calls = 0
        self.offset = torch.empty(0)

    def __call__(
        self,
        x: Float[Tensor, "B C h w"],
        t: Int[Tensor, "#B"] | Float[Tensor, "#B"],
        y: Int[Tensor, "#B"],
    ) -> Float[Tensor, "B out h w"]:
        """The prediction at the trajectory's next call; arguments as of `DiT.forward`."""
        tokens, c, levels = self.network.embed(x, t, y)  # (B, L, D), (#B, D)
        blocks = list(self.network.blocks)
        for block in blocks[: self.first]:
            tokens, _ = block(tokens, c)
        if self.calls % self.every == 0:
            near = tokens
            for block in blocks[self.first :]:
                tokens, _ = block(tokens, c)
            self.offset = tokens - near
        else:
            assert self.offset.shape == tokens.shape, "a cache serves one trajectory"
            tokens = tokens + self.offset
        self.calls += 1
        return self.network.emit(tokens, c, levels, *x.shape[2:])


def macs(
    config: DiTConfig, height: int, width: int, calls: int, every: int = 1, first: int = 1
) -> int:
    """Multiply-adds of the first `calls` calls of a trajectory, of one sample.

    A cached call costs what a network of `first` blocks does.

    Args:
        config: the network.
        height: of the latent, in cells.
        width: of the latent, in cells.
        calls: how often the network is asked.
        every: every which call is full.
        first: blocks that run in every call.

    Raises:
        InputError: as `Cached`, or for a latent that the patch does not divide.
    """
    _check(config, every, first)
    full = -(-calls // every)
    macs = full * count(config, height, width).macs
    if calls > full:
        macs += (calls - full) * count(replace(config, depth=first), height, width).macs
    return macs


def _check(config: DiTConfig, every: int, first: int) -> None:
    if every < 1:
        raise InputError("cache", every, "1 (no caching) or more")
    if not 1 <= first <= config.depth:
        raise InputError("cache.first", first, f"1 .. {config.depth}, the blocks of the network")
