"""The verb `plan` through the real entry point: what it prints is what the planner says."""

from pathlib import Path

import numpy as np
import pytest

from lookharder.cli import main
from lookharder.scaling.law import fit_law
from lookharder.scaling.laws import Family, FamilySize, Laws
from lookharder.scaling.plan import Goal, plan


@pytest.fixture(scope="module")
def laws(tmp_path_factory) -> Path:
    n, d = (v.ravel() for v in np.meshgrid(np.geomspace(1e5, 1e7, 4), np.geomspace(1e4, 1e6, 4)))
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(16))
    training = fit_law(
        {"params": n, "images": d}, (0.05 + 30 * n**-0.5 + 8 * d**-0.35) * noise, resamples=10
    )
    family = Family(
        name="depth-64-dense",
        task="depth",
        metric="abs_rel",
        resolution=64,
        architecture="dense",
        batch=32,
        sizes=tuple(
            FamilySize(name=f"w{i}", params=p, active_params=p, macs=64.0 * p)
            for i, p in enumerate((10**5, 10**6, 10**7))
        ),
        training=training,
        steps=4,
        largest_train_macs=3 * 64e7 * 1e6,
    )
    path = tmp_path_factory.mktemp("laws") / "laws.json"
    Laws(studies=("s",), records="0", families=(family,)).write(path)
    return path


def test_a_plan_is_printed(capsys, laws):
    assert main(["plan", str(laws), "--training", "1e15"]) == 0
    said = capsys.readouterr().out
    best, _ = plan(Laws.read(laws).families, Goal(training=1e15))
    for words in (best.size.name, f"{best.iterations} iterations", f"abs_rel {best.error:.4g}"):
        assert words in said
    assert f"95 %: {best.low:.4g} to {best.high:.4g}" in said
    assert "assumed" not in said and len(said.splitlines()) <= 5


def test_extrapolation_and_assumptions_are_said(capsys, laws):
    line = ["plan", str(laws), "--training", "$20", "--price", "2", "--device", "a100", "--explain"]
    assert main(line) == 0
    said = capsys.readouterr().out
    flops = 10 * 3600 * 0.4 * 312e12
    assert f"training compute by {flops / (6 * 64e13):.3g} x" in said and "extrapolation" in said
    assert "one a100 at 40 % of 312 TFLOP/s, $2 an hour" in said
    assert all(f"w{i} 64-dense" in said for i in range(3)) and "…" not in said


def test_laws_of_too_little_are_refused(capsys, tmp_path: Path):
    Laws(studies=("steps",), records="0").write(tmp_path / "laws.json")
    assert main(["plan", str(tmp_path / "laws.json"), "--training", "1e15"]) == 2
    assert "nothing to plan from" in capsys.readouterr().err


def test_answers_are_counted(capsys, laws):
    assert main(["plan", str(laws), "--error", "0.2", "--answers", "1e6"]) == 0
    assert "FLOPs with 1e+06 answers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["absent.json", "--training", "1e15"], "laws: got"),
        (["LAWS"], "budget: got none"),
        (["LAWS", "--training", "much"], "--training: got 'much'"),
        (["LAWS", "--training", "$5"], "--price: got nothing"),
        (["LAWS", "--training", "1e15", "--task", "flow"], "--task: got flow"),
        (["LAWS", "--training", "1e3"], "FLOPs of training"),
        (["LAWS", "--training", "1e15", "--device", "abacus"], "--device: got 'abacus'"),
        (["LAWS", "--error", "0.001", "--answers", "1"], "more than 0"),
    ],
)
def test_bad_lines_are_one_line(capsys, laws, line, words):
    assert main(["plan", *[str(laws) if w == "LAWS" else w for w in line]]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and said.out == ""
