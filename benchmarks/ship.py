"""From a finished run to the shipped model: choose its defaults on validation scenes, score it on held-out ones.

    python benchmarks/ship.py runs/tiny src/lookharder/weights/tiny --hours 1.3

Validation scenes are of the training seed beyond the training set, so the held-out seed decides nothing. Chosen there:
the denoising steps, and the threshold that reads a mask from the painted object (the published 250 asks for a whiter
background than a small network paints). Writes the model folder with weights in float16, its card, and prints the scores.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from lookharder.chain import Chain
from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED
from lookharder.evaluate import Evaluation, evaluate, protocol
from lookharder.models.flops import count
from lookharder.predict import Predictor
from lookharder.tasks.amodal import Amodal

TRAINING_SEED, BEYOND = 1, 1_000_000
METRIC = {"depth": "abs_rel", "flow": "epe", "amodal": "iou"}
BARS = {"depth": 0.5, "flow": 0.5, "amodal": 0.6}


def score(chain: Chain, task: str, examples: list[Example], name: str, steps: int) -> Evaluation:
    rules = protocol(task, "procedural")
    return evaluate(
        Predictor(chain, name="tiny"), task, examples, data=name, rules=rules, steps=steps
    )


def with_threshold(chain: Chain, threshold: float) -> Chain:
    tasks = tuple(
        replace(task, threshold=threshold) if isinstance(task, Amodal) else task
        for task in chain.config.tasks
    )
    return Chain(replace(chain.config, tasks=tasks), chain.network, chain.autoencoder)


def choose(chain: Chain, scenes: list[Example]) -> Chain:
    """Threshold, then steps, by the sum over tasks of error beside the trivial answer's."""
    by_threshold = {}
    for threshold in (170.0, 180.0, 190.0, 200.0, 210.0, 220.0, 235.0, 250.0):
        trial = with_threshold(chain, threshold)
        by_threshold[threshold] = score(trial, "amodal", scenes, "validation", 1).means["iou"][
            "mean"
        ]
    print("validation IoU by threshold", by_threshold)
    chain = with_threshold(chain, max(by_threshold, key=by_threshold.__getitem__))
    by_steps = {}
    for steps in (1, 2, 4):
        ratios = [ratio(score(chain, task, scenes, "validation", steps))[2] for task in METRIC]
        by_steps[steps] = sum(ratios)
        print("validation ratios", steps, "steps", ratios)
    best = min(by_steps, key=by_steps.__getitem__)
    return Chain(replace(chain.config, steps=best), chain.network, chain.autoencoder)


def ratio(result: Evaluation) -> tuple[float, float, float]:
    """Error of the model, of the best trivial answer, and their ratio; of an IoU the error is 1 - IoU."""
    metric = METRIC[result.task]
    values = {key: row["mean"] for key, row in result.means.items() if key.endswith(metric)}
    errors = {key: 1 - value if metric == "iou" else value for key, value in values.items()}
    mine = errors.pop(metric)
    best = min(errors.values())
    return mine, best, mine / best


def card(chain: Chain, results: list[Evaluation], hours: float, run: Path) -> str:
    config = chain.config
    side = config.resolution // chain.autoencoder.factor
    cost = count(config.model, side, side)
    rows = []
    for result in results:
        mine, best, share = ratio(result)
        name = "1 - IoU" if METRIC[result.task] == "iou" else METRIC[result.task]
        rows.append(
            f"| {result.task} | {name} | {mine:.3f} | {best:.3f} | {share:.2f} | {BARS[result.task]} |"
        )
    table = "\n".join(rows)
    threshold = next(task.threshold for task in config.tasks if isinstance(task, Amodal))
    return f"""---
license: apache-2.0
library_name: lookharder
pipeline_tag: depth-estimation
---
# tiny

One diffusion transformer for depth, optical flow and the hidden part of objects; {cost.params / 1e6:.1f} M parameters,
{cost.macs / 1e6:.0f} M multiply-adds a forward at {config.resolution} pixels. It denoises pixels (space-to-depth by {chain.autoencoder.factor}),
predicts x0, and takes {config.steps} step{"s" * (config.steps > 1)} by default. Masks are read from the painted object at grey <= {threshold:.0f}.

## Data and training

`lookharder train tiny` with `--set data.TASK.textures=PHOTOS` for each task: scenes of the embedded world (seed {TRAINING_SEED}, 64
pixels), photographs of ImageNet and BSDS500 on part of their surfaces. Two CPU cores, {hours} hours. `docs/log.md` tells its history.

## Results

500 held-out scenes (`procedural:500:{HELD_OUT_SEED}`), {config.steps} step{"s" * (config.steps > 1)}, one draw; the trivial answer is the best of those that do not
look at the picture (depth: flat, ramp, mean map; flow: no motion; amodal: the visible mask).

| task | error | model | trivial | ratio | wanted at most |
| --- | --- | ---: | ---: | ---: | ---: |
{table}

Written by `python benchmarks/ship.py {run} OUT --hours {hours}`; each row again by
`lookharder evaluate --model tiny --task TASK --data procedural:500 --out FILE.json`.

## Limits

Trained on synthetic scenes at 64 pixels only: real photographs are far from what it knows (`docs/results/real-samples.md`). Depth
is affine-invariant: scale and shift are unknown.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--hours", type=float, required=True)
    options = parser.parse_args()
    chain = Chain.load(options.run / "model")
    beyond = ProceduralWorld(chain.config.resolution, TRAINING_SEED)
    chain = choose(chain, [beyond[BEYOND + i] for i in range(100)])
    held_out = ProceduralWorld(chain.config.resolution, HELD_OUT_SEED)
    scenes = [held_out[i] for i in range(500)]
    name = f"procedural:500:{HELD_OUT_SEED}"
    results = [score(chain, task, scenes, name, chain.config.steps) for task in METRIC]
    for result in results:
        print(result.task, *(f"{value:.4f}" for value in ratio(result)))
    chain.save(options.out, card(chain, results, options.hours, options.run), half=True)


if __name__ == "__main__":
    main()
