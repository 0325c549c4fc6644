"""Names of the same weights in three published implementations, one table for reading and for exporting.

    facebookresearch/DiT     blocks.i.mlp.fc1                        dense
    feizc/DiT-MoE            blocks.i.moe.experts.e.gate_proj        SwiGLU experts beside a shared one
    the paper's release      x_embedder.proj.conv_in_k               a patch embedding for each task, and
                             blocks.i.moe.experts.e.fc1              upcycled experts (either alone is read, too)

Which of them holds a network follows from its configuration. A parameter of ours is one tensor there, or several: the
experts that we stack, the two halves of a SwiGLU and the patch embeddings that we keep one below the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lookharder.models.config import DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.foreign.weightfile import Weights
from lookharder.models.moe import MoEConfig

LAYOUTS = {
    "dit": "facebookresearch/DiT",
    "dit-moe": "feizc/DiT-MoE",
    "paper": "the paper's release",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One parameter of ours and the tensors that hold it elsewhere.

    Attributes:
        ours: its name here.
        parts: names there; rows are the experts of a stacked parameter, columns lie one below the other along axis 0.
        stacked: whether there is an axis of experts in front.
    """

    ours: str
    parts: tuple[tuple[str, ...], ...]
    stacked: bool = False

    def join(self, state: Weights) -> Tensor:
        """Theirs -> ours."""
        rows = [torch.cat([state[name] for name in row]) for row in self.parts]
        return torch.stack(rows) if self.stacked else rows[0]

    def split(self, parameter: Tensor) -> Weights:
        """Ours -> theirs."""
        rows = parameter.unbind(0) if self.stacked else (parameter,)
        return {
            name: part.clone()
            for names, row in zip(self.parts, rows, strict=True)
            for name, part in zip(names, row.chunk(len(names)), strict=True)
        }

    def part_shape(self, shape: torch.Size) -> tuple[int, ...]:
        """Shape of each tensor there, from that of the parameter here."""
        own = shape[1:] if self.stacked else shape
        return (own[0] // len(self.parts[0]), *own[1:])


def layout_of(config: DiTConfig) -> str:
    """The implementation whose architecture this is, a key of LAYOUTS."""
    if config.embeddings > 1 or (config.moe is not None and config.moe.expert == "gelu"):
        return "paper"
    return "dit" if config.moe is None else "dit-moe"


def translation(config: DiTConfig) -> Iterator[Entry]:
    """Every parameter of a network and its names in the published layout of that architecture."""
    for name in _parameter_names(config):
        entry = Entry(ours=name, parts=((name,),))
        if name.startswith("x_embedder") and config.embeddings > 1:
            kind = name.rpartition(".")[2]
            convs = range(1, config.embeddings + 1)
            entry = Entry(
                ours=name, parts=(tuple(f"x_embedder.proj.conv_in_{k}.{kind}" for k in convs),)
            )
        elif ".moe." in name:
            entry = _expert_entry(name, config)
        yield entry


# our parameter of a mixture -> names there; those of experts carry the expert's number in front
_OF_MIXTURE = {
    "router.weight": ("gate.weight",),
    "experts.glu_weight": ("gate_proj.weight", "up_proj.weight"),
    "experts.in_weight": ("fc1.weight",),
    "experts.in_bias": ("fc1.bias",),
    "experts.out_bias": ("fc2.bias",),
    "shared.glu.weight": ("shared_experts.gate_proj.weight", "shared_experts.up_proj.weight"),
    "shared.out.weight": ("shared_experts.down_proj.weight",),
}


def _expert_entry(name: str, config: DiTConfig) -> Entry:
    assert config.moe is not None
    head, _, tail = name.partition(".moe.")
    gated = config.moe.expert == "swiglu"
    names = _OF_MIXTURE | {"experts.out_weight": ("down_proj.weight" if gated else "fc2.weight",)}
    stem, stacked = f"{head}.moe.", tail.startswith("experts.")
    stems = [f"{stem}experts.{e}." for e in range(config.moe.experts)] if stacked else [stem]
    parts = tuple(tuple(s + part for part in names[tail]) for s in stems)
    return Entry(ours=name, parts=parts, stacked=stacked)


def published_names(depth: int, routed: int, moe: MoEConfig | None) -> set[str]:
    """All keys of a published file, which do not depend on its widths."""
    config = DiTConfig(
        input_size=1,
        patch_size=1,
        in_channels=1,
        hidden_size=4,
        depth=depth,
        num_heads=1,
        num_classes=1,
        learn_sigma=True,
        routes=tuple(range(routed)),
        moe=moe,
    )
    parts = (entry.parts for entry in translation(config))
    return {"pos_embed"} | {name for rows in parts for row in rows for name in row}


def _parameter_names(config: DiTConfig) -> list[str]:
    with torch.device("meta"):
        return list(DiT(config).state_dict())
