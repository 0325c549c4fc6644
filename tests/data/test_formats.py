"""Readers return what was written, agree with OpenCV, and answer damage with InputError alone."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from lookharder.data import formats
from lookharder.errors import InputError

Files = Callable[[str], Path]
sides = st.integers(1, 9)
anything = st.floats(width=32)


def maps(channels: int | None) -> st.SearchStrategy[np.ndarray]:
    head = () if channels is None else (channels,)
    shapes = st.tuples(sides, sides).map(lambda hw: (*head, *hw))
    return shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=anything))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("formats")
    return lambda name: folder / name


RNG = np.random.default_rng(5)
FLOW = RNG.uniform(-90, 90, (2, 5, 7)).astype(np.float32)
DEPTH = RNG.uniform(0.5, 60, (5, 7)).astype(np.float32)
IMAGE = RNG.integers(0, 256, (3, 9, 11), dtype=np.uint8)


# -- what is written is what is read


@given(flow=maps(2))
@settings(max_examples=40, deadline=None)
def test_flo_round_trip_is_exact(scratch: Files, flow: np.ndarray):
    formats.write_flo(scratch("a.flo"), flow)
    np.testing.assert_array_equal(formats.read_flo(scratch("a.flo")), flow)


@given(values=st.one_of(maps(None), maps(3)))
@settings(max_examples=40, deadline=None)
def test_pfm_round_trip_is_exact(scratch: Files, values: np.ndarray):
    formats.write_pfm(scratch("a.pfm"), values)
    np.testing.assert_array_equal(formats.read_pfm(scratch("a.pfm")), values)


numbers = st.sampled_from([np.bool_, np.uint8, np.int16, np.int64, np.float16, np.float64, ">f4"])
arrays = numbers.flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


@given(array=arrays, columns_first=st.booleans())
@settings(max_examples=80, deadline=None)
def test_npy_agrees_with_numpy(scratch: Files, array: np.ndarray, columns_first: bool):
    np.save(scratch("a.npy"), np.asfortranarray(array) if columns_first and array.ndim else array)
    for _ in range(2):
        read = formats.read_npy(scratch("a.npy"))
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype.newbyteorder("=") and read.shape == array.shape
        formats.write_npy(scratch("a.npy"), array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_agrees_with_numpy(tmp_path: Path, save: Callable[..., None]):
    save(tmp_path / "a.npz", depth=DEPTH, count=np.arange(3))
    read = formats.read_npz(tmp_path / "a.npz")
    assert set(read) == {"depth", "count"}
    np.testing.assert_array_equal(read["depth"], DEPTH)


@given(
    stored=hnp.arrays(np.uint16, st.tuples(sides, sides)),
    scale=st.sampled_from([256.0, 1000.0, 5000.0]),
)
@settings(max_examples=40, deadline=None)
def test_depth_png_keeps_every_stored_value(scratch: Files, stored: np.ndarray, scale: float):
    formats.write_depth_png(scratch("d.png"), stored / scale, scale)
    np.testing.assert_array_equal(cv2.imread(str(scratch("d.png")), cv2.IMREAD_UNCHANGED), stored)
    depth = formats.read_depth_png(scratch("d.png"), scale)
    np.testing.assert_array_equal(depth, stored.astype(np.float32) / np.float32(scale))


@given(stored=hnp.arrays(np.int32, (2, 4, 6), elements=st.integers(-(2**15), 2**15 - 1)))
@settings(max_examples=40, deadline=None)
def test_kitti_flow_round_trip_is_exact_on_its_grid(scratch: Files, stored: np.ndarray):
    flow, valid = (stored / 64).astype(np.float32), stored[0] % 3 > 0
    formats.write_kitti_flow(scratch("f.png"), flow, valid)
    read, known = formats.read_kitti_flow(scratch("f.png"))
    np.testing.assert_array_equal(known, valid)
    np.testing.assert_array_equal(read, np.where(valid, flow, 0))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm"])
def test_image_and_mask_round_trip(tmp_path: Path, suffix: str):
    formats.write_image(tmp_path / f"a{suffix}", IMAGE)
    np.testing.assert_array_equal(formats.read_image(tmp_path / f"a{suffix}"), IMAGE)
    formats.write_mask(tmp_path / f"m{suffix}", IMAGE[0] > 99)
    np.testing.assert_array_equal(formats.read_mask(tmp_path / f"m{suffix}"), IMAGE[0] > 99)


# -- other implementations agree


def test_flo_agrees_with_opencv(tmp_path: Path):
    cv2.writeOpticalFlow(str(tmp_path / "cv.flo"), np.ascontiguousarray(FLOW.transpose(1, 2, 0)))
    np.testing.assert_array_equal(formats.read_flo(tmp_path / "cv.flo"), FLOW)
    formats.write_flo(tmp_path / "our.flo", FLOW)
    assert (tmp_path / "our.flo").read_bytes() == (tmp_path / "cv.flo").read_bytes()


@pytest.mark.parametrize("values", [DEPTH, np.stack([DEPTH, 2 * DEPTH, -DEPTH])])
def test_pfm_agrees_with_opencv(tmp_path: Path, values: np.ndarray):
    theirs = values if values.ndim == 2 else values.transpose(1, 2, 0)[..., ::-1]
    cv2.imwrite(str(tmp_path / "cv.pfm"), np.ascontiguousarray(theirs))
    np.testing.assert_array_equal(formats.read_pfm(tmp_path / "cv.pfm"), values)
    formats.write_pfm(tmp_path / "our.pfm", values)
    read = cv2.imread(str(tmp_path / "our.pfm"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, theirs)


def test_big_endian_pfm_and_its_scale(tmp_path: Path):
    rows = DEPTH[::-1].astype(">f4").tobytes()
    (tmp_path / "a.pfm").write_bytes(b"Pf\r\n7 5\r\n0.003922\r\n" + rows)
    np.testing.assert_array_equal(formats.read_pfm(tmp_path / "a.pfm"), DEPTH)


def test_known_flow():
    flow = np.zeros((2, 1, 5), np.float32)
    flow[:, 0, 1], flow[0, 0, 2], flow[1, 0, 3] = 1.6e9, np.nan, -np.inf
    assert formats.known_flow(flow).tolist() == [[True, False, False, False, True]]


# -- pictures as people have them


def save(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


def test_transparent_pictures_lie_on_white(tmp_path: Path):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, 4:] = (200, 100, 0, 128)
    read = formats.read_image(save(tmp_path / "a.png", Image.fromarray(rgba)))
    assert read[:, 0, 0].tolist() == [255, 255, 255]
    assert np.abs(read[:, 0, 7].astype(int) - [227, 177, 127]).max() <= 1
    palette = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 2, "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    read = formats.read_image(save(tmp_path / "p.png", palette, transparency=1))
    assert read[:, 0, 0].tolist() == [255, 0, 0] and read[:, 0, 1].tolist() == [255, 255, 255]


def test_grey_and_sixteen_bits(tmp_path: Path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    for name, picture in (
        ("grey", Image.fromarray(grey)),
        ("sixteen", Image.fromarray(grey.astype(np.uint16) * 257)),
        ("alpha", Image.merge("LA", [Image.fromarray(grey), Image.new("L", (8, 8), 255)])),
    ):
        read = formats.read_image(save(tmp_path / f"{name}.png", picture))
        np.testing.assert_array_equal(read, np.stack([grey] * 3))
    colour = np.stack([grey, grey // 2, grey // 4], axis=-1).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "rgb16.png"), colour[..., ::-1])
    read = formats.read_image(tmp_path / "rgb16.png")
    np.testing.assert_array_equal(read, colour.transpose(2, 0, 1) // 257)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path: Path, orientation: int):
    """The EXIF table, written out: what the stored rows and columns are, for each value."""
    upright = np.zeros((24, 16), np.uint8)
    upright[:8, :8], upright[:8, 8:] = 255, 128
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(formats.read_image(path)[0], upright)


@pytest.mark.parametrize("values", [(0, 255), (0, 1), (0, 3), (20, 230)])
def test_masks_of_any_levels(tmp_path: Path, values: tuple[int, int]):
    inside = np.arange(40).reshape(5, 8) % 3 == 0
    path = save(tmp_path / "m.png", Image.fromarray(np.where(inside, *values[::-1]).astype("u1")))
    np.testing.assert_array_equal(formats.read_mask(path), inside)


def test_odd_masks(tmp_path: Path):
    empty = save(tmp_path / "empty.png", Image.new("L", (4, 3), 0))
    assert not formats.read_mask(empty).any()
    palette = Image.fromarray(np.eye(4, dtype=np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 0, 0])  # the red of DAVIS and VOC
    path = save(tmp_path / "palette.png", palette)
    np.testing.assert_array_equal(formats.read_mask(path), np.eye(4, dtype=bool))
    path = save(tmp_path / "one.png", Image.fromarray(np.eye(4, dtype=bool)))
    np.testing.assert_array_equal(formats.read_mask(path), np.eye(4, dtype=bool))
    path = save(tmp_path / "alpha.png", Image.new("RGBA", (4, 3), (255, 255, 255, 0)))
    with pytest.raises(InputError, match="transparent"):
        formats.read_mask(path)


# -- refusals


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


def test_unknown_depth_and_flow_are_written_as_unknown(tmp_path: Path):
    depth = np.array([[np.nan, np.inf, 0, 2.5]], np.float32)
    formats.write_depth_png(tmp_path / "d.png", depth)
    assert formats.read_depth_png(tmp_path / "d.png").tolist() == [[0, 0, 0, 2.5]]
    flow = np.full((2, 1, 2), np.nan, np.float32)
    flow[:, 0, 0] = 3
    formats.write_kitti_flow(tmp_path / "f.png", flow, np.array([[True, False]]))
    assert formats.read_kitti_flow(tmp_path / "f.png")[0].tolist() == [[[3, 0]], [[3, 0]]]


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


@pytest.mark.parametrize("name", [name for name in READERS if name not in EXACT])
def test_a_truncated_picture_is_refused_or_complete(
    tmp_path: Path, whole: dict[str, bytes], name: str
):
    """Decoders may do without the last few bytes, which hold no pixels; they may not invent any."""
    path, data = tmp_path / name, whole[name]
    path.write_bytes(data)
    expected = READERS[name](path)
    for length in range(len(data)):
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
    for _ in range(300):
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
        ("depth.png", png(4, 4, 16, 0, bytes(20)), "decoded"),
        ("kitti.png", png(4, 4, 8, 2, bytes(52)), "8 bits"),
        ("kitti.png", png(4, 4, 16, 2, bytes(50)), "decoded"),
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
        ({"a.npy": bomb}, "62 bytes.*900000062 bytes"),
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        (tmp_path / "a.npz").write_bytes(buffer.getvalue())
        with pytest.raises(InputError, match=message):
            formats.read_npz(tmp_path / "a.npz")
