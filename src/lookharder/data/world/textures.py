"""Surface textures: small tileable pictures with their mip levels in one array, sampled bilinearly.

A procedural texture has three channels in [0, 1]: a pattern, its variation per cell and a fine grain; a material turns
them into colour by an affine map, so that one pattern serves any palette. A photograph is a texture whose channels are
red, green and blue already. Every pattern carries grain at several scales, because a surface without detail has no
optical flow to see.

The texel of texture i, level l, row y, column x is row  i * TEXELS + OFFSET[l] + y * (SIZE >> l) + x  of `texels`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from lookharder.data.world.patterns import NAMES, PATTERNS, SIZE, noise
from lookharder.errors import InputError
from lookharder.files import is_litter
from lookharder.seeding import numpy_generator

LEVELS = 6
OFFSET = np.cumsum([0, *[(SIZE >> level) ** 2 for level in range(LEVELS)]])
TEXELS = int(OFFSET[-1])
PHOTOS = 300  # how many photographs a process keeps: 20 MB


@dataclass(frozen=True, eq=False)
class Bank:
    """Textures with their mip levels: the procedural ones first, in the order of `NAMES`, then photographs.

    Attributes:
        texels: (count * TEXELS, 3) uint8.
    """

    texels: np.ndarray

    @property
    def photos(self) -> int:
        """How many photographs follow the procedural textures."""
        return len(self.texels) // TEXELS - len(NAMES)

    def sample(
        self,
        texture: Int[np.ndarray, "k"],
        uv: Float[np.ndarray, "k 2"],
        level: Int[np.ndarray, "k"],
    ) -> Float[np.ndarray, "k 3"]:
        """Channels in [0, 1] at (u, v), which repeat with period 1: bilinear in one level."""
        size = np.right_shift(SIZE, level)
        place = uv.T * size - 0.5
        corner = np.floor(place)
        wx, wy = (place - corner).astype(np.float32)
        x, y = corner.astype(np.int64)
        right, below = (x + 1) & (size - 1), (y + 1) & (size - 1)
        x, y = x & (size - 1), y & (size - 1)
        start = texture * TEXELS + OFFSET.take(level)
        top, bottom = start + y * size, start + below * size
        upper = self._texels(top + x) * (1 - wx) + self._texels(top + right) * wx
        lower = self._texels(bottom + x) * (1 - wx) + self._texels(bottom + right) * wx
        channels: np.ndarray = (upper * (1 - wy) + lower * wy) * np.float32(1 / 255)
        return channels.T

    def _texels(self, row: Int[np.ndarray, "k"]) -> Float[np.ndarray, "3 k"]:
        """Some texels, channel by channel: numpy is fast along the last axis."""
        return self.texels.take(row, 0).T.astype(np.float32, order="C")


def pyramid(image: Float[np.ndarray, "y x 3"]) -> np.ndarray:
    """All mip levels of one square picture in [0, 1] as (TEXELS, 3) uint8."""
    levels = [image]
    for _ in range(LEVELS - 1):
        half = levels[-1].shape[0] // 2
        levels.append(levels[-1].reshape(half, 2, half, 2, 3).mean((1, 3)))
    return np.concatenate(
        [(level.reshape(-1, 3) * 255).round().astype(np.uint8) for level in levels]
    )


@cache
def procedural_texels() -> np.ndarray:
    """The procedural textures, drawn once per process: always the same, whatever the seed of a world."""
    result = []
    for name, (draw, sizes) in PATTERNS.items():
        for size in sizes:
            rng = numpy_generator(0, "texture", name, size)
            pattern, variation = draw(rng, size)
            grain = 0.5 * noise(rng, 0.6) + 0.5 * noise(rng, 1.5)
            result.append(pyramid(np.stack([pattern, variation, grain], -1)))
    return np.concatenate(result)


def load_bank(folder: str | Path | None) -> Bank:
    """The procedural textures and, with a folder, up to `PHOTOS` of its pictures (jpg, png), searched recursively.

    Raises:
        InputError: the folder does not exist or holds no picture.
    """
    if folder is None:
        return Bank(procedural_texels())
    if not Path(folder).is_dir():
        raise InputError("textures", str(folder), "an existing folder of jpg or png pictures")
    suffixes = {".jpg", ".jpeg", ".png"}
    found = sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in suffixes
        and not any(map(is_litter, path.relative_to(folder).parts))
    )
    if not found:
        raise InputError(
            "textures", f"{folder} without pictures", "a folder of jpg or png pictures"
        )
    chosen = found[:: max(1, -(-len(found) // PHOTOS))]
    photos = []
    for path in chosen:
        with Image.open(path) as image:
            image.draft("RGB", (SIZE, SIZE))
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            crop = image.crop((left, top, left + side, top + side)).convert("RGB")
            square = crop.resize((SIZE, SIZE), Image.Resampling.BOX)
            photos.append(pyramid(np.asarray(square, np.float64) / 255))
    return Bank(np.concatenate([procedural_texels(), *photos]))
