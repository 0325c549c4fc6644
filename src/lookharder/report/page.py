"""Records and laws as one HTML file that could be an appendix of a paper: claims, figures, laws, pictures, every run.

    records ─► series (laws) ─► findings (claims) ─► a section for each study ─► page, and the same as Markdown

Every number on the page is in the records or follows from them by the rules of `findings`; the page says what is
missing, and beside every figure stands the command that draws it again. It holds all it shows: no scripts, no network.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lookharder.errors import InputError
from lookharder.files import atomic
from lookharder.report.budgets import (
    Budgets,
    check_table,
    effect_table,
    family_table,
    held_out_words,
)
from lookharder.report.buys import lines, sentences
from lookharder.report.document import Planner, Report, write_document
from lookharder.report.figures.buys import draw_buys
from lookharder.report.figures.frontier import draw_frontier
from lookharder.report.figures.gains import draw_gains
from lookharder.report.findings import MARGIN, findings
from lookharder.report.parts import part
from lookharder.report.power import EFFECT
from lookharder.report.rows import rows
from lookharder.report.sections import FigureNumbers, study_section
from lookharder.report.wording import NOTATION, claim_text, lead, row_text
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series
from lookharder.visualize.axes import require_matplotlib
from lookharder.visualize.html import write_page

BUYS = (  # what the first figure is, in its place and under it
    "what the compute of an answer buys",
    "Compute pays where the line falls. The error of each way to spend compute on an answer, against one step and one "
    "draw of the smallest network (or of the same, where that does not change), with 95 % intervals over seeds and "
    "scenes.",
)
GAINS = (  # what the figure of the claims is, in its place and under it
    "gains of the claims",
    "Claims of a difference: gain and 95 % interval; green holds, orange does not, blue has no effect, grey is open. "
    "A black tick marks the gain that is needed where it is not 0.",
)


def report(
    records: Sequence[Record],
    laws: Sequence[Series],
    out: Path,
    *,
    studies: Sequence[str] | None = None,
    questions: Mapping[str, str] | None = None,
    planned: Mapping[str, int] | None = None,
    root: Path | None = None,
    preset: str | None = None,
    budgets: Budgets | None = None,
) -> Path:
    """Write the page of some studies; its path.

    Beside it go the same as Markdown, report.md with the folder figures, and its figures of the whole: buys.svg,
    gains.svg and frontier.svg.

    Args:
        records: of any studies, whole or not.
        laws: the series of those that are shown, fitted by `series_of`.
        out: the file.
        studies: those that are shown, in this order; None for all that have records.
        questions: what each asks.
        planned: how many measurements make each whole, where that is known.
        root: the folder whose `runs` hold the models, for pictures, which are kept there in pictures.json.
        preset: of the commands that the page prints; None where it is not known.
        budgets: what the planner knows; None where it knows nothing.

    Raises:
        InputError: no matplotlib, or nothing to show.
    """
    names = list(dict.fromkeys(r.study for r in records)) if studies is None else list(studies)
    if not names:
        raise InputError("records", "none", "at least one, or the names of studies")
    require_matplotlib("report")
    numbers, found = FigureNumbers(), findings(records, laws, names)
    every = _command("all" if len(names) > 1 else names[0], preset)
    bought, gains = (
        lines([record for record in records if record.study in names]),
        draw_gains(found),
    )
    buys = draw_buys(bought.values()) if bought else None
    first = None if buys is None else numbers.figure(buys, *BUYS, every)
    forest = None if gains is None else numbers.figure(gains, *GAINS, every, wide=True)
    sections = [
        study_section(
            name,
            [record for record in records if record.study == name],
            [series for series in laws if series.study == name],
            question=(questions or {}).get(name, part(name).question),
            planned=(planned or {}).get(name),
            root=root,
            how=_command(name, preset),
            numbers=numbers,
        )
        for name in names
    ]
    frontier = None if budgets is None else draw_frontier(budgets.families[0], budgets.measured)
    said = Report(
        title="Scaling studies" if len(sections) > 1 else f"Scaling study: {sections[0].title}",
        facts=_facts([record for record in records if record.study in names]),
        sentences=sentences(bought, found),
        first=first,
        rows=rows(found),
        forest=forest,
        sections=sections,
        planner=_planner(budgets, frontier, numbers, every),
        commands="\n".join(dict.fromkeys((every, *(each.how for each in sections)))),
    )
    words: dict[str, Any] = {
        "lead": lead(said.rows),
        "notation": NOTATION,
        "claims": [(row_text(row), [*map(claim_text, row.members)]) for row in said.rows],
    }
    write_page(out, "report.html.j2", **vars(said), **words, margin=MARGIN, effect=EFFECT)
    write_document(out.with_suffix(".md"), said)
    for name, svg in {"buys": buys, "gains": gains, "frontier": frontier}.items():
        _write(out.with_name(f"{name}.svg"), svg)
    return out


def _planner(
    budgets: Budgets | None, frontier: str | None, numbers: FigureNumbers, how: str
) -> Planner | None:
    """What the page shows of budgets."""
    if budgets is None or frontier is None:
        return None
    known = budgets.families[0]
    said = f"Each size over its training, measured and by the law {known.training}; dotted: the least error of a "
    said += f"budget. Below, the residuals. {held_out_words(known)}"
    alt = "error over training compute by size"
    return Planner(
        figure=numbers.figure(frontier, alt, said, how, wide=True),
        families=family_table(budgets.families),
        effects=effect_table(known),
        checked=check_table(budgets.checked),
    )


def _write(path: Path, text: str | None) -> None:
    """Write a file whole; without text remove it, for it is of other records."""
    if text is None:
        path.unlink(missing_ok=True)
    else:
        with atomic(path) as aside:
            aside.write_text(text, encoding="utf-8")


def _command(study: str, preset: str | None) -> str:
    return part(study).how or f"lookharder study {study} --preset {preset or 'PRESET'} --out DIR"


def _facts(records: Sequence[Record]) -> dict[str, str]:
    """What the page rests on."""
    if not records:
        return {"measurements": "0"}
    times = [record.time for record in records]
    first, last = (f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d}" for t in (min(times), max(times)))
    versions = sorted({f"{name} {v}" for r in records for name, v in r.versions.items()})
    seeds = {record.seed for record in records}
    pictures = sorted({record.images for record in records})
    return {
        "records": str(len(records)),
        "runs measured": str(len({record.run for record in records})),
        "seeds": str(len(seeds)),
        "images a measurement": ", ".join(map(str, pictures)),
        "machine": "; ".join(sorted({record.machine for record in records})),
        "software": ", ".join(versions),
        "measured": first if first == last else f"{first} to {last}",
    }
