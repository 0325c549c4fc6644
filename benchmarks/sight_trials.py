"""Short trainings of one design after another at equal CPU time, scored on the validation pictures of NYUv2.

    python -m benchmarks sight_trials NYUV2 runs/sight-trials.jsonl --seconds 200 --trials patch conv
    python -m benchmarks sight_trials NYUV2 runs/sight-trials.jsonl --trials muon --changes train.optim.lr=1e-3

NYUV2 is the folder of the labelled set's training pictures. Depth alone; a line of JSON a trial: what was changed of
the recipe `sight`, the pictures seen, and AbsRel and delta1 of the averaged weights.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from lookharder.chain import Chain
from lookharder.config import override
from lookharder.data.source import DataConfig, open_data, open_spec
from lookharder.evaluate import evaluate, protocol
from lookharder.predict import Predictor
from lookharder.recipes import RECIPES
from lookharder.seeding import torch_generator
from lookharder.training.loop import averaged, start, train
from lookharder.training.run import RunConfig

SMALL = ("chain.resolution=80", "chain.model.input_size=80")
LARGE = ("crop=96x128", "chain.resolution=128", "chain.model.input_size=128")
PATCH = (  # of 8 x 8 pixels
    'chain.autoencoder={"kind":"pixel","factor":4}',
    "chain.model.stem=patch",
    "chain.model.input_size=20",
    "chain.model.patch_size=2",
    "chain.model.in_channels=144",
    "chain.model.out_channels=48",
)
TRIALS: dict[str, tuple[str, ...]] = {
    "conv": (),
    "large": LARGE,
    "patch": PATCH,
    "trunk at 1/8": ("chain.model.patch_size=8",),
    "edges": ("train.loss=edges",),
    "muon": ("train.optim.optimizer=muon",),
    "lr 1e-3": ("train.optim.lr=1e-3",),
    "wide": ("chain.model.hidden_size=256", "chain.model.num_heads=8"),
    "deep": ("chain.model.depth=12",),
    "shallow": ("chain.model.depth=3",),
    "thick stem": ("chain.model.stem_widths=[32,64,128]",),
    "four levels": ("chain.model.stem_widths=[24,48,96,128]",),
    "log depth by quantiles": ("chain.tasks.0.space=log",),
    "depth by quantiles": ("chain.tasks.0.space=linear",),
    "disparity by quantiles": ("chain.tasks.0.space=disparity",),
    "time_shift 20": ("train.time_shift=20",),
    "time uniform": ("train.time_shift=1",),
    "v": ("chain.prediction=v",),
    "no camera": ("train.camera=null",),
}
CROP = "crop=64x80"


def teach(config: RunConfig, seconds: float) -> tuple[Chain, int, int]:
    """Train for so many CPU seconds; the averaged system, iterations, pictures."""
    chain = Chain.build(config.chain, torch_generator(config.train.seed, "weights"))
    state = start(chain, config.train)
    datasets = {name: open_data(config.data[name]) for name in config.train.mix}
    began, images = time.process_time(), 0
    for step in train(config.train, state, chain, datasets):
        images += step.images
        if step.iteration % 50 == 0:
            print(step.iteration, round(step.loss, 4), round(step.data_seconds, 3), flush=True)
        if time.process_time() - began > seconds:
            break
    found = averaged(chain, state)
    assert found is not None
    return found, state.iteration, images


def run(
    nyuv2: Path,
    out: Path,
    *,
    seconds: float = 200.0,
    trials: tuple[str, ...],
    changes: tuple[str, ...] = (),
) -> None:
    torch.set_num_threads(1)
    sight = RECIPES["sight"]()
    spec = f"nyuv2:{nyuv2}?split=train&{CROP}"
    data = {"depth/nyuv2": DataConfig(spec=spec)}
    train_config = replace(
        sight.train,
        mix={"depth/nyuv2": 1.0},
        weights={},
        optim=replace(sight.train.optim, warmup=50, ema_decay=0.99),
    )
    held = open_spec(f"nyuv2:{nyuv2}?split=val", 128)
    for name in trials:
        own = [c for c in TRIALS[name] if not c.startswith("crop=")]
        base = replace(sight, data=data, train=train_config)
        config = override(base, [*SMALL, *own, *changes])
        if crop := [c for c in TRIALS[name] if c.startswith("crop=")]:
            other = DataConfig(spec=spec.replace(CROP, crop[0]))
            config = replace(config, data={"depth/nyuv2": other})
        chain, iterations, images = teach(config, seconds)
        predictor = Predictor(chain, torch.device("cpu"), name=name)
        rules = protocol("depth", "nyuv2", chain)
        scores = evaluate(predictor, "depth", held, data="nyuv2", rules=rules)
        row = {
            "trial": name,
            "changes": [*TRIALS[name], *changes],
            "seconds": seconds,
            "iterations": iterations,
            "images": images,
            "params": sum(p.numel() for p in chain.network.parameters()),
            "abs_rel": scores.means["abs_rel"]["mean"],
            "delta1": scores.means["delta1"]["mean"],
        }
        print(json.dumps(row), flush=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
