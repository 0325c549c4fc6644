"""Shards of an evaluation: what each has scored, group by group, beside the file of the scores.

    FILE.2-of-8.jsonl    the run on the first line, then a line for each group of pictures, written when it is scored

Lines of a run are taken up by whichever of its shards comes next, however many there are then. Who finds all groups
when he goes makes of them the scores that one process would have made, and removes the parts.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lookharder.files import as_utf8, atomic, read_text, unfinished
from lookharder.jsons import parse_json
from lookharder.predict.files.presence import Presence
from lookharder.shard import Shard

Rows = list[dict[str, Any]]
PART = re.compile(r"\d+-of-\d+\.jsonl")  # after the name of the scores


@dataclass(frozen=True, kw_only=True)
class ScoredGroup:
    """What became of pictures that were predicted together.

    Attributes:
        rows: of `Evaluation`.
        left_out: name and reason of those that could not be predicted.
        macs: of all of them.
        steps: of each member.
        members: of each picture.
        levels: of looking.
    """

    rows: Rows
    left_out: dict[str, str]
    macs: int
    steps: int
    members: int
    levels: int


class Unfinished(Exception):
    """A shard has done its part, and others have not; `missing` groups of all are not scored."""

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


class Parts:
    """A shard's part of an evaluation, and what is known of the others'.

    Args:
        out: the file of the scores.
        shard: whose part it is.
    """

    def __init__(self, out: Path, shard: Shard) -> None:
        self.out, self.shard = out.absolute(), shard
        self.path = self.out.with_suffix(f".{shard.index}-of-{shard.count}.jsonl")

    def complete(
        self,
        run: str,
        groups: Sequence[Sequence[int]],
        score: Callable[[Sequence[int]], ScoredGroup],
    ) -> list[ScoredGroup]:
        """Score the groups of this shard that are not known yet; all groups, in order.

        Raises:
            InputError: as by `opened`.
            Unfinished: other shards have not scored theirs yet.
        """
        with self.opened(run) as known:
            for number in self.shard.of(range(len(groups))):
                if number not in known:
                    known[number] = score(groups[number])
                    self.add(number, known[number])
        if len(known) < len(groups):
            raise Unfinished(len(groups) - len(known))
        return [known[number] for number in range(len(groups))]

    @contextmanager
    def opened(self, run: str) -> Iterator[dict[int, ScoredGroup]]:
        """Yield the groups that are known of a run, and write those that are put there by `add` meanwhile.

        Raises:
            InputError: another run writes this file of scores, or another process is this shard.
        """
        together = f"{run} {self.shard.count}"
        presence = Presence(self.out.parent, self.shard, together, self.out.name)
        with presence.door():
            presence.enter()
            known = self._read(run)
        try:
            mine = self._read(run, self.path)  # of a process that was killed
            lines = [{"run": run}, *(_line(number, group) for number, group in mine.items())]
            with atomic(self.path) as aside:
                aside.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
            yield known
        finally:
            with presence.door():
                presence.leave()
                known.update(self._read(run))

    def add(self, number: int, group: ScoredGroup) -> None:
        """Write a group, which is on the disk when this returns."""
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(_line(number, group), allow_nan=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def clear(self) -> None:
        """Remove the parts, once the scores are written."""
        for path in self._all():
            path.unlink(missing_ok=True)
        for aside, name in unfinished(self.out.parent):
            if name == self.out.name or PART.fullmatch(name.removeprefix(f"{self.out.stem}.")):
                aside.unlink(missing_ok=True)

    def _all(self) -> list[Path]:
        start = f"{self.out.stem}."
        paths = sorted(self.out.parent.glob("*-of-*.jsonl"))
        return [path for path in paths if PART.fullmatch(path.name.removeprefix(start))]

    def _read(self, run: str, *paths: Path) -> dict[int, ScoredGroup]:
        """The groups of a run; a last line that was cut short is none."""
        known = {}
        for path in paths or self._all():
            if not path.exists():
                continue
            *lines, _ = read_text(path).split("\n")
            values = [parse_json(line, str(path)) for line in lines]
            if values[:1] == [{"run": run}]:
                for value in values[1:]:
                    known[value["group"]] = ScoredGroup(**value["scored"])
        return known


def _line(number: int, group: ScoredGroup) -> dict[str, Any]:
    return {"group": number, "scored": as_utf8(asdict(group))}
