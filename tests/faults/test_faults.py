"""The trials of `__main__.py` beside this file: a few of each here, all of them among the slow tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def trials(out: Path, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, str(FOLDER), "--out", str(out), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((out / "faults.json").read_text())


def check(figures: dict, kills: int, inside: int) -> None:
    assert all(found["lost"] == [] for found in figures.values())
    assert figures["kills"]["kills"] >= kills
    assert figures["kills"]["inside_a_save"] >= inside
    assert figures["stops"]["max_s"] < 10
    assert figures["sites"]["ended_with_an_error"] > 0.9 * figures["sites"]["trials"]
    damage = figures["damage"]
    assert damage["detected"] == damage["truncations"] + damage["flips"]


def test_a_few_faults_lose_nothing(tmp_path):
    figures = trials(tmp_path, "--short")
    check(figures, 4, 2)
    assert figures["ranks-2-ddp"]["survivors_ended_after_s"] < 60


@pytest.mark.slow
def test_all_faults_lose_nothing(tmp_path):
    check(trials(tmp_path), 200, 60)
    assert "**Lost: 0.**" in (tmp_path / "reliability.md").read_text()
