"""The diffusion transformer (DiT, Peebles & Xie, arXiv 2212.09748), one patch embedding per task.

    x (B, C, h, w), t (B,), y (B,)  ->  (B, out, h, w)

    tokens = embed[route(y)](patches of x) + positions
    tokens = tokens + gate * attention(modulate(norm(tokens)))    } depth times
    tokens = tokens + gate * mlp(modulate(norm(tokens)))          }      mlp dense, or a mixture of experts
    out    = image of the patches linear(modulate(norm(tokens)))

Shift, scale and gate are linear in SiLU(time(t) + label(y)) ("adaLN-zero"). The C channels are the
condition's, then the noisy latent's. The label table has a row per generation class, then one per
task, then the null row, which stands for a dropped label: dropping is the caller's act, by giving
that label. Parameters bear DiT's names, so published weights load.

With a mixture of experts the routers' decisions and losses are written on a tape that the caller gives:

    tape: list[Routing] = []
    prediction = network(x, t, y, tape)
    loss = ... + sum(routing.loss for routing in tape)

Invariants: a sample's output does not depend on its batch; the gates and the last layer start at
zero, so a fresh network returns zeros; any height and width that the patch divides will do.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lookharder.errors import InputError
from lookharder.models.config import SIZES, DiTConfig, Size, sized
from lookharder.models.layers import (
    MLP,
    Attention,
    LabelEmbedder,
    PatchEmbedder,
    TimestepEmbedder,
    modulate,
    sincos_positions,
)
from lookharder.models.moe import MoE, Routing
from lookharder.models.stem import Head, Stem
from lookharder.seeding import torch_generator

__all__ = ["SIZES", "DiT", "DiTBlock", "DiTConfig", "FinalLayer", "Size", "sized"]

LAST = ("final_layer", "head.out")  # they start at zero


class DiTBlock(nn.Module):
    """Attention and MLP, each modulated and gated by the condition (DiT, section 3.2)."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(width, config.num_heads, config.qk_norm)
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.mlp = MLP(width, config.mlp_hidden) if config.moe is None else None
        self.moe = MoE(width, config.mlp_hidden, config.moe) if config.moe is not None else None
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(
        self, x: Float[Tensor, "B L D"], c: Float[Tensor, "#B D"]
    ) -> tuple[Float[Tensor, "B L D"], Routing | None]:
        """Tokens x under the condition c, and how they were routed (None where the block is dense)."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.adaLN_modulation(c).chunk(6, 1)
        x = x + gate_a[:, None] * self.attn(modulate(self.norm1(x), shift_a, scale_a))
        h = modulate(self.norm2(x), shift_m, scale_m)
        if self.mlp is not None:
            out, routing = self.mlp(h), None
        else:
            assert self.moe is not None
            out, routing = self.moe(h)
        return x + gate_m[:, None] * out, routing


class FinalLayer(nn.Module):
    """Tokens -> the pixels of their patches."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.norm_final = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(width, config.cut**2 * config.cut_channels[1])
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(
        self, x: Float[Tensor, "B L D"], c: Float[Tensor, "#B D"]
    ) -> Float[Tensor, "B L pixels"]:
        """A patch per token: its rows, their columns, their channels."""
        shift, scale = self.adaLN_modulation(c).chunk(2, 1)
        patches: Tensor = self.linear(modulate(self.norm_final(x), shift, scale))
        return patches


class DiT(nn.Module):
    """The diffusion transformer, dense or with a mixture of experts.

    Args:
        config: its shape.
        generator: source of the initial weights, on the CPU; None = one with a fixed seed, so that
            weights are never a function of global state. On the meta device nothing is initialised:
            load weights, or call `to_empty`, then `initialise`.
    """

    def __init__(self, config: DiTConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.stem = Stem(config) if config.stem == "conv" else None
        self.x_embedder = PatchEmbedder(
            config.cut, config.cut_channels[0], width, config.embeddings
        )
        self.t_embedder = TimestepEmbedder(width)
        self.y_embedder = LabelEmbedder(config.label_rows, width)
        self.blocks = nn.ModuleList(DiTBlock(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config)
        self.head = Head(config) if config.stem == "conv" else None
        if not self.final_layer.linear.weight.is_meta:
            self.initialise(generator or torch_generator("DiT", 0))

    def forward(
        self,
        x: Float[Tensor, "B C h w"],
        t: Int[Tensor, "#B"] | Float[Tensor, "#B"],
        y: Int[Tensor, "#B"],
        tape: list[Routing] | None = None,
    ) -> Float[Tensor, "B out h w"]:
        """Predict from the condition and the noisy latent.

        What the whole batch shares is computed once: one row of t and y serves all of x, and then a sample's
        answer is the same to the last bit whatever its batch (a product of few rows takes another kernel).

        Args:
            x: condition and noisy latent, channel by channel.
            t: timestep, in the training schedule's numbering; of each sample, or one for all.
            y: class, task or null label, below `config.label_rows`; of each sample, or one for all.
            tape: gets the routing of each block of experts, in order.

        Returns:
            The prediction (c channels), then with `learn_sigma` the variance (c channels more).

        Raises:
            InputError: x has other channels, or the patch does not divide its height and width.
        """
        tokens, c, levels = self.embed(x, t, y)  # (B, L, D), (#B, D)
        for block in self.blocks:
            tokens, routing = block(tokens, c)  # (B, L, D)
            if tape is not None and routing is not None:
                tape.append(routing)
        return self.emit(tokens, c, levels, *x.shape[2:])  # (B, out, h, w)

    def embed(
        self,
        x: Float[Tensor, "B C h w"],
        t: Int[Tensor, "#B"] | Float[Tensor, "#B"],
        y: Int[Tensor, "#B"],
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "#B D"], list[Tensor]]:
        """What enters the first block: tokens, in the type of the weights, and the condition c; what the head needs.

        Arguments as in `forward`; what the head needs are the levels of the stem, where there is one.
        """
        config, p = self.config, self.config.patch_size
        _, channels, height, width = x.shape
        if channels != config.in_channels or height % p or width % p:
            allowed = f"{config.in_channels} channels, height and width multiples of {p}"
            raise InputError("x", f"shape {tuple(x.shape)}", allowed)
        grid, native = (height // p, width // p), config.input_size // p

        route = torch.zeros_like(y)  # (B,)
        for task, embedding in enumerate(config.routes):
            route = route + embedding * (y == config.num_classes + task)

        c = self.t_embedder(t) + self.y_embedder(y)  # (#B, D)
        x = x.to(self.x_embedder.proj.weight.dtype)
        levels = [] if self.stem is None else self.stem(x, c)
        tokens = self.x_embedder(levels[-1] if levels else x, route)  # (B, L, D)
        positions = sincos_positions(grid, native, config.hidden_size, x.device)
        tokens = tokens + positions.to(tokens.dtype)  # (B, L, D)
        return tokens, c, levels

    def emit(
        self,
        tokens: Float[Tensor, "B L D"],
        c: Float[Tensor, "#B D"],
        levels: list[Tensor],
        height: int,
        width: int,
    ) -> Float[Tensor, "B out h w"]:
        """What leaves the last block, as an image of height x width cells; `levels` as `embed` gave them."""
        p, k = self.config.patch_size, self.config.cut
        patches: Tensor = self.final_layer(tokens, c)  # (B, L, k*k*out)
        patches = patches.unflatten(2, (k, k, -1)).unflatten(1, (height // p, width // p))
        image = patches.permute(0, 5, 1, 3, 2, 4)  # (B, out, rows, k, columns, k)
        image = image.flatten(4).flatten(2, 3)  # (B, out, rows*k, columns*k)
        return image if self.head is None else self.head(image, levels, c)

    def forward_with_cfg(
        self,
        x: Float[Tensor, "B C h w"],
        t: Int[Tensor, "B"] | Float[Tensor, "B"],
        y: Int[Tensor, "B"],
        cfg_scale: float,
        channels: int = 3,
    ) -> Float[Tensor, "B out h w"]:
        """Classifier-free guidance as DiT publishes it: null + scale * (labelled - null).

        Labels fill the first half of y, the null label its second. The second half of x is not
        read, for both halves denoise the first.

        Args:
            x: (2 n, C, h, w) condition and noisy latents.
            t: (2 n,) timesteps.
            y: (2 n,) labels, then null labels.
            cfg_scale: 1 = no guidance.
            channels: leading channels that are guided; DiT's released code guides 3 of its 4.

        Returns:
            (2 n, out, h, w), equal halves in the guided channels; the others as predicted.
        """
        if len(x) % 2:
            raise InputError("x", f"a batch of {len(x)}", "even batches: labelled half, null half")
        half = x[: len(x) // 2]
        out = self(torch.cat([half, half]), t, y)
        labelled, null = out[:, :channels].chunk(2)
        guided = null + cfg_scale * (labelled - null)
        return torch.cat([torch.cat([guided, guided]), out[:, channels:]], dim=1)

    def guided(self, scale: float, channels: int = 3) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """The network under classifier-free guidance: one label for all of a batch, or one each.

        Args:
            scale: 1 = no guidance.
            channels: leading channels of the prediction that are guided, as in `forward_with_cfg`.
        """

        def predict(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
            null = y.new_full((len(x),), self.config.null_label)
            labels = torch.cat([y.expand(len(x)), null])
            times = t.expand(len(x)).repeat(2)
            return self.forward_with_cfg(x.repeat(2, 1, 1, 1), times, labels, scale, channels)[
                : len(x)
            ]

        return predict

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights on the CPU, so that they are a function of the generator alone.

        biases, adaLN modulations, last layers     0
        timestep and label embedders, routers      normal, standard deviation 0.02
        scales of norms                            1
        every other matrix, each patch embedding   uniform, Glorot & Bengio 2010 (eq. 16)
        """
        for name, parameter in self.named_parameters():
            fresh = torch.empty(parameter.shape, device="cpu")
            if name.endswith("bias") or "adaLN" in name or name.startswith(LAST):
                fresh.zero_()
            elif name.startswith(("t_embedder", "y_embedder")) or "router" in name:
                fresh.normal_(std=0.02, generator=generator)
            elif name.endswith("_norm.weight"):
                fresh.fill_(1)
            else:
                bound = (6 / sum(self._fans(name, parameter))) ** 0.5
                fresh.uniform_(-bound, bound, generator=generator)
            parameter.copy_(fresh)

    def _fans(self, name: str, parameter: Tensor) -> tuple[int, int]:
        """Numbers in and out of one matrix, where a parameter holds several one below the other."""
        if name.startswith("x_embedder"):
            return parameter[0].numel(), len(parameter) // self.config.embeddings
        if parameter.ndim == 4:
            return parameter[0].numel(), parameter[:, 0].numel()
        rows, columns = parameter.shape[-2:]
        return columns, rows // 2 if "glu" in name else rows
