"""Figures of laws: what is drawn is what was measured and fitted."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookharder.errors import InputError
from lookharder.scaling.law import fit_growth, fit_law, fit_power_law, profiles
from lookharder.scaling.published import PAPER

pytest.importorskip("matplotlib")
from lookharder.report.figures import isoflop, laws
from lookharder.report.figures.isoflop import draw_profiles
from lookharder.report.figures.laws import Points, draw_law


@pytest.fixture
def figures(monkeypatch):
    """The figures as they are saved."""
    saved, save = [], laws.save
    for module in (laws, isoflop):
        monkeypatch.setattr(module, "save", lambda f, p, dpi: (saved.append(f), save(f, p, dpi)))
    return saved


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
    words = " ".join(text.get_text() for text in upper.get_legend().get_texts())
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
