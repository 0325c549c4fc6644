"""Figures of measurements and laws: what is drawn is what was measured and fitted, and can be read."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookharder.errors import InputError
from lookharder.scaling.law import fit_growth, fit_law, fit_power_law, profiles
from lookharder.scaling.published import PAPER
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series

pytest.importorskip("matplotlib")
from lookharder.report.figures import isoflop, laws, studies, svg
from lookharder.report.figures.isoflop import draw_profiles
from lookharder.report.figures.laws import Points, draw_law
from lookharder.report.figures.measurements import draw_measurements
from lookharder.report.parts import TRAIN, part
from lookharder.visualize.axes import save

from .test_report import record as made


@pytest.fixture
def figures(monkeypatch):
    """The figures as they are saved."""
    saved, save = [], laws.save
    for module in (laws, isoflop):
        monkeypatch.setattr(module, "save", lambda f, p, dpi: (saved.append(f), save(f, p, dpi)))
    return saved


def stands_apart(figure) -> None:
    """Its legends lie inside it and on no axes, their ticks and titles included."""
    figure.canvas.draw()
    assert figure.legends
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        for axis in figure.axes:
            assert not box.overlaps(axis.get_tightbbox())


def measured(n: int = 8):
    x = np.geomspace(1e12, 1e15, n)
    noise = np.exp(0.02 * np.random.default_rng(0).standard_normal(n))
    return x, (0.08 + 0.3 * (x / 1e12) ** -0.3) * noise


def test_points_law_residuals_and_the_held_out_point_are_drawn(tmp_path: Path, figures):
    x, y = measured()
    law = fit_power_law(x, y, resamples=20)
    path = tmp_path / "law.png"
    draw_law(
        path,
        Points(x=list(x), value=list(y), low=list(0.9 * y), high=list(1.1 * y)),
        law,
        title="t",
        xlabel="x",
        ylabel="y",
        bare=fit_power_law(x, y, False, resamples=20),
        others={"paper": PAPER["finetune-abs_rel"].law},
        dpi=50,
    )
    assert np.asarray(Image.open(path)).std() > 10
    upper, lower = figures[0].axes
    below = np.concatenate([line.get_ydata() for line in lower.lines if line.get_marker() == "o"])
    assert sorted(below) == pytest.approx(sorted(100 * (y / law.predict(x) - 1)))
    above = np.concatenate([line.get_ydata() for line in upper.lines if line.get_marker() == "o"])
    assert list(above) == pytest.approx(list(y))  # the largest, held out, is last and hollow
    (legend,) = figures[0].legends
    words = " ".join(text.get_text() for text in legend.get_texts())
    stands_apart(figures[0])
    for said in (f"{100 * law.held_out.error:+.1f} %", "held out", "paper"):
        assert said in words
    (diamond,) = [line for line in upper.lines if line.get_marker() == "D"]
    assert diamond.get_ydata() == pytest.approx([law.held_out.predicted])


def test_profiles_have_their_stars_where_the_best_size_is(tmp_path: Path, figures):
    size = np.array([1e6, 3e6, 1e7, 3e7])
    rows = [
        (c, n, 1 + 0.1 * np.log(n / b) ** 2) for c, b in ((1e15, 4e6), (1e17, 1e7)) for n in size
    ]
    found = profiles(*np.array(rows).T)
    draw_profiles(
        tmp_path / "p.pdf", found, fit_growth(found, resamples=0), title="t", ylabel="loss"
    )
    left, right = figures[0].axes
    stars = [line.get_xdata()[0] for line in left.lines if line.get_marker() == "*"]
    assert stars == pytest.approx([p.best for p in found])
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")
    assert len([line for line in right.lines if line.get_marker() == "*"]) == 2
    stands_apart(figures[0])
    low, high = right.get_ylim()
    assert low < min(p.best for p in found) and high < 20 * low, "a vague band sets no limits"


def test_axes_reach_no_farther_than_points_and_as_far_again(tmp_path: Path, figures):
    x = np.geomspace(1e12, 2e12, 5)
    steep = fit_power_law(x, [0.25, 0.251, 0.252, 0.254, 0.27], resamples=6)
    points = Points(x=list(x), value=[0.25, 0.251, 0.252, 0.254, 0.27])
    draw_law(tmp_path / "a.svg", points, steep, title="t", xlabel="x", ylabel="y")
    low, high = figures[0].axes[0].get_ylim()
    assert 0.2 < low < 0.25 and 0.27 < high < 0.33


def drawn(monkeypatch, records, study: str):
    """The figure of the measurements of a study."""
    saved = []
    monkeypatch.setattr(svg, "save", lambda f, p, dpi: (saved.append(f), save(f, p, dpi)))
    draw_measurements(records, part(study))
    return saved[0]


def at(axes: dict[str, list], study: str, **more) -> list[Record]:
    """A measurement for every combination of values of axes."""
    places = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return [made(study, place, 0.1 + 0.01 * i, **more) for i, place in enumerate(places)]


KINDS = ["scaled-linear", "linear", "cosine"]


@pytest.mark.parametrize(
    ("study", "axes", "entries"),
    [
        ("schedule", {"train_schedule": KINDS, "test_schedule": KINDS, "steps": [1, 4, 20]}, 6),
        ("trade", {"size": [f"n{i}" for i in range(1, 8)], "steps": [1, 2, 4], "members": [1]}, 10),
        ("upcycling", {"experts": [1, 4, 8], "active": [1, 2], "more_iterations": [0]}, 5),
        ("steps", {"size": ["n2", "n10", "n1"], "steps": [1, 4, 20]}, 3),
        ("steps", {"size": [f"n{i}" for i in range(10)], "steps": [1, 4]}, 10),
    ],
)
def test_lines_are_told_apart_and_named_below_the_axes(monkeypatch, study, axes, entries):
    figure = drawn(monkeypatch, at(axes, study), study)
    stands_apart(figure)
    (legend,) = figure.legends
    handles = legend.legend_handles
    looks = {(h.get_color(), h.get_marker(), str(h._dash_pattern)) for h in handles}
    assert len(handles) == len(looks) == entries
    curves = {
        (line.get_color(), str(line._dash_pattern))
        for line in figure.axes[0].lines
        if line.get_linestyle() != "None"
    }
    assert len(curves) == np.prod([len(v) for k, v in axes.items() if k in part(study).lines])


def test_legends_count_as_people_do(monkeypatch):
    records = at({"size": ["n10", "n2", "n1"], "steps": [1, 4]}, "steps")
    (legend,) = drawn(monkeypatch, records, "steps").legends
    assert [t.get_text() for t in legend.get_texts()] == ["size n1", "size n2", "size n10"]


def test_a_law_over_compute_says_so_on_its_axis(figures):
    x, y = measured(5)
    records = tuple(made("resolution", {}, v, macs=c) for c, v in zip(x, y, strict=True))
    law = fit_power_law(x, [r.value for r in records], resamples=0)
    told = {"study": "resolution", "task": "depth", "metric": "abs_rel", "where": {}}
    series = Series(**told, variable="train_macs", records=records, law=law, bare=None)
    assert studies.draw_series(series).startswith("<?xml")
    assert figures[0].axes[1].get_xlabel() == TRAIN


def test_losses_are_held_against_none_of_the_papers():
    """Its loss is of noise, in training; ours of pictures, held out."""
    told = {"study": "model-size", "where": {}, "variable": "train_macs", "law": None, "bare": None}
    of = {m: Series(**told, task="depth", metric=m, records=()) for m in ("loss", "abs_rel")}
    assert of["loss"].printed is None and of["abs_rel"].printed is PAPER["finetune-abs_rel"]


def test_what_cannot_be_drawn_is_named(tmp_path: Path, monkeypatch):
    x, y = measured()
    joint = fit_law({"a": x, "b": x[::-1] ** 0.5 + x}, y, resamples=0)
    points = Points(x=list(x), value=list(y))
    with pytest.raises(InputError, match="one variable"):
        draw_law(tmp_path / "a.png", points, joint, title="", xlabel="", ylabel="")
    with pytest.raises(InputError, match="profiles"):
        draw_profiles(tmp_path / "a.png", [], None, title="", ylabel="")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    law = fit_power_law(x, y, resamples=0)
    with pytest.raises(InputError, match=r"lookharder\[plot\]"):
        draw_law(tmp_path / "a.png", points, law, title="", xlabel="", ylabel="")
    assert not list(tmp_path.iterdir())
