"""The verb `evaluate` through the real entry point: what it writes and says."""

import json

import pytest

from lookharder.cli import main


def test_evaluate_writes_scores_beside_trivial_ones(capsys, place):
    out = place / "scores" / "flow.json"
    line = f"evaluate --model {place}/model --task flow --data procedural:2:5 --size 32 --out {out}"
    assert main(line.split()) == 0
    scores = json.loads(out.read_text())
    assert len(scores["rows"]) == 2 and scores["protocol_hash"]
    assert scores["means"]["epe"]["low"] <= scores["means"]["epe"]["mean"]
    said = capsys.readouterr().out
    for word in ("epe", "zero", "lower", f"{scores['means']['epe']['mean']:.3f}"):
        assert word in said


def test_rounded_weights_are_noted(place):
    line = "evaluate --model model --task flow --data procedural:1:5 --size 32 --out s.json"
    assert main([*line.split(), "--precision", "bf16"]) == 0
    assert json.loads((place / "s.json").read_text())["options"]["precision"] == "bf16"


def test_mirrored_members_are_two_and_said(place):
    line = "evaluate --model model --task depth --data procedural:2:5 --size 32 --mirror --calibration --out s.json"
    assert main(line.split()) == 0
    found = json.loads((place / "s.json").read_text())
    assert (found["members"], found["options"]) == (2, {"mirror": True})
    assert json.loads((place / "s.calibration.json").read_text())["members"] == 2


def test_calibration_is_written_beside_the_scores_and_printed(capsys, place):
    line = "evaluate --model model --task flow --data procedural:3:5 --size 32 --members 2 --calibration --out s.json"
    assert main(line.split()) == 0
    found = json.loads((place / "s.calibration.json").read_text())
    scores = json.loads((place / "s.json").read_text())
    assert found["protocol_hash"] == scores["protocol_hash"]
    assert found["members"] == 2 and [row["name"] for row in found["rows"]] == [
        row["name"] for row in scores["rows"]
    ]
    assert found["means"]["error"]["mean"] > 0
    said = capsys.readouterr().out
    for word in ("AUSE", f"{found['means']['aurg']['mean']:.3f}", "bound, spread", "s.calibration"):
        assert word in said
    pytest.importorskip("matplotlib")
    assert (place / "s.calibration.png").read_bytes().startswith(b"\x89PNG")


def test_calibration_takes_the_sampler_of_the_scores_and_several_members(capsys, place):
    line = "evaluate --model model --task flow --data procedural:2:5?fit=24x40 --calibration --out h.json"
    options = {"sampler": "euler", "processing_resolution": 16, "fit": "square", "merge": "mean"}
    asked = "--members 2 --merge mean --sampler euler --resolution 16 --fit square"
    assert main([*line.split(), *asked.split()]) == 0
    for name in ("h.json", "h.calibration.json"):
        assert json.loads((place / name).read_text())["options"] == options
    for more, argument in (
        ("--members 1", "--members"),
        ("--members 2 --merge marigold", "--merge"),
        ("--members 2 --data procedural:1:5", "--data"),
    ):
        assert main([*line.split(), *more.split()]) == 2
        assert argument in capsys.readouterr().err


def test_no_file_of_another_kind_is_replaced(place, capsys):
    """Scores replace scores, and differences differences, but neither the other, nor a picture."""
    line = "evaluate --model model --task depth --data procedural:2:5 --size 32 --out"
    picture = (place / "a.png").read_bytes()
    for name in ("s.json", "t.json", "s.json"):
        assert main([*line.split(), name]) == 0
    for _ in range(2):
        assert main(["compare", "s.json", "t.json", "--out", "d.json"]) == 0
    scores, differences = (place / "s.json").read_bytes(), (place / "d.json").read_bytes()
    for other in (
        [*line.split(), "a.png"],
        [*line.split(), "d.json"],
        ["compare", "s.json", "t.json", "--out", "s.json"],
    ):
        assert main(other) == 2
        assert "which holds something else, allowed: a new file" in capsys.readouterr().err
    assert (place / "a.png").read_bytes() == picture
    assert ((place / "s.json").read_bytes(), (place / "d.json").read_bytes()) == (
        scores,
        differences,
    )
