"""What a network costs, in closed form: parameters and MACs of one forward, by its configuration.

With L = h w / p^2 tokens of width D, P = C p^2 numbers in a patch, O = out p^2 in a patch of the
output, and M the hidden width of the MLP, one sample costs

    MACs = L P D + 256 D + D^2 + depth (4 L D^2 + 2 L^2 D + 2 L D M + 6 D^2) + 2 D^2 + L D O

A block with experts has, in place of the MLP's 2 L D M and with m = 3 matrices per SwiGLU expert or 2 per GELU expert,

    L D E + K m L D M + 3 shared L D^2              router, K active experts, shared expert of width shared * D

A convolutional stem shrinks n times by 2. Patches are then cut from its last level, of k = p / 2^n cells a side and its
w channels, so that P = O = w k^2; a 3x3 convolution from i to o channels costs 9 i o at each cell of its output.

A MAC is one multiply and one add of a matrix product; FLOPs = 2 MACs; a training image costs 3
forwards. What is not a matrix product (norms, softmax, GELU, look-ups, biases) is not counted. The
"Gflops" of DiT are these MACs: 118.6 G for XL/2 on 32 x 32 x 4. The scaling figures of arXiv
2411.08034 leave out the two products between tokens, 2 L^2 D, the group "attention" here. Tables
that count DiT's fixed positions as parameters have L D more than ours.

Invariant, held by tests: the parameters are exactly the model's, group by group, and the MACs are
exactly those that torch counts.
"""

from dataclasses import dataclass
from functools import lru_cache

from lookharder.errors import InputError
from lookharder.models.config import DiTConfig
from lookharder.models.layers import TIME_FEATURES


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a network, or of a group of its layers.

    Attributes:
        params: parameters held.
        active_params: parameters in use for one token of one task: all but the other tasks' patch embeddings and the
            experts not picked.
        macs: multiply-adds of one forward of one sample.
    """

    params: int
    active_params: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            params=self.params + other.params,
            active_params=self.active_params + other.active_params,
            macs=self.macs + other.macs,
        )


def _linear(inputs: int, outputs: int, *, rows: int, count: int = 1) -> Cost:
    """`count` linear layers with bias, each applied to `rows` rows of a sample."""
    params = count * (inputs + 1) * outputs
    return Cost(params=params, active_params=params, macs=count * rows * inputs * outputs)


def breakdown(config: DiTConfig, height: int, width: int) -> dict[str, Cost]:
    """Cost by group of layers; the groups sum to `count`.

    Args:
        config: the network.
        height: of the latent, in cells.
        width: of the latent, in cells.

    Returns:
        patch embedding, timestep, labels, attention projections (qkv, output, q and k norms),
        attention (the two products between tokens), mlp, modulation (the blocks' adaLN), final
        layer; the group "mlp" holds the experts, where there are any; with a convolutional stem also stem and head.

    Raises:
        InputError: the patch does not divide the height or width.
    """
    p, d = config.patch_size, config.hidden_size
    for name, side in (("height", height), ("width", width)):
        if side < 1 or side % p:
            raise InputError(name, side, f"positive multiples of patch_size = {p}")
    tokens = (height // p) * (width // p)

    (seen, made), patch = config.cut_channels, config.cut**2
    embedding = _linear(seen * patch, d, rows=tokens)
    rows = config.label_rows * d
    norms = config.depth * 2 * (d // config.num_heads) if config.qk_norm else 0
    groups = {
        "patch embedding": Cost(
            params=config.embeddings * embedding.params,
            active_params=embedding.params,
            macs=embedding.macs,
        ),
        "timestep": _linear(TIME_FEATURES, d, rows=1) + _linear(d, d, rows=1),
        "labels": Cost(params=rows, active_params=rows, macs=0),
        "attention projections": _linear(d, 3 * d, rows=tokens, count=config.depth)
        + _linear(d, d, rows=tokens, count=config.depth)
        + Cost(params=norms, active_params=norms, macs=0),
        "attention": Cost(params=0, active_params=0, macs=config.depth * 2 * tokens**2 * d),
        "mlp": _mlp(config, tokens),
        "modulation": _linear(d, 6 * d, rows=1, count=config.depth),
        "final layer": _linear(d, 2 * d, rows=1) + _linear(d, patch * made, rows=tokens),
    }
    return groups if config.stem == "patch" else groups | _convolutions(config, height * width)


def _convolutions(config: DiTConfig, cells: int) -> dict[str, Cost]:
    """Stem and head: level k, of width w, has 1 / 4^k of the cells."""
    widths, d = config.stem_widths, config.hidden_size
    sizes = [cells // 4**level for level in range(1, len(widths) + 1)]
    finer, coarser = (widths[0], *widths[:-1]), (*widths[1:], widths[-1])
    stem = _linear(9 * config.in_channels, widths[0], rows=sizes[0])
    head = _linear(9 * widths[0], 4 * config.emitted, rows=sizes[0])
    last = cells // config.patch_size**2 * config.cut**2  # cells of the image of the tokens
    for own, above, below, size, seen in zip(
        widths, finer, coarser, sizes, (*sizes[1:], last), strict=True
    ):
        stem += _conv_block(above, own, d, size)
        head += _linear(below, own, rows=seen) + _conv_block(own, own, d, size)
    return {"stem": stem, "head": head}


def _conv_block(inputs: int, outputs: int, width: int, cells: int) -> Cost:
    """Two 3x3 convolutions, the modulation between them, and a 1x1 one past them where the channels change."""
    norm = Cost(params=2 * inputs, active_params=2 * inputs, macs=0)
    past = _linear(inputs, outputs, rows=cells, count=int(inputs != outputs))
    modulation = _linear(width, 2 * outputs, rows=1)
    convolutions = _linear(9 * inputs, outputs, rows=cells) + _linear(
        9 * outputs, outputs, rows=cells
    )
    return norm + past + modulation + convolutions


def _mlp(config: DiTConfig, tokens: int) -> Cost:
    """The MLPs of all blocks, or what stands in their place."""
    d, hidden, depth, moe = config.hidden_size, config.mlp_hidden, config.depth, config.moe
    if moe is None:
        return _linear(d, hidden, rows=tokens, count=depth) + _linear(
            hidden, d, rows=tokens, count=depth
        )
    matrices, biases = (3, 0) if moe.expert == "swiglu" else (2, hidden + d)
    one, always = matrices * d * hidden, moe.experts * d + 3 * moe.shared * d**2
    return Cost(
        params=depth * (moe.experts * (one + biases) + always),
        active_params=depth * (moe.active * (one + biases) + always),
        macs=depth * tokens * (moe.active * one + always),
    )


@lru_cache(maxsize=1024)  # of frozen values, and asked for in every prediction
def count(config: DiTConfig, height: int, width: int) -> Cost:
    """Cost of one forward of one sample, a latent of height x width cells."""
    return sum(breakdown(config, height, width).values(), Cost(params=0, active_params=0, macs=0))
