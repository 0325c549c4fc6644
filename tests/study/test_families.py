"""Families planted in records come back: the law of size and images, and what resolution and experts change."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lookharder.errors import InputError
from lookharder.models.flops import breakdown
from lookharder.report.budgets import (
    Budgets,
    check_table,
    effect_table,
    family_table,
    read_trained_plans,
)
from lookharder.report.figures.frontier import draw_frontier
from lookharder.scaling.plan import Goal, plan
from lookharder.scaling.record import Record
from lookharder.study.families import families, whole_trainings
from lookharder.study.nano import NANO
from lookharder.study.price import network_of, price
from lookharder.study.results import metrics
from lookharder.study.studies import build

GAINS = {24: 1.2, 48: 0.9, 64: 0.85}
STUDIES = ("model-size", "steps", "draws", "trade", "upcycling", "resolution", "allocation")


def error(params: float, images: float) -> float:
    return 0.35 / (1 + (500 * params**-0.55 + 4000 * images**-0.7) ** -1.6)


def planted(*names: str) -> list[Record]:
    """Records of the laptop preset as they would be if its laws were known, with a little noise."""
    rng, found = np.random.default_rng(0), []
    for name in names:
        study = build(name, "laptop")
        for point in study.points:
            if "abs_rel" not in metrics(point):
                continue
            lineage = [j for j in study.jobs.closure([point.job.hash]) if j.kind == "train"]
            images = sum(j.config["arguments"]["iterations"] * 32 for j in lineage)
            place, size = dict(point.place), NANO[str(point.place["size"])]
            network = network_of(point.job, study.jobs.jobs)
            cost = breakdown(network, network.input_size, network.input_size).values()
            experts = int(place.get("experts", 1))
            dense = sum(g.active_params for g in cost)
            value = error(dense if experts == 1 else dense_params()[size.width], images)
            value *= GAINS.get(int(place.get("resolution", 32)), 1.0) * (
                0.95 if experts == 8 else 1
            )
            value *= 1 + 0.02 * np.log2(place["steps"]) - 0.01 * np.log2(place["members"])
            value *= float(np.exp(0.002 * rng.standard_normal()))
            macs = sum(price(j, study.jobs.jobs).macs for j in lineage)
            found.append(
                Record(
                    study=name,
                    claim="",
                    run=point.job.hash,
                    point=place,
                    seed=point.seed,
                    params=sum(g.params for g in cost),
                    active_params=dense,
                    train_images=images,
                    train_macs=macs,
                    train_macs_paper=macs,
                    inference_macs=1.0,
                    task="depth",
                    metric="abs_rel",
                    value=float(value),
                    low=float(value),
                    high=float(value),
                    images=2,
                    per_image=(0.9 * float(value), 1.1 * float(value)),
                    seconds=1.0,
                    machine="",
                    versions={},
                    time=0.0,
                    protocol="",
                )
            )
    return found


@cache
def dense_params() -> dict[int, int]:
    study = build("model-size", "laptop")
    networks = [network_of(p.job, study.jobs.jobs) for p in study.points]
    return {
        n.hidden_size: sum(
            g.active_params for g in breakdown(n, n.input_size, n.input_size).values()
        )
        for n in networks
    }


@pytest.fixture(scope="module")
def found():
    return {family.name: family for family in families(planted(*STUDIES), resamples=30)}


def test_the_dense_law_is_that_of_all_roads(found):
    dense = found["depth-32-dense"]
    assert [size.name for size in dense.sizes] == list(NANO) and not dense.assumes
    assert {size.active_params for size in dense.sizes} == set(dense_params().values())
    for size, length in (("n2", 1500), ("n4", 700), ("n6", 5000)):
        params, images = dense_params()[NANO[size].width], length * 64
        assert dense.training.predict(params, images) == pytest.approx(
            error(params, images), rel=0.02
        )
    effects = {(each.steps, each.draws): each for each in dense.effects}
    assert effects[10, 1].factor == pytest.approx(1 + 0.02 * np.log2(10), rel=0.005)
    assert effects[10, 1].networks == 8
    assert effects[10, 1].spread == pytest.approx(0.002 * 2**0.5, rel=0.6)  # noise of a ratio
    assert set(effects) >= {(2, 1), (50, 1), (1, 20), (4, 20), (10, 5)} and (1, 1) not in effects


def test_other_families_are_multiples_and_say_what_they_assume(found):
    dense = found["depth-32-dense"]
    for side, gain in GAINS.items():
        family = found[f"depth-{side}-dense"]
        ratio = family.training.predict(1e5, 1e5) / dense.training.predict(1e5, 1e5)
        assert ratio == pytest.approx(gain, rel=0.01) and f"{side} pixels" in family.assumes
        assert all(s.macs != s.train_macs for s in family.sizes)
    sparse = found["depth-32-8e2a"]
    ratio = sparse.training.predict(1e5, 1e5) / dense.training.predict(1e5, 1e5)
    assert ratio == pytest.approx(0.95, rel=0.01) and "n3, n4, n5" in sparse.assumes
    assert (sparse.training.smallest, sparse.training.largest) == (
        (dense_params()[48], 115_200.0),
        (dense_params()[96], 115_200.0),
    )
    best, _ = plan([sparse], Goal(inference=1e9))
    assert best.images == 115_200 and best.size.name in ("n3", "n4", "n5") and not best.extrapolates
    longer, _ = plan([sparse], Goal(training=4e13))
    assert longer.extrapolates, "experts were trained for 600 iterations only"
    for size, plain in zip(sparse.sizes, dense.sizes, strict=True):
        assert size.law_params == plain.active_params < size.active_params < size.params
        assert size.macs > plain.macs
        assert size.start_images == 96_000
        assert size.start_macs == pytest.approx(96_000 * plain.image_macs)


def test_a_budget_chooses_among_all_of_them(found):
    best, options = plan(list(found.values()), Goal(training=2e13))
    assert {option.family.name for option in options} >= {"depth-32-dense", "depth-48-dense"}
    truth = GAINS.get(best.family.resolution, 1.0) * error(best.size.active_params, best.images)
    assert best.low < best.high and best.error == pytest.approx(truth, rel=0.03)
    assert best.training == pytest.approx(2e13, rel=1e-6)


def test_the_report_shows_what_a_budget_buys(found):
    budgets = Budgets(
        families=list(found.values()), measured=whole_trainings(planted("model-size"))
    )
    svg = draw_frontier(budgets.families[0], budgets.measured)
    assert all(f">{name}<" in svg for name in (*NANO, "least"))
    table = family_table(budgets.families)
    assert [row[0] for row in table.rows] == list(found)
    effects = {tuple(row[:2]): row[2] for row in effect_table(budgets.families[0]).rows}
    assert float(effects["10", "1"].split()[0]) == pytest.approx(2 * np.log2(10), abs=0.4)
    assert table.rows[0][-1] == "nothing" and "n3" in table.rows[1][-1]
    assert table.rows[0][1].startswith("0.") and "C^0." in table.rows[0][-2]


def test_plans_that_were_trained_are_shown_by_their_own_laws_only(tmp_path):
    trained = {
        "training": 1e12, "inference_limit": None, "family": "depth-32-dense", "size": "n2",
        "iterations": 2072, "steps": 1, "draws": 1, "predicted": 0.3, "low": 0.28, "high": 0.32,
        "extrapolates": False, "measured": 0.29, "measured_low": 0.28, "measured_high": 0.3,
        "seeds": [0.27, 0.31], "inside": 1, "off": 0.3 / 0.29 - 1,
    }  # fmt: skip
    path, waiting = tmp_path / "planner.json", {"training": 2e12}
    path.write_text(json.dumps({"laws": "0a", "plans": [trained, waiting]}))
    (row,) = check_table(read_trained_plans(path, "0a")).rows
    assert row == [
        "1e+12",
        "",
        "depth-32-dense, n2",
        "2072",
        "0.300 [0.280, 0.320]",
        "0.290",
        "1 of 2",
        "+3.4 %",
    ]
    assert read_trained_plans(path, "0b") == [] == read_trained_plans(tmp_path / "none.json", "0a")
    assert check_table([]) is None
    half = json.dumps({"laws": "0a", "plans": [{"measured": 0.29}]})
    for damaged in ("{", "[]", '{"laws": "0a"}', half):
        path.write_text(damaged)
        with pytest.raises(InputError, match=r"planner\.json"):
            read_trained_plans(path, "0a")


def test_what_is_not_measured_has_no_family():
    assert families([]) == ()
    assert families(planted("steps")) == ()
    other = [replace(r, point={**r.point, "size": "a4"}) for r in planted("model-size")]
    assert (
        families(other) == () and whole_trainings(other) == []
    )  # the paper's networks are no nano ones
    only = families(planted("model-size", "allocation"), resamples=5)
    assert [family.name for family in only] == ["depth-32-dense"] and only[0].effects == ()
    for names in (("model-size",), ("model-size", "steps", "upcycling", "resolution")):
        assert families(planted(*names)) == ()  # all sizes saw as many images


def test_a_run_of_two_studies_is_a_run_of_both():
    """Seed 0 of `model-size` and `allocation` share roads, in whatever order they were recorded."""
    records = [r for r in planted("allocation", "upcycling", "model-size") if r.seed == 0]
    sparse = families(records, resamples=5)[-1]
    assert [size.name for size in sparse.sizes] == list(NANO)
    assert "after 3000 of" in sparse.recipe


def test_effort_is_one_that_was_measured(found):
    dense = found["depth-32-dense"]
    best, _ = plan([dense], Goal(inference=1e13))
    assert best.steps == 1 and best.draws >= 10  # steps harm, draws help
    assert len(best.assumes) == 1 and "8 networks" in best.assumes[0]
