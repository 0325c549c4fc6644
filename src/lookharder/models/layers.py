"""The layers of a diffusion transformer (DiT, Peebles & Xie, arXiv 2212.09748).

    tokens    = patches @ W[route] + b[route] + positions   (B, L, D), one linear map per task
    condition = MLP(sinusoid(t)) + table[y]                 (B, D), one vector per sample
    modulate  = x * (1 + scale) + shift                     how the condition enters (adaLN)

Nothing here looks at another sample of the batch, reads a tensor's value on the host or keeps a
buffer: a layer is its parameters, so a model built on the meta device is complete once its weights
are loaded.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lookharder.hardware import exact_device

TIME_FEATURES = 256  # sinusoids of the timestep, DiT's number
MAX_PERIOD = 10_000.0  # longest wavelength / 2 pi, of timesteps and of positions alike


def modulate(
    x: Float[Tensor, "B L D"], shift: Float[Tensor, "#B D"], scale: Float[Tensor, "#B D"]
) -> Float[Tensor, "B L D"]:
    """The adaptive half of adaLN: the condition scales and shifts every token of its sample."""
    return x * (1 + scale[:, None]) + shift[:, None]


def sincos_positions(
    grid: tuple[int, int], native: int, width: int, device: torch.device | str = "cpu"
) -> Float[Tensor, "L D"]:
    """Fixed 2D sine-cosine positions of a grid of patches, row by row.

    The first half of the channels encodes the column, the second the row, each as [sines, cosines]
    of the coordinate at width / 4 frequencies. Coordinates are stretched so that any grid covers
    the extent of the native one, i * native / grid; on the native grid the values are DiT's. Sines
    are taken once per row and column, not per patch, so there is nothing worth storing.

    Args:
        grid: rows and columns of patches.
        native: patches per side at which the weights were trained.
        width: channels D, divisible by 4.
        device: where they are wanted.

    Returns:
        (rows * columns, D) float32.
    """
    exact = exact_device(torch.device(device))
    steps = torch.arange(width // 4, device=exact, dtype=torch.float64) / (width // 4)
    frequencies = MAX_PERIOD**-steps  # (D/4,)

    def encode(length: int) -> Tensor:
        coordinates = torch.arange(length, device=exact, dtype=torch.float64) * (native / length)
        angles = coordinates[:, None] * frequencies  # (length, D/4)
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (length, D/2)
        return waves.float().to(device)

    rows, columns = grid
    by_column = encode(columns)[None, :].expand(rows, -1, -1)  # (rows, columns, D/2)
    by_row = encode(rows)[:, None].expand(-1, columns, -1)  # (rows, columns, D/2)
    return torch.cat([by_column, by_row], dim=2).flatten(0, 1)  # (L, D)


def sinusoid(t: Float[Tensor, "B"]) -> Float[Tensor, "B features"]:
    """[cosines, sines] of the timestep at geometric frequencies from 1 down to 1 / MAX_PERIOD."""
    half = TIME_FEATURES // 2
    exponents = torch.arange(half, device=t.device, dtype=torch.float32) / half
    angles = t[:, None] * torch.exp(-math.log(MAX_PERIOD) * exponents)  # (B, features/2)
    return torch.cat([angles.cos(), angles.sin()], dim=1)  # (B, features)


class PatchEmbedder(nn.Module):
    """Cuts an image into patches and maps each to a token, by one of `count` maps per sample.

    `proj.weight` is (count * D, C, p, p), the maps one below the other; for count = 1 that is DiT's
    own parameter. Each sample's map is gathered, so the device never waits for the labels. It is
    looked up as in a table, whose gradient is added up in one order: that of an index is added up by
    several threads of a CPU as they come, and training would not be the same twice.
    """

    def __init__(self, patch: int, channels: int, width: int, count: int = 1) -> None:
        super().__init__()
        self.patch, self.count = patch, count
        self.proj = nn.Conv2d(channels, count * width, patch, stride=patch)  # holds the weights

    def forward(
        self, x: Float[Tensor, "B C h w"], route: Int[Tensor, "#B"]
    ) -> Float[Tensor, "B L D"]:
        """Tokens, row by row, where sample b uses map route[b], or all use route[0] if it is one."""
        patches = x.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (B, L, C*p*p)
        assert self.proj.bias is not None
        weight, bias = self.proj.weight.flatten(1), self.proj.bias  # (K*D, C*p*p), (K*D,)
        if self.count == 1:
            return F.linear(patches, weight, bias)  # (B, L, D)
        bias = F.embedding(route, bias.unflatten(0, (self.count, -1)))  # (B, D)
        weight = F.embedding(route, weight.reshape(self.count, -1))  # (B, D*C*p*p)
        weight = weight.unflatten(1, (bias.shape[1], -1))  # (B, D, C*p*p)
        if len(route) == 1:
            return F.linear(patches, weight[0], bias[0])  # (B, L, D)
        return torch.baddbmm(bias[:, None], patches, weight.mT)  # (B, L, D)


class TimestepEmbedder(nn.Module):
    """Timestep -> vector; fractional and out-of-table timesteps are as good as any."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: Int[Tensor, "B"] | Float[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """Sinusoids are computed in float32, whatever the type of the weights."""
        features = sinusoid(t.float())  # (B, features)
        embedded: Tensor = self.mlp(features.to(next(self.parameters()).dtype))  # (B, D)
        return embedded


class LabelEmbedder(nn.Module):
    """Class or task label -> vector. The last row is the null label of classifier-free guidance."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        # with weights given: to draw them on the meta device torch would import its compiler
        self.embedding_table = nn.Embedding(rows, width, _weight=torch.zeros(rows, width))

    def forward(self, y: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """A row per label."""
        embedded: Tensor = self.embedding_table(y)
        return embedded


class HeadNorm(nn.Module):
    """RMSNorm over the channels of a head: x / sqrt(mean(x^2) + 1e-6), times a learned scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "B heads L d"]) -> Float[Tensor, "B heads L d"]:
        """The scale follows the type of x, for under autocast the fused kernel needs them equal."""
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), eps=1e-6)


class Attention(nn.Module):
    """Multi-head self-attention over all tokens of a sample.

    With `qk_norm`, queries and keys pass a HeadNorm each, which bounds the logits; DiT has none.
    """

    def __init__(self, width: int, heads: int, qk_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = HeadNorm(width // heads) if qk_norm else nn.Identity()
        self.k_norm = HeadNorm(width // heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """softmax(q k^T / sqrt(head_dim)) v, heads side by side."""
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1))  # (B, L, 3, heads, head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, L, head_dim) each
        out = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        mixed: Tensor = self.proj(out.transpose(1, 2).flatten(2))  # (B, L, D)
        return mixed


class MLP(nn.Module):
    """Two linear maps with a tanh-approximated GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Each token by itself."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return out
