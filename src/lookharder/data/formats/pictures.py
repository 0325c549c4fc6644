"""Pictures as people have them: 8 or 16 bits, grey, palette, transparent, rotated; and masks.

A picture becomes (3, H, W) uint8: turned upright by its EXIF tag, transparency composited on white
(the ground on which a whole object is drawn), 16 bits cut to their high byte; colour profiles are
not applied. Only the formats listed here are tried, whatever the file's name says.
"""

from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from lookharder.data.formats.guard import check_extent, decoding, opened
from lookharder.errors import InputError
from lookharder.files import atomic

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm")
ALLOWED = "a whole picture: " + ", ".join(FORMATS)


def _upright(path: str | Path, min_side: int, data: bytes | None = None) -> Image.Image:
    """The picture in its stored mode, its extent checked before a pixel is decoded."""
    source = opened(path) if data is None else nullcontext(BytesIO(data))
    with source as handle, decoding(path, ALLOWED):
        try:
            image = Image.open(handle, formats=FORMATS)
        except UnidentifiedImageError:
            raise InputError(str(path), "no picture", ALLOWED) from None
        check_extent(path, *image.size, min_side)
        image.load()
        return ImageOps.exif_transpose(image)


def _sees_through(image: Image.Image) -> bool:
    return image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info


def _high_byte(image: Image.Image) -> Image.Image:
    """16-bit grey (Pillow's I and I;16) as 8-bit, by the cut that Pillow makes of 16-bit colour."""
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def read_image(
    path: str | Path, min_side: int = 8, data: bytes | None = None
) -> UInt8[np.ndarray, "3 H W"]:
    """A picture as (3, H, W) uint8.

    Args:
        path: PNG, JPEG, WebP (first frame), BMP or PPM, recognised by content.
        min_side: the shortest side allowed, in pixels.
        data: the bytes of the file where they lie elsewhere, in an archive; `path` then names them in errors.

    Raises:
        InputError: missing, not a picture, cut short, a side outside `min_side`..16384 pixels, or
            more than 64 Mi pixels in all.
    """
    image = _upright(path, min_side, data)
    if image.mode == "F":
        raise InputError(str(path), "a map of floats", ALLOWED)
    if image.mode.startswith("I"):
        image = _high_byte(image)
    if _sees_through(image):
        picture = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def read_mask(path: str | Path) -> Bool[np.ndarray, "H W"]:
    """A mask: inside where a pixel is brighter than half of the brightest pixel of the picture.

    The rule reads 0/255, 0/1, 16-bit and softened masks alike; a black picture is an empty mask.
    Brightness is the largest channel, so that coloured palettes count.

    Raises:
        InputError: as for read_image; or a mask with transparent pixels: their meaning is a guess.
    """
    image = _upright(path, min_side=1)
    if _sees_through(image):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise InputError(
                str(path), "a mask with transparent pixels", "black and white, without transparency"
            )
    if image.mode in ("P", "PA", "LA", "CMYK", "RGBA"):
        image = image.convert("RGB")
    values = np.asarray(image).astype(np.float32)
    brightness: np.ndarray = values.max(axis=2) if values.ndim == 3 else values
    shown: np.ndarray = brightness > brightness.max() / 2
    return shown


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write (3, H, W) uint8 in the format of the suffix: exact, but JPEG and WebP (quality 95)."""
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
        raise InputError(
            "image", f"{image.dtype} of shape {image.shape}", "uint8 of shape (3, H, W)"
        )
    _save(path, Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))))


def write_mask(path: str | Path, mask: np.ndarray) -> None:
    """Write (H, W) bool as 0 and 255."""
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError("mask", f"{mask.dtype} of shape {mask.shape}", "bool of shape (H, W)")
    _save(path, Image.fromarray(mask.astype(np.uint8) * 255))


def _save(path: str | Path, picture: Image.Image) -> None:
    check_extent(path, *picture.size)
    if Path(path).suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(str(path), f"suffix {Path(path).suffix!r}", ", ".join(PICTURE_SUFFIXES))
    with atomic(path) as aside:
        picture.save(aside, quality=95)
