"""The verb `predict` through the real entry point: what it writes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookharder.chain import Chain
from lookharder.cli import main
from lookharder.data.formats import read_flo, read_npy
from lookharder.errors import InputError
from lookharder.predict.effort import Effort
from lookharder.predict.settings import Setting, SettingsTable
from lookharder.seeding import torch_generator
from lookharder.visualize.answer_files import Writing, file_names
from lookharder.visualize.known import KnownDepths
from lookharder.visualize.views import view_of

PREDICT = "predict depth --model model --out out"


def test_predict_mixed_sizes_and_patterns(capsys, place):
    code = main(f"{PREDICT} [a-b].png other_size.png c.jpg --members 2 --steps 1".split())
    assert code == 0
    assert "4 depth predictions" in capsys.readouterr().out
    lines = (place / "out" / "predictions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["input"] for r in records] == ["a.png", "b.png", "other_size.png", "c.jpg"]
    for record in records:
        assert (record["steps"], record["members"], record["seed"]) == (1, 2, 0)
        assert all((place / "out" / file).exists() for file in record["files"].values())
        assert list(read_npy(place / "out" / record["files"]["array"]).shape) == record["shape"]


def test_predict_within_a_budget_says_what_it_chose(capsys, place):
    effort = Effort(steps=2, members=3)
    row = Setting(task="depth", resolution=32, effort=effort, error=0.2, low=0.1, high=0.3)
    shutil.copytree(place / "model", place / "measured")
    SettingsTable(data="scenes", errors={"depth": "AbsRel"}, rows=(row,)).write(place / "measured")
    line = "predict depth --model measured --out out a.png other_size.png --budget 5GMACs"
    assert main(line.split()) == 0
    assert "budget 5 GMACs: 2 steps x 3 members" in capsys.readouterr().out
    lines = (place / "out" / "predictions.jsonl").read_text().splitlines()
    for record in map(json.loads, lines):
        assert (record["steps"], record["members"]) == (2, 3)
        assert record["macs"] <= 5e9
        assert "AbsRel 0.2" in record["choice"]
        assert (place / "out" / record["files"]["uncertainty"]).exists()


def test_predict_until_certain_records_the_draws_of_each(place):
    assert main(f"{PREDICT} a.png b.png --until 1e-9 --members 5".split()) == 0
    assert main(f"{PREDICT} a.png b.png --until 1e9 --members 5 --sampler ddpm".split()) == 0
    lines = (place / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["members"] for line in lines] == [2, 2]


def test_predict_flow_and_amodal(capsys, place):
    pair = "predict flow a.png b.png --second b.png c.jpg --model model --out flow"
    assert main(pair.split()) == 0
    whole = "predict amodal a.png --mask mask.png --model model --out whole"
    assert main(whole.split()) == 0
    flow = read_flo(place / "flow" / "b.flow.flo")
    assert flow.shape == (2, 40, 56)
    assert (flow == read_npy(place / "flow" / "b.flow.npy")).all()
    assert read_npy(place / "whole" / "a.amodal.npy").dtype == np.bool_


def test_predictions_do_not_depend_on_company(place):
    assert main(["predict", "depth", "a.png", "--model", "model", "--out", "one"]) == 0
    assert (
        main(
            [
                "predict",
                "depth",
                "b.png",
                "c.jpg",
                "a.png",
                "--model",
                "model",
                "--out",
                "three",
            ]
        )
        == 0
    )
    alone, among = (read_npy(place / out / "a.depth.npy") for out in ("one", "three"))
    np.testing.assert_allclose(alone, among, atol=1e-5)


def test_predict_gives_disparity_where_the_model_knows_ratios(capsys, place):
    """In its colours near is red, as in those of depth."""
    config = json.loads((place / "model" / "config.json").read_text())
    shutil.copytree(place / "model", place / "relative")
    depth = next(task for task in config["tasks"] if task["name"] == "depth")
    depth |= {"space": "relative", "low": 0.0, "high": 1.0}
    (place / "relative" / "config.json").write_text(json.dumps(config))
    for output in ("depth", "disparity"):
        line = f"predict depth a.png --model relative --output {output} --out {output}"
        assert main(line.split()) == 0
    maps = [read_npy(place / name / "a.depth.npy") for name in ("depth", "disparity")]
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] < -0.5
    record = json.loads((place / "disparity" / "predictions.jsonl").read_text())
    assert "1 is near" in record["meaning"] and record["view"] == "disparity"
    assert "disparity: red is near" in (place / "disparity" / "index.html").read_text()
    for line, words in (
        ("predict depth a.png --model model --output disparity --out o", "--output"),
        (
            "predict flow a.png --second b.png --model relative --output log --out o",
            "it is for depth",
        ),
    ):
        assert main(line.split()) == 2
        assert words in capsys.readouterr().err


def test_predict_says_as_much_as_is_asked(capsys, place):
    for asked, words in (("--quiet", 0), ("--verbose", 3)):
        assert main(f"{PREDICT} a.png b.png {asked}".split()) == 0
        said = capsys.readouterr()
        assert said.out.count("\n") == words and said.err == ""
    assert main(f"{PREDICT} a.png b.png c.jpg --json".split()) == 0  # two of which are there
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(record["name"] for record in records) == ["a", "b", "c"]


def test_an_untrained_model_is_called_one(capsys, place):
    config = Chain.load(Path("model")).config
    Chain.build(config, torch_generator("fresh")).save(Path("fresh"), "# fresh\n")
    assert main(["predict", "depth", "a.png", "--model", "fresh", "--out", "out"]) == 0
    said = capsys.readouterr()
    assert "fresh is untrained" in said.err and ", seen at 32 x 24 pixels: " in said.out
    assert "Model fresh (untrained)" in Path("out/index.html").read_text()
    assert main(["predict", "depth", "a.png", "--model", "model", "--out", "trained"]) == 0
    assert "untrained" not in capsys.readouterr().err


def test_predict_writes_what_is_asked(place):
    line = f"{PREDICT} a.png --format pfm,exr --grey --beside --ply --glb --near-far 2,3"
    assert main(line.split()) == 0
    files = json.loads((place / "out" / "predictions.jsonl").read_text())["files"]
    assert {"pfm", "exr", "beside", "points", "points_glb"} < set(files) and "array" not in files
    with Image.open(place / "out" / files["picture"]) as image:
        red, green, blue = np.moveaxis(np.asarray(image), -1, 0)
    assert (red == green).all() and (green == blue).all()
    with Image.open(place / "out" / files["beside"]) as image:
        assert image.size == (112, 40)


def test_depth_in_metres_by_known_distances(capsys, place):
    known = [[3, 30, 1.0], [50, 4, 4.0], [20, 20, 2.5], [40, 10, 2.0]]
    Path("known.json").write_text(json.dumps(known))
    line = ["predict", "depth", "a.png", "--model", "model", "--metric", "known.json"]
    assert main([*line, "--out", "out"]) == 0
    depth, metres = read_npy(Path("out/a.depth.npy")), read_npy(Path("out/a.depth.metres.npy"))
    x, y, distances = np.array(known).T
    x, y = x.astype(int), y.astype(int)
    design = np.stack([depth[y, x].astype(float), np.ones(4)], 1)
    (scale, shift), *_ = np.linalg.lstsq(design, distances, rcond=None)
    np.testing.assert_allclose(metres, scale * depth + shift, atol=1e-4)
    left = np.sqrt(np.mean((design @ [scale, shift] - distances) ** 2))
    assert f"{left:.3g} m are left at 4 points" in capsys.readouterr().out
    writing = Writing(known=KnownDepths(points=((3, 30, 1.0), (5, 4, 4.0))))
    for view in ("log", "disparity"):
        with pytest.raises(InputError, match="--metric"):
            file_names("depth", view_of(view), "a", False, writing)
    far = depth.argmax() // 56, depth.argmax() % 56
    near = depth.argmin() // 56, depth.argmin() % 56
    grown = [[int(near[1]), int(near[0]), 2.0], [int(far[1]), int(far[0]), 7.0]]
    Path("known.json").write_text(json.dumps(grown))
    assert main([*line, "--out", "cloud", "--ply"]) == 0
    head, points = Path("cloud/a.depth.ply").read_bytes().split(b"end_header\n")
    assert b"metres, fitted to known distances" in head
    z = np.frombuffer(points, [("xyz", "<f4", 3), ("rgb", "u1", 3)])["xyz"][:, 2]
    np.testing.assert_allclose(z, read_npy(Path("cloud/a.depth.metres.npy")).ravel(), rtol=1e-5)
    capsys.readouterr()
    for wrong, words in (
        ([[*grown[0][:2], 7.0], [*grown[1][:2], 2.0]], "that do not grow with the predicted depth"),
        ([grown[0], grown[0]], "twice, allowed: one distance of a pixel"),
    ):
        Path("known.json").write_text(json.dumps(wrong))
        assert main([*line, "--out", "wrong"]) == 2
        assert words in capsys.readouterr().err and not Path("wrong").exists()
    Path("known.json").write_text("[[3, 30, 1], [56, 4, 4]]")
    assert main([*line, "--out", "outside"]) == 2
    assert "--metric: got 56,4, allowed: inside of 56 x 40" in capsys.readouterr().err


def test_predict_finds_the_visible_part_in_a_box(place):
    picture = np.random.default_rng(1).integers(0, 60, (40, 56, 3)).astype(np.uint8)
    picture[10:30, 20:40, 0] += 180
    Image.fromarray(picture).save("red.png")
    line = "predict amodal red.png red.png --box 15,5,45,35 18,8,42,32 --model model --out out"
    assert main(line.split()) == 0
    lines = (place / "out" / "predictions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["mask"] for record in records] == ["box 15,5,45,35", "box 18,8,42,32"]
    assert [record["visible_pixels"] for record in records] == [400, 400]
    assert 'class="compare"' in (place / "out" / "index.html").read_text()


def test_the_files_that_are_asked_for_and_no_others(place):
    predict = ["predict", "depth", "a.png", "--model", "model", "--members", "2", "--out"]
    assert main([*predict, "all"]) == 0
    whole = {path.name: path.read_bytes() for path in Path("all").iterdir()}
    for outputs, names in (
        ("array,vis", {"a.depth.npy", "a.depth.png", "a.depth.vis.png"}),
        ("uncertainty", {"a.depth.uncertainty.npy", "a.depth.uncertainty.vis.png"}),
        ("input", {"a.depth.input.jpg"}),
    ):
        assert main([*predict, outputs, "--outputs", outputs]) == 0
        found = {path.name: path.read_bytes() for path in Path(outputs).iterdir()}
        assert found.keys() == names | {"predictions.jsonl", "index.html"}
        assert all(found[name] == whole[name] for name in names)
    amodal = ["predict", "amodal", "a.png", "--mask", "mask.png", "--model", "model"]
    assert main([*amodal, "--out", "amodal", "--outputs", "vis,whole"]) == 0
    assert {path.name for path in Path("amodal").glob("a.*")} == {
        f"a.amodal.{kind}.png" for kind in ("vis", "whole", "cutout")
    }
