"""What is on the figure: the lines are the medians, marks stand where something happened; the verb draws it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lookharder.cli import main
from lookharder.data.formats import read_image, write_image
from lookharder.errors import InputError
from lookharder.report.figures.runs import draw_runs, figure_of
from lookharder.training.monitor.history import final_losses, read_history, running_median

pytest.importorskip("matplotlib")
RNG = np.random.default_rng(0)


def write(folder: Path, count: int = 60, validated: bool = True, prediction: str = "x0") -> Path:
    """A run of two processes, with an update left out and a span excluded."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"chain": {"prediction": prediction}}))
    rows = []
    for i in range(1, count + 1):
        losses = {t: float(RNG.uniform(0.1, 1) / i) for t in ("depth", "flow", "amodal")}
        found = {"iteration": 10 * i, "loss": 0.1, "losses": losses, "grad_norm": 0.1, "lr": 1e-3}
        found |= {"seconds": 1.0, "time": 1000.0 + 10 * i, "busy_seconds": 9.0}
        found |= {"images_per_second": 30.0 + i % 3, "started": 1000.0 if i < 30 else 1295.0}
        if i == 20:
            found |= {"skipped": ["depth/a"], "loss": None, "grad_norm": None}
        if i == 40:
            found |= {"excluded": True, "losses": {}, "images_per_second": None}
        rows.append(found)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    if validated:
        lines = [{"iteration": 100 * i, "depth.ratio": 1.0 / i} for i in range(1, 7)]
        (folder / "validation.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    return folder


def panels(figure) -> dict:
    return {axis.get_title(loc="left"): axis for axis in figure.axes}


def test_the_figure_shows_what_the_rows_say(tmp_path):
    history = read_history(write(tmp_path / "a"))
    found = panels(figure_of([history]))
    assert list(found) == [
        "Training loss: depth",
        "Training loss: flow",
        "Training loss: amodal",
        "Validation: depth",
        "Learning rate",
        "Gradient",
        "Throughput",
    ]
    loss = found["Training loss: depth"]
    rows = [row for row in history.rows if not row.get("excluded")]
    values = np.array([row["losses"]["depth"] for row in rows])
    line = loss.lines[0].get_xydata()
    np.testing.assert_array_equal(line[:, 0], [row["iteration"] for row in rows])
    np.testing.assert_array_equal(line[:, 1], running_median(values))
    np.testing.assert_array_equal(loss.collections[0].get_offsets()[:, 1], values)
    words = [text.get_text() for text in loss.get_legend().get_texts()]
    assert words == [f"a: {final_losses(history)['depth']:.3g}"]
    assert (loss.get_ylabel(), loss.get_yscale()) == ("mean square error of x0", "log")
    assert found["Validation: depth"].lines[0].get_xydata()[-1].tolist() == [600, 1 / 6]
    crosses = found["Gradient"].collections[-1].get_offsets()
    assert crosses[:, 0].tolist() == [200]
    for axis in found.values():
        assert axis.get_xlabel() == "iteration" and axis.get_ylabel()
        dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert [line.get_xdata()[0] for line in dashed if len(line.get_xdata())] == [290]
        (span,) = axis.patches
        box = span.get_window_extent()
        edges = axis.transData.inverted().transform([(box.x0, box.y0), (box.x1, box.y0)])[:, 0]
        np.testing.assert_allclose(edges, [390, 400])


def test_runs_differ_by_colour_and_units_are_told_where_they_agree(tmp_path):
    folders = [write(tmp_path / "a", validated=False), write(tmp_path / "b", prediction="v")]
    found = panels(figure_of([read_history(folder) for folder in folders]))
    loss = found["Training loss: flow"]
    assert loss.get_ylabel() == "mean square error"
    assert len({line.get_color() for line in loss.lines[:2]}) == 2
    assert [text.get_text()[0] for text in loss.get_legend().get_texts()] == ["a", "b"]
    legend = [t.get_text() for t in found["Learning rate"].get_legend().get_texts()]
    assert legend == ["a", "b", "restart", "excluded"]


def test_a_run_that_ends_badly_is_on_the_figure(tmp_path):
    folder = write(tmp_path / "a")
    lines = [{"iteration": 100 * i, "flow.ratio": 30.0 / i} for i in range(1, 7)]
    (folder / "validation.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    ends = panels(figure_of([read_history(folder)]))["Validation: flow"].get_ylim()
    assert ends[0] == 0 and 5 < ends[1] < 30  # from 30 down to 5


def test_bad_paths_and_no_matplotlib(tmp_path, monkeypatch):
    history = read_history(write(tmp_path / "a", count=3, validated=False))
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for path in ("figure.jpeg2", "figure", "file/figure.png", "folder.png"):
        with pytest.raises(InputError, match="--out"):
            draw_runs([history], tmp_path / path)
    with pytest.raises(InputError, match="RUN"):
        draw_runs([], tmp_path / "figure.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"lookharder\[plot\]"):
        draw_runs([history], tmp_path / "figure.png")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_verb_draws_and_tells(tmp_path, capsys, monkeypatch):
    folder = write(tmp_path / "a", count=3, validated=False)
    out = tmp_path / "new" / "figure.png"
    assert main(["plot", str(folder), "--out", str(out)]) == 0
    assert read_image(out).shape[0] == 3
    assert [path.name for path in out.parent.iterdir()] == ["figure.png"]
    said = capsys.readouterr().out
    for word in ("goodput", "images/s", "final loss, depth", str(out)):
        assert word in said
    for suffix in (".png", ".svg", ".pdf"):  # its own figure it draws again, nothing else
        line = ["plot", str(folder), "--out", str(out.with_suffix(suffix))]
        assert main(line) == main(line) == 0
    own = tmp_path / "own.png"
    write_image(own, np.zeros((3, 8, 8), np.uint8))
    before = own.read_bytes()
    assert main(["plot", str(folder), "--out", str(own)]) == 2
    assert "which is no figure of this command" in capsys.readouterr().err
    assert own.read_bytes() == before
    assert main(["plot", str(folder)]) == 0
    assert "goodput" in capsys.readouterr().out
    assert main(["plot", str(tmp_path)]) == 2
    assert "RUN: got" in capsys.readouterr().err
