"""What is written is what is read, other implementations agree, and odd pictures read right."""

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


def test_unknown_depth_and_flow_are_written_as_unknown(tmp_path: Path):
    depth = np.array([[np.nan, np.inf, 0, 2.5]], np.float32)
    formats.write_depth_png(tmp_path / "d.png", depth)
    assert formats.read_depth_png(tmp_path / "d.png").tolist() == [[0, 0, 0, 2.5]]
    flow = np.full((2, 1, 2), np.nan, np.float32)
    flow[:, 0, 0] = 3
    formats.write_kitti_flow(tmp_path / "f.png", flow, np.array([[True, False]]))
    assert formats.read_kitti_flow(tmp_path / "f.png")[0].tolist() == [[[3, 0]], [[3, 0]]]
