"""A planted law comes back from the records of a study, each series by itself."""

import json
from pathlib import Path

import numpy as np
import pytest

from lookharder.scaling.record import Record
from lookharder.study.fits import laws_of
from lookharder.study.laptop import MICRO
from lookharder.study.results import finish
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


def test_a_planted_law_comes_back(tmp_path: Path):
    others = [record("trade", {"size": "n1"}, 9.0)]
    path = finish(build("model-size", MICRO), [*planted(0), *others], tmp_path)
    told = json.loads(path.read_text())
    assert told["study"] == "model-size" and len(told["laws"]) == 2
    for law, (steps, offset) in zip(told["laws"], ((1, 0.2), (10, 0.05)), strict=True):
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
    assert laws_of("model-size", planted(0)[:1]) == []
    assert laws_of("schedule", [record("schedule", {"train_schedule": "cosine"}, 1.0)]) == []
