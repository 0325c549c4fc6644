"""Two files of scores, image by image: does one system do better than the other, or is it chance?

Images differ far more than systems do, so the difference is taken for each image, and its mean has an interval by the
paired bootstrap. One is called better where that leaves 0 out and the signs of the differences are no chance either,
which fewer than six images cannot show (`statistics.sign_test`). Scores that were not taken alike are not compared: an
error names the field that differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lookharder.config import from_json, to_json
from lookharder.errors import InputError
from lookharder.evaluate.card import WORDS, Card
from lookharder.evaluate.judge import PIXELS, Row, weights
from lookharder.jsons import as_object, read_json
from lookharder.metrics.protocol import Protocol
from lookharder.metrics.scores import SCORES
from lookharder.metrics.statistics import Interval, bootstrap_mean, sign_test
from lookharder.visualize.html import Table

CHANCE = 0.05  # p below which signs are no chance
NOTE = (
    "A - B is taken image by image. Where its interval holds 0, or p, by the signs of the differences, is 0.05 or "
    "more, it may be chance, and no model is named as better: of fewer than six images it always may."
)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a file of `lookharder evaluate` says.

    Attributes:
        path: the file.
        model: whose scores they are.
        rules: the protocol.
        card: of the benchmark; None where it was scored under none.
        rows: of each image by its name.
    """

    path: Path
    model: str
    rules: Protocol
    card: Card | None
    rows: Mapping[str, Row]

    @classmethod
    def read(cls, path: Path) -> "Scores":
        """Read a file.

        Raises:
            InputError: it is none that `lookharder evaluate` writes.
        """
        said, rows = as_object(read_json(path), str(path)), {}
        if missing := sorted({"model", "protocol", "rows"} - said.keys()):
            raise InputError(str(path), f"no {missing}", "a file that `lookharder evaluate` writes")
        for row in said["rows"]:
            name = str(as_object(row, str(path)).get("name"))
            if name in rows:
                raise InputError(str(path), f"two rows of {name}", "one of each image")
            rows[name] = row
        card = said.get("card")
        return cls(
            path=path,
            model=str(said["model"]),
            rules=from_json(Protocol, said["protocol"], f"{path}: protocol"),
            card=None if card is None else from_json(Card, card, f"{path}: card"),
            rows=rows,
        )

    @property
    def how(self) -> dict[str, Any]:
        """All that decides how they were taken, by field."""
        if self.card is None:
            return _fields("protocol", to_json(self.rules))
        said = {k: v for k, v in to_json(self.card).items() if k not in WORDS}
        return _fields("card", said)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of one metric.

    Attributes:
        metric: its name.
        a: mean of the first.
        b: mean of the second.
        difference: mean of a - b, with its interval.
        p: how likely chance alone makes it as large, see `sign_test`.
        count: images that have the metric in both.
        better: "A", "B" or, where chance may be all of it, "neither".
    """

    metric: str
    a: float
    b: float
    difference: Interval
    p: float
    count: int
    better: Literal["A", "B", "neither"]


def compare(a: Scores, b: Scores, seed: int = 0) -> list[Difference]:
    """The difference of each metric that both have.

    Raises:
        InputError: other protocols, other images, or no metric in common.
    """
    ours, theirs = a.how, b.how
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name, "nothing") != theirs.get(name, "nothing"):
            got = f"{name} {theirs.get(name, 'nothing')}"
            raise InputError(str(b.path), got, f"{ours.get(name, 'nothing')}, as of {a.path}")
    if strangers := sorted(a.rows.keys() ^ b.rows.keys()):
        holder = a if strangers[0] in a.rows else b
        got = f"{len(strangers)} images of one alone, the first {strangers[0]} of {holder.path}"
        raise InputError(str(b.path), got, f"the images of {a.path}")
    score, pairs = SCORES[a.rules.task], [(a.rows[name], b.rows[name]) for name in a.rows]
    found = []
    for metric in pairs[0][0] if pairs else ():
        if (metric == "name" or metric.startswith(PIXELS) or "." in metric) or (
            metric not in pairs[0][1]
        ):
            continue
        known = [pair for pair in pairs if all(row[metric] is not None for row in pair)]
        if not known:
            continue
        first, second = ([row[metric] for row in rows] for rows in zip(*known, strict=True))
        share = weights(metric, [row for row, _ in known], a.rules.pooled)
        gaps = [x - y for x, y in zip(first, second, strict=True)]
        gap = bootstrap_mean(gaps, seed, weights=share)
        means = (bootstrap_mean(each, seed, weights=share).mean for each in (first, second))
        p = sign_test(gaps, seed, weights=share)
        better: Literal["A", "B", "neither"] = "neither"
        if (gap.low > 0 or gap.high < 0) and p < CHANCE:
            better = "A" if (gap.mean > 0) == score.grows(metric) else "B"
        one, other = means
        found.append(
            Difference(
                metric=metric, a=one, b=other, difference=gap, p=p, count=len(known), better=better
            )
        )
    if not found:
        raise InputError(str(b.path), "no metric that both files have", "one in common")
    return found


def comparison_table(found: list[Difference]) -> Table:
    """Each metric of both, the difference with its interval, and which is better."""
    rows = [
        (
            each.metric,
            "-" if each.better == "neither" else each.better,
            f"{each.a:.4f}",
            f"{each.b:.4f}",
            f"{each.difference.mean:.4f} [{each.difference.low:.4f}, {each.difference.high:.4f}]",
            f"{each.p:.3f}",
            str(each.count),
        )
        for each in found
    ]
    return Table(columns=("metric", "better", "A", "B", "A - B [95 %]", "p", "images"), rows=rows)


def _fields(name: str, value: Any) -> dict[str, Any]:
    """The leaves of nested values by dotted names."""
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, item in value.items() for k, v in _fields(f"{name}.{key}", item).items()}
