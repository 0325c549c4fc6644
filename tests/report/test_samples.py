"""The pictures of a report: which networks are shown beside each other, and that they are what those predict."""

import json
import re
import shutil
from pathlib import Path

import pytest

from lookharder.chain import Chain
from lookharder.errors import InputError
from lookharder.files import make_inside
from lookharder.report.parts import part
from lookharder.report.samples import KEPT, pictures
from lookharder.scaling.record import Record
from lookharder.seeding import torch_generator
from lookharder.study.nano import system

JOB = {"task": "depth", "scenes": 2, "size": 32, "members": 1, "seed": 0}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder of results with one network, which says something: a fresh one answers grey."""
    folder, rng = tmp_path_factory.mktemp("results"), torch_generator("n1")
    chain = Chain.build(system("n1", 32), rng)
    for weights in chain.network.parameters():
        weights.data.normal_(0, 0.2, generator=rng)
    chain.save(make_inside(folder, "runs", "m") / "model", "# n1\n")
    return folder


def measured(root: Path, study: str, run: str, steps: int, **place: str) -> Record:
    config = {**JOB, "steps": steps, "spacing": place.get("spacing", "trailing")}
    path = root / "runs" / run / "job.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"config": config, "needs": ["m"]}))
    return Record(
        study=study,
        claim="",
        run=run,
        point={"size": "n1", "steps": steps, **place},
        seed=0,
        params=1,
        active_params=1,
        train_macs=1.0,
        train_macs_paper=1.0,
        inference_macs=float(steps),
        task="depth",
        metric="abs_rel",
        value=0.3,
        low=0.3,
        high=0.3,
        images=2,
        seconds=1.0,
        machine="",
        versions={},
        time=0.0,
        protocol="",
    )


def test_a_study_of_more_is_shown_along_its_axis(root: Path):
    records = [measured(root, "steps", f"s{t}", t) for t in (4, 1, 2)]
    shown = pictures("steps", records, part("steps"), root)
    assert shown is not None and len(shown.rows) == 2
    assert [title[-1] for title in shown.titles[2:]] == ["1", "2", "4"]
    for row in shown.rows:
        assert len(set(row)) == len(row) == 5, "input, truth and three different predictions"


def test_a_study_of_kinds_is_shown_side_by_side(root: Path):
    records = [
        measured(root, "spacing", f"{spacing}{t}", t, spacing=spacing, prediction="x0")
        for spacing in ("leading", "trailing")
        for t in (1, 2, 5)
    ]
    shown = pictures("spacing", records, part("spacing"), root)
    assert shown is not None and len(shown.titles) == 4
    assert "leading" in shown.titles[2] and "trailing" in shown.titles[3]
    assert all("T = 1" in title for title in shown.titles[2:])
    assert all(row[2] != row[3] for row in shown.rows)


def test_where_no_models_are_there_are_no_pictures(root: Path, tmp_path: Path):
    records = [measured(root, "steps", f"s{t}", t) for t in (1, 2)]
    assert pictures("steps", records, part("steps"), tmp_path) is None


def test_pictures_outlive_the_models_they_are_of(root: Path, tmp_path: Path):
    shutil.copytree(root / "runs", tmp_path / "runs")
    two = [measured(tmp_path, "steps", f"s{t}", t) for t in (1, 2)]
    drawn = pictures("steps", two, part("steps"), tmp_path)
    assert drawn is not None and drawn.runs == ("s1", "s2")
    three = [*two, measured(tmp_path, "steps", "s4", 4)]
    more = pictures("steps", three, part("steps"), tmp_path)
    assert more is not None and more.runs == ("s1", "s2", "s4")
    other = [*two, measured(tmp_path, "steps", "s3", 3)]
    changed = pictures("steps", [*other, three[-1]][:3], part("steps"), tmp_path)
    assert changed is not None and changed.runs == ("s1", "s2", "s3")
    assert pictures("steps", three, part("steps"), tmp_path) == more
    shutil.rmtree(tmp_path / "runs")
    assert pictures("steps", three, part("steps"), tmp_path) == more
    assert pictures("steps", two, part("steps"), tmp_path) is None, "of a run without a record"


def test_a_damaged_file_of_pictures_is_named(tmp_path: Path):
    (tmp_path / KEPT).write_text('{"steps": {"titles": []}}')
    with pytest.raises(InputError, match=re.escape(KEPT)):
        pictures("steps", [], part("steps"), tmp_path)
