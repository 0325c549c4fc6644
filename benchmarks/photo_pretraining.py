"""Does pre-training on photographs, as the paper does it, help a fine-tuning on scenes, and more of it more?

    python -m benchmarks photo_pretraining PHOTOS docs/results/photo-pretraining.json --work runs/photos

The study `pretraining` generates the scenes that it fine-tunes on. Here the same generator of the nano family learns
photographs, PHOTOS/CLASS/*.jpg, of sixteen classes at the most; the fine-tuning and the held-out scenes are those of
the study. Beside it stand its records, of the same seeds: fresh weights, and as long a pre-training on scenes.
Errors are AbsRel of one step; differences are paired by scene, negative where photographs, or more of them, are better.
"""

from pathlib import Path

from lookharder.files import write_json
from lookharder.metrics.statistics import paired_bootstrap
from lookharder.scaling.record import Records
from lookharder.study.benches import NanoBench
from lookharder.study.command import execute, plan_studies
from lookharder.study.presets import LAPTOP
from lookharder.study.queue.ledger import Ledger

NAME = "photo-pretraining"
RECORDS = Path("docs/results/laptop/records.jsonl")


def of_the_study(records: Path, place: dict[str, int | str]) -> dict[int, list[float]]:
    """AbsRel of each scene in `pretraining` at this place, by seed."""
    return {
        record.seed: list(record.per_image)
        for record in Records.read(records)
        if record.study == "pretraining" and record.metric == "abs_rel" and record.point == place
    }


def run(
    photos: Path,
    out: Path,
    *,
    work: Path,
    iterations: tuple[int, ...] = (375, 750, 1500, 3000),
    seeds: tuple[int, ...] = (0, 1, 2),
    workers: int = 1,
    records: Path = RECORDS,
) -> None:
    bench, size = NanoBench(NAME, LAPTOP), LAPTOP.reference
    spec = f"imagenet:{photos}?side=32"
    for seed in seeds:
        for count in iterations:
            start = bench.pretrained(size, seed, count, photos=spec)
            place = {"size": size, "pretrain_iterations": count}
            bench.score(bench.finetuned(size, seed, start), NAME, place, seed)
    study = bench.study("Do photographs help?")
    work.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(work)
    todo = plan_studies([study], ledger, frozenset())
    own = Records(work / "records.jsonl")
    if execute(todo, ledger, own, executor="local", workers=workers, retry=0, say=print):
        raise SystemExit("a training failed: see its folder")
    place = {"size": size, "steps": 1, "members": 1}
    fresh = of_the_study(records, {**place, "pretrain_iterations": 0})
    shortest: dict[int, list[float]] = {}
    rows = []
    for point in study.points:
        error = ledger.result(point.job.hash)["metrics"]["abs_rel"]
        seed, count = point.seed, point.place["pretrain_iterations"]
        scenes = of_the_study(records, {**place, "pretrain_iterations": count})
        mine = error["per_image"]
        row = {"seed": seed, "iterations": count, "photographs": error["value"]}
        rivals = {"fresh weights": fresh, "scenes": scenes, "the least of them": shortest}
        for name, found in rivals.items():
            if seed in found:
                row[name] = sum(found[seed]) / len(found[seed])
                row[f"less {name}"] = paired_bootstrap(mine, found[seed], seed)._asdict()
        shortest.setdefault(seed, mine)
        rows.append(row)
        print(row)
    write_json(out, {"size": size, "rows": rows})
