"""Where the recipe of the nano family comes from: depth from fresh weights, one choice at a time.

python -m benchmarks nano_recipe docs/results/nano-recipe.json --work runs/nano-recipe

AbsRel over the held-out scenes of the studies, one seed, the laptop preset's iterations. Half an hour of one core for
all; `--only n1` asks for one size. What is done is not done again.
"""

from pathlib import Path

from lookharder.files import write_json
from lookharder.scaling.record import Records
from lookharder.study.benches import NanoBench
from lookharder.study.command import execute, plan_studies
from lookharder.study.presets import LAPTOP
from lookharder.study.queue.ledger import Ledger

NAME = "nano-recipe"
ROWS = [  # size, and what differs from the family's recipe
    ("n3", {"factor": 4, "optimizer": "adamw", "lr": 2.7e-3}),
    ("n3", {"optimizer": "adamw", "lr": 2.7e-3}),
    ("n3", {"optimizer": "adamw", "lr": 5.3e-3}),
    ("n3", {"lr": 2e-3}),
    ("n3", {"lr": 4e-3}),
    ("n3", {"lr": 8e-3}),
    ("n3", {"lr": 2e-3, "time_shift": 100.0}),
    ("n4", {"lr": 2e-3}),
    ("n4", {"lr": 4e-3}),
    ("n1", {"lr": 2e-3}),
    ("n1", {"lr": 8e-3}),
]


def run(out: Path, *, work: Path, only: str | None = None, workers: int = 2) -> None:
    bench = NanoBench(NAME, LAPTOP)
    for i, (size, changes) in enumerate(ROWS):
        if only in (None, size):
            bench.score(bench.finetuned(size, 0, None, **changes), NAME, {"row": i}, 0)
    study = bench.study("What should the family be trained by?")
    work.mkdir(parents=True, exist_ok=True)
    ledger, records = Ledger(work), Records(work / "records.jsonl")
    todo = plan_studies([study], ledger, frozenset())
    if execute(todo, ledger, records, executor="local", workers=workers, retry=0, say=print):
        raise SystemExit("a training failed: see its folder")
    found = []
    for point in study.points:
        size, changes = ROWS[point.place["row"]]
        error = ledger.result(point.job.hash)["metrics"]["abs_rel"]
        kept = {key: error[key] for key in ("value", "low", "high")}
        found.append({"size": size, **changes, "abs_rel": kept})
        print(size, changes, f"{error['value']:.4f} [{error['low']:.4f}, {error['high']:.4f}]")
    write_json(out, found)
