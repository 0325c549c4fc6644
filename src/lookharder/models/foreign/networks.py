"""Foreign weights: a published file in, our network out, every key accounted for; and back, bit for bit.

    read -> configure: the configuration that the keys and shapes imply -> translate, key by key -> load strictly

`layouts.translation` is the one table of names; reading and exporting both follow it. What a file lacks, has too much
or has in another shape is an InputError that lists it; nothing is filled in or left out.

Shapes tell everything but two numbers. Attention heads are, in this order: the argument `num_heads`; `num_heads` of
the JSON in the file's `config` metadata; that of the row of SIZES with this depth and width. A wrong number loads
without complaint and predicts nonsense, so where none of these says it the file is refused. Active experts are
`num_experts_per_tok` of that JSON, else 2, as in all that is published. Gates are not renormalised there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from lookharder.errors import InputError
from lookharder.models.config import SIZES, DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.foreign.layouts import Entry, layout_of, published_names, translation
from lookharder.models.foreign.weightfile import Weights, read
from lookharder.models.layers import sincos_positions
from lookharder.models.moe import MoEConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Imported:
    """A published network, read whole.

    Attributes:
        network: ours, in evaluation mode, float32, on the CPU.
        layout: a key of `layouts.LAYOUTS`.
        entries: where each parameter came from.
        state: the tensors of the file, by their names there.
    """

    network: DiT
    layout: str
    entries: list[Entry]
    state: Weights


def load_network(path: str | Path, num_heads: int | None = None) -> DiT:
    """The network of a published file, its layout recognised by its keys.

    Args:
        path: `.safetensors`, `.pt` or `.pth`; weights bare, under `ema` or `model` (the average is
            preferred), or with the prefix `state.` beside reference inputs and outputs.
        num_heads: attention heads; None = by the rule at the top of this module.

    Returns:
        A `DiT` in evaluation mode, float32, on the CPU: (x (B, C, h, w), t (B,), y (B,)) ->
        (B, 2 c, h, w) as in that implementation.

    Raises:
        InputError: the file is not readable, its layout not known, or its keys not that layout's.
    """
    return import_network(path, num_heads).network


def import_network(path: str | Path, num_heads: int | None = None) -> Imported:
    """`load_network`, with where everything came from."""
    state, header = read(Path(path))
    foreign = _Foreign(path=Path(path), state=state, header=header, num_heads=num_heads)
    config = _configure(foreign)
    with torch.device("meta"):
        network = DiT(config)
    entries = list(translation(config))
    shapes = {name: parameter.shape for name, parameter in network.state_dict().items()}
    wrong = [
        f"misshapen {name} {_form(state[name])} for {expected}"
        for entry in entries
        for row in entry.parts
        for name in row
        if state[name].shape != (expected := entry.part_shape(shapes[entry.ours]))
        or not state[name].is_floating_point()
    ]
    if wrong:
        foreign.refuse(wrong, "floats, in the shapes that the other tensors imply")
    if _heads(foreign, config.depth, config.hidden_size) is None:
        got = f"nothing that says it of {config.depth} blocks of width {config.hidden_size}"
        raise InputError("num_heads", got, "a published size, or the number: --heads, num_heads=")
    network.to_empty(device="cpu")
    network.load_state_dict({entry.ours: entry.join(state) for entry in entries})
    return Imported(network=network.eval(), layout=layout_of(config), entries=entries, state=state)


def export_state(network: DiT) -> Weights:
    """The weights in the names of the implementation that has this architecture, `pos_embed` included.

    Raises:
        InputError: none has: QK-norm, or labels and patch embeddings that no published file can say.
    """
    config = network.config
    routes = config.routes if config.embeddings > 1 else ()
    if config.qk_norm or routes != tuple(range(len(routes))) or (config.routes and not routes):
        raise InputError(
            "model",
            f"qk_norm={config.qk_norm}, routes={config.routes}",
            "no qk_norm, and a patch embedding of its own for each task or no tasks",
        )
    ours, side = network.state_dict(), config.input_size // config.patch_size
    state = {"pos_embed": sincos_positions((side, side), side, config.hidden_size)[None]}
    for entry in translation(config):
        state |= entry.split(ours[entry.ours].detach().cpu())
    return state


@dataclass(frozen=True, kw_only=True, eq=False)
class _Foreign:
    """Weights in another implementation's names, what the file says of itself, and what the caller knows."""

    path: Path
    state: Weights
    header: dict[str, Any]
    num_heads: int | None

    def refuse(self, got: Iterable[str], allowed: str) -> NoReturn:
        """Reject the file with a list of what is wrong."""
        raise InputError(str(self.path), ", ".join(got), allowed)

    def numbered(self, pattern: str) -> int:
        """How many different numbers stand where a pattern has its group."""
        return len({match[1] for key in self.state if (match := re.match(pattern, key))})


def _configure(foreign: _Foreign) -> DiTConfig:
    """The architecture that the keys and shapes of a file imply; raises unless the keys are exactly its own."""
    state = foreign.state
    families = sorted({re.sub(r"\.\d+\.", ".*.", key) for key in state})
    depth = foreign.numbered(r"blocks\.(\d+)\.")
    routed = foreign.numbered(r"x_embedder\.proj\.conv_in_(\d+)\.")
    experts = foreign.numbered(r"blocks\.0\.moe\.experts\.(\d+)\.")
    gated = "blocks.0.moe.experts.0.gate_proj.weight" in state
    first = (  # the layer whose rows are the hidden width
        ("moe.experts.0.gate_proj" if gated else "moe.experts.0.fc1") if experts else "mlp.fc1"
    )
    if f"blocks.0.{first}.weight" not in state:
        known = "blocks.*.mlp.fc1.weight, blocks.*.moe.experts.*.gate_proj.weight or .fc1.weight"
        foreign.refuse(families or ["no tensors"], f"a DiT's keys, with {known}")
    shared = "blocks.0.moe.shared_experts.gate_proj.weight" if experts and gated else None
    sample = MoEConfig(
        experts=max(experts, 2),
        active=2,
        shared=int(shared in state),
        expert="swiglu" if gated else "gelu",
    )
    names = published_names(depth, routed, sample if experts else None)
    wrong = [f"missing {key}" for key in sorted(names - set(state))]
    wrong += [f"unexpected {key}" for key in sorted(set(state) - names)]
    embedder = "x_embedder.proj.conv_in_1" if routed else "x_embedder.proj"
    matrices = (
        f"blocks.0.{first}.weight",
        "y_embedder.embedding_table.weight",
        "final_layer.linear.weight",
    )
    ranks = {f"{embedder}.weight": 4} | dict.fromkeys((*matrices, *filter(None, [shared])), 2)
    for key, rank in ranks.items():
        if key in state and (state[key].ndim != rank or 0 in state[key].shape):
            wrong.append(f"misshapen {key} {_form(state[key])}")
    if wrong:
        foreign.refuse(wrong, f"the keys of a DiT of {depth} blocks")

    width, channels, patch, _ = state[f"{embedder}.weight"].shape
    predicted, learn_sigma = _output(foreign, channels, patch)
    moe = None
    if experts:
        moe = MoEConfig(
            experts=experts,
            active=_active(foreign, experts),
            shared=len(state[shared]) // width if shared in state else 0,
            expert=sample.expert,
        )
    return DiTConfig(
        input_size=_native_side(foreign, state["pos_embed"], width) * patch,
        patch_size=patch,
        in_channels=channels,
        out_channels=None if predicted == channels else predicted,
        hidden_size=width,
        depth=depth,
        num_heads=_heads(foreign, depth, width) or 1,  # no shape depends on it
        num_classes=len(state["y_embedder.embedding_table.weight"]) - 1 - routed,
        learn_sigma=learn_sigma,
        mlp_ratio=len(state[f"blocks.0.{first}.weight"]) / width,
        routes=tuple(range(routed)),
        moe=moe,
    )


def _output(foreign: _Foreign, channels: int, patch: int) -> tuple[int, bool]:
    """Channels predicted, and whether a variance follows: all of the input's, or those of its noisy last part."""
    rows = len(foreign.state["final_layer.linear.weight"])
    emitted, rest = divmod(rows, patch**2)
    learned = emitted != channels
    if rest or (learned and (emitted % 2 or channels % (emitted // 2))):
        allowed = "as many out as in, or twice as many as are noisy"
        foreign.refuse([f"{channels} channels in, {rows / patch**2:g} out"], allowed)
    return (emitted // 2 if learned else channels), learned


def _native_side(foreign: _Foreign, positions: Tensor, width: int) -> int:
    """Patches per side of a position table, which must be the one we compute."""
    allowed = "the sine-cosine table of a square grid"
    side: int = round((positions.numel() / width) ** 0.5)
    if positions.shape != (1, side**2, width) or width % 4 or not positions.is_floating_point():
        foreign.refuse([f"misshapen pos_embed {_form(positions)}"], allowed)
    error = (positions - sincos_positions((side, side), side, width)).abs().max().item()
    # Positions may have been computed in float32, or stored in half precision.
    if not error <= max(1e-5, torch.finfo(positions.dtype).eps):
        foreign.refuse([f"pos_embed that differs by {error:.2g}"], allowed)
    return side


def _active(foreign: _Foreign, experts: int) -> int:
    """Experts for each token, by the rule at the top of this module."""
    active = foreign.header.get("num_experts_per_tok", min(2, experts))
    if not isinstance(active, int) or not 1 <= active <= experts:
        raise InputError("num_experts_per_tok", active, f"1 to {experts}")
    return active


def _heads(foreign: _Foreign, depth: int, width: int) -> int | None:
    """Attention heads, by the rule at the top of this module; None where nothing says it."""
    heads = foreign.num_heads
    if heads is None:
        heads = foreign.header.get("num_heads")
    if heads is None:
        known = {size.heads for size in SIZES.values() if size[:2] == (depth, width)}
        if len(known) != 1:
            return None
        (heads,) = known
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise InputError("num_heads", heads, f"divisors of the width {width}")
    return heads


def _form(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
