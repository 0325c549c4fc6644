"""The planner against reality: asked for budgets that no study spent, its answers are trained and measured.

python -m benchmarks planner docs/results/laptop --budgets 1e12 2.5e12 7e12 --work runs/planner

Budgets are FLOPs of a whole training. Each is asked twice: alone, and with half of what one answer of the first plan
costs, so that a smaller network has to do, if there is one. The JSON holds what was predicted, written before anything
is trained, and what was measured over the held-out scenes of the studies. A run that a law was fitted to is refused as
a test. Families of other resolutions are left out: theirs is a ratio of errors on scenes of another size.
"""

import json
from dataclasses import replace
from pathlib import Path

from lookharder.files import write_json
from lookharder.metrics.statistics import bootstrap_mean
from lookharder.scaling.laws import Laws
from lookharder.scaling.plan import Goal, Plan, plan
from lookharder.scaling.record import Records
from lookharder.study.benches import NanoBench
from lookharder.study.command import execute, plan_studies
from lookharder.study.families import ACTIVE, EXPERTS, SIDE
from lookharder.study.presets import LAPTOP
from lookharder.study.queue.jobs import Job
from lookharder.study.queue.ledger import Ledger

NAME = "planner"


def asked(laws: Laws, budgets: tuple[float, ...]) -> list[tuple[Goal, Plan]]:
    """What the planner answers, once free and once with half of that answer's cost at test time."""
    found, families = [], [family for family in laws.families if family.resolution == SIDE]
    for budget in budgets:
        goal = Goal(training=budget)
        best, _ = plan(families, goal)
        found.append((goal, best))
        tight = replace(goal, inference=best.inference / 2)
        if any(2 * size.macs <= best.inference / 2 for f in families for size in f.sizes):
            found.append((tight, plan(families, tight)[0]))
    return found


def trained(bench: NanoBench, answer: Plan, seed: int) -> Job:
    """The training that a plan describes, with pre-training and fine-tuning in equal parts."""
    size = answer.size
    if size.start_macs:
        sparse = bench.upcycled(bench.depth(size.name, seed), EXPERTS, ACTIVE, seed)
        return bench.finetuned(
            size.name, seed, sparse, iterations=answer.iterations, own_chain=False
        )
    half = round(answer.iterations / 2)
    before = bench.pretrained(size.name, seed, half)
    return bench.finetuned(size.name, seed, before, iterations=half)


def run(
    results: Path,
    *,
    budgets: tuple[float, ...],
    work: Path,
    seeds: int = 2,
    workers: int = 2,
    out: Path | None = None,
) -> None:
    out = out or results / "planner.json"
    laws = Laws.read(results / "laws.json")
    known = {record.run for record in Records.read(results / "records.jsonl")}

    bench, rows, jobs = NanoBench(NAME, LAPTOP), [], {}
    for i, (goal, answer) in enumerate(asked(laws, budgets)):
        rows.append(
            {
                "training": goal.training,
                "inference_limit": goal.inference,
                "family": answer.family.name,
                "size": answer.size.name,
                "iterations": answer.iterations,
                "steps": answer.steps,
                "draws": answer.draws,
                "predicted": answer.error,
                "low": answer.low,
                "high": answer.high,
                "extrapolates": answer.extrapolates,
            }
        )
        for seed in range(seeds):
            bench.score(
                trained(bench, answer, seed),
                NAME,
                {"row": i},
                seed,
                steps=answer.steps,
                members=answer.draws,
            )
    study = bench.study("Does the planner know what it will get?")
    for point in study.points:
        if point.job.hash in known:
            raise SystemExit(f"{point.job.title}: the laws were fitted to it; choose other budgets")
        jobs.setdefault(point.place["row"], []).append(point.job.hash)
    write_json(out, {"laws": laws.records, "plans": rows})

    work.mkdir(parents=True, exist_ok=True)
    ledger, records = Ledger(work), Records(work / "records.jsonl")
    todo = plan_studies([study], ledger, frozenset())
    failed = execute(todo, ledger, records, executor="local", workers=workers, retry=0, say=print)
    if failed:
        raise SystemExit(json.dumps(failed, indent=1))
    for i, row in enumerate(rows):
        metrics = [ledger.result(name)["metrics"]["abs_rel"] for name in jobs[i]]
        images = [sum(v) / len(v) for v in zip(*(m["per_image"] for m in metrics), strict=True)]
        mean, low, high = bootstrap_mean(images, 0)
        row |= {
            "measured": mean,
            "measured_low": low,
            "measured_high": high,
            "seeds": [m["value"] for m in metrics],
            "inside": sum(row["low"] <= m["value"] <= row["high"] for m in metrics),
            "off": row["predicted"] / mean - 1,
        }
        print(
            f"{row['training']:.3g} FLOPs, {row['family']} {row['size']}, {row['iterations']} iterations: "
            f"{row['predicted']:.4f} [{row['low']:.4f}, {row['high']:.4f}] predicted, {mean:.4f} measured"
        )
    write_json(out, {"laws": laws.records, "plans": rows})
