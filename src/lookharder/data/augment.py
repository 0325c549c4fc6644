"""Changes of an Example that keep its labels exact, each a function of (example, generator).

    mirror      u -> -u                                     crop     flow stays; what leaves the crop is occluded
    recolour    pictures only, both frames alike            resize   (u, v) -> (u w / W, v h / H)

Pictures are averaged over what a new pixel covers. Labels never are, because the mean of two depths is a surface that
is not there: depth, masks and occlusion are those of one old pixel, the nearest to the new centre, or where that one
is unknown the nearest known one that the new pixel covers (laser points survive shrinking). Flow is interpolated
where that agrees with this pixel's own motion to half a pixel, and is that motion elsewhere.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from lookharder.data.example import Example
from lookharder.data.photometric import Photometric, photometric
from lookharder.errors import InputError

COLOURS = ("image", "second", "whole")
AREA = (0.25, 1.0)  # of the largest window, in a random crop
TRIES = 8  # windows drawn before the middle is taken


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


def augment(
    example: Example,
    generator: np.random.Generator,
    camera: Photometric | None = None,
    colours: bool = True,
) -> Example:
    """The augmentation of training: mirrored half of the time, recoloured three times in four, or seen by a camera.

    Without `colours` it is mirrored and nothing else.
    """
    if mirrored(generator):
        example = mirror(example)
    if not colours:
        return example
    if camera is not None:
        return photometric(example, generator, camera)
    if generator.random() < 0.75:
        example = recolour(example, generator)
    return example


def mirrored(generator: np.random.Generator) -> bool:
    """Whether `augment` mirrors the example whose fresh generator this is."""
    return bool(generator.random() < 0.5)


def cut(example: Example, top: int, left: int, height: int, width: int) -> Example:
    """A window of an example; a point that moves out of it is occluded there, its motion still known.

    Raises:
        InputError: the window does not lie inside the frame.
    """
    whole = example.image.shape[-2:]
    if not (0 <= top <= top + height <= whole[0] and 0 <= left <= left + width <= whole[1]) or (
        min(height, width) < 1
    ):
        got = f"rows {top}..{top + height}, columns {left}..{left + width} of {example.name}"
        raise InputError("crop", got, f"a window of its {whole[0]} x {whole[1]} pixels")
    window = (..., slice(top, top + height), slice(left, left + width))
    changes = {
        name: np.ascontiguousarray(value[window])
        for name, value in vars(example).items()
        if isinstance(value, np.ndarray)
    }
    if example.occluded is not None and example.flow is not None:
        u, v = changes["flow"]
        x, y = np.arange(width) + u, np.arange(height)[:, None] + v
        gone = (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)
        changes["occluded"] = changes["occluded"] | gone
    return replace(example, **changes)  # type: ignore[arg-type]


def crop(example: Example, generator: np.random.Generator, size: tuple[int, int]) -> Example:
    """A window of `size` (height, width) anywhere in the frame.

    Raises:
        InputError: the frame is smaller.
    """
    rows, columns = (
        whole - part for whole, part in zip(example.image.shape[-2:], size, strict=True)
    )
    top, left = (int(generator.integers(max(0, free) + 1)) for free in (rows, columns))
    return cut(example, top, left, *size)


def resize(example: Example, height: int, width: int) -> Example:
    """The same view on another grid of pixels; flow in pixels of the new one.

    Raises:
        InputError: a side below 1.
    """
    if min(height, width) < 1:
        raise InputError("resize", f"{width} x {height} pixels", "1 or more each way")
    before = example.image.shape[-2:]
    if before == (height, width):
        return example
    changes: dict[str, Any] = {}
    for name in COLOURS:
        image = getattr(example, name)
        if image is not None:
            changes[name] = _picture(image, height, width)
    plain = nearest(np.ones(before, bool), height, width)[0]
    for name in ("visible", "amodal", "occluded"):
        mask = getattr(example, name)
        if mask is not None:
            changes[name] = mask.reshape(-1)[plain]
    if example.depth is not None and example.depth_valid is not None:
        pixel, known = nearest(example.depth_valid, height, width)
        changes["depth_valid"] = known
        changes["depth"] = np.where(known, example.depth.reshape(-1)[pixel], np.float32(0))
    if example.flow is not None and example.flow_valid is not None:
        pixel, known = nearest(example.flow_valid, height, width)
        changes["flow_valid"] = known
        changes["flow"] = _flow(example.flow, example.flow_valid, pixel, known)
        if example.occluded is not None:  # of the point whose motion it stands beside
            changes["occluded"] = example.occluded.reshape(-1)[pixel]
    return replace(example, **changes)


def crop_resize(example: Example, generator: np.random.Generator, size: tuple[int, int]) -> Example:
    """A random window of the shape of `size`, at that size: real photos of any size become one batch.

    Its area is a quarter to all of the largest window's. A window without any known depth or motion, or without the
    object, teaches nothing: others are drawn, and after eight the largest in the middle is taken.
    """
    height, width = example.image.shape[-2:]
    ratio = size[0] / size[1]
    largest = (min(height, width * ratio), min(width, height / ratio))
    for attempt in range(TRIES + 1):
        side = float(generator.uniform(*AREA)) ** 0.5 if attempt < TRIES else 1.0
        rows, columns = (max(1, round(side * edge)) for edge in largest)
        place = generator.random(2) if attempt < TRIES else np.full(2, 0.5)
        top, left = round(place[0] * (height - rows)), round(place[1] * (width - columns))
        window = cut(example, top, left, rows, columns)
        if _teaches(window):
            break
    return resize(window, *size)


def _teaches(example: Example) -> bool:
    masks = (example.depth_valid, example.flow_valid, example.visible)
    return all(mask is None or bool(mask.any()) for mask in masks)


def nearest(
    known: Bool[np.ndarray, "H W"], height: int, width: int
) -> tuple[Int[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """For each new pixel the old one, by its place in rows, that its labels come from, and whether that is known.

    It is the old pixel under the new centre. Where that is unknown, it is the known one nearest to the new centre
    among those whose centres the new pixel covers; of several the first.
    """
    rows, columns = known.shape
    y, x = ((np.arange(new) + 0.5) * old / new for new, old in ((height, rows), (width, columns)))
    pixel = y.astype(np.int64)[:, None] * columns + x.astype(np.int64)
    found = known.reshape(-1)[pixel]
    if found.all():
        return pixel, found
    row, column = known.nonzero()
    down, across = (row + 0.5) * height / rows, (column + 0.5) * width / columns
    target = down.astype(np.int64) * width + across.astype(np.int64)
    distance = ((down % 1 - 0.5) * rows / height) ** 2 + ((across % 1 - 0.5) * columns / width) ** 2
    farthest_first = np.lexsort((-np.arange(len(row)), -distance))
    flat = np.full(height * width, -1)
    flat[target[farthest_first]] = (row * columns + column)[farthest_first]  # the last one stays
    best = flat.reshape(height, width)
    filled = ~found & (best >= 0)
    return np.where(filled, best, pixel), found | filled


def _flow(
    flow: Float[np.ndarray, "2 H W"],
    valid: Bool[np.ndarray, "H W"],
    pixel: Int[np.ndarray, "h w"],
    known: Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "2 h w"]:
    """Known motions, interpolated and in the new pixels; never between two surfaces (see the module)."""
    height, width = known.shape
    own = flow.reshape(2, -1)[:, pixel]
    weight = torch.from_numpy(valid.astype(np.float32))
    motion = torch.from_numpy(np.where(valid, flow, np.float32(0)))
    summed = _interpolate(motion, height, width).numpy()
    share = _interpolate(weight[None], height, width).numpy()
    between = summed / np.maximum(share, 1e-6)
    smooth = (share[0] > 1e-6) & (np.abs(between - own).max(0) <= 0.5)
    scale = np.array([width / flow.shape[2], height / flow.shape[1]], np.float32)
    return np.where(known, np.where(smooth, between, own) * scale[:, None, None], np.float32(0))


def _interpolate(values: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, over the area that a new pixel covers where that is larger; (C, H, W) -> (C, h, w)."""
    return F.interpolate(values[None], (height, width), mode="bilinear", antialias=True)[0]


def _picture(
    image: UInt8[np.ndarray, "3 H W"], height: int, width: int
) -> UInt8[np.ndarray, "3 h w"]:
    values = _interpolate(torch.from_numpy(image).float(), height, width)
    return values.round().clamp(0, 255).to(torch.uint8).numpy()
