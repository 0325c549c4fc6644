"""What is committed under docs/results agrees with itself, and the pages that show it link to it."""

import json
import re
from pathlib import Path

import pytest

from lookharder.report import findings, markdown
from lookharder.report.findings import Finding
from lookharder.scaling.laws import Laws, hash_of
from lookharder.scaling.plan import Goal, plan
from lookharder.scaling.record import Records
from lookharder.study.families import SIDE
from lookharder.study.results import OTHERS, answers
from lookharder.study.studies import STUDIES, build

ROOT = Path(__file__).parent.parent
LAPTOP_RESULTS = ROOT / "docs" / "results" / "laptop"


@pytest.fixture(scope="module")
def laws() -> Laws:
    return Laws.read(LAPTOP_RESULTS / "laws.json")


def test_laws_are_those_of_the_records_beside_them(laws):
    assert laws.records == hash_of(LAPTOP_RESULTS / "records.jsonl")
    others = Records.read(LAPTOP_RESULTS / OTHERS)
    assert laws.studies == (*STUDIES, *dict.fromkeys(record.study for record in others))


def test_the_claims_are_published_as_they_were_judged(laws):
    table = (LAPTOP_RESULTS / "claims.md").read_text(encoding="utf-8")
    found = [Finding(**{**claim, "seeds": tuple(claim["seeds"])}) for claim in laws.claims]
    assert table == markdown(found)


def test_the_report_is_small_enough_to_be_read_where_it_is():
    figures = list((LAPTOP_RESULTS / "figures").glob("*.svg"))
    text = (LAPTOP_RESULTS / "report.md").read_text(encoding="utf-8")
    assert {f"figures/{path.name}" for path in figures} == set(re.findall(r"figures/[^)]+", text))
    assert sum(path.stat().st_size for path in figures) < 2e6


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), LAPTOP_RESULTS / "report.md"]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_of_pages_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_claims_are_reached_from_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/results/laptop/claims.md)" in text and "](docs/results.md)" in text
    assert len(text.encode()) < 8500, "what is long belongs under docs"


def test_the_records_are_of_the_preset_as_it_is():
    """A change of a recipe names its runs anew, and then these would speak of others."""
    records = Records.read(LAPTOP_RESULTS / "records.jsonl")
    points = [point for name in STUDIES for point in build(name, "laptop").points]
    asked = {(point.study, point.job.hash) for point in points}
    assert {(record.study, record.run) for record in records} <= asked
    assert answers(points, records) == {point.job.hash for point in points}, (
        "nothing is left to measure"
    )


def test_differences_are_judged_as_they_were(laws):
    """Those of two settings; laws take minutes to fit, and have tests of their own."""
    records = [r for name in ("records.jsonl", OTHERS) for r in Records.read(LAPTOP_RESULTS / name)]
    again = {each.says: each.to_json() for each in findings(records, [], laws.studies)}
    gains = [claim for claim in laws.claims if claim["quantity"] == "gain, %"]
    assert len(gains) > 15
    for claim in gains:
        assert json.loads(json.dumps(again[claim["says"]])) == claim


def test_the_planner_was_checked_by_these_laws(laws):
    """Predicted and measured for budgets that no study spent; what the planner predicts now is what was tested."""
    found = json.loads((LAPTOP_RESULTS / "planner.json").read_text(encoding="utf-8"))
    assert found["laws"] == laws.records
    rows = found["plans"]
    assert len({row["training"] for row in rows}) >= 3
    families = [family for family in laws.families if family.resolution == SIDE]
    for row in rows:
        best, _ = plan(families, Goal(training=row["training"], inference=row["inference_limit"]))
        assert (best.family.name, best.size.name) == (row["family"], row["size"])
        assert (best.iterations, best.steps, best.draws) == (
            row["iterations"],
            row["steps"],
            row["draws"],
        )
        assert best.error == pytest.approx(row["predicted"])
        assert row["off"] == pytest.approx(row["predicted"] / row["measured"] - 1)


def test_the_planners_law_is_of_the_form_that_predicted_best(laws):
    found = json.loads((LAPTOP_RESULTS / "law-forms.json").read_text(encoding="utf-8"))
    forms, training = found["forms"], laws.families[0].training
    for judged in ("left_out", "largest"):
        assert min(forms, key=lambda name: forms[name][judged]) == "bounded power"
    low, high = training.interval("ceiling")
    assert low < found["blind"] < high, "the ceiling is the error of the image-independent baseline"


def test_what_was_found_can_be_planned_with(laws):
    best, frontier = plan(laws.families, Goal(training=5e12))
    assert best.low is not None and best.low < best.error < best.high
    assert len(frontier) > 7
