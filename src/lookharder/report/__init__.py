"""Records and laws as one HTML file that could be an appendix of a paper: claims, figures, laws, pictures, every run.

    records ─► series (laws) ─► findings (claims) ─► section a study ─► page

Every number on the page is in the records or follows from them by the rules of `findings`; the page says what is
missing, and beside every figure stands the command that draws it again. It holds all it shows: no scripts, no network.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lookharder.errors import InputError
from lookharder.files import atomic
from lookharder.report import plots
from lookharder.report.budgets import (
    Budgets,
    check_table,
    checks,
    effect_table,
    family_table,
    foretold,
    frontier_figure,
)
from lookharder.report.claims import CLAIMS, Claim
from lookharder.report.findings import MARGIN, Finding, findings
from lookharder.report.page import Numbers, row, section
from lookharder.report.template import PAGE, STYLE
from lookharder.scaling.record import Record
from lookharder.scaling.series import Series, series_of

__all__ = [
    "CLAIMS",
    "Budgets",
    "Claim",
    "Finding",
    "checks",
    "findings",
    "markdown",
    "report",
    "series_of",
]

CONVENTIONS = (
    "Intervals are 95 %. Those of single measurements are bootstraps over pictures; those of laws resample "
    "measurements and pictures, networks as a whole where each was asked more than once; those of gains resample "
    "pictures, and add what another seed would change, by the spread between seeds of all that is compared, "
    "networks that are asked several times being one witness each.",
    "A gain is the share of the error that is gone, 100 (1 - after / before). A claim of “better” holds where"
    f" the interval of the gain is above 0, one of “as good” where it is above -{MARGIN:g} %; it does not hold"
    " where the interval is below, and is undecided where that value lies inside. With one seed there is not "
    "enough data. The largest effort is compared with the least, never the best setting with the worst.",
    "A law is E + A x^-a, fitted to logarithms with Huber's loss. It holds where a is surely above 0 and the "
    "law of all other points foretells the largest point better than the largest of the others does (“no "
    "law”), by more than the scatter, and neither of the two is a single seed's. R² and scatter are those of "
    "logarithms. An exponent means something "
    "only beside its offset: the paper's laws have none, so they are to be compared with the column E = 0, "
    "and its compute is counted otherwise; thin and grey is their slope, moved to our smallest point. "
    "With fewer than 5 places there is not enough data; an exponent whose interval spans more than a factor "
    "of 10 leaves the claim undecided.",
    "Compute is counted in multiply-adds, those of attention between tokens among them, 3 forwards for an "
    "image of training; FLOPs are twice that. All errors are so defined that less is better.",
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
    """Write the page of some studies; its path. Beside it go its figures of the whole, gains.svg and frontier.svg.

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
    from jinja2 import Environment

    names = list(dict.fromkeys(r.study for r in records)) if studies is None else list(studies)
    if not names:
        raise InputError("records", "none", "at least one, or the names of studies")
    plots.check()
    numbers, found = Numbers(), findings(records, laws, names)
    gains = plots.forest(found)
    every = _command("all" if len(names) > 1 else names[0], preset)
    forest = None
    if gains is not None:
        said = "Claims of a difference: gain and 95 % interval; green holds, orange does not, grey is open. "
        said += "A black tick marks the gain that is needed where it is not 0."
        forest = numbers.figure(gains, "gains of the claims", said, every)
    sections = [
        section(
            name,
            [record for record in records if record.study == name],
            [series for series in laws if series.study == name],
            question=(questions or {}).get(name, ""),
            planned=(planned or {}).get(name),
            root=root,
            how=_command(name, preset),
            numbers=numbers,
        )
        for name in names
    ]
    frontier = None if budgets is None else frontier_figure(budgets)
    title = "Scaling studies" if len(sections) > 1 else f"Scaling study: {sections[0].title}"
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(PAGE).render(
        title=title,
        lead="Scaling properties of diffusion models for perception (arXiv 2411.08034), measured again. Each "
        "study asks one question; each answer says how sure it is.",
        facts=_facts([record for record in records if record.study in names]),
        style=STYLE,
        claims=[row(each) for each in found],
        claims_lead=_lead(found),
        forest=forest,
        sections=sections,
        planner=_planner(budgets, frontier, numbers, every),
        conventions=CONVENTIONS,
        commands="\n".join(dict.fromkeys((every, *(each.how for each in sections)))),
    )
    _write(out, page.lstrip())
    _write(out.with_name("gains.svg"), gains)
    _write(out.with_name("frontier.svg"), frontier)
    return out


def markdown(found: Sequence[Finding]) -> str:
    """The table of claims, as Markdown."""
    lines = [
        "| claim | paper | measured here, 95 % | seeds | here |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in map(row, found):
        said = f"{each.says} ({each.source})"
        here = f"**{each.verdict}**" + (f": {each.why}" if each.why else "")
        compared = "; ".join(filter(None, (each.measured, each.compared)))
        cells = (said, each.printed, compared, each.seeds, here)
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _planner(
    budgets: Budgets | None, frontier: str | None, numbers: Numbers, how: str
) -> dict[str, Any] | None:
    """What the page shows of budgets."""
    if budgets is None or frontier is None:
        return None
    known = budgets.families[0]
    said = f"Each size over its training, measured and by the law {known.training}; dotted: the least error of a "
    said += f"budget. Below, the residuals. {foretold(known)}"
    return {
        "figure": numbers.figure(frontier, "error over training compute by size", said, how),
        "families": family_table(budgets.families),
        "effects": effect_table(known),
        "checked": check_table(budgets.checked),
    }


def _write(path: Path, text: str | None) -> None:
    """Write a file whole; without text remove it, for it is of other records."""
    if text is None:
        path.unlink(missing_ok=True)
    else:
        with atomic(path) as aside:
            aside.write_text(text, encoding="utf-8")


def _command(study: str, preset: str | None) -> str:
    return f"lookharder study {study} --preset {preset or 'PRESET'} --out DIR"


def _lead(found: Sequence[Finding]) -> str:
    if not found:
        return "The studies shown here test no claim of the table."
    counts = [sum(f.verdict == v for f in found) for v in ("holds", "does not hold", "undecided")]
    yes, no, unsure = counts
    rest = len(found) - sum(counts)
    said = f"Of {len(found)} claims, {yes} hold here, {no} do not, {unsure} are undecided"
    return f"{said}, and for {rest} there is not enough data." if rest else f"{said}."


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
        "pictures a measurement": ", ".join(map(str, pictures)),
        "machine": "; ".join(sorted({record.machine for record in records})),
        "software": ", ".join(versions),
        "measured": first if first == last else f"{first} to {last}",
    }
