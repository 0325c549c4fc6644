"""The trials of `__main__.py` beside this file: a few of each here, all of them among the slow tests."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def trials(fork: Callable, out: Path, *arguments: str) -> dict:
    code = f"import runpy; runpy.run_path({str(FOLDER)!r}, run_name='__main__')"
    done = fork(code, "--out", out, *arguments)
    assert done.wait(3600) == 0, done.said()
    return json.loads((out / "faults.json").read_text())


def check(figures: dict, kills: int, inside: int) -> None:
    assert all(found["lost"] == [] for found in figures.values())
    assert figures["kills"]["kills"] >= kills
    assert figures["kills"]["inside_a_save"] >= inside
    assert figures["stops"]["max_s"] < 10
    assert figures["sites"]["ended_with_an_error"] > 0.9 * figures["sites"]["trials"]
    damage = figures["damage"]
    assert damage["detected"] == damage["truncations"] + damage["flips"]


def test_a_few_faults_lose_nothing(tmp_path, fork):
    figures = trials(fork, tmp_path, "--short")
    check(figures, 4, 2)
    assert figures["ranks-2-ddp"]["survivors_ended_after_s"] < 60


@pytest.mark.slow
def test_all_faults_lose_nothing(tmp_path, fork):
    check(trials(fork, tmp_path), 200, 60)
    assert "**Lost: 0.**" in (tmp_path / "reliability.md").read_text()
