"""Look at all of a set before a run does: every example is read, and every fault is listed.

For a set of one's own the rows of its manifest are judged too (`audit`); for the others each file of
each row. What a reader leaves out by rule (Marigold's filter) is listed apart: it is no fault.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from lookharder.data.readers.audit import check_data, check_row
from lookharder.data.readers.hypersim import LISTING, sift
from lookharder.data.readers.imagenet import faults
from lookharder.data.readers.records import Problem
from lookharder.data.readers.rows import Rows, within
from lookharder.data.readers.specs import READERS, parse
from lookharder.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a look at a set found.

    Attributes:
        examples: how many can be asked for.
        problems: everything that is wrong, by row.
        dropped: what the reader leaves out by rule, and why.
    """

    examples: int
    problems: list[Problem]
    dropped: list[Problem] = field(default_factory=list)


def examine(
    spec: str,
    start: Callable[[int], object] | None = None,
    tick: Callable[[], object] | None = None,
) -> Findings:
    """Everything that is wrong with the set of a spec `READER:PATH[?OPTIONS]`.

    Args:
        spec: the set.
        start: called with the number of examples before the first is read.
        tick: called after each.

    Raises:
        InputError: no such reader or option, or no such folder: nothing to look at.
    """
    name, path, arguments = parse(spec)
    if name == "folder":
        problems = check_data(path, dict(arguments))
        try:
            examples = len(READERS[name](path, **arguments))
        except InputError:  # it is among the problems
            examples = 0
        return Findings(examples=examples, problems=problems)
    if name == "imagenet" and (problems := faults(path)):
        return Findings(examples=0, problems=problems)
    dropped = []
    if name == "hypersim":
        listing = arguments.get("listing", LISTING)
        root = within(path, listing, "val", "train", "test")
        dropped = sift(root, listing, arguments.get("keep"))[1]
    data = READERS[name](path, **arguments)
    if start is not None:
        start(len(data))
    problems = []
    for index in range(len(data)):
        if isinstance(data, Rows):
            problems += check_row(index + 1, data.rows[index])
        else:
            try:
                data[index]
            except InputError as error:
                problems.append(Problem(row=index + 1, field="example", message=str(error)))
        if tick is not None:
            tick()
    return Findings(examples=len(data), problems=problems, dropped=dropped)
