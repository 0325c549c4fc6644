"""A job is what it does, named by the hash of that; a graph is jobs with all that they need.

    hash = digest(kind, config, hashes of the jobs it needs)

So the name of an evaluation changes with the training that it evaluates, two studies that need the same training name
the same job, and a job that is done is done for all of them, wherever its result is found. What a job is expected to
cost is no part of its name.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from lookharder.config import from_json
from lookharder.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One piece of work with a result.

    Attributes:
        kind: which stage does it.
        config: the arguments of the stage; finite JSON values.
        needs: hashes of the jobs whose folders the stage reads, in the order in which it expects them.
        cost: FLOPs that it is expected to take, 2 per multiply-add.
        title: what a person calls it; no part of the hash.
    """

    kind: str
    config: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    cost: float = 0.0
    title: str = ""

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of everything that decides the result."""
        said = {"kind": self.kind, "config": self.config, "needs": self.needs}
        return hashlib.blake2b(canonical(said).encode(), digest_size=8).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the hash among them."""
        return {
            "hash": self.hash,
            "kind": self.kind,
            "title": self.title,
            "needs": list(self.needs),
            "cost": self.cost,
            "config": dict(self.config),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], name: str = "job") -> "Job":
        """What `to_json` gave; `name` is what an error calls it.

        Raises:
            InputError: a key is missing or of the wrong type, or the hash that it bears is not its own.
        """
        said = {key: item for key, item in value.items() if key != "hash"}
        job = from_json(cls, said, name)
        if job.hash != value.get("hash"):
            got = f"{value.get('hash')}, which says what hashes to {job.hash}"
            raise InputError(name, got, "the job of its hash")
        return job


def canonical(value: Any) -> str:
    """JSON that is the same text for the same value: keys sorted, no spaces, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Graph:
    """Jobs by their hashes, in an order in which they can be done.

    Args:
        given: the jobs, those that a job needs among them; of equal jobs the first is kept. The order of jobs that do
            not need each other is kept.

    Raises:
        InputError: a job that is needed is missing, or jobs need each other.
    """

    def __init__(self, given: Iterable[Job]) -> None:
        jobs: dict[str, Job] = {}
        for job in given:
            jobs.setdefault(job.hash, job)
        order = topological({name: job.needs for name, job in jobs.items()})
        self.jobs = {name: jobs[name] for name in order}

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs.values())

    def __getitem__(self, name: str) -> Job:
        return self.jobs[name]

    def __contains__(self, name: str) -> bool:
        return name in self.jobs

    def closure(self, names: Iterable[str]) -> "Graph":
        """The jobs of these names and all that they need, directly or not."""
        wanted: set[str] = set()
        stack = list(names)
        while stack:
            name = stack.pop()
            if name not in wanted:
                wanted.add(name)
                stack += self.jobs[name].needs
        return Graph(job for job in self if job.hash in wanted)


def topological(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Names in an order in which each comes after those that it needs, otherwise as they are given.

    Raises:
        InputError: a name that is needed is missing, or names need each other.
    """
    needed = {name: tuple(others) for name, others in needs.items()}
    if missing := sorted({n for others in needed.values() for n in others} - set(needed)):
        raise InputError("needs", f"{missing}, which are no jobs here", f"one of {sorted(needed)}")
    try:
        tuple(TopologicalSorter(needed).static_order())
    except CycleError as error:
        raise InputError("needs", f"the circle {error.args[1]}", "an order of jobs") from error
    order: dict[str, None] = {}
    for name in needed:
        stack = [name]
        while stack:  # depth first, without recursion: the needs of the top, then the top
            missing = [n for n in needed[stack[-1]] if n not in order]
            if missing:
                stack += reversed(missing)
            else:
                order.setdefault(stack.pop())
    return list(order)
