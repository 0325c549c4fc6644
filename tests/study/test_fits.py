"""A planted law comes back from the records of a study, each series by itself."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lookharder.errors import InputError
from lookharder.scaling import series
from lookharder.scaling.law import fit_power_law
from lookharder.scaling.laws import Laws, hash_of
from lookharder.scaling.record import Record, Records
from lookharder.scaling.series import series_of
from lookharder.study.fits import laws_to_json
from lookharder.study.grid import Point, Study
from lookharder.study.queue.jobs import Graph, Job
from lookharder.study.results import conclude
from lookharder.study.studies import build


def record(study: str, point: dict, value: float, macs: float = 1.0, seed: int = 0) -> Record:
    return Record(
        study=study,
        claim="",
        run="",
        point=point,
        seed=seed,
        params=1,
        active_params=1,
        train_macs=macs,
        train_macs_paper=macs,
        inference_macs=1.0,
        task="depth",
        metric="abs_rel",
        value=value,
        low=value,
        high=value,
        images=2,
        per_image=(value * 0.9, value * 1.1),
        seconds=1.0,
        machine="",
        versions={},
        time=0.0,
        protocol="",
    )


def planted(seed: int) -> list[Record]:
    """Two series over training compute, above different offsets, with a little noise."""
    rng = np.random.default_rng(seed)
    found = []
    for steps, offset in ((1, 0.2), (10, 0.05)):
        for i, macs in enumerate(np.geomspace(1e12, 1e15, 8)):
            value = (offset + 3e2 * macs**-0.3) * float(np.exp(0.002 * rng.standard_normal()))
            place = {"size": f"n{i}", "steps": steps, "members": 1}
            found.append(record("model-size", place, float(value), float(macs)))
    return found


def test_a_planted_law_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(series, "fit_power_law", partial(fit_power_law, resamples=100))
    records = Records(tmp_path / "records.jsonl")
    points: dict[str, list[Point]] = {"model-size": [], "trade": [], "steps": []}
    for i, each in enumerate([*planted(0), record("trade", {"size": "n1"}, 9.0)]):
        job = Job(kind="evaluate", config={"i": i})
        point = Point(study=each.study, claim="", job=job, place=each.point, seed=each.seed)
        points[each.study].append(point)
        records.append(replace(each, run=job.hash))
    records.append(
        record("model-size", {"size": "n1", "steps": 1, "members": 1}, 9.0)
    )  # of another preset
    studies = [
        Study(name=n, question="", points=tuple(p), jobs=Graph(each.job for each in p))
        for n, p in points.items()
    ]
    path, table, page = conclude(studies, tmp_path, "micro")
    told = json.loads(path.read_text())
    assert told["studies"] == ["model-size", "trade"] and len(told["series"]) == 2
    assert Laws.read(path).records == hash_of(records.path) and Laws.read(path).families == ()
    assert all(f"| {claim['says']} |" in table.read_text() for claim in told["claims"])
    assert "](figures/" in page.with_suffix(".md").read_text()
    assert "<html" in page.read_text()
    for law, (steps, offset) in zip(told["series"], ((1, 0.2), (10, 0.05)), strict=True):
        assert law["where"] == {"steps": steps, "members": 1} and law["points"] == 8
        fit = law["with_offset"]
        assert fit["exponent"] == pytest.approx(0.3, abs=0.02)
        assert fit["offset"] == pytest.approx(offset, abs=0.01)
        low, high = fit["intervals"]["exponent"]
        assert low < fit["exponent"] < high
        assert abs(fit["held_out"]["error"]) < 0.02
        # without an offset the exponent only looks small
        assert law["without_offset"]["exponent"] < 0.2


def test_series_of_too_few_places_and_studies_without_an_axis_have_no_law():
    assert laws_to_json(series_of("model-size", planted(0)[:1])) == []
    others = [record("schedule", {"train_schedule": "cosine"}, 1.0)]
    assert laws_to_json(series_of("schedule", others)) == []


def test_nothing_measured_is_no_report(tmp_path: Path):
    with pytest.raises(InputError, match="records"):
        conclude([build("steps", "micro")], tmp_path, "micro")
    assert list(tmp_path.iterdir()) == []
