"""Damaged, hostile and missing files: one InputError that names the file, and nothing else."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lookharder.data import formats
from lookharder.errors import InputError

RNG = np.random.default_rng(5)
FLOW = RNG.uniform(-90, 90, (2, 5, 7)).astype(np.float32)
DEPTH = RNG.uniform(0.5, 60, (5, 7)).astype(np.float32)
IMAGE = RNG.integers(0, 256, (3, 9, 11), dtype=np.uint8)


def test_writers_refuse_what_a_format_cannot_hold(tmp_path: Path):
    refusals: list[tuple[str, Callable[[Path], None]]] = [
        ("65.535 m", lambda p: formats.write_depth_png(p, DEPTH * 2)),
        ("0 to 65.535", lambda p: formats.write_depth_png(p, -DEPTH)),
        ("scale", lambda p: formats.write_depth_png(p, DEPTH, scale=0.0)),
        ("-512, 512", lambda p: formats.write_kitti_flow(p, FLOW * 10)),
        ("-512, 512", lambda p: formats.write_kitti_flow(p, FLOW * np.float32(np.nan))),
        ("as the flow", lambda p: formats.write_kitti_flow(p, FLOW, np.ones((7, 5), bool))),
        ("2, H, W", lambda p: formats.write_flo(p, DEPTH)),
        ("H, W", lambda p: formats.write_pfm(p, FLOW)),
        ("uint8", lambda p: formats.write_image(p, FLOW)),
        ("suffix", lambda p: formats.write_image(p.with_suffix(".tiff"), IMAGE)),
        ("bool", lambda p: formats.write_mask(p, IMAGE[0])),
        ("booleans", lambda p: formats.write_npy(p, np.array([{}]))),
    ]
    for message, write in refusals:
        with pytest.raises(InputError, match=message):
            write(tmp_path / "out.png")
    assert not list(tmp_path.iterdir())


READERS: dict[str, Callable[[Path], object]] = {
    "flow.flo": formats.read_flo,
    "map.pfm": formats.read_pfm,
    "array.npy": formats.read_npy,
    "stored.npz": formats.read_npz,
    "deflated.npz": formats.read_npz,
    "depth.png": formats.read_depth_png,
    "kitti.png": formats.read_kitti_flow,
    "image.png": formats.read_image,
    "image.jpg": formats.read_image,
    "image.webp": formats.read_image,
    "image.bmp": formats.read_image,
    "image.ppm": formats.read_image,
    "mask.png": formats.read_mask,
}
EXACT = ("flow.flo", "map.pfm", "array.npy", "depth.png", "kitti.png")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One small valid file of every kind, as bytes."""
    folder = tmp_path_factory.mktemp("whole")
    formats.write_flo(folder / "flow.flo", FLOW)
    formats.write_pfm(folder / "map.pfm", DEPTH)
    formats.write_npy(folder / "array.npy", DEPTH)
    np.savez(folder / "stored.npz", DEPTH)
    np.savez_compressed(folder / "deflated.npz", DEPTH)
    formats.write_depth_png(folder / "depth.png", DEPTH)
    formats.write_kitti_flow(folder / "kitti.png", FLOW)
    for suffix in ("png", "jpg", "webp", "bmp", "ppm"):
        formats.write_image(folder / f"image.{suffix}", IMAGE)
    formats.write_mask(folder / "mask.png", IMAGE[0] > 99)
    return {name: (folder / name).read_bytes() for name in READERS}


@pytest.mark.parametrize("name", READERS)
def test_no_file_is_one_clear_line(tmp_path: Path, name: str):
    path = tmp_path / name
    for make, message in (
        (lambda: None, "no such file"),
        (path.mkdir, "a folder"),
        (lambda: (path.rmdir(), path.write_text("not what the name says\n")), "allowed"),
        (lambda: path.write_bytes(b""), "allowed"),
    ):
        make()
        with pytest.raises(InputError, match=message) as caught:
            READERS[name](path)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    for odd in (tmp_path / "nul\0.png", tmp_path / ("x" * 999), tmp_path / name / "below"):
        with pytest.raises(InputError):
            READERS[name](odd)


@pytest.mark.parametrize("name", EXACT)
def test_every_truncation_and_any_padding_is_refused(
    tmp_path: Path, whole: dict[str, bytes], name: str
):
    path, data = tmp_path / name, whole[name]
    for wrong in [data[:n] for n in range(len(data))] + [data + bytes(n) for n in (1, 4, 999)]:
        path.write_bytes(wrong)
        with pytest.raises(InputError, match=name):
            READERS[name](path)


@pytest.mark.parametrize("name", ["depth.png", "kitti.png"])
def test_no_bit_of_a_measurement_png_may_flip(tmp_path: Path, whole: dict[str, bytes], name: str):
    path = tmp_path / name
    for place in range(len(whole[name])):
        data = bytearray(whole[name])
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(InputError, match=name):
            READERS[name](path)


@pytest.mark.parametrize("name", [name for name in READERS if name not in EXACT])
def test_a_truncated_picture_is_refused_or_complete(
    tmp_path: Path, whole: dict[str, bytes], name: str
):
    """Decoders may do without the last few bytes, which hold no pixels; they may not invent any."""
    path, data = tmp_path / name, whole[name]
    path.write_bytes(data)
    expected = READERS[name](path)
    for length in {*range(0, len(data), 5), *range(len(data) - 30, len(data))}:
        path.write_bytes(data[:length])
        try:
            np.testing.assert_equal(READERS[name](path), expected)
        except InputError as error:
            assert name in str(error)
        else:
            assert length > len(data) - 24


@pytest.mark.parametrize("name", READERS)
def test_only_input_error_escapes_from_mutated_files(
    tmp_path: Path, whole: dict[str, bytes], name: str
):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    path, changed = tmp_path / name, 0
    for _ in range(200):
        data = bytearray(whole[name])
        early = rng.random() < 0.5  # headers deserve half of the hits
        for place in rng.integers(
            0, min(64, len(data)) if early else len(data), rng.integers(1, 4)
        ):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            READERS[name](path)
        except InputError:
            changed += 1
    assert changed > 20


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bits: int, colour: int, pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("flow.flo", struct.pack("<fii", 202021.25, 10**6, 10**6), "1000000 x 1000000"),
        ("flow.flo", struct.pack("<fii", 202021.25, -4, 3), "-4 x 3"),
        ("map.pfm", b"Pf\n999999 999999\n-1\n" + bytes(99), "999999 x 999999"),
        ("map.pfm", b"Pf\n2 2\n0\n" + bytes(16), "no PFM header"),
        ("image.png", png(20_000, 1, 8, 0, bytes(20_001)), "20000 x 1 pixels"),
        ("image.png", png(16_000, 16_000, 8, 0, b""), "16000 x 16000|256000000 pixels"),
        ("image.png", png(1, 1, 8, 0, bytes(2)), "1 x 1 pixels"),
        ("depth.png", png(60_000, 60_000, 16, 0, b""), "60000 x 60000"),
        ("depth.png", png(4, 4, 8, 0, bytes(20)), "8 bits"),
        ("depth.png", png(4, 4, 16, 2, bytes(100)), "colour type 2"),
        ("depth.png", png(4, 4, 16, 0, bytes(20)), "pixels of 20 bytes"),
        ("kitti.png", png(4, 4, 8, 2, bytes(52)), "8 bits"),
        ("kitti.png", png(4, 4, 16, 2, bytes(50)), "pixels of 50 bytes"),
    ],
)
def test_hostile_headers(tmp_path: Path, name: str, data: bytes, message: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        READERS[name](tmp_path / name)


def npy(header: str, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body


@pytest.mark.parametrize(
    "data",
    [
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"),
        npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }"),
        npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 3000},), }}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }", bytes(4)),
        npy("{'descr': '<f9', 'fortran_order': False, 'shape': (1,), }", bytes(9)),
        npy("(" * 3000),
        npy("__import__('os').getcwd()"),
        npy("{'descr': '<f4'}"),
    ],
)
def test_hostile_arrays(tmp_path: Path, data: bytes):
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.npy"):
        formats.read_npy(tmp_path / "a.npy")


def test_hostile_archives(tmp_path: Path):
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    bomb = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (900000000,), }")
    for members, message in (
        ({"a.npy": (tmp_path / "objects.npy").read_bytes()}, r"a\.npz\[a\.npy\].*type"),
        ({"a.txt": b"hello there"}, r"a\.npz\[a\.txt\]"),
        ({f"{n}.npy": b"" for n in range(65)}, "65 arrays"),
        ({"a.npy": bomb}, "75 bytes.*900000075 bytes"),
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        (tmp_path / "a.npz").write_bytes(buffer.getvalue())
        with pytest.raises(InputError, match=message):
            formats.read_npz(tmp_path / "a.npz")
