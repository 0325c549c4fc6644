"""What is committed under docs/results agrees with itself, and the README with it."""

from pathlib import Path

import pytest

from lookharder.report import markdown
from lookharder.report.findings import Finding
from lookharder.scaling.laws import Laws, hash_of
from lookharder.scaling.plan import Goal, plan
from lookharder.scaling.record import Records
from lookharder.study.laptop import LAPTOP
from lookharder.study.results import answers
from lookharder.study.studies import STUDIES, build

ROOT = Path(__file__).parent.parent
LAPTOP_RESULTS = ROOT / "docs" / "results" / "laptop"


@pytest.fixture(scope="module")
def laws() -> Laws:
    return Laws.read(LAPTOP_RESULTS / "laws.json")


def test_laws_are_those_of_the_records_beside_them(laws):
    assert laws.records == hash_of(LAPTOP_RESULTS / "records.jsonl")
    assert laws.studies == tuple(STUDIES)


def test_the_claims_are_in_the_readme_as_they_were_judged(laws):
    table = (LAPTOP_RESULTS / "claims.md").read_text(encoding="utf-8")
    found = [Finding(**{**claim, "seeds": tuple(claim["seeds"])}) for claim in laws.claims]
    assert table == markdown(found)
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_records_are_of_the_preset_as_it_is():
    """A change of a recipe names its runs anew, and then these would speak of others."""
    records = Records.read(LAPTOP_RESULTS / "records.jsonl")
    points = [point for name in STUDIES for point in build(name, LAPTOP).points]
    asked = {(point.study, point.job.hash) for point in points}
    assert {(record.study, record.run) for record in records} <= asked
    known = answers(points, records)
    assert {point.study for point in points if point.job.hash in known} == set(STUDIES)


def test_what_was_found_can_be_planned_with(laws):
    best, frontier = plan(laws.families, Goal(training=5e12))
    assert best.low is not None and best.low < best.error < best.high
    assert len(frontier) > 7
