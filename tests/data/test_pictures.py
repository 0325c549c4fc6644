"""One door for pictures: a file, what PIL makes of it and its pixels are one picture; metadata never decides."""

import errno
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from lookharder.data import formats
from lookharder.data.formats.guard import decoding
from lookharder.errors import InputError
from lookharder.files import say_once

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (16, 24, 3), np.uint8)
RGBA = RNG.integers(0, 256, (16, 24, 4), np.uint8)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


PICTURES: dict[str, tuple[Image.Image, dict[str, object]]] = {
    "grey16.png": (Image.fromarray(RGB[..., 0].astype(np.uint16) * 256 + 7), {}),
    "rgba.png": (Image.fromarray(RGBA), {}),
    "la.png": (Image.fromarray(RGBA).convert("LA"), {}),
    "palette.png": (Image.fromarray(RGB).quantize(16), {"transparency": 3}),
    "bits.png": (Image.fromarray(RGB).convert("1"), {}),
    "cmyk.jpg": (Image.fromarray(RGB).convert("CMYK"), {}),
    "turned3.jpg": (Image.fromarray(RGB), {"exif": turned(3)}),
    "turned6.png": (Image.fromarray(RGB), {"exif": turned(6)}),
    "alpha.webp": (Image.fromarray(RGBA), {"lossless": True}),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_file_and_what_pil_makes_of_it_are_one_picture(tmp_path: Path, name: str):
    picture, options = PICTURES[name]
    picture.save(tmp_path / name, **options)
    read = formats.read_image(tmp_path / name)
    np.testing.assert_array_equal(formats.to_picture(Image.open(tmp_path / name)), read)
    np.testing.assert_array_equal(formats.to_picture(str(tmp_path / name)), read)


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a,
        lambda a: a.transpose(2, 0, 1),
        lambda a: a.astype(np.float32) / 255,
        lambda a: a.astype(np.float64).transpose(2, 0, 1) / 255,
        lambda a: a.astype(np.uint16) * 256 + 9,
        lambda a: torch.from_numpy(a),
        lambda a: torch.from_numpy(a).permute(2, 0, 1).double() / 255,
        lambda a: Image.fromarray(a),
    ],
)
def test_arrays_and_tensors_of_any_layout_are_one_picture(make: Callable):
    np.testing.assert_array_equal(formats.to_picture(make(RGB)), RGB.transpose(2, 0, 1))


def test_grey_and_transparent_arrays_are_read_as_files_are(tmp_path: Path):
    Image.fromarray(RGBA).save(tmp_path / "a.png")
    np.testing.assert_array_equal(formats.to_picture(RGBA), formats.read_image(tmp_path / "a.png"))
    for grey in (RGB[..., 0], RGB[..., :1], RGB[..., 0][None]):
        np.testing.assert_array_equal(formats.to_picture(grey), np.stack([RGB[..., 0]] * 3))


@pytest.mark.parametrize(
    "value",
    [
        np.full((16, 16, 3), np.nan),
        np.full((16, 16, 3), -1.0),
        np.full((16, 16, 3), 200.0),
        np.zeros((16, 16, 5), np.uint8),
        np.zeros((16, 16, 3), np.int64),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((2, 3, 16, 16), np.uint8),
        Image.fromarray(RGB[..., 0].astype(np.float32)),
        None,
        object(),
    ],
)
def test_what_is_no_picture_is_refused_by_name(value: object):
    with pytest.raises(InputError, match=r"^frame: got"):
        formats.to_picture(value, "frame")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def encoded(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, kind, **options)
    return stream.getvalue()


def after_header(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks after IHDR."""
    return data[:33] + b"".join(chunks) + data[33:]


def app1(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def broken_metadata() -> dict[str, bytes]:
    png, jpg = encoded("PNG"), encoded("JPEG")
    text = b"Comment\0\0" + zlib.compress(bytes(3 * 2**20))
    wrong = bytearray(chunk(b"tEXt", b"Title\0abc"))
    wrong[-1] ^= 1
    webp = encoded("WEBP", lossless=True, exif=turned(1).tobytes())
    place = webp.index(b"EXIF") + 8
    return {
        "long_text.png": after_header(png, chunk(b"zTXt", text)),
        "profile.png": after_header(png, chunk(b"iCCP", b"name\0\0not deflated")),
        "exif.png": after_header(png, chunk(b"eXIf", b"MM\0\x2a\xff\xff\xff\xff")),
        "checksum.png": after_header(png, bytes(wrong)),
        "exif.jpg": jpg[:2] + app1(b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff" + bytes(9)) + jpg[2:],
        "exif2.jpg": jpg[:2] + app1(b"Exif\0\0nonsense") + jpg[2:],
        "icc.jpg": jpg[:2] + b"\xff\xe2\0\x0eICC_PROFILE\0" + jpg[2:],
        "exif.webp": webp[:place] + b"\xff" * 12 + webp[place + 12 :],
    }


@pytest.mark.parametrize("name", broken_metadata())
def test_metadata_never_decides_whether_pixels_can_be_read(tmp_path: Path, name: str):
    path, kind = tmp_path / name, name.rpartition(".")[2].upper().replace("JPG", "JPEG")
    plain = encoded(kind, **({"lossless": True} if kind == "WEBP" else {}))
    path.write_bytes(broken_metadata()[name])
    expected = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(formats.read_image(path), expected)


def test_what_was_taken_for_granted_is_told_once(tmp_path: Path, caplog):
    say_once.cache_clear()
    path = tmp_path / "a.png"
    path.write_bytes(broken_metadata()["long_text.png"])
    for _ in range(3):
        formats.read_image(path)
    assert len(caplog.messages) == 1
    assert "taken as stored" in caplog.text and "a.png" in caplog.text


def flips(data: bytes) -> list[bytes]:
    return [data[:i] + bytes((data[i] ^ 1 << i % 8,)) + data[i + 1 :] for i in range(len(data))]


def test_no_bit_of_a_mask_may_flip_and_a_damaged_photograph_is_told(tmp_path: Path, caplog):
    path = tmp_path / "m.png"
    formats.write_mask(path, RGB[..., 0] > 99)
    for wrong in flips(path.read_bytes()):
        path.write_bytes(wrong)
        with pytest.raises(InputError, match=r"m\.png"):
            formats.read_mask(path)
    formats.write_image(path, RGB.transpose(2, 0, 1))
    told = 0
    for wrong in flips(path.read_bytes())[::7]:
        say_once.cache_clear()
        caplog.clear()
        path.write_bytes(wrong)
        try:
            formats.read_image(path)
        except InputError:
            continue
        assert "m.png" in caplog.text
        told += 1
    assert told > 0, "the others are refused by the decoder"


def test_a_second_header_or_scattered_pixels_are_refused_everywhere(tmp_path: Path):
    path, png = tmp_path / "a.png", encoded("PNG")
    large = chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 7000, 8, 6, 0, 0, 0))
    for read in (formats.read_image, formats.read_mask, formats.read_depth_png):
        path.write_bytes(after_header(png, large))
        with pytest.raises(InputError, match=r"second header|colour type"):
            read(path)
        body = png[41:-16]
        parts = chunk(b"IDAT", body[:40]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", body[40:])
        path.write_bytes(png[:33] + parts + png[-12:])
        with pytest.raises(InputError, match=r"two places|colour type"):
            read(path)


def test_a_depth_png_short_of_rows_is_refused_interlaced_or_not(tmp_path: Path):
    path = tmp_path / "d.png"
    rows = b"".join(b"\0" + bytes(8) for _ in range(4))
    for pixels, good in ((rows, True), (rows[:-9], False), (rows + b"\0", False)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 0, 0, 0, 0))
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + header
            + chunk(b"IDAT", zlib.compress(pixels))
            + chunk(b"IEND", b"")
        )
        if good:
            assert formats.read_depth_png(path).shape == (4, 4)
        else:
            with pytest.raises(InputError, match="exactly 36"):
                formats.read_depth_png(path)


@pytest.mark.parametrize("radius", [0.5, 2, 6])
def test_a_softened_mask_is_one_object(tmp_path: Path, radius: float):
    disc = np.hypot(*np.mgrid[-40:40, -50:50]) < 25
    soft = Image.fromarray(disc.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(radius))
    for name in ("m.png", "m.jpg"):
        soft.save(tmp_path / name)
        read = formats.read_mask(tmp_path / name)
        assert (read != disc).mean() < 0.02
        np.testing.assert_array_equal(formats.to_mask(Image.open(tmp_path / name)), read)
    np.testing.assert_array_equal(formats.to_mask(torch.from_numpy(disc)), disc)


def test_a_mask_of_several_objects_is_refused_not_guessed(tmp_path: Path):
    ids = np.zeros((40, 40), np.uint8)
    ids[4:12, 4:12], ids[20:30, 4:12], ids[20:30, 20:30] = 1, 2, 3
    void = np.where(ids == 1, 1, np.where(ids > 1, 255, 0)).astype(np.uint8)
    palette = Image.fromarray(ids, "P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 0, 0, 128])
    trimap = Image.fromarray(np.where(ids == 1, 128, np.where(ids > 1, 255, 0)).astype(np.uint8))
    for picture in (Image.fromarray(ids), Image.fromarray(void), palette, trimap):
        picture.save(tmp_path / "m.png")
        with pytest.raises(InputError, match="one object"):
            formats.read_mask(tmp_path / "m.png")


def test_bombs_of_scans_and_of_text_are_refused_before_decoding(tmp_path: Path):
    progressive = encoded("JPEG", progressive=True)
    scan = progressive.index(b"\xff\xda")
    end = progressive.index(b"\xff", scan + 2)
    path = tmp_path / "j.jpg"
    path.write_bytes(progressive[:-2] + progressive[scan:end] * 400 + b"\xff\xd9")
    with pytest.raises(InputError, match="scans"):
        formats.read_image(path)
    path.write_bytes(b"P3\n# text\n16 16\n255\n" + b"0 " * 768)
    with pytest.raises(InputError, match="P3"):
        formats.read_image(path)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("bad bytes"), InputError),
        (cv2.error("error: (-215:Assertion failed) !buf.empty()"), InputError),
        (cv2.error("error: (-4:Insufficient memory) Failed to allocate 9 bytes"), MemoryError),
        (RuntimeError("std::bad_alloc"), MemoryError),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), OSError),
        (OSError(errno.EIO, "Input/output error"), OSError),
        (OSError("truncated"), InputError),
    ],
)
def test_a_decoder_is_told_from_a_machine_that_refuses(raised, said):
    with pytest.raises(said) as caught, decoding("a.png", "a picture"):
        raise raised
    assert type(caught.value) is said
    assert caught.value is raised or "a.png" in str(caught.value)
