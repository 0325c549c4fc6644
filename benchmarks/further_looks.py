"""Does a network that trained on what a further look at flow shows do better at further looks?

    python -m benchmarks further_looks PHOTOS seven_flow:PATH --work runs/further-looks

Trainings go on from the shipped `tiny`, with the same scenes, noise and seeds; they differ in the share of pairs of
which the network is shown the rest (`train.further_looks`). Then each is scored at one to three levels: on large
rendered scenes with exact truth, where differences are paired, and on real pairs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import Device, machine
from benchmarks.levels import SEED, WIDTH, errors, spec_of
from lookharder.data.source import DataConfig, open_spec
from lookharder.evaluate.evaluation import Evaluation, evaluate, protocol
from lookharder.files import write_json
from lookharder.metrics.statistics import paired_bootstrap
from lookharder.predict.predictor import Predictor
from lookharder.recipes import RECIPES
from lookharder.training.run import run as train_run
from lookharder.training.run_config import RunConfig

LEVELS = (1, 2, 3)


def recipe(photos: Path, share: float, seed: int, iterations: int, device: Device) -> RunConfig:
    """`tiny` goes on, on flow alone."""
    base = RECIPES["finetune"]()
    optim = replace(RECIPES["tiny"]().train.optim, lr=5e-4, warmup=20, ema_decay=0.98)
    train = replace(
        base.train,
        iterations=iterations,
        mix={"flow": 1.0},
        time_shift=100.0,
        seed=seed,
        further_looks=share,
        optim=optim,
    )
    data = DataConfig(
        spec="procedural:4000:1", size=64, store=".cache/lookharder", textures=str(photos)
    )
    return replace(base, name="further-looks", data={"flow": data}, train=train, device=device)


def score(
    model: Path, real: str, scenes: int, device: Device
) -> dict[int, tuple[Evaluation, Evaluation]]:
    """By level: rendered scenes, real pairs."""
    predictor, found = Predictor.from_pretrained(model, device), {}
    rendered = open_spec(spec_of("flow", scenes), WIDTH)
    pairs, reader = open_spec(real, 128), real.partition(":")[0]
    for levels in LEVELS:
        found[levels] = (
            evaluate(
                predictor,
                "flow",
                rendered,
                data=f"scenes of seed {SEED}",
                rules=protocol("flow", "procedural", predictor.chain),
                levels=levels,
            ),
            evaluate(
                predictor,
                "flow",
                pairs,
                data=reader,
                rules=protocol("flow", reader, predictor.chain),
                levels=levels,
            ),
        )
    return found


def run(
    photos: Path,
    real: str,
    *,
    work: Path,
    shares: tuple[float, ...] = (0.0, 0.5),
    seeds: tuple[int, ...] = (0,),
    iterations: int = 600,
    scenes: int = 24,
    device: Device = "cpu",
    out: Path = Path("docs/results/further-looks.json"),
) -> None:
    rows: list[dict[str, Any]] = []
    work.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        never: dict[int, tuple[Evaluation, Evaluation]] | None = None
        for share in shares:
            folder = work / f"{share}-{seed}"
            for step in train_run(recipe(photos, share, seed, iterations, device), folder):
                if step.iteration % 50 == 0:
                    print(share, seed, step.iteration, round(step.loss, 4), flush=True)
            found = score(folder / "model", real, scenes, device)
            never = found if never is None else never
            for levels, (rendered, pairs) in found.items():
                apart = paired_bootstrap(
                    errors(rendered, "epe"), errors(never[levels][0], "epe"), seed
                )
                rows.append(
                    {
                        "share": share,
                        "seed": seed,
                        "levels": levels,
                        "rendered": rendered.means["epe"]["mean"],
                        "rendered, less the first share": apart._asdict(),
                        "real": pairs.means["epe"]["mean"],
                    }
                )
                print(rows[-1], flush=True)
    about = {"data": real.partition(":")[0], "iterations": iterations, "scenes": scenes}
    write_json(out, about | {"rows": rows} | machine(device))
