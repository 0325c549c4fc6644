"""Which published network a file holds, in words, and what is taken for granted because no file says it."""

import re
from pathlib import Path

from lookharder.models.config import SIZES
from lookharder.models.foreign.layouts import LAYOUTS
from lookharder.models.foreign.networks import Imported

SIT = re.compile(r"(?<![a-z])sit(?![a-z])", re.IGNORECASE)  # in the name of a file
DDPM = "eps-prediction and a learned variance on DiT's linear schedule of 1,000 steps"
ASSUMED = {
    "dit": DDPM,
    "dit-moe": f"{DDPM}; 2 active experts where the file does not say",
    "sit": "velocity of the straight line, time = share of the clean latent; the second half of the output is not used",
    "paper": "settings of the text, or with --as-released of the program",
}


def is_sit(path: Path) -> bool:
    """Whether a file's name says that it holds SiT, whose tensors are DiT's."""
    return SIT.search(path.name) is not None


def recognised(found: Imported, straight: bool) -> str:
    """What a file holds, in words: whose network, its published size if it has one, patches, pixels and classes."""
    config = found.network.config
    names = [name for name, size in SIZES.items() if size[:2] == (config.depth, config.hidden_size)]
    size = names[0] if names else f"{config.depth} blocks of width {config.hidden_size}"
    whose = "SiT" if straight else LAYOUTS[found.layout]
    experts = "" if config.moe is None else f", {config.moe.experts} experts"
    return (
        f"{whose}, {size}, patches of {config.patch_size}{experts}, latents {config.input_size} x {config.input_size}, "
        f"{config.num_classes} classes, {config.num_heads} heads"
    )
