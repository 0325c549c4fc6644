"""Pictures as people have them, in files or in memory, by one door; and masks.

A picture becomes (3, H, W) uint8: turned upright by its EXIF tag, transparency composited on white
(the ground on which a whole object is drawn), 16 bits cut to their high byte, floats in [0, 1]
scaled; colour profiles are not applied. Metadata that cannot be read never decides whether pixels
can: the picture is taken as stored, and that is said.
Files: only the formats listed here are tried, whatever the file's name says.
"""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from lookharder.data.formats.guard import check_extent, decoding
from lookharder.data.formats.levels import inside
from lookharder.data.formats.metadata import MAX_SCANS, scans, without_metadata
from lookharder.data.formats.png import PNG_EFFORT, SIGNATURE, chunks_of, whole_png
from lookharder.errors import InputError
from lookharder.files import atomic, opened, say_once

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".ppm")
ALLOWED = "a whole picture: " + ", ".join(FORMATS)
IN_MEMORY = (
    "a path, a PIL image, or an array of uint8, uint16 or floats in [0, 1], (3, H, W) or (H, W, 3)"
)
MAX_FILE = 2**30  # bytes
MIN_SIDE = 8  # pixels
ORIENTATION = 0x0112  # EXIF
TURNED = range(2, 9)  # its values that turn or mirror
CHANNEL_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
MASK = "(H, W) of bool, or of two levels: 0 and 1, or 0 and 255"
Picture = Any  # path, PIL image, array or tensor: what `to_picture` takes
PNM = (b"P4", b"P5", b"P6")  # binary; as text, three megabytes take half a minute


def to_picture(
    value: Picture, argument: str = "image", min_side: int = MIN_SIDE
) -> UInt8[np.ndarray, "3 H W"]:
    """A picture, however it is held, as (3, H, W) uint8; a file and what PIL makes of it give the same.

    Args:
        value: path, PIL image of any mode but F, or array or tensor of uint8, uint16 or floats in [0, 1], of 1 to 4
            channels (grey, grey + alpha, RGB, RGBA), first or last.
        argument: what an error calls it.
        min_side: the shortest side allowed, in pixels.

    Raises:
        InputError: anything else, or what `read_image` refuses.
    """
    if isinstance(value, str | Path):
        return read_image(value, min_side)
    if isinstance(value, Image.Image):
        return _rgb(argument, _upright(argument, _loaded(argument, value, min_side)))
    pixels = _of_array(argument, _as_array(argument, value, IN_MEMORY), min_side)
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))
    mode, size = CHANNEL_MODES[pixels.shape[2]], (pixels.shape[1], pixels.shape[0])
    return _rgb(argument, Image.frombytes(mode, size, pixels.tobytes()))


def read_image(
    path: str | Path,
    min_side: int = MIN_SIDE,
    data: bytes | None = None,
    upright: bool = True,
    exact: bool = False,
) -> UInt8[np.ndarray, "3 H W"]:
    """A picture file as (3, H, W) uint8.

    Args:
        path: PNG, JPEG, WebP (first frame), BMP or PPM, recognised by content.
        min_side: the shortest side allowed, in pixels.
        data: the bytes of the file where they lie elsewhere, in an archive; `path` then names them in errors.
        upright: turn it by its EXIF tag; False where annotations speak of the picture as stored.
        exact: the pixels are measurements: a PNG must be whole to the last bit.

    Raises:
        InputError: missing, not a picture, cut short, a side outside `min_side`..16384 pixels, or
            more than 64 Mi pixels in all.
    """
    name, content = str(path), _bytes(path) if data is None else data
    damage = None
    if content.startswith(SIGNATURE):  # a second header is refused before a decoder sees it
        damage = (whole_png if exact else chunks_of)(name, content).damage
    image = _decoded(name, content, min_side)
    pixels = _rgb(name, _upright(name, image) if upright else image)
    if damage is not None:
        say_once(name, f"{damage}; its pixels may be wrong")
    return pixels


def is_turned(path: str | Path) -> bool:
    """Whether EXIF turns or mirrors a picture, so that what was drawn on it as stored does not fit it upright."""
    try:
        with opened(path) as handle, decoding(path, "EXIF"), warnings.catch_warnings():
            warnings.simplefilter("error")
            exif = Image.open(handle, formats=FORMATS).getexif()
            return exif.get(ORIENTATION, 1) in TURNED
    except InputError:  # told where the picture is read
        return False


def to_mask(value: Picture, argument: str = "mask") -> Bool[np.ndarray, "H W"]:
    """A mask, however it is held: a path, a PIL image, or an array or tensor (H, W), of bool or two levels.

    Raises:
        InputError: anything else, or what `read_mask` refuses.
    """
    if isinstance(value, str | Path):
        return read_mask(value)
    if isinstance(value, Image.Image):
        return _shown(argument, _upright(argument, _loaded(argument, value, min_side=1)))
    array = _as_array(argument, value, MASK)
    shape = array.shape
    if array.ndim == 3 and 1 in (shape[0], shape[2]):
        array = array[0] if shape[0] == 1 else array[..., 0]
    if array.ndim != 2:
        raise InputError(argument, f"{array.dtype} of shape {shape}", MASK)
    if array.dtype == np.bool_:
        return array
    if not (array.min() >= 0 and np.isfinite(array).all()):
        raise InputError(argument, f"values {array.min():g} to {array.max():g}", MASK)
    return inside(argument, array.astype(np.float32), lossy=False)


def read_mask(path: str | Path) -> Bool[np.ndarray, "H W"]:
    """A mask: inside where a pixel is brighter than half of the brightest pixel of the picture.

    The rule reads 0/255, 0/1, 16-bit and softened masks alike; a black picture is an empty mask.
    Brightness is the largest channel, so that coloured palettes count.

    Raises:
        InputError: as for read_image; a PNG that is not whole to the last bit; a mask with transparent
            pixels, or of several objects: their meaning is a guess.
    """
    name, content = str(path), _bytes(path)
    if content.startswith(SIGNATURE):
        whole_png(name, content)
    return _shown(name, _upright(name, _decoded(name, content, min_side=1)))


def _bytes(path: str | Path) -> bytes:
    with opened(path) as handle, decoding(path, ALLOWED):
        data = handle.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise InputError(str(path), f"more than {MAX_FILE:,} bytes", "a smaller file")
    return data


def _decoded(name: str, data: bytes, min_side: int) -> Image.Image:
    """The picture in its stored mode; without its metadata where these are what cannot be read."""
    if data[:1] == b"P" and data[:2] not in PNM:
        raise InputError(name, f"a file that begins with {data[:2]!r}", ALLOWED)
    if scans(data) > MAX_SCANS:
        raise InputError(name, f"a JPEG of {scans(data)} scans", f"{MAX_SCANS} at the most")
    try:
        return _opened(name, data, min_side)
    except InputError as error:
        plain, reason = without_metadata(name, data), error.__cause__
        if plain == data or reason is None:
            raise
        try:
            image = _opened(name, plain, min_side)
        except InputError:
            raise error from reason
        say_once(name, f"metadata that cannot be read ({reason}): taken as stored, not turned")
        return image


def _opened(name: str, data: bytes, min_side: int) -> Image.Image:
    with decoding(name, ALLOWED), warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow warns of metadata that it cannot read
        try:
            image: Image.Image = Image.open(BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError as error:
            raise InputError(name, "no picture", ALLOWED) from error
        return _loaded(name, image, min_side)


def _loaded(name: str, image: Image.Image, min_side: int) -> Image.Image:
    """The picture with its pixels, its extent checked before one is decoded."""
    size = image.size
    check_extent(name, *size, min_side)
    with decoding(name, ALLOWED):
        image.load()
    if image.size != size:
        raise InputError(name, f"{image.size} pixels after {size} were promised", ALLOWED)
    return image


def _upright(name: str, image: Image.Image) -> Image.Image:
    """Turned by its EXIF tag, or as stored where that cannot be read."""
    try:
        with decoding(name, "EXIF"), warnings.catch_warnings():
            warnings.simplefilter("error")
            turned = image.getexif().get(ORIENTATION, 1) in TURNED
            return ImageOps.exif_transpose(image) if turned else image
    except InputError as error:
        say_once(name, f"EXIF that cannot be read ({error.__cause__}): taken as stored, not turned")
        return image


def _rgb(name: str, image: Image.Image) -> UInt8[np.ndarray, "3 H W"]:
    """Any mode as RGB: 16 bits by their high byte, transparency on white."""
    if image.mode == "F":
        raise InputError(name, "a map of floats", ALLOWED)
    with decoding(name, ALLOWED):  # some modes have no way to RGB
        if image.mode.startswith("I"):  # 16 bits of grey, cut as Pillow cuts 16-bit colour
            high = np.asarray(image).astype(np.int64) >> 8
            image = Image.fromarray(high.clip(0, 255).astype(np.uint8))
        if _sees_through(image):
            picture = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        plain = image if image.mode == "RGB" else image.convert("RGB")
        return np.ascontiguousarray(np.asarray(plain).transpose(2, 0, 1))


def _sees_through(image: Image.Image) -> bool:
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _as_array(argument: str, value: Any, allowed: str) -> np.ndarray:
    """An array, or a tensor of torch as one."""
    with decoding(argument, allowed):
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if value.is_floating_point() else value
        array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise InputError(argument, f"a {type(value).__name__}", allowed)
    return array


def _of_array(argument: str, array: np.ndarray, min_side: int) -> UInt8[np.ndarray, "H W C"]:
    """An array of numbers as 8 bits, channels last."""
    got = f"{array.dtype} of shape {array.shape}"
    if array.ndim == 2:
        array = array[..., None]
    elif array.ndim == 3 and array.shape[0] in CHANNEL_MODES:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in CHANNEL_MODES:
        raise InputError(argument, got, IN_MEMORY)
    check_extent(argument, array.shape[1], array.shape[0], min_side)
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # NaN compares false
            raise InputError(argument, f"{got}, values {low:g} to {high:g}", IN_MEMORY)
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(argument, got, IN_MEMORY)
    return array


def _shown(name: str, image: Image.Image) -> Bool[np.ndarray, "H W"]:
    lossy = image.format in ("JPEG", "WEBP")
    with decoding(name, ALLOWED):
        if _sees_through(image) and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            allowed = "black and white, without transparency"
            raise InputError(name, "a mask with transparent pixels", allowed)
        if image.mode not in ("1", "L", "F", "RGB") and not image.mode.startswith("I"):
            image = image.convert("RGB")
        values = np.asarray(image).astype(np.float32)
    return inside(name, values, lossy)


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
        picture.save(aside, quality=95, **PNG_EFFORT)
