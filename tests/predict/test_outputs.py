"""Files of a prediction hold what was predicted, in the documented units, and names never collide."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookharder.data.formats import (
    read_depth_png,
    read_exr,
    read_flo,
    read_image,
    read_kitti_flow,
    read_mask,
    read_npy,
    read_npz,
    read_pfm,
    read_tiff,
    write_exr,
)
from lookharder.errors import InputError
from lookharder.predict.effort import Effort
from lookharder.predict.files.batch import begin, finish, predict_files
from lookharder.predict.files.folder import hold
from lookharder.predict.files.pictures import check
from lookharder.predict.files.questions import ask
from lookharder.predict.files.walk import Found, expand, unique_names
from lookharder.predict.inputs import TOGETHER
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.tasks.depth import Depth
from lookharder.visualize.answer_files import Writing, file_names, write_answer
from lookharder.visualize.colours import (
    amodal_overlay,
    depth_to_rgb,
    flow_to_rgb,
    uncertainty_to_rgb,
)
from lookharder.visualize.formats import FORMATS
from lookharder.visualize.points import Lens, write_glb, write_ply
from lookharder.visualize.views import VIEWS

RNG = np.random.default_rng(0)
H, W = 24, 32
USUAL = Writing()


def answer(task: str, members: int = 1, size: tuple[int, int] = (H, W)) -> Prediction:
    """Two answers of a call, all noise."""
    channels = {"depth": 1, "flow": 2, "amodal": 1}[task]
    values = RNG.random((2, *size, channels), np.float32)
    masks = tuple(torch.from_numpy(RNG.random((2, members, 1, *size)) > 0.5))
    return Prediction(
        prediction=values > 0.5 if task == "amodal" else values,
        uncertainty=RNG.random((2, *size, 1), np.float32) if members > 1 else None,
        painted=torch.from_numpy(RNG.uniform(-1, 1, (2, 3, *size)).astype(np.float32)),
        task=task,
        effort=Effort(steps=1, members=members),
        member_counts=(members,) * 2,
        resolution=size,
        seconds=1.0,
        macs=2,
        masks=masks if task == "amodal" and members > 1 else None,
    )


def pixels(height: int = H, width: int = W) -> dict[str, np.ndarray]:
    image, second = RNG.integers(0, 256, (2, 3, height, width), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[4:12, 4:12] = True
    return {"image": image, "second": second, "mask": mask}


def files_of(task: str, unsure: bool = False, writing: Writing = USUAL) -> dict[str, str]:
    return file_names(task, VIEWS[task], "x", unsure, writing)


def write(
    out: Path, result: Prediction, index: int, given: dict, writing: Writing = USUAL
) -> dict[str, int | float]:
    unsure, view = result.uncertainty is not None, VIEWS[result.task]
    files = files_of(result.task, unsure, writing)
    return write_answer(out, files, result.task, view, result.answer(index, given), writing)


@pytest.mark.parametrize("task", sorted(VIEWS))
@pytest.mark.parametrize("members", [1, 3])
def test_writes_exactly_the_files_it_names(tmp_path: Path, task, members):
    writing = Writing(beside=True, clouds=("ply", "glb") if task == "depth" else ())
    files = files_of(task, members > 1, writing)
    write(tmp_path, answer(task, members), 1, pixels(), writing)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files.values())
    assert len(set(files.values())) == len(files)


def test_depth(tmp_path: Path):
    result = answer("depth", members=2)
    figures = write(tmp_path, result, 1, pixels())
    depth, unsure = result.prediction[1, ..., 0], result.uncertainty[1, ..., 0]
    stored = read_npy(tmp_path / "x.depth.npy")
    assert stored.dtype == np.float32 and (stored == depth).all()
    # 16 bits: to half of 1/65535, by the scale that the record documents
    assert np.abs(read_depth_png(tmp_path / "x.depth.png", 65535.0) - depth).max() < 0.51 / 65535
    coloured = np.moveaxis(read_image(tmp_path / "x.depth.vis.png"), 0, -1)
    assert (coloured == depth_to_rgb(depth)).all()
    assert (read_npy(tmp_path / "x.depth.uncertainty.npy") == unsure).all()
    coloured = np.moveaxis(read_image(tmp_path / "x.depth.uncertainty.vis.png"), 0, -1)
    assert (coloured == uncertainty_to_rgb(unsure)).all()
    assert figures["uncertainty_mean"] == pytest.approx(unsure.mean(), rel=1e-5)


def test_flow(tmp_path: Path):
    result = answer("flow")
    figures = write(tmp_path, result, 0, pixels())
    flow = np.moveaxis(result.prediction[0], -1, 0)
    assert (read_npy(tmp_path / "x.flow.npy") == flow).all()
    assert (read_flo(tmp_path / "x.flow.flo") == flow).all()
    coloured = np.moveaxis(read_image(tmp_path / "x.flow.vis.png"), 0, -1)
    assert (coloured == flow_to_rgb(flow)).all()
    assert figures["motion_max"] == pytest.approx(np.hypot(*flow).max(), rel=1e-6)


def test_amodal(tmp_path: Path):
    result, given_ = answer("amodal"), pixels()
    figures = write(tmp_path, result, 0, given_)
    whole = result.prediction[0, ..., 0]
    assert (read_npy(tmp_path / "x.amodal.npy") == whole).all()
    assert (read_mask(tmp_path / "x.amodal.png") == whole).all()
    painted = np.moveaxis(read_image(tmp_path / "x.amodal.whole.png"), 0, -1)
    assert (painted == result.painting[0]).all()
    with Image.open(tmp_path / "x.amodal.cutout.png") as image:
        cutout = np.asarray(image)
    assert ((cutout[..., 3] > 0) == whole).all() and (cutout[..., :3] == painted).all()
    assert figures["found_pixels"] == (whole & ~given_["mask"]).sum()


def test_every_member_of_a_hidden_object_is_shown(tmp_path: Path):
    """Six small copies, four in a row, each with its own mask over the picture."""
    result, given_ = answer("amodal", members=6), pixels()
    write(tmp_path, result, 1, given_)
    sheet = np.moveaxis(read_image(tmp_path / "x.amodal.members.vis.png"), 0, -1)
    assert sheet.shape == (4 + 2 * (H + 4), 4 + 4 * (W + 4), 3)
    assert result.masks is not None
    for place, mask in enumerate(result.masks[1][:, 0].numpy()):
        top, left = 4 + place // 4 * (H + 4), 4 + place % 4 * (W + 4)
        cell = sheet[top : top + H, left : left + W]
        assert (cell == amodal_overlay(given_["image"], given_["mask"], mask)).all()
    assert (sheet[-H - 4 :, 4 + 2 * (W + 4) :] == 255).all(), "no seventh"


READ = {  # of each format, in the axes of the array
    "npy": read_npy,
    "npz": lambda path: next(iter(read_npz(path).values())),
    "pfm": lambda path: read_pfm(path)[: 2 if "flow" in path.name else None],
    "exr": lambda path: _stacked(read_exr(path)),
    "tiff": read_tiff,
    "png16": lambda path: read_depth_png(path, 65535.0),
    "flo": read_flo,
    "kitti-png": lambda path: read_kitti_flow(path)[0],
    "png": read_mask,
}
ROUNDED = {"png16": 0.51 / 65535, "kitti-png": 0.51 / 64}


def _stacked(channels: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([channels["u"], channels["v"]]) if "u" in channels else channels["Y"]


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("task", sorted(VIEWS))
def test_every_format_reads_back_equal(tmp_path: Path, task, name):
    row, writing = FORMATS[name], Writing(formats=(name,))
    if row.tasks and task not in row.tasks:
        with pytest.raises(InputError, match="--format"):
            files_of(task, writing=writing)
        return
    result = answer(task)
    write(tmp_path, result, 0, pixels(), writing)
    array = VIEWS[task].array(np.moveaxis(result.prediction[0], -1, 0))
    read = READ[name](tmp_path / files_of(task, writing=writing)[row.role])
    assert read.shape == array.shape and (read.dtype == array.dtype)
    if name in ROUNDED:
        assert np.abs(read - array).max() <= ROUNDED[name]
    else:
        assert (read == array).all()


def test_exr_is_what_others_read(tmp_path: Path):
    """Its bytes, by the published layout; and by the library of the format where that is installed."""
    values = RNG.random((3, 5), np.float32)
    write_exr(tmp_path / "x.exr", {"Y": values})
    data = (tmp_path / "x.exr").read_bytes()
    assert data[:8] == bytes([0x76, 0x2F, 0x31, 0x01, 2, 0, 0, 0])
    assert data[-20:] == values[-1].astype("<f4").tobytes()
    library = pytest.importorskip("OpenEXR")
    with library.File(str(tmp_path / "x.exr")) as file:
        assert (file.channels()["Y"].pixels == values).all()


@pytest.mark.parametrize("inverse", [False, True])
def test_points_lie_where_the_lens_puts_them(tmp_path: Path, inverse):
    depth = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    lens, picture = Lens(fov=90.0, near=2.0, far=4.0), pixels(3, 4)["image"]
    write_ply(tmp_path / "x.ply", depth, picture, lens, inverse)
    head, _, data = (tmp_path / "x.ply").read_bytes().partition(b"end_header\n")
    assert b"element vertex 12\n" in head and b"assumed" in head
    kinds = [("xyz", "<f4", 3), ("rgb", "u1", 3)]
    points = np.frombuffer(data, kinds)
    z = points["xyz"][:, 2]
    assert (z.min(), z.max()) == (2, 4) and (z[0] == 4) == inverse
    np.testing.assert_allclose(points["xyz"][0], z[0] * np.array([-0.75, -0.5, 1]), rtol=1e-6)
    assert (points["rgb"] == picture.reshape(3, -1).T).all()

    write_glb(tmp_path / "x.glb", depth, picture, lens, inverse)
    trimesh = pytest.importorskip("trimesh")
    (cloud,) = trimesh.load(tmp_path / "x.glb").geometry.values()
    np.testing.assert_allclose(cloud.vertices, points["xyz"] * [1, -1, -1], rtol=1e-6)
    assert (cloud.colors[:, :3] == points["rgb"]).all()


def test_overlay_tints_given_and_found_apart():
    grey = np.full((3, 2, 3), 100, np.uint8)
    visible = np.array([[1, 0, 0], [0, 0, 0]], bool)
    whole = np.array([[1, 1, 0], [0, 0, 0]], bool)
    tinted = amodal_overlay(grey, visible, whole)
    assert tinted[0, 0].argmax() == 2  # blue
    assert tinted[0, 1].argmax() == 0  # red
    assert (tinted[1] == 100).all() and (tinted[0, 2] == 100).all()


def test_previews_of_large_pictures_are_small(tmp_path: Path):
    result = answer("depth", size=(60, 2000))
    write(tmp_path, result, 0, pixels(60, 2000))
    assert read_image(tmp_path / "x.depth.input.jpg").shape == (3, 27, 900)
    assert read_image(tmp_path / "x.depth.vis.png").shape == (3, 60, 2000)


@given(
    st.lists(st.sampled_from(["a.png", "a.jpg", "A.png", "a-2.png", "b/a.png", "b"]), max_size=9)
)
def test_names_are_unique_even_where_case_is_not_told_apart(names):
    unique = unique_names([Found(path=Path(name), name=Path(name).stem) for name in names], {})
    assert len({name.casefold() for name in unique}) == len(names)
    if names:
        assert unique[0] == Path(names[0]).stem


def test_expanding_folders_patterns_and_odd_names(tmp_path: Path):
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "x[1].png"):
        (tmp_path / name).touch()

    def paths(pattern: str) -> list[Path]:
        return [found.path for found in expand("IMAGE", [pattern])]

    assert [path.name for path in paths(str(tmp_path))] == ["a.jpg", "b.PNG", "x[1].png"]
    assert paths(f"{tmp_path}/?.*") == [tmp_path / "a.jpg", tmp_path / "b.PNG"]
    assert paths(f"{tmp_path}/x[1].png") == [tmp_path / "x[1].png"]
    assert paths("missing.png") == [Path("missing.png")]


def test_many_inputs_come_back_in_order(tmp_path: Path, random_model: Path):
    sizes = [(16, 16), (16, 24), (16, 16)] * 7
    for i, size in enumerate(sizes):
        image = RNG.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / f"{i:02d} #é.png")
    inputs, refused = check(Depth(), ask(Depth(), [str(tmp_path)], {}))
    assert len(inputs) > TOGETHER and not refused
    out = tmp_path / "out"
    predictor = Predictor.from_pretrained(random_model)
    with hold(out) as folder:
        begin(folder, inputs, unsure=False, writing=USUAL)
        made = list(
            predict_files(predictor, inputs, inputs, folder, writing=USUAL, num_inference_steps=1)
        )
        assert finish(folder, [("depth", item.name) for item in inputs])
    assert sorted(item.name for item, _ in made) == [item.name for item in inputs]
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [line["input"] for line in lines] == [str(item.image) for item in inputs]
    whole = predictor([item.read()["image"] for item in inputs[:1]], num_inference_steps=1)
    assert lines[0]["macs"] == whole.macs  # of one picture, not of its group
    assert lines[0]["meaning"] == VIEWS["depth"].meaning["meaning"]
    assert "uncertainty_meaning" not in lines[0]
    assert "00%20%23%C3%A9.depth.vis.png" in (out / "index.html").read_text(encoding="utf-8")
