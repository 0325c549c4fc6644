"""The report as Markdown that a repository's page shows, with its figures as SVG files in a folder beside it.

It has what the page has but pictures of scenes, metrics that say the same once more, and the table of all runs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookharder.errors import printable
from lookharder.files import atomic
from lookharder.report.rows import Row
from lookharder.report.sections import Figure, StudySection
from lookharder.report.wording import claim_blocks, table
from lookharder.visualize.html import Table

FOLDER = "figures"


@dataclass(frozen=True, kw_only=True)
class Planner:
    """What is known of budgets.

    Attributes:
        figure: error over training compute.
        families: what the planner chooses from.
        effects: of steps and draws.
        checked: plans that were trained.
    """

    figure: Figure
    families: Table
    effects: Table | None
    checked: Table | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report says, in its order.

    Attributes:
        title: over it.
        facts: what it rests on.
        sentences: what a colleague would repeat.
        first: the figure of that.
        rows: the table of claims.
        forest: their gains as a figure.
        sections: a study each.
        planner: what is known of budgets; None where that is nothing.
        commands: that make all of it.
    """

    title: str
    facts: Mapping[str, str]
    sentences: Sequence[str]
    first: Figure | None
    rows: Sequence[Row]
    forest: Figure | None
    sections: Sequence[StudySection]
    planner: Planner | None
    commands: str


def write_document(path: Path, report: Report) -> None:
    """Write the report as Markdown, and its figures; those that only the report before it shows are removed.

    Args:
        path: the file.
        report: what it says.
    """
    folder = path.parent / FOLDER
    folder.mkdir(exist_ok=True)
    shown: dict[str, str] = {}
    text = "\n\n".join(_blocks(report, shown)) + "\n"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    for name in set(re.findall(rf"\]\({FOLDER}/([a-z0-9-]+\.svg)\)", before)) - shown.keys():
        (folder / name).unlink(missing_ok=True)
    for name, svg in shown.items():
        with atomic(folder / name) as aside:
            aside.write_text(svg, encoding="utf-8")
    with atomic(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _blocks(report: Report, shown: dict[str, str]) -> Iterator[str]:
    """The paragraphs of the file; `shown` gets the figures by their names."""
    yield f"# {report.title}"
    yield "The scaling properties of diffusion models for perception (arXiv 2411.08034), measured again."
    yield from report.sentences
    if report.first:
        yield from _figure(report.first, shown)
    yield "## What was claimed, and what holds here"
    yield from claim_blocks(report.rows)
    if report.forest:
        yield from _figure(report.forest, shown)
    for section in report.sections:
        yield from _section(section, shown)
    if report.planner:
        yield "## What a budget buys"
        yield from _figure(report.planner.figure, shown)
        known = report.planner
        yield from _folded("What the planner chooses from", _table(known.families))
        if known.effects:
            yield from _folded("What steps and draws do", _table(known.effects))
        if known.checked:
            yield from _folded("Plans that were trained", _table(known.checked))
    yield "## To reproduce"
    yield f"```\n{report.commands}\n```"
    facts = "; ".join(f"{name}: {value}" for name, value in report.facts.items())
    yield f"{printable(facts)}. The same command writes `report.html`, with pictures of scenes and every run."


def _section(section: StudySection, shown: dict[str, str]) -> Iterator[str]:
    yield f"## {printable(section.title)}" + (f" ({section.source})" if section.source else "")
    yield from filter(None, (section.question, section.missing))
    for figure in (*section.curves, *section.isoflop):
        yield from _figure(figure, shown)
    if section.laws:
        figures = (block for figure in section.law_figures for block in _figure(figure, shown))
        yield from _folded(f"Laws: {len(section.laws.rows)}", _table(section.laws), *figures)


def _figure(figure: Figure, shown: dict[str, str]) -> Iterator[str]:
    name = re.sub(r"[^a-z0-9]+", "-", figure.alt.lower().replace("δ", "delta")).strip("-") + ".svg"
    shown[name] = figure.svg
    yield f"![{figure.alt}]({FOLDER}/{name})"
    yield f"**Figure {figure.number}.** {figure.caption}"


def _folded(summary: str, *blocks: str) -> Iterator[str]:
    yield f"<details><summary>{summary}</summary>"
    yield from blocks
    yield "</details>"


def _table(found: Table) -> str:
    return table(found.columns, found.rows)
