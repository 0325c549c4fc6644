"""Folders and lists as people have them: litter is passed over, what is left out is named, numbers sort as numbers."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookharder.data import formats
from lookharder.data.readers import check_data, open_data
from lookharder.data.readers.coco_amodal import decode_runs
from lookharder.errors import InputError
from lookharder.files import read_text, say_once
from lookharder.predict.files.walk import expand

RNG = np.random.default_rng(4)
MANY = 4_000


@pytest.fixture(autouse=True)
def _afresh():
    say_once.cache_clear()


def photo(path: Path, side: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (side, side, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("litter", [".ipynb_checkpoints", "__MACOSX", ".hidden", "@eaDir"])
def test_litter_is_no_class_and_no_picture(tmp_path: Path, litter: str):
    for name in ("n01/a.JPEG", "n02/b.jpeg"):
        photo(tmp_path / name)
    photo(tmp_path / litter / "c.jpg")
    (tmp_path / "n01" / "._a.JPEG").write_bytes(bytes(100))
    data = open_data(f"imagenet:{tmp_path}?side=16")
    assert [(data[i].name, data[i].label) for i in range(len(data))] == [
        ("n01/a.JPEG", 0),
        ("n02/b.jpeg", 1),
    ]


def test_litter_among_pairs_is_passed_over(tmp_path: Path):
    for name in ("1", "2"):
        for frame in (1, 2):
            (tmp_path / "data").mkdir(exist_ok=True)
            formats.write_image(
                tmp_path / f"data/{name}_img{frame}.ppm", np.zeros((3, 8, 8), np.uint8)
            )
        formats.write_flo(tmp_path / f"data/{name}_flow.flo", np.zeros((2, 8, 8), np.float32))
    (tmp_path / "data" / "._1_flow.flo").write_bytes(bytes(50))
    (tmp_path / "FlyingChairs_train_val.txt").write_bytes(b"\xef\xbb\xbf2\r\n2\r\n")
    assert len(open_data(f"flying_chairs:{tmp_path}")) == 2


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lists_are_read_with_and_without_a_mark(tmp_path: Path, mark: bytes, end: bytes):
    photo(tmp_path / "rgb.png")
    formats.write_depth_png(tmp_path / "depth.png", np.ones((16, 16), np.float32))
    (tmp_path / "list.txt").write_bytes(mark + b"rgb.png depth.png" + end)
    head = b"rgb_path,depth_path,rgb_min,rgb_max,depth_min,depth_max,invalid_ratio"
    (tmp_path / "meta.csv").write_bytes(mark + head + end + b"rgb.png,depth.png,0,9,1,2,0" + end)
    for name in ("list.txt", "meta.csv"):
        assert open_data(f"hypersim:{tmp_path}?list={name}&keep=all")[0].image.shape == (3, 16, 16)
    assert read_text(tmp_path / "list.txt").startswith("rgb")


def test_what_a_folder_of_pictures_leaves_out_is_named(tmp_path: Path, caplog):
    for name in ("p1.tif", "p2.jpg", "p3.gif", "p4.jfif"):
        Image.fromarray(RNG.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / name)
    found = expand("IMAGE", [str(tmp_path)])
    assert [each.path.name for each in found] == ["p2.jpg", "p4.jfif"]
    assert "2 left out: p1.tif, p3.gif" in caplog.text
    assert formats.read_image(tmp_path / "p4.jfif").shape == (3, 16, 16)


def test_frames_sort_by_their_numbers(tmp_path: Path):
    for n in (1, 2, 10, 11):
        photo(tmp_path / f"frame_{n}.png")
    for pattern in (str(tmp_path), str(tmp_path / "*.png")):
        names = [each.path.stem for each in expand("IMAGE", [pattern])]
        assert names == ["frame_1", "frame_2", "frame_10", "frame_11"]


def test_annotations_of_another_case_or_kind_are_no_photographs(tmp_path: Path, caplog):
    photo(tmp_path / "p.png")
    formats.write_depth_png(tmp_path / "p_Depth.PNG", np.ones((16, 16), np.float32))
    data = open_data(f"folder:{tmp_path}?depth_unit=mm")
    assert len(data) == 1 and data[0].depth is not None
    (tmp_path / "p_Depth.PNG").rename(tmp_path / "p_depth.tiff")
    (problem,) = check_data(tmp_path)
    assert problem.field == "depth" and "p_depth.tiff" in problem.message
    (tmp_path / "p_depth.tiff").rename(tmp_path / "q.gif")
    assert check_data(tmp_path) == []
    assert "1 left out: q.gif" in caplog.text


def test_a_picture_that_exif_turns_beside_annotations_is_told(tmp_path: Path, caplog):
    exif = Image.Exif()
    exif[0x0112] = 3
    pixels = RNG.integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.jpg", exif=exif)
    formats.write_npy(tmp_path / "p_depth.npy", np.ones((16, 16), np.float32))
    assert check_data(tmp_path) == []
    assert "p.jpg" in caplog.text and "must be upright" in caplog.text


def coco(folder: Path, region: dict, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[2:7, 3:8] = 255
    Image.fromarray(pixels).save(folder / "a.jpg", exif=exif, quality=95)
    (folder / "a.json").write_text(
        json.dumps({"regions": [{"order": 1, "occlude_rate": 0.0, **region}]})
    )
    return folder


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_outlines_are_of_the_picture_as_stored(tmp_path: Path, orientation: int):
    square = [3, 2, 8, 2, 8, 7, 3, 7]
    for outline in (square, [square], [[3, 2, 5, 2, 5, 7, 3, 7], [5, 2, 8, 2, 8, 7, 5, 7]]):
        example = open_data(
            f"coco_amodal:{coco(tmp_path, {'segmentation': outline}, orientation)}"
        )[0]
        bright = example.image[0] > 128
        assert (bright & example.amodal).sum() / (bright | example.amodal).sum() > 0.9


def test_plain_run_lengths_are_compressed_ones():
    inside = RNG.random((5, 7)) > 0.5
    flat = inside.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    counts = [0, *runs] if flat[0] else runs
    np.testing.assert_array_equal(decode_runs(counts, 5, 7), inside)
    with pytest.raises(InputError, match="run lengths"):
        decode_runs([*counts, 1], 5, 7)


@pytest.mark.parametrize(
    "text",
    [
        '{"regions": ' + "[" * 9999,
        '{"regions": [{"order": 1, "occlude_rate": NaN, "segmentation": []}]}',
        '{"regions": 3}',
        "[]",
    ],
)
def test_odd_annotations_are_one_line(tmp_path: Path, text: str):
    coco(tmp_path, {"segmentation": [0, 0, 1, 1, 1, 0]})
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        open_data(f"coco_amodal:{tmp_path}")


def test_many_photos_and_their_labels_are_listed_in_little_time(tmp_path):
    """Each beside every other would take 20 seconds."""
    for i in range(MANY):
        (tmp_path / f"{i}_rgb.png").touch()
        (tmp_path / f"{i}_depth.png").touch()
    (tmp_path / "alone_depth.png").touch()
    began = time.process_time()
    found = expand("IMAGE", [str(tmp_path)], photos=True)
    assert time.process_time() - began < 6
    assert [each.name for each in found[:2]] == ["0_rgb", "1_rgb"]
    assert len(found) == MANY + 1 and found[-1].name == "alone_depth"
