"""Foreign weights: a published file in, our network out, every key accounted for.

    read -> recognise the layout by its keys -> translate to our names -> load strictly

A layout is one entry of LAYOUTS: the key that betrays it and the function that turns its weights
into a configuration and a state of ours. What a file lacks, has too much or has in another shape
is an InputError that lists it; nothing is filled in or left out.

Shapes tell everything but the number of attention heads. It is, in this order: the argument
`num_heads`; `num_heads` of the JSON in the file's `config` metadata; that of the row of SIZES with
this depth and width; else heads of 64 channels, though at least 4. The last is a guess (all of
DiT's own sizes but XL follow it): a wrong number loads without complaint and predicts nonsense, so
give it where you know it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from lookharder.errors import InputError
from lookharder.models.config import SIZES, DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.layers import sincos_positions
from lookharder.models.weightfile import State, read


@dataclass(frozen=True, kw_only=True, eq=False)
class Foreign:
    """Weights in another implementation's names.

    Attributes:
        path: the file.
        state: its tensors by name.
        header: what the file says of itself.
        num_heads: attention heads, where the caller knows.
    """

    path: Path
    state: State
    header: dict[str, Any]
    num_heads: int | None

    def refuse(self, got: Iterable[str], allowed: str) -> NoReturn:
        """Reject the file with a list of what is wrong."""
        raise InputError(str(self.path), ", ".join(got), allowed)


def load_network(path: str | Path, num_heads: int | None = None) -> nn.Module:
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
    state, header = read(Path(path))
    foreign = Foreign(path=Path(path), state=state, header=header, num_heads=num_heads)
    families = {re.sub(r"\.\d+\.", ".*.", key) for key in state}
    layout = next((layout for layout in LAYOUTS if layout.mark in families), None)
    if layout is None:
        known = (f"{layout.name} (with {layout.mark})" for layout in LAYOUTS)
        foreign.refuse(sorted(families) or ["no tensors"], ", ".join(known))
    config, ours = layout.translate(foreign)

    with torch.device("meta"):
        network = DiT(config)
    wrong = [
        f"misshapen {name} {_form(ours[name])} for {tuple(parameter.shape)}"
        for name, parameter in network.state_dict().items()
        if ours[name].shape != parameter.shape or not ours[name].is_floating_point()
    ]
    if wrong:
        foreign.refuse(wrong, "floats, in the shapes that the other tensors imply")
    network.to_empty(device="cpu")
    network.load_state_dict(ours)
    return network.eval()


def _dit(foreign: Foreign) -> tuple[DiTConfig, State]:
    """facebookresearch/DiT: our names, and the fixed positions as one tensor more."""
    state = dict(foreign.state)
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    names = {"pos_embed", *_names(depth)}
    wrong = [f"missing {key}" for key in sorted(names - set(state))]
    wrong += [f"unexpected {key}" for key in sorted(set(state) - names)]
    for key, rank in (
        ("x_embedder.proj.weight", 4),
        ("y_embedder.embedding_table.weight", 2),
        ("blocks.0.mlp.fc1.weight", 2),
        ("final_layer.linear.weight", 2),
    ):
        if key in state and (state[key].ndim != rank or 0 in state[key].shape):
            wrong.append(f"misshapen {key} {_form(state[key])}")
    if wrong:
        foreign.refuse(wrong, f"the keys of a DiT of {depth} blocks")

    width, channels, patch, _ = state["x_embedder.proj.weight"].shape
    emitted = len(state["final_layer.linear.weight"]) / patch**2
    if emitted not in (channels, 2 * channels):
        foreign.refuse([f"{channels} channels in, {emitted:g} out"], "as many out as in, or twice")
    config = DiTConfig(
        input_size=_native_side(foreign, state.pop("pos_embed"), width) * patch,
        patch_size=patch,
        in_channels=channels,
        hidden_size=width,
        depth=depth,
        num_heads=_heads(foreign, depth, width),
        num_classes=len(state["y_embedder.embedding_table.weight"]) - 1,
        learn_sigma=emitted == 2 * channels,
        mlp_ratio=len(state["blocks.0.mlp.fc1.weight"]) / width,
    )
    return config, state


def _native_side(foreign: Foreign, positions: Tensor, width: int) -> int:
    """Patches per side of a position table, which must be the one we compute."""
    allowed = "the sine-cosine table of a square grid"
    side = round((positions.numel() / width) ** 0.5)
    if positions.shape != (1, side**2, width) or width % 4 or not positions.is_floating_point():
        foreign.refuse([f"misshapen pos_embed {_form(positions)}"], allowed)
    error = (positions - sincos_positions((side, side), side, width)).abs().max().item()
    # Positions may have been computed in float32, or stored in half precision.
    if not error <= max(1e-5, torch.finfo(positions.dtype).eps):
        foreign.refuse([f"pos_embed that differs by {error:.2g}"], allowed)
    return side


def _heads(foreign: Foreign, depth: int, width: int) -> int:
    """Attention heads, by the rule at the top of this module."""
    heads = foreign.num_heads
    if heads is None:
        heads = foreign.header.get("num_heads")
    if heads is None:
        known = {size.heads for size in SIZES.values() if size[:2] == (depth, width)}
        heads = known.pop() if known else max(4, width // 64)
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise InputError("num_heads", heads, f"divisors of the width {width}")
    return heads


def _names(depth: int) -> set[str]:
    """Parameter names of a DiT, which do not depend on its width."""
    config = DiTConfig(
        input_size=1,
        patch_size=1,
        in_channels=1,
        hidden_size=4,
        depth=depth,
        num_heads=1,
        num_classes=1,
        learn_sigma=True,
    )
    with torch.device("meta"):
        return set(DiT(config).state_dict())


def _form(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one implementation names its weights.

    Attributes:
        name: the implementation.
        mark: a key that it alone has, with `*` for the number of a block or an expert.
        translate: its weights -> our configuration and our state.
    """

    name: str
    mark: str
    translate: Callable[[Foreign], tuple[DiTConfig, State]]


LAYOUTS = (Layout(name="facebookresearch/DiT", mark="blocks.*.mlp.fc1.weight", translate=_dit),)
