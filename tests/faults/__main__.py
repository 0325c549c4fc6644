"""Everything that may happen to a run, made to happen: what is lost must be nothing.

    python tests/faults --out docs/results               the whole: 200 kills and all the rest
    python tests/faults --out docs/results sites stops   these again, beside what the folder has of the others
    python tests/faults --out docs/results verb-train --fault SIGINT    of a verb these alone, beside its others
    python tests/faults --out docs/results verb-study --fault SIGINT --times 1    once each: its trials are long
    python tests/faults --short --out FOLDER             a few of each

    kills        kill -9 at random moments, many of them inside a save
    stops        SIGTERM and SIGUSR1: seconds until the run has saved and ended
    sites        full, failing and read-only disk at every place of a run that writes
    full-disk    the same of a real file system (root only)
    damage       every file of a checkpoint truncated, and bits of it flipped
    stall        share of its time that the recipe `smoke` waits for saves, by a thread and without one
    ranks-N-...  kill -9 of one of N processes, weights copied (ddp) or sharded (fsdp); then damage
    verb-...     a verb of the command under each fault of `verbs.py`; the second table has exit codes and lines

After each blow all checkpoints but the one being written are intact, the newest is the last that was said to be saved,
and the run that is started again ends with weights, moments, average and model bit-identical to those of a run that
nothing happened to. `lost` lists what was otherwise. A small network is trained, on scenes that are rendered before.

Ranks of `predict` are killed by `python -m benchmarks kills --pictures 10000 --times 100` (`kills.json`): of 10,000
pictures on 2 ranks, with 100 kills, 0 are lost, 0 are there twice, and every file has the bytes of an undisturbed run.

A verb under a fault ends with a code that `lookharder.cli` documents and with one line, without a traceback, and leaves
no half-written file under a final name; where it says that it is done, all is there. The same command once more, when
the fault is gone, ends as one that nothing happened to. `app`, a server, writes nothing that outlives it: its exit
codes and lines are in `tests/app/test_server.py`. Verbs run on one core. Each trial of `study` takes minutes, so it was
struck once or twice where the others were struck three times.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lab import share_data, spawn
from stage import VERBS
from trials import Figures, damage, full_disk, kills, ranks, sites, stops, whole
from verbs import FAULTS, trials_of, verb

from lookharder.files import atomic, write_json
from lookharder.recipes import smoke
from lookharder.training.checkpoint.saver import Saver


def stall(base: Path, iterations: int = 61) -> Figures:
    """What the recipe `smoke`, at its own interval, waits for saves: with the thread, and where each is waited for."""
    config = replace(smoke(), log_every=1, device="cpu")
    config = replace(config, train=replace(config.train, iterations=iterations))

    def wait() -> None:
        own = Saver.save

        def save(self: Saver, *args: object) -> None:
            own(self, *args)
            self.settle()

        Saver.save = save

    shares = {}
    for name, prepare in (("thread", lambda: None), ("without", wait)):
        assert spawn(config, base / name, prepare).end() == 0
        lines = (base / name / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        waited = sum(row["save_seconds"] for row in rows[1:])
        shares[f"{name}_percent"] = round(100 * waited / (rows[-1]["time"] - rows[0]["time"]), 3)
    saves = (iterations - 1) // config.checkpoint_every
    return {"trials": saves, **shares, "lost": []}


Trial = Callable[[Path], Figures]
WHOLE: dict[str, Trial] = {
    "kills": lambda base: kills(base, 200, inside=60),
    "stops": lambda base: stops(base, 50),
    "sites": lambda base: sites(base),
    "full-disk": full_disk,
    "damage": lambda base: damage(whole(base), cuts=100, flips=1000),
    "stall": stall,
    "ranks-2-ddp": lambda base: ranks(base, 2, shard=1, count=8, flips=100),
    "ranks-2-fsdp": lambda base: ranks(base, 2, shard=2, count=8, flips=100),
    "ranks-4-ddp": lambda base: ranks(base, 4, shard=1, count=6, flips=100),
    "ranks-4-fsdp": lambda base: ranks(base, 4, shard=4, count=6, flips=100),
    **{f"verb-{name}": partial(verb, name=name, times=3) for name in VERBS},
}
SHORT: dict[str, Trial] = {
    "kills": lambda base: kills(base, 4, inside=2),
    "stops": lambda base: stops(base, 2),
    "sites": lambda base: sites(base, step=43),
    "damage": lambda base: damage(whole(base), cuts=4, flips=12),
    "ranks-2-ddp": lambda base: ranks(base, 2, shard=1, count=1, flips=4),
    "verb-convert": lambda base: verb(base, "convert", 1, ("SIGTERM", "64 files")),
}


def report(figures: dict[str, Figures], fuzz: dict[str, Any]) -> str:
    """The figures as a page; `fuzz` are those of `python -m tests.fuzz`."""
    rows = []
    for name, found in figures.items():
        notes = {
            "kills": "{inside_a_save} of them inside a save; {orphans} left a half-written folder, never read",
            "stops": "saved and ended after {median_s} s (median), {max_s} s at most",
            "sites": "{sites} places, each with ENOSPC and EROFS that last and EIO that does not",
            "full-disk": "tmpfs of 1.1 to 3.9 MB, and one remounted read-only",
            "stall": "of its time `smoke` waits {thread_percent} %; were each save waited for, {without_percent} %",
            "damage": "{truncations} truncations, {flips} flipped bits: {detected} detected and named",
        }
        ranked = "the others ended by themselves after {survivors_ended_after_s} s at most"
        times = next((found[key] for key in ("kills", "stops", "trials") if key in found), None)
        begun = "each begun again, and ended as one that nothing happened to"
        note = notes.get(name, begun if name.startswith("verb") else ranked).format(**found)
        seconds = f"{found['seconds']:.0f}"
        rows.append(
            f"| `{name}` | {found['detected'] if times is None else times or 'not measured'} "
            f"| {len(found['lost'])} | {note} | {seconds} |"
        )
        if name.startswith("ranks"):
            harm = found["damage"]
            of = harm["truncations"] + harm["flips"]
            rows[-1] = rows[-1].replace(
                ranked.format(**found),
                f"{ranked.format(**found)}; of {of} damaged files {harm['detected']} detected",
            )
    pairs = [(name, what) for name, found in figures.items() for what in found["lost"]]
    lost = [f"- {name}: {' '.join(what.split())}" for name, what in pairs]
    return "\n".join(
        [
            "# Reliability: what happens to a run, and what it loses",
            "",
            "    python tests/faults --out docs/results",
            "",
            "| trial | times | lost | | seconds |",
            "| --- | ---: | ---: | --- | ---: |",
            *rows,
            "",
            (__doc__ or "").partition("\n\n")[2].rstrip(),
            "",
            *matrix_of(figures),
            "",
            *fuzzed(fuzz),
            "",
            f"**Lost: {len(lost)}.**",
            *lost,
            "",
        ]
    )


def matrix_of(figures: dict[str, Figures]) -> list[str]:
    """Exit codes of verbs under faults, as a table, and the lines that were said."""
    cells = {name: figures.get(f"verb-{name}", {}).get("cells", {}) for name in VERBS}
    rows = [f"| times: exit code | {' | '.join(VERBS)} |", "| --- |" + " --- |" * len(VERBS)]
    said: dict[str, str] = {}
    for fault in FAULTS:
        row = []
        for name in VERBS:
            found = cells[name].get(fault)
            codes = {code: each["times"] for code, each in (found or {}).items()}
            row.append(", ".join(f"{n}: {code}" for code, n in codes.items()) or "not measured")
            for code, each in (found or {}).items():
                if each["line"]:
                    said.setdefault(f"{fault}, {code}", f"`{name}`: {each['line']}")
        rows.append(f"| {fault} | {' | '.join(row)} |")
    lines = [f"| {what} | {line} |" for what, line in said.items()]
    return [*rows, "", "| fault, exit code | a line that was said |", "| --- | --- |", *lines]


def fuzzed(found: dict[str, Any]) -> list[str]:
    """What readers made of damaged files, as a table."""
    head = [
        "| reader | inputs | refused | accepted | faults |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    rows = [
        f"| {name} | {row['inputs']:,} | {row['refused']:,} | {row['accepted']:,} | {len(row['faults'])} |"
        for name, row in found.items()
    ]
    total = sum(row["inputs"] for row in found.values())
    about = (
        f"{len(found)} readers, {total:,} damaged files: `python -m tests.fuzz --out docs/results`."
    )
    return ["## Damaged files", "", about, "", *head, *rows]


def these_again(
    base: Path, name: str, faults: tuple[str, ...], times: int, former: Figures
) -> Figures:
    """A verb under some faults, among what was found before under the others."""
    found = verb(base, name.removeprefix("verb-"), times, faults)
    cells = {fault: (former["cells"] | found["cells"]).get(fault) for fault in FAULTS}
    lost = [what for what in former["lost"] if what.partition(",")[0] not in faults]
    return {"trials": trials_of(cells), "cells": cells, "lost": lost + found["lost"]}


def main() -> int:
    """Run the trials; exit with 1 if anything is lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--short", action="store_true", help="a few of each trial, and no page")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="of verbs; all")
    parser.add_argument("--times", type=int, default=3, help="trials of each of these [3]")
    parser.add_argument("names", nargs="*", metavar="TRIAL", help=f"of {', '.join(WHOLE)}; all")
    args = parser.parse_args()
    logging.getLogger("lookharder").setLevel(logging.ERROR)  # what it says of damage is asked for
    share_data()
    args.out.mkdir(parents=True, exist_ok=True)
    path, trials = args.out / "faults.json", SHORT if args.short else WHOLE
    figures: dict[str, Figures] = json.loads(path.read_text()) if path.exists() else {}
    for name in args.names or trials:
        began = time.monotonic()
        trial, earlier = trials[name], 0.0
        if args.fault and name.startswith("verb-"):
            former = figures.get(name, {"cells": {}, "lost": [], "seconds": 0.0})
            earlier, these = former["seconds"], tuple(args.fault)
            trial = partial(these_again, name=name, faults=these, times=args.times, former=former)
        with tempfile.TemporaryDirectory() as base:
            found = trial(Path(base))
        seconds = round(earlier + time.monotonic() - began, 1)
        figures[name] = found | {"seconds": seconds}
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
        write_json(path, {key: figures[key] for key in trials if key in figures})
    if not args.short:
        path = args.out / "fuzz.json"
        fuzz = json.loads(path.read_text()) if path.exists() else {}
        known = {name: figures[name] for name in WHOLE if name in figures}
        with atomic(args.out / "reliability.md") as aside:
            aside.write_text(report(known, fuzz), encoding="utf-8")
    return int(any(found["lost"] for found in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
