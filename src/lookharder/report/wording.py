"""Findings in words: a claim as the cells of a table, for the page and for Markdown."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from lookharder.errors import printable
from lookharder.report.findings import Finding

MARKS = {"holds": "✓", "does not hold": "✗", "undecided": "?", "not enough data": "…"}


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


def markdown(found: Sequence[Finding]) -> str:
    """Write the table of claims as Markdown."""
    lines = [
        "# The claims of the paper",
        "",
        "| claim | paper | measured here, 95 % | seeds | here |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in map(claim_text, found):
        said = f"{each.says} ({each.source})"
        here = f"**{each.verdict}**" + (f": {each.why}" if each.why else "")
        compared = "; ".join(filter(None, (each.measured, each.compared)))
        cells = (said, each.printed, compared, each.seeds, here)
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text from a file as a cell: no markup, for Markdown passes HTML on to the page that it becomes."""
    return html.escape(printable(text).replace("|", "/"), quote=False)
