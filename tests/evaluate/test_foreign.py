"""Anyone's answers in files, scored as a model's are, and two files of scores set beside each other."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.places import within

from lookharder.cli import main
from lookharder.data import formats
from lookharder.data.source import open_spec
from lookharder.errors import InputError
from lookharder.evaluate.comparison import Scores, compare
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.evaluate.judge import Judge
from lookharder.files import say_once
from lookharder.predict.predictor import Predictor

RNG = np.random.default_rng(11)
SIDES = (24, 32)


def rooms(folder: Path, count: int = 3) -> list[np.ndarray]:
    """Pictures with depth, `count` of them; the depths."""
    folder.mkdir()
    depths = []
    for i in range(count):
        formats.write_image(
            within(folder / f"{i}.png"), RNG.integers(0, 256, (3, *SIDES), np.uint8)
        )
        depths.append(RNG.uniform(1, 9, SIDES).astype(np.float32))
        formats.write_npy(within(folder / f"{i}_depth.npy"), depths[-1])
    return depths


def abs_rel(answer: np.ndarray, depth: np.ndarray) -> float:
    """By least squares of numpy."""
    p, t = answer.ravel().astype(np.float64), depth.ravel().astype(np.float64)
    scale, shift = np.polyfit(p, t, 1)
    return float(np.mean(np.abs(np.clip(scale * p + shift, 1e-3, 80) - t) / t))


def score(tmp_path: Path, task: str, spec: str, folder: str, name: str = "s.json") -> dict:
    line = ["evaluate", "--task", task, "--data", spec, "--predictions", str(tmp_path / folder)]
    assert main([*line, "--out", str(tmp_path / name)]) == 0
    return json.loads((tmp_path / name).read_text())


def test_depth_of_any_format_is_paired_by_name(tmp_path: Path, capsys, caplog):
    say_once.cache_clear()
    depths, answers = rooms(tmp_path / "set"), []
    for i, kind in enumerate(("npy", "pfm", "png")):
        answer = (3 * depths[i] + RNG.normal(4, 2, SIDES)).astype(np.float32)
        path = tmp_path / "theirs" / (f"{i}.depth.{kind}" if kind == "npy" else f"{i}.{kind}")
        if kind == "npy":
            formats.write_npy(within(path), answer[None])
        elif kind == "pfm":
            formats.write_pfm(within(path), answer)
        else:
            answer = np.rint(1000 * answer.clip(0))
            formats.write_depth_png(within(path), answer, 1.0)
        answers.append(answer)
    formats.write_npy(within(tmp_path / "theirs" / "stranger.npy"), depths[0])
    found = score(tmp_path, "depth", f"folder:{tmp_path}/set", "theirs")
    expected = [abs_rel(a, d) for a, d in zip(answers, depths, strict=True)]
    assert [row["abs_rel"] for row in found["rows"]] == pytest.approx(expected, rel=1e-6)
    assert found["means"]["abs_rel"]["mean"] == pytest.approx(np.mean(expected), rel=1e-6)
    assert found["steps"] == 0 and "trivial.ramp.abs_rel" in found["means"]
    assert "stranger" in caplog.text
    assert "mean_map" in capsys.readouterr().out


def test_what_is_missing_or_of_another_size_is_refused(tmp_path: Path, capsys):
    depths = rooms(tmp_path / "set")
    formats.write_npy(within(tmp_path / "theirs" / "0.npy"), depths[0])
    line = f"evaluate --task depth --data folder:{tmp_path}/set --out {tmp_path}/s.json"
    asked = [*line.split(), "--predictions", str(tmp_path / "theirs")]
    assert main(asked) == 2
    assert "without 2 of 3 answers, the first 1.png" in capsys.readouterr().err
    for i in (1, 2):
        formats.write_npy(within(tmp_path / "theirs" / f"{i}.npy"), depths[i][:, 1:])
    assert main(asked) == 2
    assert "24x31 pixels, allowed: 24x32" in capsys.readouterr().err
    assert main([*asked, "--steps", "4"]) == 2
    assert "nothing beside --predictions" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert main([*line.split(), "--predictions", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "s.json").exists()


def test_flow_in_pixels(tmp_path: Path):
    flow = RNG.normal(0, 3, (2, *SIDES)).astype(np.float32)
    for frame in ("0", "0_second"):
        picture = RNG.integers(0, 256, (3, *SIDES), np.uint8)
        formats.write_image(within(tmp_path / "set" / f"{frame}.png"), picture)
    formats.write_flo(within(tmp_path / "set" / "0_flow.flo"), flow)
    answer = flow + np.float32(0.5)
    formats.write_npy(within(tmp_path / "a" / "0.npy"), np.moveaxis(answer, 0, -1))
    formats.write_flo(within(tmp_path / "b" / "0.flo"), answer)
    formats.write_kitti_flow(within(tmp_path / "c" / "0.png"), answer)
    for folder, off in (("a", 1e-6), ("b", 1e-6), ("c", 1 / 64)):
        found = score(tmp_path, "flow", f"folder:{tmp_path}/set", folder)["means"]
        assert found["epe"]["mean"] == pytest.approx(np.sqrt(0.5), abs=off)
        assert {"trivial.farneback.epe", "trivial.dis.epe"} <= found.keys()


def test_of_several_masks_the_majority_is_scored_and_the_best_beside_it(tmp_path: Path):
    whole = np.zeros(SIDES, bool)
    whole[4:20, 4:28] = True
    visible = whole.copy()
    visible[:, 16:] = False
    formats.write_image(within(tmp_path / "set" / "0.png"), np.full((3, *SIDES), 90, np.uint8))
    formats.write_mask(within(tmp_path / "set" / "0_visible.png"), visible)
    formats.write_mask(within(tmp_path / "set" / "0_amodal.png"), whole)
    answers = [visible, visible, whole]
    formats.write_mask(within(tmp_path / "theirs" / "0.0.png"), answers[0])
    formats.write_npy(within(tmp_path / "theirs" / "0.1.npy"), answers[1])
    painted = np.where(answers[2], 100, 255).astype(np.uint8)  # the object on white, of three greys
    painted[4, 4] = 250
    Image.fromarray(painted).save(within(tmp_path / "theirs" / "0.2.png"))
    found = score(tmp_path, "amodal", f"folder:{tmp_path}/set", "theirs")
    row = found["rows"][0]
    assert found["members"] == 3
    assert row["iou"] == row["trivial.visible.iou"] == pytest.approx(visible.sum() / whole.sum())
    assert row["iou_best_of_3"] == 1.0 and row["iou_invisible_best_of_3"] == 1.0


def test_of_a_model_s_members_too(random_model: Path):
    """The best by whoever knows the truth, of the masks that were merged, at the size of the picture."""
    predictor, world = Predictor.from_pretrained(random_model, "cpu"), open_spec("procedural:2", 48)
    asked = {"num_inference_steps": 1, "ensemble_size": 3, "seed": 0}
    example = world[1]
    masks = predictor.predict_examples([example], "amodal", **asked).masks
    assert [each.shape for each in masks] == [(3, 1, 48, 48)]
    overlaps = [
        float((mask & example.amodal).sum() / (mask | example.amodal).sum())
        for mask in masks[0][:, 0].numpy()
    ]
    rules = protocol("amodal", "procedural")
    found = evaluate(
        predictor, "amodal", world, data="world", rules=rules, steps=1, members=3, levels=1
    )
    assert found.rows[1]["iou_best_of_3"] == pytest.approx(max(overlaps))
    assert len(found.to_json()["pictures_sha256"]) == 64
    assert predictor.predict_examples([example], "depth", **asked).masks is None


def test_two_files_are_compared_image_by_image(tmp_path: Path, capsys):
    depths = rooms(tmp_path / "set", 8)
    for name, noise in (("a", 0.5), ("b", 2.0)):
        for i, depth in enumerate(depths):
            answer = depth + RNG.normal(0, noise, SIDES).astype(np.float32)
            formats.write_npy(within(tmp_path / name / f"{i}.npy"), answer)
    spec = f"folder:{tmp_path}/set"
    a, b = (score(tmp_path, "depth", spec, name, f"{name}.json") for name in "ab")
    capsys.readouterr()
    files = [str(tmp_path / f"{name}.json") for name in "ab"]
    assert main(["compare", *files, "--out", str(tmp_path / "d.json")]) == 0
    said = " ".join(capsys.readouterr().out.split())  # lines are cut to the terminal
    assert "8 images" in said and "A - B" in said
    found = {d["metric"]: d for d in json.loads((tmp_path / "d.json").read_text())["differences"]}
    gaps = [x["abs_rel"] - y["abs_rel"] for x, y in zip(a["rows"], b["rows"], strict=True)]
    mean, low, high = found["abs_rel"]["difference"]
    assert mean == pytest.approx(np.mean(gaps)) and low <= mean <= high < 0
    assert found["abs_rel"]["better"] == found["delta1"]["better"] == "A"
    assert main(["compare", files[0], files[0], "--out", str(tmp_path / "same.json")]) == 0
    same = json.loads((tmp_path / "same.json").read_text())["differences"]
    assert {d["better"] for d in same} == {"neither"}


def test_scores_that_were_not_taken_alike_are_not_compared(tmp_path: Path, capsys):
    for i, depth in enumerate(rooms(tmp_path / "set", 2)):
        formats.write_npy(within(tmp_path / "a" / f"{i}.npy"), depth)
    said = score(tmp_path, "depth", f"folder:{tmp_path}/set", "a")
    changes = {
        "protocol.max_depth 10.0, allowed: 80.0": {
            "protocol": {**said["protocol"], "max_depth": 10.0}
        },
        "1 images of one alone, the first 1.png": {"rows": said["rows"][:1]},
        "allowed: a file that `lookharder evaluate` writes": {"means": 1, "protocol": None},
    }
    for words, change in changes.items():
        other = {k: v for k, v in {**said, **change}.items() if v is not None}
        (tmp_path / "b.json").write_text(json.dumps(other))
        assert main(["compare", str(tmp_path / "s.json"), str(tmp_path / "b.json")]) == 2
        assert words in capsys.readouterr().err


def test_no_model_is_better_by_five_images(tmp_path: Path):
    """Each of the five differences is in A's favour; by chance alone they would be in 2 of 32 cases."""
    for name, noise in (("a", 0.2), ("b", 3.0)):
        for i, depth in enumerate(rooms(tmp_path / f"set-{name}", 5)):
            answer = depth + RNG.normal(0, noise, SIDES).astype(np.float32)
            formats.write_npy(within(tmp_path / name / f"{i}.npy"), answer)
    found = {}
    for name in "ab":
        said = score(tmp_path, "depth", f"folder:{tmp_path}/set-{name}", name, f"{name}.json")
        found[name] = Scores.read(tmp_path / f"{name}.json")
        assert len(said["rows"]) == 5
    gaps = {d.metric: d for d in compare(found["a"], found["b"])}
    assert gaps["abs_rel"].difference.high < 0 and gaps["abs_rel"].p == 2 / 2**5
    assert {gap.better for gap in gaps.values()} == {"neither"}


def test_objects_of_one_picture_have_names_and_answers_of_their_own(tmp_path: Path, capsys):
    folder, rows = tmp_path / "set", []
    formats.write_image(within(folder / "p.png"), RNG.integers(0, 256, (3, *SIDES), np.uint8))
    for i, width in enumerate((8, 16)):
        mask = np.zeros(SIDES, bool)
        mask[4:20, 2 : 2 + width] = True
        formats.write_mask(folder / f"{i}.png", mask)
        rows.append({"image": "p.png", "visible": f"{i}.png", "amodal": f"{i}.png"})
        formats.write_mask(within(tmp_path / "theirs" / ("p.png", "p#2.png")[i]), mask)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = score(tmp_path, "amodal", f"folder:{folder}", "theirs")
    assert [(row["name"], row["iou"]) for row in said["rows"]] == [("p.png", 1.0), ("p#2.png", 1.0)]
    (tmp_path / "theirs" / "p#2.png").unlink()
    line = ["evaluate", "--task", "amodal", "--data", f"folder:{folder}", "--predictions"]
    assert main([*line, str(tmp_path / "theirs"), "--out", str(tmp_path / "n.json")]) == 2
    assert "without 1 of 2 answers, the first p#2.png" in capsys.readouterr().err

    twice = {**said, "rows": [said["rows"][0]] * 2}
    (tmp_path / "twice.json").write_text(json.dumps(twice))
    with pytest.raises(InputError, match=r"two rows of p\.png"):
        Scores.read(tmp_path / "twice.json")
    first = open_spec(f"folder:{folder}", 64)[0]
    with pytest.raises(InputError, match=r"two examples named p\.png"):
        Judge("amodal", [first, first], "data", protocol("amodal", "folder"))
