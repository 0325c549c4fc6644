"""Readers find in the published sets what these say of themselves."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lookharder.data import formats
from lookharder.data.example import Example, collate
from lookharder.data.readers import READERS, open_data
from lookharder.data.readers.coco_amodal import CocoAmodal, decode_runs
from lookharder.data.readers.flying_chairs import open_flying_chairs
from lookharder.errors import InputError
from lookharder.files import say_once

Shared = Callable[[str], Path]

SETS = {  # reader: folder below data/, examples, (H, W), fields
    "hypersim": ("hypersim/val", 2, (768, 1024), {"depth"}),
    "flying_chairs": ("flying_chairs", 1, (384, 512), {"second", "flow"}),
    "flying_chairs_train": ("flying_chairs", 1, (384, 512), {"second", "flow"}),
    "pix2gestalt": ("pix2gestalt", 5, (256, 256), {"visible", "amodal", "whole"}),
    "kitti_flow": ("kitti_flow/training", 1, (375, 1242), {"second", "flow"}),
    "kitti_depth": ("kitti_depth", 1, (375, 1242), {"depth"}),
    "livingroom": ("livingroom", 6, (480, 640), {"depth"}),
    "nyuv2": ("nyuv2/train", 795, (213, 280), {"depth"}),
    "seven_flow": ("seven_flow", 13, (240, 320), {"second", "flow"}),
    "tum_rgbd": ("tum_rgbd", 1, (480, 640), {"depth"}),
    "middlebury_stereo": ("middlebury_stereo", 1, (500, 741), {"second", "flow", "depth"}),
    "coco_amodal": ("coco_amodal", 32, (480, 640), {"visible", "amodal"}),
}
FIELDS = ("second", "depth", "flow", "occluded", "visible", "amodal", "whole", "label")


@pytest.mark.parametrize("name", SETS)
def test_sets(shared: Shared, name: str):
    folder, count, size, fields = SETS[name]
    data = open_data(f"{name}:{shared('data/' + folder)}")
    assert len(data) == count
    example = data[0]
    assert example.image.dtype == np.uint8 and example.image.shape == (3, *size)
    assert {field for field in FIELDS if getattr(example, field) is not None} == fields
    if "depth" in fields:
        assert example.depth.dtype == np.float32 and example.depth_valid.dtype == bool
        assert example.depth[example.depth_valid].min() > 0
        assert not example.depth[~example.depth_valid].any()
    if "amodal" in fields:
        assert not (example.visible & ~example.amodal).any()
    assert collate([example]).image.shape == (1, 3, *size)
    some = range(0, count, 1 + count // 50)  # of a large set
    assert len({data[i].name for i in some}) == len(some)
    with pytest.raises(IndexError):
        data[count]


def test_hypersim_is_millimetres(shared: Shared):
    root = shared("data/hypersim/val")
    example = READERS["hypersim"](root)[0]
    stored = np.asarray(Image.open(root / f"{example.name.replace('rgb', 'depth_plane')}.png"))
    np.testing.assert_allclose(example.depth, stored / 1000, rtol=1e-6)
    assert example.depth_valid.all() and 0.8 < example.depth.min() < example.depth.max() < 5.6


def test_sparse_and_sensor_depth(shared: Shared):
    laser = READERS["kitti_depth"](shared("data/kitti_depth"))[0]
    assert laser.depth_valid.sum() == 17_107  # the set's own count
    assert laser.depth.max() == pytest.approx(19_604 / 256)
    kinect = READERS["tum_rgbd"](shared("data/tum_rgbd"))[0]
    assert kinect.depth.max() == pytest.approx(46_655 / 5000)
    assert (~kinect.depth_valid).mean() == pytest.approx(0.1919, abs=1e-4)


def warp(example: Example) -> tuple[float, float]:
    """Mean absolute difference to the second frame, fetched along the flow and left in place."""
    height, width = example.image.shape[1:]
    v, u = np.mgrid[:height, :width].astype(np.float32)
    second = example.second.transpose(1, 2, 0)
    moved = cv2.remap(second, u + example.flow[0], v + example.flow[1], cv2.INTER_LINEAR)
    known, image = example.flow_valid, example.image.transpose(1, 2, 0).astype(float)
    return np.abs(moved - image)[known].mean(), np.abs(second - image)[known].mean()


@pytest.mark.parametrize("name", ["flying_chairs", "kitti_flow", "middlebury_stereo"])
def test_flow_leads_from_the_image_to_the_second(shared: Shared, name: str):
    along, in_place = warp(READERS[name](shared("data/" + SETS[name][0]))[0])
    assert along < 0.6 * in_place


def test_flying_chairs_splits(shared: Shared):
    root = shared("data/flying_chairs")
    names = {
        split: [row.name for row in open_flying_chairs(root, split).rows]
        for split in ("train", "val", "all")
    }
    assert names == {"train": ["00006"], "val": ["00018"], "all": ["00006", "00018"]}


def test_pix2gestalt_whole_lies_on_white(shared: Shared):
    data = READERS["pix2gestalt"](shared("data/pix2gestalt"))
    for index in range(len(data)):
        example = data[index]
        drawn = (example.whole <= 250).any(axis=0)
        union = (drawn | example.amodal).sum()
        assert (drawn & example.amodal).sum() / union > 0.95
        assert example.visible.sum() < example.amodal.sum()


def test_middlebury_depth_is_that_of_its_calibration(shared: Shared):
    example = READERS["middlebury_stereo"](shared("data/middlebury_stereo"))[0]
    near, far = example.depth[example.depth_valid].min(), example.depth.max()
    assert 2.0 < near < far < 5.5  # a garage; 1 / d would make it eight times as deep as near
    assert example.flow_valid.mean() == pytest.approx(0.9265, abs=1e-4)
    assert example.flow[0].max() <= 0 and not example.flow[1].any()


def test_coco_regions_have_their_published_area_and_occlusion(shared: Shared):
    data = CocoAmodal(shared("data/coco_amodal"))
    hidden = CocoAmodal(shared("data/coco_amodal"), min_occlusion=0.0)
    assert len(hidden) == sum("visible_mask" in region for *_, region in data.regions) == 16
    for index, (*_, region) in enumerate(hidden.regions):
        example = hidden[index]
        assert example.amodal.sum() == region["area"]
        assert 1 - example.visible.sum() / region["area"] == pytest.approx(region["occlude_rate"])
    for index, (*_, region) in enumerate(data.regions):  # polygons, drawn by another hand
        assert data[index].amodal.sum() == pytest.approx(region["area"], rel=0.013, abs=4)


def test_run_lengths_by_hand():
    """Columns of a 2 x 3 picture: outside 1, inside 3, outside 1, inside 3 - 2 less = 1."""
    np.testing.assert_array_equal(
        decode_runs("131N", 2, 3), np.array([[0, 1, 0], [1, 1, 1]], dtype=bool)
    )
    for bad in ("131", "1319", "P", "1~1", "", "oooooooooo"):
        with pytest.raises(InputError, match="run lengths"):
            decode_runs(bad, 2, 3)


@pytest.mark.parametrize("name", [name for name in SETS if "chairs" not in name])
def test_missing_files_are_named(shared: Shared, tmp_path: Path, name: str):
    """Take one file away: reading fails and says where, or the example is gone altogether."""
    source = shared("data/" + SETS[name][0])
    files = (path for path in source.rglob("*") if path.is_file())
    victims = sorted(path for path in files if path.name != "README.md")
    if len(victims) > 100:  # a large set is read whole for each
        victims = victims[1 :: len(victims) // 3]
    for number, victim in enumerate(victims):
        root = tmp_path / str(number)
        shutil.copytree(source, root, copy_function=lambda a, b: Path(b).symlink_to(a))
        (root / victim.relative_to(source)).unlink()
        try:
            data = open_data(f"{name}:{root}")
            if len(data) < SETS[name][1]:
                continue
            for index in range(0, len(data), 4 if name == "coco_amodal" else 1):
                data[index]
        except InputError as error:
            assert str(root) in str(error) and "no " in str(error)
        else:
            pytest.fail(f"nothing was said of {victim.name}")


@pytest.mark.parametrize("gone", ["FlyingChairs_train_val.txt", "data/00018_flow.flo"])
def test_flying_chairs_must_be_complete(shared: Shared, tmp_path: Path, gone: str):
    shutil.copytree(shared("data/flying_chairs"), tmp_path / "set")
    (tmp_path / "set" / gone).unlink()
    with pytest.raises(InputError, match="FlyingChairs_train_val"):
        open_flying_chairs(tmp_path / "set")


@pytest.mark.parametrize("name", SETS)
def test_a_missing_folder_is_named(tmp_path: Path, name: str):
    with pytest.raises(InputError, match=f"{tmp_path}/absent.*no such"):
        open_data(f"{name}:{tmp_path}/absent")


@pytest.mark.parametrize("spec", ["nothing:/tmp", "hypersim", "hypersim:", ":/tmp", ""])
def test_bad_specs_list_the_readers(spec: str):
    with pytest.raises(InputError, match=r"data: got.*hypersim"):
        open_data(spec)


def test_the_splits_of_nyuv2(shared: Shared):
    root = shared("data/nyuv2/train")
    train, held = (open_data(f"nyuv2:{root}?split={split}") for split in ("train", "val"))
    assert (len(train), len(held)) == (700, 95)
    assert train[699].name < "01251" <= held[0].name
    assert 0 < held[0].depth[held[0].depth_valid].min() < held[0].depth.max() <= 10
    with pytest.raises(InputError, match="split: got 'test'"):
        open_data(f"nyuv2:{root}?split=test")


PLACES = {  # set -> folder in which it lies below the root that a user may give
    "flying_chairs": "FlyingChairs_release",
    "hypersim": "val",
    "kitti_flow": "training",
    "pix2gestalt": "pix2gestalt_occlusions_release",
    "coco_amodal": "val",
    "kitti_depth": "val",
    "tum_rgbd": "val",
}


@pytest.mark.parametrize("name", PLACES)
def test_the_root_of_a_set_will_do_and_what_is_read_is_said(
    shared: Shared, tmp_path: Path, caplog, name: str
):
    inside = shared("data/" + SETS[name][0])
    (tmp_path / PLACES[name]).symlink_to(inside)
    say_once.cache_clear()
    found = READERS[name](tmp_path)
    assert len(found) == len(READERS[name](inside)) > 0
    assert f"reads its folder {PLACES[name]}" in caplog.text


def test_of_several_splits_the_first_is_read_and_the_others_are_said(tmp_path: Path, caplog):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        formats.write_image(tmp_path / split / "a.png", np.zeros((3, 8, 8), np.uint8))
        formats.write_depth_png(tmp_path / split / "a_sparse_depth.png", np.ones((8, 8)), 256.0)
    say_once.cache_clear()
    assert len(READERS["kitti_depth"](tmp_path)) == 1
    assert "reads its folder val, not train" in caplog.text


def test_a_filtered_list_is_taken_as_it_is(tmp_path: Path):
    """Marigold's own lists are sifted already, and say so in their names."""
    formats.write_image(tmp_path / "rgb.png", np.zeros((3, 8, 8), np.uint8))
    formats.write_depth_png(tmp_path / "depth.png", np.ones((8, 8)))
    for name in ("list.txt", "list_val_filtered.txt"):
        (tmp_path / name).write_text("rgb.png depth.png\n")
    assert len(READERS["hypersim"](tmp_path, "list_val_filtered.txt")) == 1
    with pytest.raises(InputError, match="all 1 frames dropped"):
        READERS["hypersim"](tmp_path, "list.txt")
