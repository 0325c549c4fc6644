"""The table of claims as a stranger reads it: what is said, what was found here, and what that decides.

Findings that say the same of two metrics, two schedules or three tasks are one row, decided only where all are:

    all alike                       that verdict
    one of them open                undecided, and which
    decided, but not all alike      in part, and which

Every finding keeps its numbers, in what folds out below the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lookharder.report.findings import Finding
from lookharder.visualize.views import VIEWS


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        says: the claim, in words that need no others.
        source: where in the paper; "ours" where it makes none.
        decided: a verdict, or "in part".
        why: what a verdict needs to be understood, or what one that is open would take.
        members: the findings behind it.
        tags: what tells each of them from the others.
    """

    says: str
    source: str
    decided: str
    why: str
    members: tuple[Finding, ...]
    tags: tuple[str, ...]


STEPS = "More denoising steps lower the error, where the first starts"
OVER = "over training on without experts"
SMALL = "A small network asked more often is as good as the next larger one"
TASKS = {task: view.title.lower() for task, view in VIEWS.items()}
# what a row says -> the findings that stand in it, and what tells each from the others; those of no row are their own
TOGETHER: dict[str, dict[str, str]] = {
    "The loss falls as a power of training compute": {
        "Pre-training loss is a power law of compute": "pre-training",
        "Fine-tuning loss is a power law of compute": "fine-tuning",
    },
    "The error falls as a power of training compute": {
        "AbsRel is a power law of compute": "AbsRel",
        "1 - δ1 is a power law of compute": "1 - δ1",
    },
    "Pre-training lowers the error of the same fine-tuning": {
        "More pre-training helps fine-tuning": "8 times as much",
        "Pre-training helps at all": "as against none",
    },
    "More pixels lower the error": {"Resolution helps": ""},
    "Experts copied from a trained network, and training on, lower its error": {
        "Upcycling and training on improves AbsRel": "AbsRel",
        "Upcycling and training on improves 1 - δ1": "1 - δ1",
    },
    "Training on as long without experts lowers the error too": {
        "Training on without experts improves AbsRel": "",
    },
    "Experts lower the error more than training on as long without them": {
        f"Upcycling improves AbsRel {OVER}": "AbsRel",
        f"Upcycling improves 1 - δ1 {OVER}": "1 - δ1",
    },
    f"{STEPS} at full noise (trailing)": {
        "Denoising steps help at one draw (trailing, x0)": "one draw, three sizes",
        "Denoising steps help at five draws, as in the paper (trailing, x0)": "five draws, three sizes",
        "Steps help where spacing is trailing, x0-prediction": "x0",
        "Steps help where spacing is trailing, eps-prediction": "eps",
    },
    f"{STEPS} below it (leading)": {
        "Steps help where spacing is leading, x0-prediction": "x0",
        "Steps help where spacing is leading, eps-prediction": "eps",
    },
    "One step that starts at full noise is better than one that starts below it": {
        "Trailing spacing beats leading at one step, x0-prediction": "x0",
        "Trailing spacing beats leading at one step, eps-prediction": "eps",
    },
    "More draws, merged, lower the error": {
        "Draws help where steps are few": "of one step",
        "Draws help where steps are many": "of four",
    },
    "The most steps and draws together lower the error": {
        "The most steps and draws beat the fewest": "",
    },
    "The cosine noise schedule is the best of three": {
        "Cosine beats linear": "over linear",
        "Cosine beats scaled-linear": "over scaled-linear",
    },
    SMALL: {
        f"{SMALL}, at its cost": "at its cost",
        "A small network with the most draws is as good as the next larger one, at any cost": (
            "at any cost"
        ),
    },
    "One network for three tasks is as good as three": {
        f"One network is as good as three: {task}": word for task, word in TASKS.items()
    },
    "More levels, closer looks at the same picture, lower the error": {
        f"More levels lower the error: {task}": word for task, word in TASKS.items()
    },
    "The error falls as a power of the compute of an answer": {
        f"Error is a power law of the compute of levels: {task}": word
        for task, word in TASKS.items()
    },
}
OPEN = ("undecided", "not enough data")


def rows(found: Sequence[Finding]) -> list[Row]:
    """Put findings together into rows, in the order of the first of each.

    A law is judged apart for each effort at which it was measured: its networks are asked once, or as the paper does.
    """
    names = {says: row for row, members in TOGETHER.items() for says in members}
    grouped: dict[str, list[Finding]] = {}
    for each in found:
        name = names.get(each.says, each.says)
        grouped.setdefault(f"{name} ({each.where})" if each.where else name, []).append(each)
    return [_row(says, members) for says, members in grouped.items()]


def _row(says: str, members: Sequence[Finding]) -> Row:
    verdicts = list(dict.fromkeys(each.verdict for each in members))
    known = {says: tag for row in TOGETHER.values() for says, tag in row.items()}
    tags = tuple(known.get(each.says, "") if len(members) > 1 else "" for each in members)
    decided, alike = str(verdicts[0]), len(verdicts) == 1
    if not alike:
        decided = "undecided" if set(verdicts) & set(OPEN) else "in part"
    why = members[0].why
    if len({(each.verdict, each.why) for each in members}) > 1:
        said = [", ".join(filter(None, ("" if alike else m.verdict, m.why))) for m in members]
        why = "; ".join(f"{tag}: {text}" for tag, text in zip(tags, said, strict=True) if text)
    return Row(
        says=says,
        source=", ".join(dict.fromkeys(each.source for each in members)),
        decided=decided,
        why=why,
        members=tuple(members),
        tags=tags,
    )
