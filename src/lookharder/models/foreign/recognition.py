"""Which published network a file holds, in words, and what is taken for granted because no file says it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lookharder.models.config import SIZES
from lookharder.models.foreign.layouts import LAYOUTS
from lookharder.models.foreign.networks import Imported

SIT = re.compile(r"(?<![a-z])sit(?![a-z])", re.IGNORECASE)  # in the name of a file
DDPM = "eps-prediction and a learned variance on DiT's linear schedule of 1,000 steps"
LINE, HALF = "velocity of the straight line", "the second half of the output is not used"
ASSUMED = {
    "dit": DDPM,
    "dit-moe": f"{DDPM}; 2 active experts where the file does not say",
    "sit": f"{LINE}, time = share of the clean latent; {HALF}",
    "dit-moe-flow": f"{LINE}, time = share of noise; {HALF}; 2 active experts where the file does not say",
    "paper": "settings of the text, or with --as-released of the program",
}

# of the weights, by the hub's names, where their authors state one
LICENCES = {"dit": "cc-by-nc-4.0", "sit": "mit"}


@dataclass(frozen=True)
class StraightLine:
    """How a network was trained whose tensors are another layout's, and whose noise lies on straight lines.

    Attributes:
        layout: whose tensors it has.
        told: what it is told of the time, as of `Denoiser`.
        sign: of its velocity, 1 towards noise.
        whose: its authors' repository.
    """

    layout: str
    told: Literal["alpha", "sigma"]
    sign: Literal[1, -1]
    whose: str


STRAIGHT = {
    "sit": StraightLine("dit", "alpha", -1, "SiT"),
    "dit-moe-flow": StraightLine("dit-moe", "sigma", 1, f"{LAYOUTS['dit-moe']} of rectified flow"),
}


def name_of(found: Imported, path: Path) -> str:
    """What a file is, as `--from` calls it; of networks with the same tensors by the file's name, or by size.

    SiT's have the tensors of DiT. Those of DiT-MoE from XL on were trained by rectified flow, S and B were not (the
    table of their authors).
    """
    if found.layout == "dit" and SIT.search(path.name):
        return "sit"
    large = found.network.config.hidden_size >= SIZES["XL"].width
    return "dit-moe-flow" if found.layout == "dit-moe" and large else found.layout


def recognised(found: Imported, kind: str) -> str:
    """What a file holds, in words: whose network, its published size if it has one, patches, pixels and classes."""
    config = found.network.config
    names = [name for name, size in SIZES.items() if size[:2] == (config.depth, config.hidden_size)]
    size = names[0] if names else f"{config.depth} blocks of width {config.hidden_size}"
    whose = STRAIGHT[kind].whose if kind in STRAIGHT else LAYOUTS[kind]
    experts = "" if config.moe is None else f", {config.moe.experts} experts"
    return (
        f"{whose}, {size}, patches of {config.patch_size}{experts}, latents {config.input_size} x {config.input_size}, "
        f"{config.num_classes} classes, {config.num_heads} heads"
    )
