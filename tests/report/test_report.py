"""The page says what the records and laws say, and nothing else."""

import hashlib
import math
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lookharder.metrics.scores import SCORES
from lookharder.report.buys import lines, sentences
from lookharder.report.claims import CLAIMS
from lookharder.report.compare import MOST, gain, pair_trades, pairs, settle
from lookharder.report.findings import Finding, findings
from lookharder.report.parts import PARTS
from lookharder.report.rows import TOGETHER, Row, rows
from lookharder.report.wording import claim_text, lead, markdown
from lookharder.scaling.law import fit_power_law
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series

pytest.importorskip("matplotlib")
from lookharder.report import report
from lookharder.report.figures.studies import draw_isoflop

VOID = {"meta", "img", "br"}
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:e-?\d+)?")
IMAGES = 40
SCENE = np.exp(0.3 * np.random.default_rng(7).standard_normal(IMAGES))


class Page(HTMLParser):
    """Cells of tables by their class, links, text, and balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.cells: dict[str, list[str]] = {}
        self.table = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "table":
            self.table = given["class"]
        if tag in ("td", "th") and "tbody" in self.open:
            self.cells.setdefault(self.table, []).append("")
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if "tbody" in self.open and {"td", "th"} & set(self.open):
            self.cells[self.table][-1] += data


def record(
    study: str, point: dict, value: float, *, seed: int = 0, macs: float = 1e9, **more
) -> Record:
    """A measurement whose pictures are hard or easy in the same way for all."""
    noise = np.random.default_rng(hash_of(study, point, seed)).standard_normal(IMAGES)
    images = SCENE * np.exp(0.02 * noise)
    images *= value / images.mean()
    mean = float(images.mean())
    told = {
        "claim": "",
        "params": 1000,
        "active_params": 1000,
        "train_images": 320,
        "train_macs_paper": macs,
        "inference_macs": 1e6,
        "task": "depth",
        "metric": "abs_rel",
        "images": IMAGES,
        "seconds": 1.5,
        "machine": "here",
        "versions": {"torch": "2"},
        "time": 1.79e9,
        "protocol": "p",
        **more,
    }
    return Record(
        study=study,
        run=f"{hash_of(study, point, seed):016x}",
        point=point,
        seed=seed,
        train_macs=macs,
        value=mean,
        low=0.9 * mean,
        high=1.1 * mean,
        per_image=tuple(map(float, images)),
        **told,
    )


def hash_of(*said) -> int:
    return int.from_bytes(hashlib.blake2b(repr(said).encode(), digest_size=7).digest(), "little")


def steps(gained: float, seeds: int = 3) -> list[Record]:
    """A study in which 10 steps have `gained` percent less error than one, give or take 0.4 %."""
    found = []
    for seed in range(seeds):
        at = 0.2 * (1 + 0.004 * (seed - 1))
        found.append(record("steps", {"size": "n1", "steps": 1, "members": 1}, 0.2, seed=seed))
        value = at * (1 - gained / 100)
        found.append(record("steps", {"size": "n1", "steps": 10, "members": 1}, value, seed=seed))
    return found


def planted(offset: float = 0.05, last: float = 1.0) -> Series:
    """Seven sizes on a law, two seeds of each; the largest off it by a factor."""
    found = []
    for i, macs in enumerate(np.geomspace(1e9, 1e12, 7)):
        for seed in (0, 1):
            value = (offset + 0.4 * (macs / 1e9) ** -0.3) * (last if i == 6 else 1.0)
            value *= 1 + 0.004 * (-1) ** (i // 2 + seed)
            place = {"size": f"n{i}", "steps": 1, "members": 1}
            found.append(record("model-size", place, float(value), seed=seed, macs=float(macs)))
    x, y = [r.train_macs for r in found], [r.value for r in found]
    law, bare = (fit_power_law(x, y, o, variable="train_macs", resamples=60) for o in (True, False))
    return Series(
        study="model-size",
        task="depth",
        metric="abs_rel",
        where={"steps": 1, "members": 1},
        variable="train_macs",
        records=tuple(found),
        law=law,
        bare=bare,
    )


@pytest.fixture(scope="module")
def series() -> Series:
    return planted()


@pytest.fixture(scope="module")
def measured(series: Series) -> list[Record]:
    return [*series.records, *steps(8.0)]


@pytest.fixture(scope="module")
def written(series, measured, tmp_path_factory) -> Path:
    """The page of a law and a difference, where a report of other records stood, beside somebody's own figure."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "figures").mkdir()
    for name in ("of-other-records", "somebodys-own"):
        (folder / "figures" / f"{name}.svg").write_text("<svg/>")
    (folder / "report.md").write_text("![before](figures/of-other-records.svg)")
    return report(measured, [series], folder / "report.html", preset="laptop")


@pytest.mark.parametrize(
    ("gained", "verdict"), [(8.0, "holds"), (0.0, "no effect"), (-8.0, "does not hold")]
)
def test_a_difference_is_judged_by_the_side_of_its_interval(gained, verdict):
    (found,) = findings(steps(gained), [], ["steps"])
    assert found.verdict == verdict and found.seeds == (3, 3)
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(gained, abs=0.5)
    assert f"gain {found.value:+.1f} %" in claim_text(found).measured


def test_one_seed_or_one_side_is_not_enough_data():
    (found,) = findings(steps(8.0, seeds=1), [], ["steps"])
    assert found.verdict == "not enough data" and found.value == pytest.approx(8.0, abs=0.5)
    (found,) = findings(steps(8.0)[::2], [], ["steps"])
    assert found.verdict == "not enough data" and found.value is None
    (found,) = findings([], [], ["steps"])
    assert found.why == "no records"
    bare = [replace(r, per_image=None) for r in steps(8.0)]
    (found,) = findings(bare, [], ["steps"])
    assert found.value is None and "not kept" in found.why


def test_as_good_needs_no_more_than_the_margin():
    found = []
    for seed in range(3):
        for model, value in (("specialist", 0.2), ("generalist", 0.204)):
            found.append(record("generalist", {"size": "n4", "model": model}, value, seed=seed))
    depth, *others = findings(found, [], ["generalist"])
    assert depth.value == pytest.approx(-2, abs=0.1) and depth.verdict == "holds"
    assert {other.verdict for other in others} == {"not enough data"}


def test_a_gain_is_the_mean_over_strata_and_pairs_share_their_seed():
    found = [
        record("draws", {"size": size, "steps": 1, "members": n}, v, seed=seed)
        for size, gained in (("n1", 10), ("n2", 20))
        for seed, level in ((0, 0.1), (1, 0.3))
        for n, v in ((1, level), (5, level * 0.95), (20, level * (1 - gained / 100)))
    ]
    before, after = settle({"members": 1}, found), settle({"members": MOST}, found)
    strata = pairs(found, before, after)
    assert after == {"members": 20} and len(strata) == 2
    assert all(a.seed == b.seed for rows in strata.values() for a, b in rows)
    told = gain(strata)
    assert told is not None and told.value == pytest.approx(15, abs=1e-9)
    # seeds differ threefold and images by a third, but pairs do not: the interval is narrow
    assert told.high - told.low < 2


def two_settings(seeds: tuple[int, ...]) -> list[Record]:
    """Two settings of some sizes, which have so many seeds."""
    level = float(SCENE.mean())
    return [
        record("draws", {"size": f"n{i}", "steps": 1, "members": n}, level, seed=seed)
        for i, count in enumerate(seeds)
        for seed in range(count)
        for n in (1, 9)
    ]


def equally_good(records: list[Record], rng: np.random.Generator) -> list[Record]:
    """The same measurements, all equally good but for what 2 % each seed makes of them."""
    values = SCENE * np.exp(0.02 * rng.standard_normal((len(records), 1)))
    return [
        replace(each, per_image=tuple(images.tolist()))
        for each, images in zip(records, values, strict=True)
    ]


@pytest.mark.parametrize("seeds", [(2,), (3,), (3, 3, 1), (2, 1, 1, 1)])
def test_few_seeds_do_not_look_surer_than_they_are(seeds):
    """A gain of 0 that seeds alone move, 400 times: its interval of 95 % holds it about as often as it says."""
    rng, held, records = np.random.default_rng(len(seeds)), 0, two_settings(seeds)
    for _ in range(400):
        told = gain(pairs(equally_good(records, rng), {"members": 1}, {"members": 9}))
        assert told is not None
        held += told.low <= 0 <= told.high
    assert 0.92 <= held / 400 <= 0.98


def test_networks_asked_otherwise_count_once():
    """Three schedules' steps on two seeds of one pair of networks tell as much of seeds as one of them."""

    def asked(steps: tuple[int, ...]) -> list[Record]:
        return [
            record("schedule", {"steps": n, "train_schedule": name}, level * better, seed=seed)
            for n, level in zip(steps, (0.1, 0.2, 0.4), strict=False)
            for seed, gained in ((0, 0.01), (1, 0.03))
            for name, better in (("linear", 1.0), ("cosine", 1 - gained))
        ]

    def width(found: list[Record]) -> float:
        told = gain(pairs(found, {"train_schedule": "linear"}, {"train_schedule": "cosine"}))
        assert told is not None and told.value == pytest.approx(2, abs=1e-6)
        return told.high - told.low

    assert width(asked((1, 4, 20))) == pytest.approx(width(asked((1,))), rel=0.02)
    sizes = [replace(r, point={**r.point, "size": f"n{i}"}) for i in (1, 2) for r in asked((1,))]
    assert width(sizes) < width(asked((1,))) / 2, "other networks are"


def test_a_small_network_is_traded_at_the_dearest_effort_that_fits_or_at_the_one_named():
    def at(size: str, n: int, macs: float, count: int) -> Record:
        place = {"size": size, "steps": n, "members": 1}
        return record("trade", place, 0.2, inference_macs=macs, params=count)

    found = [at("n1", 1, 1.0, 10), at("n1", 2, 2.0, 10), at("n1", 4, 4.0, 10), at("n2", 1, 3.0, 20)]
    ((key, [(once, often)]),) = pair_trades(found, {}).items()
    assert key == ("n1", "n2") and once.inference_macs == 3.0 and often.point["steps"] == 2
    ((key, [(once, often)]),) = pair_trades(found, {"steps": 4}).items()
    assert key == ("n1", "n2") and once.inference_macs == 3.0 and often.point["steps"] == 4


def test_a_law_holds_if_it_predicts_and_not_if_it_misses(series):
    def judged(one: Series):
        (found,) = (f for f in findings(one.records, [one], ["model-size"]) if f.value is not None)
        return found

    good = judged(series)
    assert good.verdict == "holds" and good.low < 0.3 < good.high
    held, scatter = series.law.held_out, series.law.scatter
    close = replace(held, baseline=held.measured * (1 + abs(held.error) + scatter / 2))
    hardly = judged(replace(series, law=replace(series.law, held_out=close)))
    assert hardly.verdict == "undecided" and "scatter" in hardly.why
    once = judged(replace(series, records=series.records[:-1]))
    assert once.verdict == "undecided" and "second seed" in once.why
    missed = judged(planted(last=2.0))
    assert missed.verdict in ("does not hold", "undecided")
    worse = fit_power_law(series.x, [0.1 + x / 1e12 for x in series.x], resamples=40)
    assert judged(replace(series, law=worse)).verdict == "does not hold"


def test_a_law_of_four_places_has_no_floor_and_of_three_no_test(series):
    def judged(places: int):
        few = series.records[: 2 * places]
        bare = fit_power_law([r.train_macs for r in few], [r.value for r in few], False)
        one = replace(series, records=few, law=None, bare=bare)
        return next(f for f in findings(few, [one], ["model-size"]) if f.where), bare

    found, bare = judged(4)
    assert found.value == bare.exponent and found.verdict != "not enough data"
    found, _ = judged(3)
    assert found.verdict == "not enough data" and "it takes 4" in found.why


def test_a_law_is_of_the_measurements_that_its_claim_names(series):
    claim = next(c for c in CLAIMS if c.rule == "law" and c.metric == "abs_rel")
    once, often = {"steps": 1}, {"steps": 4}
    for where, count in ((once, 1), (often, 0)):
        found = findings(series.records, [series], ["model-size"], [replace(claim, before=where)])
        assert sum(each.value is not None for each in found) == count


def test_every_number_of_the_tables_is_measured_or_fitted(written, measured, series):
    page = Page(written.read_text())
    gains = written.with_name("gains.svg").read_bytes()
    assert b64encode(gains).decode() in written.read_text()
    assert not written.with_name("frontier.svg").exists(), "nothing is known of budgets"
    law, bare = series.law, series.bare
    known = [len(series.records), law.offset, law.exponent, bare.exponent, law.r2]
    known += [100 * v for v in (law.scatter, law.held_out.error, law.held_out.baseline_error)]
    known += [*law.interval("offset"), *law.interval("exponent"), *bare.interval("exponent")]
    known += [0.1511, 3, 1]  # of the paper, and where: "figure 3", T = 1
    _all_known(page.cells["laws"], known)
    of_records = [
        value
        for r in measured
        for value in (*vars(r).values(), *r.point.values())
        if isinstance(value, (int, float))
    ]
    cells = [c for c in page.cells["runs"] if not re.fullmatch(r"[0-9a-f]{8}", c)]
    assert len(cells) > 80
    _all_known([re.sub(r"\bn\d+", "", cell) for cell in cells], of_records)
    judged = findings(measured, [series], ["model-size", "steps"])
    known = [v for f in judged for v in (f.value, f.low, f.high, *f.seeds) if v is not None]
    shown = [claim_text(f) for f in judged]
    assert any(s.measured for s in shown)
    for s in shown:
        assert all(word in "".join(page.words) for word in (s.says, s.measured, s.verdict))
        _all_known([s.measured.replace("gain", ""), s.seeds], known)


def test_the_same_records_give_the_same_bytes(tmp_path: Path, written, measured, series):
    again = report(measured, [series], tmp_path / "again.html", preset="laptop")
    assert again.read_text() == written.read_text()
    figures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", again.read_text())
    assert figures and not any(b"dc:date" in b64decode(figure) for figure in figures)


def _all_known(cells: list[str], known: list[float]) -> None:
    for cell in cells:
        for text in NUMBER.findall(cell):
            value = float(text)
            digits = text.split("e")[0].lstrip("+-")
            last = 10.0 ** -len(digits.partition(".")[2])
            last *= 10.0 ** int(text.split("e")[1]) if "e" in text else 1.0
            near = any(abs(value - k) <= 0.5001 * last for k in known)
            assert near or any(math.isclose(value, k, rel_tol=0.005) for k in known), (cell, text)


def test_partial_records_say_what_is_missing_and_links_stay_inside(tmp_path: Path):
    path = report(
        steps(8.0)[:3],
        [],
        tmp_path / "report.html",
        studies=["steps", "trade"],
        questions={"steps": "<b>fewer</b> & more?"},
        planned={"steps": 6, "trade": 9},
        root=tmp_path,
    )
    page = Page(path.read_text())
    text = "".join(page.words)
    assert "3 of 6 measurements" in text and "Nothing of this study" in text
    assert "not enough data" in text and "No sample predictions" in text
    assert "<b>fewer</b> & more?" in text, "shown, not obeyed"
    assert any(link.startswith("data:image/svg+xml") for link in page.links)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    ids = set(re.findall(r'id="([^"]+)"', path.read_text()))
    assert {link[1:] for link in page.links if link.startswith("#")} <= ids
    assert "@import" not in path.read_text() and "url(" not in path.read_text()
    assert "lookharder study steps --preset PRESET --out DIR" in text


def test_iso_flop_curves_are_drawn_where_a_budget_was_spent_on_three_sizes():
    found = [
        record("budget", {"size": f"n{n}"}, 0.1 + 0.02 * (i - 1) ** 2, active_params=n, macs=1e9)
        for i, n in enumerate((100, 200, 400))
    ]
    assert draw_isoflop(found[:2]) is None
    assert "<svg" in (draw_isoflop(found) or "")


def test_a_row_is_decided_where_all_of_it_is():
    def told(**verdicts) -> list[Row]:
        base = {"source": "figure 10", "printed": "", "study": "schedule", "task": "depth"}
        return rows(
            [
                Finding(**base, metric="abs_rel", quantity="gain, %", says=says, verdict=verdict)
                for says, verdict in zip(
                    ("Cosine beats linear", "Cosine beats scaled-linear"),
                    verdicts.values(),
                    strict=True,
                )
            ]
        )

    (row,) = told(a="holds", b="holds")
    assert row.decided == "holds" and row.why == "" and len(row.members) == 2
    (row,) = told(a="holds", b="undecided")
    assert row.decided == "undecided" and "over linear: holds" in row.why
    (row,) = told(a="holds", b="no effect")
    assert row.decided == "in part" and "over scaled-linear: no effect" in row.why
    assert lead([row]) == "Of 1 claims, 0 of them ours: 1 holds in part."


def test_a_law_is_a_row_for_each_effort():
    base = {"source": "", "printed": "", "study": "s", "task": "depth", "metric": "abs_rel"}
    says = "AbsRel is a power law of compute"
    told = [
        Finding(**base, says=says, quantity="exponent", where=where)
        for where in ("T = 1", "T = 10")
    ]
    assert [row.says.rpartition(" (")[2] for row in rows(told)] == ["T = 1)", "T = 10)"]


def test_rows_are_made_of_claims_that_exist():
    members = [says for row in TOGETHER.values() for says in row]
    assert len(members) == len(set(members))
    assert set(members) <= {claim.says for claim in CLAIMS}


def test_the_first_page_says_what_compute_buys():
    found = [
        *steps(-8.0),
        *(
            record(
                "draws",
                {"size": "n4", "steps": 1, "members": n},
                0.2,
                seed=s,
                inference_macs=n * 1e6,
            )
            for n in (1, 20)
            for s in range(3)
        ),
    ]
    known = lines(found)
    assert set(known) == {"steps", "draws"} and known["draws"].buys[-1].cost == pytest.approx(20)
    more, same = sentences(known, findings(found, [], ["steps", "draws"]))
    assert more.startswith("10 denoising steps in place of one") and "more error" in more
    assert "20 merged draws in place of one, at 20 times" in same
    assert lines([]) == {} and sentences({}, []) == []


def test_the_report_is_written_as_markdown_too(written):
    page, text = written.read_text(), written.with_suffix(".md").read_text()
    named = re.findall(r"!\[[^\]]+\]\((figures/[^)]+\.svg)\)", text)
    assert len(named) == len(set(named)) > 3
    there = {p.name for p in written.with_name("figures").iterdir()}
    assert there == {n[8:] for n in named} | {"somebodys-own.svg"}
    for name in named:
        svg = (written.parent / name).read_bytes()
        assert svg.startswith(b"<?xml") and b64encode(svg).decode() in page, "the page has it too"
    assert text.count("<details>") == text.count("</details>") > 1
    assert "lookharder study steps --preset laptop --out DIR" in text


def test_claims_name_studies_and_metrics_that_exist():
    from lookharder.study.studies import MORE_STUDIES, STUDIES

    scores = SCORES.values()
    reported = {score.error_name(metric) for score in scores for metric in score.studied} | {"loss"}
    elsewhere = {name for name, part in PARTS.items() if part.how}
    assert {claim.study for claim in CLAIMS} <= {*STUDIES, *MORE_STUDIES, *elsewhere}
    rules = [score.forecast for score in scores if score.forecast is not None]
    reported |= {name for rule in rules for name in rule.names}
    assert {claim.metric for claim in CLAIMS} <= reported


def test_names_from_files_are_no_markup_in_the_table_of_claims():
    found = Finding(
        says="a | b",
        source="<script>alert(1)</script>",
        printed="",
        study="s",
        task="depth",
        metric="abs_rel",
        compared="1 < 2\x1b[31m",
        quantity="gain, %",
        seeds=(0, 0),
        verdict="not enough data",
    )
    (row,) = (line for line in markdown([found]).splitlines() if "script" in line)
    assert "<" not in row and "\x1b" not in row
    assert row.count("|") == 5 and "&lt;script&gt;" in row
