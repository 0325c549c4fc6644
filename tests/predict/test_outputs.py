"""Files of a prediction hold what was predicted, in the documented units, and names never collide."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookharder.data.formats import read_depth_png, read_flo, read_image, read_mask, read_npy
from lookharder.predict.effort import Effort
from lookharder.predict.files.batch import begin, finish, predict_files
from lookharder.predict.files.folder import hold
from lookharder.predict.files.outputs import file_names, write
from lookharder.predict.files.pictures import gather
from lookharder.predict.files.walk import Found, expand, unique_names
from lookharder.predict.inputs import TOGETHER
from lookharder.predict.predictor import Prediction, Predictor
from lookharder.tasks.depth import Depth
from lookharder.visualize.colours import (
    amodal_overlay,
    depth_to_rgb,
    flow_to_rgb,
    uncertainty_to_rgb,
)
from lookharder.visualize.views import VIEWS

RNG = np.random.default_rng(0)
H, W = 24, 32


def answer(task: str, members: int = 1, size: tuple[int, int] = (H, W)) -> Prediction:
    """Two answers of a call, all noise."""
    channels = {"depth": 1, "flow": 2, "amodal": 1}[task]
    values = RNG.random((2, *size, channels), np.float32)
    return Prediction(
        prediction=values > 0.5 if task == "amodal" else values,
        uncertainty=RNG.random((2, *size, 1), np.float32) if members > 1 else None,
        painting=RNG.integers(0, 256, (2, *size, 3), np.uint8),
        task=task,
        effort=Effort(steps=1, members=members),
        member_counts=(members,) * 2,
        resolution=size,
        seconds=1.0,
        macs=2,
    )


def pixels(height: int = H, width: int = W) -> dict[str, np.ndarray]:
    image, second = RNG.integers(0, 256, (2, 3, height, width), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[4:12, 4:12] = True
    return {"image": image, "second": second, "mask": mask}


@pytest.mark.parametrize("task", sorted(VIEWS))
@pytest.mark.parametrize("members", [1, 3])
def test_writes_exactly_the_files_it_names(tmp_path: Path, task, members):
    files = file_names(task, "photo", members > 1)
    write(tmp_path, files, answer(task, members), 1, pixels())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files.values())
    assert len(set(files.values())) == len(files)


def test_depth(tmp_path: Path):
    result = answer("depth", members=2)
    figures = write(tmp_path, file_names("depth", "x", True), result, 1, pixels())
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
    figures = write(tmp_path, file_names("flow", "x", False), result, 0, pixels())
    flow = np.moveaxis(result.prediction[0], -1, 0)
    assert (read_npy(tmp_path / "x.flow.npy") == flow).all()
    assert (read_flo(tmp_path / "x.flow.flo") == flow).all()
    coloured = np.moveaxis(read_image(tmp_path / "x.flow.vis.png"), 0, -1)
    assert (coloured == flow_to_rgb(flow)).all()
    assert figures["motion_max"] == pytest.approx(np.hypot(*flow).max(), rel=1e-6)


def test_amodal(tmp_path: Path):
    result, given_ = answer("amodal"), pixels()
    figures = write(tmp_path, file_names("amodal", "x", False), result, 0, given_)
    whole = result.prediction[0, ..., 0]
    assert (read_npy(tmp_path / "x.amodal.npy") == whole).all()
    assert (read_mask(tmp_path / "x.amodal.png") == whole).all()
    painted = np.moveaxis(read_image(tmp_path / "x.amodal.whole.png"), 0, -1)
    assert (painted == result.painting[0]).all()
    assert figures["found_pixels"] == (whole & ~given_["mask"]).sum()


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
    write(tmp_path, file_names("depth", "x", False), result, 0, pixels(60, 2000))
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
    inputs, refused = gather(Depth(), [str(tmp_path)], {})
    assert len(inputs) > TOGETHER and not refused
    out = tmp_path / "out"
    predictor = Predictor.from_pretrained(random_model)
    with hold(out) as folder:
        begin(folder, inputs, unsure=False)
        made = list(predict_files(predictor, inputs, folder, num_inference_steps=1))
        finish(folder, inputs)
    assert sorted(item.name for item, _ in made) == [item.name for item in inputs]
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [line["input"] for line in lines] == [str(item.image) for item in inputs]
    whole = predictor([item.read()["image"] for item in inputs[:1]], num_inference_steps=1)
    assert lines[0]["macs"] == whole.macs  # of one picture, not of its group
    assert lines[0]["meaning"] == VIEWS["depth"].meaning["meaning"]
    assert "uncertainty_meaning" not in lines[0]
    assert "00%20%23%C3%A9.depth.vis.png" in (out / "index.html").read_text(encoding="utf-8")
