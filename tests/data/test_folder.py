"""A set of one's own: conventions, manifests and units; `check_data` lists every fault."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lookharder.data import formats
from lookharder.data.example import Dataset, Example
from lookharder.data.readers import Problem, check_data, open_data
from lookharder.data.readers.folder import open_folder
from lookharder.errors import InputError

RNG = np.random.default_rng(3)
IMAGE = RNG.integers(0, 256, (3, 24, 32), dtype=np.uint8)
DEPTH = RNG.uniform(1, 9, (24, 32)).astype(np.float32)
FLOW = RNG.uniform(-5, 5, (2, 24, 32)).astype(np.float32)
INSIDE = np.zeros((24, 32), dtype=bool)
INSIDE[4:20, 4:20] = True
PART = INSIDE & (np.arange(32) < 12)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of one example with everything, by naming convention."""
    for name in ("a.png", "a_second.jpg", "a_whole.png"):
        formats.write_image(tmp_path / name, IMAGE)
    formats.write_depth_png(tmp_path / "a_depth.png", DEPTH)
    formats.write_flo(tmp_path / "a_flow.flo", FLOW)
    formats.write_mask(tmp_path / "a_visible.png", PART)
    formats.write_mask(tmp_path / "a_amodal.png", INSIDE)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def expect_everything(example: Example):
    np.testing.assert_array_equal(example.image, IMAGE)
    np.testing.assert_allclose(example.depth, DEPTH, atol=6e-4)
    np.testing.assert_array_equal(example.flow, FLOW)
    np.testing.assert_array_equal(example.visible, PART)
    np.testing.assert_array_equal(example.amodal, INSIDE)
    np.testing.assert_array_equal(example.whole, IMAGE)
    assert example.second is not None


def test_folder_by_naming_convention(own: Path):
    unit = {"depth_unit": "mm"}
    assert check_data(own, unit) == []
    data: Dataset = open_folder(own, unit)
    assert len(data) == 1 and data[0].name == "a.png"
    expect_everything(data[0])
    with pytest.raises(InputError, match="depth_unit: got None, allowed: m, cm or mm"):
        open_folder(own)


def test_folder_of_images_alone(tmp_path: Path):
    for name in ("b.png", "a.jpg", "c_1.bmp"):
        formats.write_image(tmp_path / name, IMAGE)
    data = open_folder(tmp_path)
    assert [data[i].name for i in range(3)] == ["a.jpg", "b.png", "c_1.bmp"]
    assert check_data(tmp_path) == []
    with pytest.raises(InputError, match="no examples"):
        (tmp_path / "empty").mkdir()
        open_folder(tmp_path / "empty")


ROW = {
    "image": "a.png",
    "second": "a_second.jpg",
    "depth": "a_depth.png",
    "depth_unit": "mm",
    "depth_min": "0.5",
    "flow": "a_flow.flo",
    "visible": "a_visible.png",
    "amodal": "a_amodal.png",
    "whole": "a_whole.png",
    "label": "7",
}


def write_manifest(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    else:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with path.open("w", newline="", encoding="utf-8-sig") as handle:
            writer = csv.DictWriter(handle, columns)
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["manifest.jsonl", "manifest.csv", "other.csv"])
def test_manifest(own: Path, name: str):
    path = write_manifest(own / name, [ROW, ROW | {"depth_unit": "", "depth_scale": "2000"}])
    assert check_data(path) == check_data(f"folder:{path}") == []
    data = open_data(f"folder:{path if name.startswith('other') else own}")
    expect_everything(data[0])
    assert data[0].label == 7
    np.testing.assert_array_equal(data[1].depth * 2, data[0].depth)


def test_units_and_range(own: Path):
    np.save(own / "cm.npy", DEPTH * 100)
    np.save(own / "integers.npy", (DEPTH * 100).astype(np.int32))
    formats.write_pfm(own / "metres.pfm", DEPTH)
    np.savez(own / "one.npz", DEPTH)
    path = write_manifest(
        own / "m.jsonl",
        [
            {"image": "a.png", "depth": "cm.npy", "depth_unit": "cm"},
            {"image": "a.png", "depth": "integers.npy", "depth_scale": 100},
            {"image": "a.png", "depth": "metres.pfm"},
            {"image": "a.png", "depth": "one.npz", "depth_min": 2, "depth_max": 5},
        ],
    )
    data = open_folder(path)
    for index in range(3):
        np.testing.assert_allclose(data[index].depth, DEPTH, atol=0.011)
    np.testing.assert_array_equal(data[3].depth_valid, (DEPTH > 2) & (DEPTH < 5))
    assert not data[3].depth[~data[3].depth_valid].any()


def test_check_lists_every_fault(own: Path):
    np.save(own / "integers.npy", DEPTH.astype(np.int32))
    formats.write_image(own / "small.png", IMAGE[:, :12])
    formats.write_mask(own / "empty.png", INSIDE & False)
    formats.write_flo(own / "far.flo", FLOW * 100)
    formats.write_flo(own / "unknown.flo", FLOW * 0 + 1e10)
    (own / "broken.png").write_bytes((own / "a.png").read_bytes()[:300])
    two = {"image": "a.png", "second": "a_second.jpg"}
    faults: list[tuple[dict[str, object], list[tuple[str, str]]]] = [
        (ROW, []),
        ({"depht": "a_depth.png", "image": "a.png"}, [("depht", "unknown column")]),
        ({"image": "absent.png"}, [("image", "no such file")]),
        ({"image": "broken.png"}, [("image", "decoded")]),
        ({"second": "a.png"}, [("image", "a path")]),
        ({"image": 3}, [("image", "a path")]),
        ({"image": "a.png", "depth": "a_depth.png"}, [("depth_unit", "m, cm or mm")]),
        ({"image": "a.png", "depth": "a_depth.png", "depth_unit": "inch"}, [("depth_unit", "inch")]),
        ({"image": "a.png", "depth_unit": "m", "depth_scale": 5}, [("depth_unit", "not both")]),
        ({"image": "a.png", "depth_scale": "x", "depth_min": -1, "depth_max": 0},
         [("depth_scale", "'x'"), ("depth_min", "-1"), ("depth_max", "0")]),
        ({"image": "a.png", "depth": "a_depth.png", "depth_unit": "m"}, [("depth", "median")]),
        ({"image": "a.png", "depth": "a_depth.png", "depth_unit": "mm", "depth_max": 0.5},
         [("depth", "no depth between 0 and 0.5 m")]),
        ({"image": "a.png", "depth": "integers.npy"}, [("depth", "without a unit")]),
        ({"image": "a.png", "depth": "a_depth.tiff"}, [("depth", "'a_depth.tiff'")]),
        ({"image": "a.png", "flow": "a_flow.flo"}, [("second", "second frame")]),
        (two | {"flow": "far.flo"}, [("flow", "diagonal, 40")]),
        (two | {"flow": "unknown.flo"}, [("flow", "no pixel")]),
        ({"image": "a.png", "second": "small.png", "whole": "small.png"},
         [("second", "32 x 12"), ("whole", "32 x 12")]),
        ({"image": "a.png", "visible": "empty.png"}, [("visible", "empty")]),
        ({"image": "a.png", "visible": "a_amodal.png", "amodal": "a_visible.png"},
         [("amodal", "128 visible pixels")]),
        ({"image": "a.png", "label": "cat"}, [("label", "'cat'")]),
        ({"image": "absent.png", "second": "gone.png", "colour": "red"},
         [("colour", "unknown column"), ("image", "no such file"), ("second", "no such file")]),
    ]  # fmt: skip
    path = write_manifest(own / "m.jsonl", [row for row, _ in faults])
    with path.open("a") as handle:
        handle.write("\n{not json\n[1]\n")
    last = len(faults)
    expected = [(line, *fault) for line, (_, found) in enumerate(faults, 1) for fault in found]
    expected += [(last + 2, "row", "not JSON"), (last + 3, "row", "an object")]
    problems = check_data(path)
    assert [(problem.row, problem.field) for problem in problems] == [e[:2] for e in expected]
    for problem, (_, _, words) in zip(problems, expected, strict=True):
        assert words in problem.message, problem
    with pytest.raises(InputError, match=r"row 2, depht.*\(and \d+ more\)"):
        open_folder(path)


def test_faults_of_tables_and_folders(own: Path):
    (own / "m.csv").write_text('image,label,label\na.png,1\n"a.png,1,2\n')
    assert [(p.row, p.field) for p in check_data(own / "m.csv")] == [
        (1, "header"),
        (2, "row"),
        (3, "row"),
    ]
    (own / "m.csv").write_text("")
    assert [problem.field for problem in check_data(own / "m.csv")] == ["image"]
    formats.write_image(own / "a.jpg", IMAGE)
    formats.write_mask(own / "lonely_visible.png", PART)
    formats.write_image(own / "b.png", IMAGE)
    formats.write_image(own / "b_depth.jpg", IMAGE)
    problems = check_data(own, {"depth_unit": "mm"})
    assert [(problem.row, problem.field) for problem in problems] == [
        (0, "image"), (1, "image"), (2, "depth"),
    ]  # fmt: skip
    assert str(problems[0]) == (
        "row 0, image: none for lonely_visible.png, allowed: lonely.*"
    ) and isinstance(problems[0], Problem)


def test_no_such_set(tmp_path: Path):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    (tmp_path / "latin.csv").write_bytes(b"image\n\xe9.png\n")
    for name, message in (
        ("absent", "no such"), ("a.xlsx", r"\.xlsx"), ("m.csv", "no such file"), ("latin.csv", "UTF-8")
    ):  # fmt: skip
        for use in (open_folder, check_data):
            with pytest.raises(InputError, match=message):
                use(tmp_path / name)
    for name in ("manifest.csv", "manifest.jsonl"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match="one manifest"):
        open_folder(tmp_path)


def test_the_size_of_every_array_is_that_of_the_image(own: Path):
    formats.write_mask(own / "a_visible.png", PART[:, :30])
    with pytest.raises(InputError, match=r"a_visible.png: got 30 x 24 pixels, allowed: 32 x 24"):
        open_folder(own, {"depth_unit": "mm"})[0]
