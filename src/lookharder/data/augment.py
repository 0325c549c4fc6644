"""Changes of an Example that keep its labels exact, each a function of (example, generator).

Mirroring negates u; colours change alike in both frames and in the whole object, never in the labels.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from lookharder.data.example import Example

COLOURS = ("image", "second", "whole")


def mirror(example: Example) -> Example:
    """Left-right mirror image; applying it twice gives the example back."""
    changes = {
        name: np.ascontiguousarray(value[..., ::-1])
        for name, value in vars(example).items()
        if isinstance(value, np.ndarray)
    }
    if example.flow is not None:
        changes["flow"] = changes["flow"] * np.array([-1, 1], np.float32)[:, None, None]
    return replace(example, **changes)  # type: ignore[arg-type]


def recolour(example: Example, generator: np.random.Generator) -> Example:
    """Permute the colour channels, change gain and gamma; white stays white, so `whole` keeps its background."""
    channels = generator.permutation(3)
    gamma = np.exp(generator.uniform(-0.35, 0.35))
    gain = generator.uniform(0.75, 1.0, size=(3, 1)).astype(np.float32)
    levels = (np.arange(256, dtype=np.float32) / 255) ** gamma * 255
    table = np.minimum(np.rint(levels * gain), 235).astype(np.uint8)  # 235 keeps objects off white
    changes: dict[str, Any] = {}
    for name in COLOURS:
        image = getattr(example, name)
        if image is None:
            continue
        changed = np.stack([table[i][image[c]] for i, c in enumerate(channels)])
        if name == "whole":
            changed = np.where((image == 255).all(0), np.uint8(255), changed)
        changes[name] = changed
    return replace(example, **changes)


def augment(example: Example, generator: np.random.Generator) -> Example:
    """The augmentation of training: mirrored half of the time, recoloured three times in four."""
    if generator.random() < 0.5:
        example = mirror(example)
    if generator.random() < 0.75:
        example = recolour(example, generator)
    return example
