"""The claims of the paper, as rules over records: what was measured, and whether the claim holds here.

    verdict          a difference (gain in percent)             a law E + A C^-a
    holds            interval above what is needed              a > 0, and it predicts the largest point better
                                                                than the point before it does
    does not hold    interval below                             a < 0, or it predicts worse and misses its interval
    no effect        of "better": 0 inside, and all within 3 %  -
    undecided        what is needed lies inside                 0 lies inside, or it predicts worse but not surely,
                                                                or better by less than the points scatter, or the two
                                                                largest have one seed, or a is not known
                                                                to within a factor of 10
    not enough data  no pair of two seeds                       fewer than 5 places (4 of a law with E = 0, which
                                                                stands in for it there), or nothing held out

"Better" needs a gain of more than 0. "As good" needs one of more than -5 %: no interval is wholly at 0. An effect of
3 % either way is the least that would matter here: where the whole interval lies within, there is none.
A comparison that is undecided says what it would take (`power`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lookharder.report.blocks import spread
from lookharder.report.claims import CLAIMS, Claim
from lookharder.report.compare import (
    Strata,
    describe_change,
    gain,
    pair_trades,
    pairs,
    scatter,
    seeds_of,
    settle,
)
from lookharder.report.parts import axis_words, place_words
from lookharder.report.power import EFFECT, law_words, power_words
from lookharder.report.trend import trend
from lookharder.scaling.law import Law
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series
from lookharder.seeding import numpy_generator

Verdict = Literal["holds", "does not hold", "no effect", "undecided", "not enough data"]
MARGIN = 5.0  # percent: what counts as equally good
LEAST_SEEDS = 2
LEAST_PLACES = 5  # of a law with three unknowns; one less without a floor
VAGUE = 10.0  # an exponent known to no better than such a factor says little


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of a claim.

    Attributes:
        says: what is claimed.
        source: where.
        printed: what the paper measured.
        study: that answers it.
        task: of the records.
        metric: of the records.
        where: of a law, the effort at which its networks were asked.
        compared: what was held against what, or of a law how it does without a floor.
        quantity: "gain, %" or "exponent".
        value: of the quantity; None where there is not enough data.
        low: lower end of its 95 % interval.
        high: upper end.
        needed: the gain or exponent above which the claim holds.
        seeds: fewest and most of what was compared.
        verdict: whether the claim holds here.
        why: one clause, where the verdict needs one.
    """

    says: str
    source: str
    printed: str
    study: str
    task: str
    metric: str
    where: str = ""
    compared: str = ""
    quantity: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    needed: float = 0.0
    seeds: tuple[int, int] = (0, 0)
    verdict: Verdict = "not enough data"
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "seeds": list(self.seeds)}


def findings(
    records: Sequence[Record],
    series: Sequence[Series],
    studies: Sequence[str],
    claims: Sequence[Claim] = CLAIMS,
) -> list[Finding]:
    """Judge the claims that some studies answer, in the paper's order.

    Args:
        records: of any studies.
        series: of theirs, fitted.
        studies: whose claims.
        claims: to judge.
    """
    found: list[Finding] = []
    for claim in claims:
        if claim.study in studies:
            if claim.rule == "law":
                found += _laws(claim, series)
            else:
                found.append(_difference(claim, records))
    return found


def decide(low: float, high: float, needed: float = 0.0) -> Verdict:
    """Judge an interval by the side of `needed` on which it lies."""
    if low > needed:
        return "holds"
    return "does not hold" if high < needed else "undecided"


def _difference(claim: Claim, records: Sequence[Record]) -> Finding:
    ours = [
        record
        for record in records
        if record.study in (claim.study, *claim.also)
        and (record.task, record.metric) == (claim.task, claim.metric)
    ]
    if claim.rule == "trade":
        before, after = {}, settle(claim.after, ours)
        strata = pair_trades(ours, after)
        compared = _traded_words(strata)
    else:
        before, after = settle(claim.before, ours), settle(claim.after, ours)
        strata = pairs(ours, before, after) if before and after else {}
        compared = ", ".join(describe_change(before, after)) if strata else ""
        compared += _strata_words(strata)
    grows, known = claim.rule == "grows", spread(ours, before, after)
    told, (fewest, most) = trend(strata) if grows else gain(strata, known), seeds_of(strata)
    compared = f"for ten times the MACs of a forward: {compared}" if grows else compared
    base = _base(claim, "gain, %", compared, (fewest, most))
    needed = -MARGIN if claim.rule in ("as good", "trade") else 0.0
    if told is None:
        return Finding(**base, needed=needed, why=_lack(ours, strata))
    verdict: Verdict = decide(told.low, told.high, needed)
    why = f"worse, but by less than {-needed:g} %" if needed < told.low <= told.high < 0 else ""
    if verdict == "undecided" and needed == 0 and -EFFECT < told.low <= told.high < EFFECT:
        verdict, why = "no effect", f"none of {EFFECT:g} % or more, either way"
    if verdict == "undecided":
        varies = None if grows else scatter(strata, numpy_generator(0, "gain"), known)
        why = power_words(varies, told.high, needed, fewest)
    if most < LEAST_SEEDS:
        verdict = "not enough data"
        why = "one seed: the interval is over images alone, it takes a second training"
    return Finding(**base, **vars(told), needed=needed, verdict=verdict, why=why)


def _laws(claim: Claim, series: Sequence[Series]) -> list[Finding]:
    mine = [
        s
        for s in series
        if (s.study, s.task, s.metric) == (claim.study, claim.task, claim.metric)
        and claim.before.items() <= s.where.items()
    ]
    if not mine:
        return [Finding(**_base(claim, "exponent", "", (0, 0)), why="no records")]
    return [_followed(claim, each) for each in mine]


def _followed(claim: Claim, series: Series) -> Finding:
    """Judge whether a series follows its law: the value must fall, and the law must predict the largest point."""
    counts = [series.x.count(x) for x in set(series.x)]
    base = _base(claim, "exponent", _bare_words(series.bare), (min(counts), max(counts)))
    base["where"] = place_words(series.where)
    law, least = series.law, LEAST_PLACES
    if len(counts) < least:
        law, least = series.bare, least - 1
        base["compared"] = "with E = 0: there are too few places for a floor"
    if len(counts) < least or law is None or not law.samples or law.held_out is None:
        why = f"{len(counts)} places are too few for a law that is tested: it takes {least}"
        return Finding(**base, why=why)
    low, high = law.interval("exponent")
    held = law.held_out
    verdict, why = decide(low, high), ""
    ahead = abs(held.baseline_error) - abs(held.error)
    if verdict == "holds" and 0 < ahead <= law.scatter:
        verdict = "undecided"
    if verdict == "holds" and ahead <= 0:
        inside = held.low is not None and held.high is not None
        inside = inside and held.low <= held.measured <= held.high  # type: ignore[operator]
        verdict = "undecided" if inside else "does not hold"
        why = "" if inside else "predicts the largest point worse than no law does"
    if verdict == "undecided":
        why = law_words(law)
    last = sorted(set(series.x))[-2:]  # what is predicted, and what no law would say of it
    if verdict == "holds" and min(map(series.x.count, last)) < LEAST_SEEDS:
        verdict, why = "undecided", "it takes a second seed of each of the two largest points"
    if verdict == "holds" and high > VAGUE * low:
        verdict = "undecided"
        why = f"the exponent is not known to within a factor of {VAGUE:g}, and {law_words(law)}"
    return Finding(**base, value=law.exponent, low=low, high=high, verdict=verdict, why=why)


def _bare_words(bare: Law | None) -> str:
    """Describe the law without offset, which is the form of the paper's."""
    if bare is None or not bare.samples or bare.held_out is None:
        return ""
    ends = ", ".join(f"{end:.3g}" for end in bare.interval("exponent"))
    error, other = (100 * e for e in (bare.held_out.error, bare.held_out.baseline_error))
    return f"with E = 0 {bare.exponent:.3g} [{ends}], which predicts {error:+.1f} % (no law {other:+.1f} %)"


def _base(claim: Claim, quantity: str, compared: str, seeds: tuple[int, int]) -> dict[str, Any]:
    names = ("says", "source", "printed", "study", "task", "metric")
    same = {name: getattr(claim, name) for name in names}
    return {**same, "quantity": quantity, "compared": compared, "seeds": seeds}


def _lack(records: Sequence[Record], strata: Strata) -> str:
    if not records:
        return "no records"
    return "values of single images are not kept" if strata else "no two records to compare"


def _strata_words(strata: Strata) -> str:
    """Describe what all strata share, and what the mean is taken over."""
    axes: dict[str, list[Any]] = {}
    for key in strata:
        for axis, value in key:
            axes.setdefault(axis, [])
            if value not in axes[axis]:
                axes[axis].append(value)
    said: dict[bool, list[str]] = {True: [], False: []}
    for axis, found in axes.items():
        said[len(found) > 1].append(axis_words(axis, ", ".join(map(str, sorted(found)))))
    one = f"; {', '.join(said[False])}" if said[False] else ""
    return one + (f"; mean over {' x '.join(said[True])}" if said[True] else "")


def _traded_words(strata: Strata) -> str:
    """Describe which size stands in for which, by effort."""
    asked: dict[str, list[str]] = {}
    for (small, large), found in strata.items():
        often = found[0][1].point
        effort = place_words({axis: often.get(axis, 1) for axis in ("steps", "members")})
        asked.setdefault(effort, []).append(f"{small} for {large}")
    return "; ".join(f"{effort}: {', '.join(sizes)}" for effort, sizes in asked.items())
