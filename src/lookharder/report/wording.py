"""Findings in words: the table of claims, and what stands behind each row, for the page and for Markdown."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from lookharder.errors import printable
from lookharder.report.findings import MARGIN, Finding
from lookharder.report.rows import Row, rows

MARKS = {
    "holds": "✓",
    "does not hold": "✗",
    "no effect": "=",
    "in part": "±",
    "undecided": "?",
    "not enough data": "…",
}
NOTATION = (
    "T is the number of denoising steps, n the number of draws that are merged, C the compute of a training, or of an "
    "answer where that is said. A gain is the share of the error that is gone, in percent; what stands in brackets is "
    "its 95 % interval. A law is E + A C^-a, with an exponent a and a floor E; with E = 0 it has none, as the "
    "paper's have none. The paper's losses are of the noise (eps) in training, ours of the picture (x0) on held-out "
    "scenes: their exponents do not compare. "
    f"As good means: worse by less than {MARGIN:g} %."
)


@dataclass(frozen=True, kw_only=True)
class ClaimText:
    """A claim and what became of it, as the cells of a row."""

    says: str
    source: str
    printed: str
    measured: str
    compared: str
    seeds: str
    verdict: str
    mark: str
    why: str


def claim_text(found: Finding) -> ClaimText:
    """Write a finding as the cells of a row."""
    fewest, most = found.seeds
    measured = ""
    if found.value is not None and found.low is not None and found.high is not None:
        unit = " %" if found.quantity == "gain, %" else ""
        name = "gain" if unit else "exponent"
        form = "{:+.1f}" if unit else "{:.3g}"
        ends = ", ".join(map(form.format, (found.low, found.high)))
        measured = f"{name} {form.format(found.value)}{unit} [{ends}]"
    return ClaimText(
        says=found.says,
        source=found.source,
        printed=found.printed,
        measured=measured,
        compared=found.compared,
        seeds="" if not most else str(most) if fewest == most else f"{fewest} to {most}",
        verdict=found.verdict,
        mark=MARKS[found.verdict],
        why=found.why,
    )


@dataclass(frozen=True, kw_only=True)
class RowText:
    """A row of the table of claims, as its cells."""

    says: str
    source: str
    paper: tuple[str, ...]
    here: tuple[str, ...]
    decided: str
    mark: str
    why: str


def row_text(row: Row) -> RowText:
    """Write a row as its cells."""
    told = [claim_text(each) for each in row.members]
    pairs = zip(row.tags, told, strict=True)
    here = [": ".join(filter(None, (tag, each.measured))) for tag, each in pairs if each.measured]
    return RowText(
        says=row.says,
        source=row.source,
        paper=tuple(dict.fromkeys(each.printed for each in told if each.printed)),
        here=tuple(here),
        decided=row.decided,
        mark=MARKS[row.decided],
        why=row.why,
    )


def lead(told: Sequence[Row]) -> str:
    """Count what was decided."""
    if not told:
        return "The studies shown here test no claim of the table."
    counts = {word: sum(row.decided == word for row in told) for word in MARKS}
    ours = sum(row.source == "ours" for row in told)
    said = [f"{count} {_plural(word, count)}" for word, count in counts.items() if count]
    return f"Of {len(told)} claims, {ours} of them ours: {', '.join(said)}."


def markdown(found: Sequence[Finding]) -> str:
    """Write the table of claims as a page of Markdown, with all findings folded in below it."""
    told = rows(found)
    return "\n\n".join(("# The claims of the paper", *claim_blocks(told))) + "\n"


def claim_blocks(told: Sequence[Row]) -> list[str]:
    """Write the table of claims as blocks of Markdown: its lead, notation, rows, and what stands behind them."""
    cells = []
    for row in map(row_text, told):
        decided = f"{row.mark} **{row.decided}**" + (f": {row.why}" if row.why else "")
        cells.append(
            (f"{row.says} ({row.source})", "; ".join(row.paper), "; ".join(row.here), decided)
        )
    behind = [
        (
            each.says,
            each.measured,
            "; ".join(filter(None, (found.where, each.compared))),
            each.seeds,
            f"{each.verdict}: {each.why}" if each.why else each.verdict,
        )
        for row in told
        for found, each in zip(row.members, map(claim_text, row.members), strict=True)
    ]
    columns = ("finding", "measured, 95 %", "compared", "seeds", "verdict")
    return [
        lead(told),
        NOTATION,
        table(("claim", "paper", "here", "decided"), cells),
        f"<details><summary>All {len(behind)} findings behind these rows</summary>",
        table(columns, behind),
        "</details>",
    ]


def table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Write a table as Markdown."""
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _plural(verdict: str, count: int) -> str:
    """A verdict as what so many claims do."""
    be = "is" if count == 1 else "are"
    return {
        "holds": "holds" if count == 1 else "hold",
        "does not hold": "does not hold" if count == 1 else "do not hold",
        "no effect": "finds no effect" if count == 1 else "find no effect",
        "in part": "holds in part" if count == 1 else "hold in part",
        "undecided": f"{be} undecided",
        "not enough data": "has not enough data" if count == 1 else "have not enough data",
    }[verdict]


def _cell(text: str) -> str:
    """Text from a file as a cell: no markup, for Markdown passes HTML on to the page that it becomes."""
    return html.escape(printable(text).replace("|", "/"), quote=False)
