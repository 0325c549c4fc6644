"""Readers of the large sets, on files written here in the published layouts."""

import csv
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lookharder.data import formats
from lookharder.data.readers import examine, imagenet, open_data, shards
from lookharder.data.readers.hypersim import measure, open_hypersim
from lookharder.data.readers.imagenet import center_crop, open_imagenet
from lookharder.data.readers.vkitti2 import open_vkitti2
from lookharder.errors import InputError

RNG = np.random.default_rng(11)


def picture(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (3, height, width), dtype=np.uint8)


def test_the_crop_halves_by_boxes_and_keeps_the_middle():
    """4 x too large: two exact means of 2 x 2, and the bicubic step has nothing left to do."""
    flat = np.repeat(np.repeat(picture(9, 9) // 4 * 4, 4, 1), 4, 2)
    np.testing.assert_array_equal(center_crop(flat, 9), flat[:, ::4, ::4])
    wide, tall = picture(10, 15), picture(17, 10)
    np.testing.assert_array_equal(center_crop(wide, 10), wide[:, :, 2:12])  # floor(5 / 2) = 2
    np.testing.assert_array_equal(center_crop(tall, 10), tall[:, 3:13])
    assert center_crop(picture(1, 3), 8).shape == (3, 8, 8)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Seven pictures of three classes, one of them without pictures."""
    root = tmp_path / "train"
    sizes = {"n02": [(20, 30), (64, 40), (17, 17)], "n01": [(40, 40), (9, 50)], "n03": []}
    for name, several in sizes.items():
        (root / name).mkdir(parents=True)
        for number, (height, width) in enumerate(several):
            formats.write_image(root / name / f"{name}_{number}.JPEG", picture(height, width))
    (root / "n02" / "notes.txt").write_text("no picture")
    (root / "n04").mkdir()
    for number in range(2):
        formats.write_image(root / "n04" / f"n04_{number}.png", picture(16, 24))
    return root


def pack(
    path: Path, members: list[tuple[str, bytes]], kind: int = tarfile.USTAR_FORMAT, **how: str
) -> Path:
    with tarfile.open(path, "w", format=kind) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in how.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return path


def shard(root: Path, folders: Path, kind: int = tarfile.USTAR_FORMAT, prefix: str = "") -> Path:
    """The pictures of class folders as two shards in webdataset's naming."""
    root.mkdir()
    members = []
    for label, name in enumerate(sorted(path.name for path in folders.iterdir())):
        for path in sorted((folders / name).glob("n*")):
            if path.suffix != ".txt":
                suffix = path.suffix.lower().replace("jpeg", "jpg")
                members.append(
                    [
                        (f"{prefix}{path.stem}{suffix}", path.read_bytes()),
                        (f"{prefix}{path.stem}.cls", str(label).encode()),
                        (f"{prefix}{path.stem}.json", b"{}"),
                    ]
                )
    for number, part in enumerate((members[:4], members[4:])):
        pack(root / f"train-{number:06d}.tar", [m for group in part for m in group], kind)
    return root


KINDS = [
    (tarfile.USTAR_FORMAT, ""),
    (tarfile.GNU_FORMAT, "./" + "deep/" * 30),  # longer than a header holds
    (tarfile.PAX_FORMAT, "ä/" + "deep/" * 60),
]


@pytest.mark.parametrize(("kind", "prefix"), KINDS)
def test_folders_and_shards_are_one_set(folders: Path, tmp_path: Path, kind: int, prefix: str):
    one = open_data(f"imagenet:{folders}?side=16")
    two = open_data(f"imagenet:{shard(tmp_path / 'shards', folders, kind, prefix)}?side=16")
    assert len(one) == len(two) == 7
    assert [one[i].label for i in range(7)] == [0, 0, 1, 1, 1, 3, 3]  # n03 is a class, if empty
    assert one[2].name == "n02/n02_0.JPEG"
    assert two[5].name == f"train-000001/{prefix.removeprefix('./')}n04_0"
    for i in (6, 0, 3, 1, 5, 4, 2):
        np.testing.assert_array_equal(one[i].image, two[i].image)
        assert one[i].image.shape == (3, 16, 16) and one[i].label == two[i].label
    for data in (one, two):
        with pytest.raises(IndexError):
            data[7]


def test_the_index_is_made_once_and_again_when_a_shard_changes(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = shard(tmp_path / "shards", folders)
    walked = []

    def counting(path: Path) -> list[shards.Sample]:
        walked.append(path.name)
        return real(path)

    real = shards.walk
    monkeypatch.setattr(shards, "walk", counting)
    names = [open_imagenet(root, 16)[i].name for i in range(7)]
    assert walked[:2] == ["train-000000.tar", "train-000001.tar"] and len(walked) == 2
    victim = root / "train-000001.tar"
    os.utime(victim, ns=(1, 1))
    again = open_imagenet(root, 16)
    assert len(walked) == 4 and [again[i].name for i in range(7)] == names
    index = root / shards.INDEX
    for place in (0, 40, len(index.read_bytes()) // 2):
        damaged = bytearray(index.read_bytes())
        damaged[place] ^= 16
        index.write_bytes(damaged)
        assert [open_imagenet(root, 16)[i].name for i in range(7)] == names
    whole = formats.read_npz(index)
    for name, value in (  # forged: beyond the shards, beyond a shard, without end, of another length
        ("shard", 2), ("shard", -1), ("offset", 10**9), ("size", -1), ("size", 2**40), ("label", -7), ("size", None),
    ):  # fmt: skip
        forged = dict(whole)
        column = whole[name].astype(np.int64)
        forged[name] = column[1:] if value is None else np.full_like(column, value)
        np.savez(index, **forged)
        assert [open_imagenet(root, 16)[i].name for i in range(7)] == names
    stale = open_imagenet(root, 16)
    victim.write_bytes(victim.read_bytes()[:700])
    with pytest.raises(InputError, match=r"train-000001\.tar: got \d+ bytes of n04_1"):
        stale[6]
    with pytest.raises(InputError, match=r"train-000001\.tar: got 700 bytes"):
        open_imagenet(root, 16)


def test_every_length_but_the_right_ones_is_refused(tmp_path: Path):
    data = [("a.png", RNG.bytes(700)), ("a.cls", b"0"), ("b.png", RNG.bytes(512)), ("b.cls", b"1")]
    path = pack(tmp_path / "x-000000.tar", data)
    whole = path.read_bytes()
    bare = 512 * (4 + 2 + 1 + 1 + 1 + 2)  # headers, pictures, labels, end
    assert len(whole) == 10_240
    for length in {*range(0, bare + 600, 64), bare - 1, bare + 1, 10_239}:
        path.write_bytes(whole[:length])
        if length == bare:
            assert len(shards.walk(path)) == 2
            continue
        with pytest.raises(InputError, match=r"x-000000\.tar: got"):
            shards.walk(path)
    for more in (1, 512, 10_240):
        path.write_bytes(whole + bytes(more))
        with pytest.raises(InputError, match=f"{10_240 + more} bytes, allowed: {bare} or 10240"):
            shards.walk(path)
    path.write_bytes(whole[:-1] + b"\1")
    with pytest.raises(InputError, match="zeros after the last member"):
        shards.walk(path)
    for place in (3, 130, 512 * 3 + 130, 512 * 5 + 40):  # names, sizes: the headers' checksums
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x-000000\.tar"):
            shards.walk(path)


@pytest.mark.parametrize(
    ("members", "how", "message"),
    [
        ([("a.png", b"x")], {}, r"\[a\].*one picture and one .cls"),
        ([("a.cls", b"1")], {}, r"\[a\]"),
        ([("a.png", b"x"), ("a.jpg", b"x"), ("a.cls", b"1")], {}, r"\[a\]"),
        ([("a.png", b"x"), ("a.PNG", b"x"), ("a.cls", b"1")], {}, "a.png twice"),
        ([("a.png", b"x"), ("a.cls", b"cat")], {}, r"a.cls\]: got b'cat'"),
        ([("a.png", b"x"), ("a.cls", b"-1")], {}, r"a.cls\]"),
        ([("noextension", b"x")], {}, "KEY.EXTENSION"),
        ([("a.png", b"")], {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "no plain file"),
    ],
)
def test_hostile_members(tmp_path: Path, members: list, how: dict, message: str):
    with pytest.raises(InputError, match=message):
        shards.walk(pack(tmp_path / "x.tar", members, **how))


def test_no_pictures(tmp_path: Path):
    (tmp_path / "class").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        open_imagenet(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_imagenet(tmp_path / "absent")
    with pytest.raises(InputError, match="side: got 4"):
        open_imagenet(tmp_path, 4)


def stored_flow(flow: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Virtual KITTI 2's documented encoding: [-1, 1] of the frame on [0, 2^16 - 1]; OpenCV's B, G, R."""
    height, width = valid.shape
    share = np.stack([flow[0] / (width - 1), flow[1] / (height - 1)]).astype(np.float64)
    u, v = np.round((share + 1) / 2 * 65535)
    return np.stack([valid * 65535, v, u], -1).astype(np.uint16)


@pytest.fixture
def drive(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    """Three frames of one drive, and their depth, flow and where that is known."""
    height, width = 12, 40
    frames = tmp_path / "Scene01" / "15-deg-left" / "frames"
    for kind in ("rgb", "depth", "forwardFlow"):
        (frames / kind / "Camera_0").mkdir(parents=True)
    centimetres = RNG.integers(300, 20_000, (3, height, width)).astype(np.uint16)
    centimetres[:, :3] = 65535
    flow = RNG.uniform(-11, 11, (2, height, width)).astype(np.float32)
    known = RNG.random((height, width)) < 0.8
    for number in range(3):
        formats.write_image(
            frames / "rgb" / "Camera_0" / f"rgb_{number:05d}.jpg", picture(height, width)
        )
        depth = frames / "depth" / "Camera_0" / f"depth_{number:05d}.png"
        assert cv2.imwrite(str(depth), centimetres[number])
        if number < 2:
            path = frames / "forwardFlow" / "Camera_0" / f"flow_{number:05d}.png"
            assert cv2.imwrite(str(path), stored_flow(flow, known))
    return tmp_path, centimetres, flow, known


def test_vkitti2(drive: tuple[Path, np.ndarray, np.ndarray, np.ndarray]):
    root, centimetres, flow, known = drive
    data = open_data(f"vkitti2:{root}")
    assert [data[i].name for i in range(len(data))] == [
        "Scene01/15-deg-left/Camera_0/00000",
        "Scene01/15-deg-left/Camera_0/00001",
    ]
    example = data[1]
    sky = centimetres[1] == 65535
    np.testing.assert_array_equal(example.depth_valid, ~sky)
    np.testing.assert_allclose(example.depth[~sky], centimetres[1][~sky] / 100, rtol=1e-6)
    assert not example.depth[sky].any()
    np.testing.assert_array_equal(example.flow_valid, known)
    for axis, side in enumerate((40, 12)):  # half a level, and float32's rounding of 11 pixels
        error = np.abs(example.flow[axis] - flow[axis])[known]
        assert error.max() <= (side - 1) / 65535 + 4e-6
    assert not example.flow[:, ~known].any()
    frames = root / "Scene01" / "15-deg-left" / "frames" / "rgb" / "Camera_0"
    np.testing.assert_array_equal(example.second, formats.read_image(frames / "rgb_00002.jpg"))


def test_vkitti2_options(drive: tuple[Path, np.ndarray, np.ndarray, np.ndarray]):
    root, centimetres, _, _ = drive
    depth = open_data(f"vkitti2:{root}?labels=depth&far=80")
    assert len(depth) == 3 and depth[2].flow is None and depth[2].second is None
    np.testing.assert_array_equal(depth[2].depth_valid, centimetres[2] < 8000)
    assert open_vkitti2(root, "flow")[0].depth is None
    assert len(open_vkitti2(root, scene="Scene01", variation="15-deg-left")) == 2
    for spec, message in (
        ("?labels=normals", "labels: got 'normals'"),
        ("?far=-1", "far"),
        ("?camera=left", "camera=left"),
        ("?scene=Scene02", "no file Scene02"),
        ("?colour=red", "colour.*options of vkitti2: labels, scene"),
    ):
        with pytest.raises(InputError, match=message):
            open_data(f"vkitti2:{root}{spec}")
    (root / "Scene01/15-deg-left/frames/forwardFlow/Camera_0/flow_00001.png").unlink()
    with pytest.raises(InputError, match=r"flow_00001.png: got no such file"):
        open_vkitti2(root)[1]


FRAMES = {  # name: least and most depth (mm), least and most of the picture, invalid pixels of 100, kept
    "good": (1000, 4000, 0, 255, 0, True),
    "level": (1000, 1500, 100, 110, 0, True),  # each at its bound
    "flat": (1000, 1499, 0, 255, 0, False),
    "grey": (1000, 4000, 100, 109, 0, False),
    "holes": (1000, 4000, 0, 255, 3, True),
    "more_holes": (1000, 4000, 0, 255, 4, False),
}


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Marigold's layout with both lists; the statistics are those that its script writes."""
    (tmp_path / "ai_001_001").mkdir()
    rows = []
    for name, (near, far, dark, bright, holes, _) in FRAMES.items():
        depth = np.linspace(near, far, 100).round().reshape(10, 10) / 1000
        depth.flat[50 : 50 + holes] = 0
        image = np.full((3, 10, 10), bright, np.uint8)
        image[1, 2, 3] = dark
        paths = [f"ai_001_001/{kind}_{name}.png" for kind in ("rgb", "depth_plane")]
        formats.write_image(tmp_path / paths[0], image)
        formats.write_depth_png(tmp_path / paths[1], depth)
        stored = formats.read_depth_png(tmp_path / paths[1])
        rows.append(
            {
                "": len(rows),
                "scene_name": "ai_001_001",
                "rgb_path": paths[0],
                "rgb_min": dark,
                "rgb_max": float(bright),
                "depth_path": paths[1],
                "depth_min": stored.min(),
                "depth_max": stored.max(),
                "invalid_ratio": holes / 100,
            }
        )
    with (tmp_path / "meta.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    lines = [f"{row['rgb_path']} {row['depth_path']}" for row in rows]
    (tmp_path / "filename_list.txt").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.parametrize("listing", ["filename_list.txt", "meta.csv"])
def test_marigolds_filter(scenes: Path, listing: str):
    spec = f"hypersim:{scenes}?list={listing}"
    assert len(open_data(f"{spec}&keep=all")) == 6
    data = open_data(spec)  # Marigold's list is the default
    kept = [f"ai_001_001/rgb_{name}" for name, frame in FRAMES.items() if frame[-1]]
    assert [data[i].name for i in range(len(data))] == kept
    found = examine(spec)
    assert found.examples == 3
    first = 2 if listing == "meta.csv" else 1  # a header counts as a line
    for problem, (place, field, words) in zip(
        found.dropped,
        [(2, "depth", "0.499 m"), (3, "image", "range 9"), (5, "depth", "4.00% invalid")],
        strict=True,
    ):
        assert (problem.row, problem.field) == (place + first, field)
        assert words in problem.message and "ai_001_001/rgb_" in problem.message


def test_statistics_of_the_files_are_those_of_the_list(scenes: Path):
    rows = open_hypersim(scenes, keep="all").rows
    for row, (near, far, dark, bright, holes, _) in zip(rows, FRAMES.values(), strict=True):
        least = 0 if holes else near
        found = measure(row)
        assert found.depth_range == pytest.approx((far - least) / 1000, abs=1e-6)
        assert (found.rgb_range, found.invalid) == (float(bright - dark), holes / 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rgb_path,depth_path\na,b\n", "line 2.*depth_min"),
        ("rgb_path,depth_path,depth_min,depth_max,rgb_min,rgb_max,invalid_ratio\na,b,0,x,0,9,0\n",
         "line 2"),
        ("rgb_path,depth_path,depth_min,depth_max,rgb_min,rgb_max,invalid_ratio\na,b,0,nan,0,9,0\n",
         "line 2.*finite"),
    ],
)  # fmt: skip
def test_bad_lists(tmp_path: Path, text: str, message: str):
    (tmp_path / "meta.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        open_hypersim(tmp_path, "meta.csv", "marigold")


def test_the_filter_on_real_frames(shared: Callable[[str], Path]):
    root = shared("data/hypersim/val")
    assert len(open_data(f"hypersim:{root}")) == len(open_data(f"hypersim:{root.parent}")) == 2
    assert examine(f"hypersim:{root}").problems == []
    with pytest.raises(InputError, match="keep: got 'some'"):
        open_data(f"hypersim:{root}?keep=some")


def test_options_of_a_folder(tmp_path: Path):
    formats.write_image(tmp_path / "a.png", picture(8, 8))
    formats.write_depth_png(tmp_path / "a_depth.png", np.full((8, 8), 2.5))
    data = open_data(f"folder:{tmp_path}?depth_unit=mm&depth_max=9")
    np.testing.assert_array_equal(data[0].depth, np.full((8, 8), 2.5, np.float32))
    odd = tmp_path / "is it?"
    odd.mkdir()
    formats.write_image(odd / "b.png", picture(8, 8))
    assert len(open_data(f"folder:{odd}")) == 1
    for option in ("unit=mm", "depth_unit=mm&", "side=3"):
        with pytest.raises(InputError, match=r"--data: .*options of folder: depth_unit"):
            open_data(f"folder:{tmp_path}?{option}")
    with pytest.raises(InputError, match="side=big"):
        open_data("imagenet:x?side=big")


def test_examine_lists_every_fault(folders: Path, drive: tuple, tmp_path: Path):
    assert examine(f"imagenet:{folders}").problems == []
    broken = sorted(folders.rglob("*.JPEG"))[1::2]
    for path in broken:
        path.write_bytes(path.read_bytes()[:99])
    seen = []
    found = examine(f"imagenet:{folders}", seen.append, lambda: seen.append("tick"))
    assert seen == [7] + ["tick"] * 7
    assert found.examples == 7 and len(found.problems) == len(broken) == 2
    for problem, path in zip(found.problems, broken, strict=True):
        assert problem.message.startswith(f"{path}: got ") and ", allowed: " in problem.message
    packed = shard(tmp_path / "shards", folders)
    for path in packed.glob("*.tar"):
        path.write_bytes(path.read_bytes()[:-1])
    found = examine(f"imagenet:{packed}")
    assert [(problem.row, problem.field) for problem in found.problems] == [
        (1, "shard"),
        (2, "shard"),
    ]
    root = drive[0]
    (root / "Scene01/15-deg-left/frames/depth/Camera_0/depth_00001.png").write_bytes(b"no PNG")
    (problem,) = examine(f"vkitti2:{root}").problems
    assert (problem.row, problem.field) == (2, "depth") and "depth_00001.png" in problem.message


def test_a_member_larger_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = pack(tmp_path / "x.tar", [("a.png", bytes(2000)), ("a.cls", b"0")])
    monkeypatch.setattr(shards, "MAX_PICTURE", 1999)
    with pytest.raises(InputError, match="2000 bytes"):
        shards.walk(path)
    monkeypatch.setattr(shards, "MAX_PICTURE", 2000)
    assert imagenet.faults(tmp_path) == []
