"""What defines a diffusion transformer but its weights, and the sizes that the papers name.

A size is layers, width and heads. A configuration adds what goes in, what comes out and which
labels there are:

    label        0 .. classes - 1      classes .. classes + tasks - 1      classes + tasks
    meaning      generation class      task                                null: label dropped
    embedding    0                     routes[label - classes]             0

The null row is kept last, where DiT has it. A configuration that exists is valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lookharder.errors import InputError
from lookharder.models.moe import MoEConfig

NORM_GROUPS = 8  # groups of channels in the norms of the convolutions


class Size(NamedTuple):
    """Shape of a transformer."""

    layers: int
    width: int
    heads: int
    moe: MoEConfig | None = None  # in every block in place of the MLP


_8E2A = MoEConfig(experts=8, active=2, shared=2)
_16E2A = MoEConfig(experts=16, active=2, shared=2)
UPCYCLED = MoEConfig(experts=8, active=2, expert="gelu", renormalise=True)


# fmt: off
SIZES: dict[str, Size] = {
    #              layers  width  heads
    "nano": Size(     4,     64,     4),  # tests and the embedded world
    "tiny": Size(     8,    256,     4),
    "S":    Size(    12,    384,     6),  # DiT, table 1
    "B":    Size(    12,    768,    12),
    "L":    Size(    24,   1024,    16),
    "XL":   Size(    28,   1152,    16),
    "a1":   Size(    12,    256,    16),  # arXiv 2411.08034, table 1: always 16 heads
    "a2":   Size(    16,    512,    16),
    "a3":   Size(    20,    768,    16),
    "a4":   Size(    24,   1024,    16),  # = L
    "a5":   Size(    28,   1536,    16),
    "a6":   Size(    32,   1792,    16),
    "S-8E2A":  Size( 12,    384,     6, _8E2A),  # DiT-MoE (2407.11633), table 1
    "S-16E2A": Size( 12,    384,     6, _16E2A),
    "B-8E2A":  Size( 12,    768,    12, _8E2A),
    "L-8E2A":  Size( 24,   1024,    16, _8E2A),
    "XL-8E2A": Size( 28,   1152,    16, _8E2A),
    "G-16E2A": Size( 40,   1408,    16, _16E2A),
    "a2-8E2A-upcycled": Size(16,  512, 16, UPCYCLED),  # arXiv 2411.08034
    "a3-8E2A-upcycled": Size(20,  768, 16, UPCYCLED),
    "a4-8E2A-upcycled": Size(24, 1024, 16, UPCYCLED),
    "a5-8E2A-upcycled": Size(28, 1536, 16, UPCYCLED),
    "XL-8E2A-upcycled": Size(28, 1152, 16, UPCYCLED),  # its generalist
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """All that defines a DiT but its weights.

    Attributes:
        input_size: side of the square latent at which positions are native, in latent cells.
        patch_size: side of what becomes a token, in latent cells.
        in_channels: condition channels + noisy channels.
        hidden_size: width D of a token.
        depth: blocks.
        num_heads: attention heads per block.
        num_classes: generation classes, labels 0 to num_classes - 1; may be 0.
        learn_sigma: the network also emits a variance for each channel, after the predictions.
        out_channels: channels of the predicted latent; None = in_channels.
        mlp_ratio: hidden width of the MLP, or of each expert, over D.
        routes: patch embedding used by each task, whose labels are num_classes, num_classes + 1,
            ...; classes and the null label use embedding 0.
        qk_norm: RMSNorm on queries and keys.
        moe: a mixture of experts in place of every MLP; None = dense.
        stem: where tokens come from and go to: "patch", linear maps of patches of the latent (DiT's); "conv", a
            convolutional stem and a head with skips (`models.stem`), patches being cut from its coarsest level.
        stem_widths: channels of the stem's levels, at 1/2, 1/4, ... of the latent; unused by "patch".
    """

    input_size: int
    patch_size: int
    in_channels: int
    hidden_size: int
    depth: int
    num_heads: int
    num_classes: int
    learn_sigma: bool
    out_channels: int | None = None
    mlp_ratio: float = 4.0
    routes: tuple[int, ...] = ()
    qk_norm: bool = False
    moe: MoEConfig | None = None
    stem: Literal["patch", "conv"] = "patch"
    stem_widths: tuple[int, ...] = (24, 48, 96)

    def __post_init__(self) -> None:
        used = {0, *self.routes}
        checks = [
            ("patch_size", 1 <= self.patch_size <= 256, "1 to 256"),
            ("in_channels", 1 <= self.in_channels <= 2**20, "1 to 2^20"),
            ("depth", 1 <= self.depth <= 1000, "1 to 1000"),
            ("num_heads", self.num_heads >= 1, "at least 1"),
            ("num_classes", 0 <= self.num_classes <= 10**6, "0 to 1,000,000"),
            ("out_channels", 1 <= self.predicted <= 2**20, "1 to 2^20, or None"),
            ("hidden_size", _multiple(self.hidden_size, 4), "positive multiples of 4"),
            ("num_heads", _multiple(self.hidden_size, self.num_heads), "divisors of hidden_size"),
            ("hidden_size", self.hidden_size <= 2**16, "65,536 at the most"),
            ("input_size", 1 <= self.input_size <= 2**14, "1 to 16,384"),
            ("input_size", _multiple(self.input_size, self.patch_size), "multiples of patch_size"),
            ("mlp_ratio", self.mlp_ratio <= 64 and self.mlp_hidden >= 1, "1 / hidden_size to 64"),
            ("routes", len(self.routes) <= 1000, "1000 rows at the most"),
            (
                "stem_widths",
                bool(self.stem_widths) and all(_multiple(w, NORM_GROUPS) for w in self.stem_widths),
                f"one or more multiples of {NORM_GROUPS}",
            ),
            (
                "patch_size",
                self.stem == "patch" or self.patch_size % 2 ** len(self.stem_widths) == 0,
                f"multiples of 2^{len(self.stem_widths)}, by which the stem shrinks",
            ),
            ("routes", used == set(range(len(used))), "indices 0 to K - 1, none skipped"),
        ]
        for name, ok, allowed in checks:
            if not ok:
                raise InputError(name, getattr(self, name), allowed)

    @property
    def label_rows(self) -> int:
        """Rows of the label table: classes, tasks, null."""
        return self.num_classes + len(self.routes) + 1

    @property
    def null_label(self) -> int:
        """The label that stands for none, the last row."""
        return self.label_rows - 1

    @property
    def embeddings(self) -> int:
        """Patch embeddings K."""
        return 1 + max(self.routes, default=0)

    @property
    def cut(self) -> int:
        """Side of the patches that are cut, in cells of the latent, or of the stem's last level."""
        return self.patch_size // (1 if self.stem == "patch" else 2 ** len(self.stem_widths))

    @property
    def cut_channels(self) -> tuple[int, int]:
        """Channels of what patches are cut from, and of what the last layer puts together."""
        if self.stem == "patch":
            return self.in_channels, self.emitted
        return self.stem_widths[-1], self.stem_widths[-1]

    @property
    def mlp_hidden(self) -> int:
        """Hidden width of the MLP, to the nearest whole number."""
        return round(self.hidden_size * self.mlp_ratio)

    @property
    def predicted(self) -> int:
        """Channels c of the predicted latent."""
        return self.in_channels if self.out_channels is None else self.out_channels

    @property
    def emitted(self) -> int:
        """Channels of the output: c, or 2 c with learned variance."""
        return self.predicted * (2 if self.learn_sigma else 1)


def _multiple(number: int, divisor: int) -> bool:
    return divisor >= 1 and number >= 1 and number % divisor == 0


def sized(
    size: str,
    *,
    input_size: int,
    in_channels: int,
    num_classes: int,
    learn_sigma: bool,
    patch_size: int = 2,
    out_channels: int | None = None,
    routes: Sequence[int] = (),
    qk_norm: bool = False,
) -> DiTConfig:
    """The configuration of a row of SIZES; arguments as in DiTConfig."""
    if size not in SIZES:
        raise InputError("size", repr(size), ", ".join(SIZES))
    layers, width, heads, moe = SIZES[size]
    return DiTConfig(
        input_size=input_size,
        patch_size=patch_size,
        in_channels=in_channels,
        hidden_size=width,
        depth=layers,
        num_heads=heads,
        num_classes=num_classes,
        learn_sigma=learn_sigma,
        out_channels=out_channels,
        routes=tuple(routes),
        qk_norm=qk_norm,
        moe=moe,
    )
