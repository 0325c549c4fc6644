"""Peak memory of a prediction, known before it runs: weights + the largest of encode, denoise, decode.

Of one image, one member, one field; numbers of 4 bytes; L tokens of width D, patches of P numbers, MLPs of width M, a
latent of Z = c h w, S = 2 sources of 3 H W:

    encode     S 3 H W + the autoencoder's own
    denoise    2 S Z of condition, (S + 1) Z of input, 1 to 8 Z of the sampler's states, Z of answer, and the largest of
                   3 L D + 2 L M             MLP, beside tokens before and after attention, its input
                   7 L D, 8 with qk norms    attention; its kernels never hold L^2
                   L P + L D + P D           patches, and the map gathered for the task
    decode     (S + 1) Z + the autoencoder's own

In place of 2 L M, a mixture with K active of E experts holds, with a = 4 for SwiGLU and 3 for GELU,

    grouped       L K (D + a M) + L (E + 3 K) + L K (E + 4)       results, routing, order
    padded_bmm    L E (a M + 1) + L (E + 3 K)
    loop          at most what one expert holds for all tokens

The autoencoder's own is what lives at once when it runs on shapes alone (the meta device). What kernels take for
themselves is not counted: convolutions a third more, attention up to half a megabyte for each thread.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lookharder.autoencoder.base import on_meta
from lookharder.chain import Chain
from lookharder.errors import InputError
from lookharder.hardware import free_memory
from lookharder.models.config import DiTConfig
from lookharder.models.moe import MoEConfig
from lookharder.models.stem import held

FLOAT = 4  # bytes of a number
CODEC = 4096  # bytes a pixel, above the most that is known: Stable Diffusion's decoder, 3,073 by `live_peak`


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """Bytes that the prediction of one image needs, in float32, for one member of one field.

    Attributes:
        weights: of the network and the autoencoder.
        encode: alive beside them while the sources are encoded.
        network: likewise while the network runs.
        decode: likewise while the answer is decoded.
    """

    weights: int
    encode: int
    network: int
    decode: int

    @property
    def input(self) -> int:
        """What one input of the network takes, from noise to a decoded image."""
        return max(self.network, self.decode)

    @property
    def activations(self) -> int:
        """The largest of encode, denoise and decode."""
        return max(self.encode, self.network, self.decode)

    @property
    def peak(self) -> int:
        """Weights and activations."""
        return self.weights + self.activations


def peak_memory(chain: Chain, size: tuple[int, int], steps: int) -> PeakMemory:
    """Memory of the prediction of one image of (height, width) pixels, sides multiples of `chain.multiple`."""
    codec, (height, width) = chain.autoencoder, size
    cells = height // codec.factor, width // codec.factor
    latent = FLOAT * codec.channels * cells[0] * cells[1]
    ghost: Any = on_meta(codec) if isinstance(codec, nn.Module) else codec
    sources = torch.empty(max(1, chain.config.sources), 3, height, width, device="meta")
    answer = torch.empty(1, codec.channels, *cells, device="meta")
    weights = [chain.network, codec] if isinstance(codec, nn.Module) else [chain.network]
    return PeakMemory(
        weights=sum(FLOAT * v.numel() for module in weights for v in module.state_dict().values()),
        encode=FLOAT * sources.numel() + live_peak(ghost.encode, sources),
        network=denoising(chain, size, steps),
        decode=(chain.config.sources + 1) * latent + live_peak(ghost.decode, answer),
    )


def chunk_within(free: int | None, one: int, most: int) -> int:
    """So many that fit in half of the free memory, at so many bytes each; 1 at least, `most` at the most."""
    if free is None:  # not Linux: the caller's number stands
        return most
    return max(1, min(most, free // 2 // one))


def codec_chunk_within(
    free: int | None,
    chain: Chain,
    size: tuple[int, int],
    most: int,
    memory: Callable[[], PeakMemory],
) -> int:
    """Images at a time through the autoencoder, likewise.

    Args:
        free: bytes.
        chain: the system.
        size: (height, width) of the images.
        most: at the most.
        memory: of one; asked for only where `most` of a large autoencoder would not fit.
    """
    if free is None or most * size[0] * size[1] * CODEC <= free // 2:
        return most
    needed = memory()
    return chunk_within(
        free, max(needed.encode // max(1, chain.config.sources), needed.decode), most
    )


def refuse_if_too_large(free: int | None, needed: int, size: tuple[int, int]) -> None:
    """Refuse a size, (height, width), at which one input of the network does not fit in the memory that is free.

    Raises:
        InputError: saying what is needed and what there is.
    """
    if free is not None and needed > free:
        got = f"{size[1]} x {size[0]} pixels, which need {needed / 1e9:.1f} GB"
        raise InputError("processing_resolution", got, f"what fits in the {free / 1e9:.1f} GB free")


def free_bytes(chain: Chain) -> int | None:
    """Memory that is free where the network is; on a GPU with what torch holds and does not use."""
    device = chain.device
    if device.type != "cuda":
        return free_memory()
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def denoising(chain: Chain, size: tuple[int, int], steps: int) -> int:
    """Bytes of one input while the network runs: its condition, what it sees, the sampler's states, one forward."""
    codec = chain.autoencoder
    cells = size[0] // codec.factor, size[1] // codec.factor
    # x_T; then x_t, and x_t, x0, eps of the two times before (stochastic steps: Z more, the fresh noise)
    states = 1 if steps == 1 else min(3 * steps - 2, 8)
    latent = FLOAT * codec.channels * cells[0] * cells[1]
    return (3 * chain.config.sources + 2 + states) * latent + forward(chain.config.model, *cells)


def forward(model: DiTConfig, height: int, width: int) -> int:
    """Bytes alive at once, beside weights and input, in one forward of a latent of height x width cells."""
    d, hidden, conv = model.hidden_size, model.mlp_hidden, held(model, height * width)
    tokens, patch = height * width // model.patch_size**2, model.cut_channels[0] * model.cut**2
    gathered = patch * d if model.embeddings > 1 else 0
    mlp = 2 * tokens * hidden if model.moe is None else _experts(model.moe, tokens, d, hidden)
    blocks = max(
        3 * tokens * d + mlp,
        (8 if model.qk_norm else 7) * tokens * d,
        tokens * patch + tokens * d + gathered,
    )
    return FLOAT * max(conv.levels + blocks, conv.forward)


def _experts(moe: MoEConfig, tokens: int, width: int, hidden: int) -> int:
    """Numbers alive at once in a mixture of experts, beside its input."""
    inside = (4 if moe.expert == "swiglu" else 3) * hidden  # of one token in one expert
    picks = tokens * moe.active
    ways = {
        "grouped": picks * (width + inside + moe.experts + 4),
        "padded_bmm": tokens * moe.experts * (inside + 1),
        "loop": tokens * (2 * width + inside),
    }
    shared = tokens * width * (1 + 4 * moe.shared)
    routing = tokens * moe.experts + 3 * picks
    return max(ways[moe.backend], shared) + routing


@torch.inference_mode()
def live_peak(function: Callable[[Tensor], object], given: Tensor) -> int:
    """The most bytes of new tensors alive at once while a function runs; on the meta device, too."""
    with _Living() as living:
        function(given)
    most: int = living.most
    return most


class _Living(TorchDispatchMode):
    """Follows each storage from the operator that makes it to its end."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.now = self.most = 0
        self.alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {storage._cdata for storage in _storages((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            key, size = storage._cdata, storage.nbytes()
            if key not in self.alive and key not in given:
                self.alive.add(key)
                self.now += size
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._end, key, size)
        return out

    def _end(self, key: int, size: int) -> None:
        self.alive.discard(key)
        self.now -= size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [v.untyped_storage() for v in tree_leaves(values) if isinstance(v, Tensor)]
