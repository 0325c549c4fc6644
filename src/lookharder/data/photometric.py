"""What cameras and their makers do to a picture: colours, tone, sharpness, noise. Labels do not change.

    channels swapped -> saturation -> white balance -> blur -> gamma -> contrast -> vignette -> noise -> JPEG

A range is drawn from evenly, once for each example; the second frame gets the same but for a breath of exposure, and
noise of its own. A painting of the whole object goes through the tone alone and keeps its white background.
"""

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from lookharder.data.example import Example
from lookharder.errors import InputError

LUMA = np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]  # ITU-R BT.601
WHITEST = 235 / 255  # of an object that is painted on white
BREATH = 0.03  # how far the exposure of the second frame may be off


@dataclass(frozen=True, kw_only=True)
class Photometric:
    """How far pictures are changed; values in [0, 1].

    Attributes:
        share: of the examples that are changed at all.
        swap: share of those whose colour channels are permuted.
        grey: share that loses all colour; of the others `saturation` is a factor on it.
        saturation: lowest and highest factor.
        gamma: lowest and highest exponent, drawn evenly in its logarithm.
        contrast: lowest and highest factor around mid-grey.
        brightness: largest shift.
        balance: largest change of the gain of one channel, white balance.
        blur: largest standard deviation, in pixels, of the half that is blurred.
        noise: largest standard deviation.
        vignette: largest loss at the corners, and largest slope of light across the picture.
        jpeg: share that is compressed, at qualities of 30 to 90.
    """

    share: float = 0.9
    swap: float = 0.25
    grey: float = 0.15
    saturation: tuple[float, float] = (0.4, 1.4)
    gamma: tuple[float, float] = (0.55, 1.8)
    contrast: tuple[float, float] = (0.6, 1.3)
    brightness: float = 0.15
    balance: float = 0.18
    blur: float = 1.0
    noise: float = 0.04
    vignette: float = 0.25
    jpeg: float = 0.15

    def __post_init__(self) -> None:
        for name in ("share", "swap", "grey", "jpeg", "vignette", "balance"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"photometric.{name}", getattr(self, name), "0 to 1")
        for name in ("saturation", "gamma", "contrast"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise InputError(f"photometric.{name}", (low, high), "two numbers, 0 < low <= high")
        for name in ("brightness", "blur", "noise"):
            if getattr(self, name) < 0:
                raise InputError(f"photometric.{name}", getattr(self, name), "0 or more")


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """One camera."""

    channels: np.ndarray
    saturation: float
    gain: Float[np.ndarray, "3 1 1"]
    sigma: float
    gamma: float
    contrast: float
    offset: float
    light: tuple[float, float, float]  # loss at the corners, slope to the right, slope down
    noise: float
    quality: int | None


def photometric(example: Example, generator: np.random.Generator, config: Photometric) -> Example:
    """The example as another camera sees it; keyed by the generator alone."""
    if generator.random() >= config.share:
        return example
    draw = _draw(generator, config)
    changes: dict[str, Any] = {"image": _seen(example.image, draw, generator)}
    if example.second is not None:
        later = replace(draw, gain=draw.gain * np.float32(1 + generator.uniform(-BREATH, BREATH)))
        changes["second"] = _seen(example.second, later, generator)
    if example.whole is not None:
        painted = np.minimum(_tone(example.whole, draw).clip(0, 1), WHITEST)
        background = (example.whole == 255).all(0)
        changes["whole"] = np.where(background, np.uint8(255), _to_uint8(painted))
    return replace(example, **changes)


def _draw(generator: np.random.Generator, config: Photometric) -> _Draw:
    uniform, chance = generator.uniform, generator.random
    swapped, grey, blurred, pressed = (chance() for _ in range(4))
    order = generator.permutation(3)
    light = uniform(0, config.vignette), *uniform(-config.vignette, config.vignette, 2)
    return _Draw(
        channels=order if swapped < config.swap else np.arange(3),
        saturation=uniform(*config.saturation) if grey >= config.grey else 0.0,
        gain=(1 + uniform(-config.balance, config.balance, (3, 1, 1))).astype(np.float32),
        sigma=uniform(0, config.blur) if blurred < 0.5 else 0.0,
        gamma=float(np.exp(uniform(*np.log(config.gamma)))),
        contrast=uniform(*config.contrast),
        offset=uniform(-config.brightness, config.brightness),
        light=(float(light[0]), float(light[1]), float(light[2])),
        noise=uniform(0, config.noise),
        quality=int(uniform(30, 90)) if pressed < config.jpeg else None,
    )


def _tone(image: UInt8[np.ndarray, "3 H W"], draw: _Draw) -> Float[np.ndarray, "3 H W"]:
    """What happens to each pixel by itself; not clipped at the end."""
    values = image[draw.channels].astype(np.float32) / np.float32(255)
    grey = (values * LUMA).sum(0)
    values = (grey + (values - grey) * np.float32(draw.saturation)) * draw.gain
    if draw.sigma > 0.2:
        import cv2

        rows = cv2.GaussianBlur(
            np.ascontiguousarray(np.moveaxis(values, 0, -1)), (0, 0), draw.sigma
        )
        values = np.ascontiguousarray(np.moveaxis(rows, -1, 0))
    values = values.clip(0, 1) ** np.float32(draw.gamma)
    spread = (values - np.float32(0.5)) * np.float32(draw.contrast)
    return np.asarray(spread + np.float32(0.5 + draw.offset))


def _seen(
    image: UInt8[np.ndarray, "3 H W"], draw: _Draw, generator: np.random.Generator
) -> UInt8[np.ndarray, "3 H W"]:
    """A photograph."""
    values = _tone(image, draw)
    height, width = values.shape[1:]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    corner, right, down = (np.float32(part) for part in draw.light)
    values = values * (1 + right * x + down * y - corner / 2 * (x**2 + y**2))
    noise = generator.standard_normal(values.shape, np.float32)
    pixels = _to_uint8((values + noise * np.float32(draw.noise)).clip(0, 1))
    if draw.quality is None:
        return pixels
    file = io.BytesIO()
    Image.fromarray(np.moveaxis(pixels, 0, -1)).save(file, "JPEG", quality=draw.quality)
    with Image.open(file) as back:
        return np.ascontiguousarray(np.moveaxis(np.asarray(back), -1, 0))


def _to_uint8(values: Float[np.ndarray, "3 H W"]) -> UInt8[np.ndarray, "3 H W"]:
    return np.rint(values * np.float32(255)).astype(np.uint8)
