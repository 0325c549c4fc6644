"""From a finished run to the shipped model: choose its defaults on validation scenes, score it on held-out ones.

    python -m benchmarks ship runs/tiny src/lookharder/weights/tiny --hours 1.3

Validation scenes are of the training seed beyond the training set, so the held-out seed decides nothing. Chosen there:
the denoising steps, and the threshold that reads a mask from the painted object (the published 250 asks for a whiter
background than a small network paints). Writes the model folder, weights in float16, and its card; prints the scores.
"""

from dataclasses import replace
from pathlib import Path

from lookharder.chain import Chain
from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED
from lookharder.evaluate.evaluation import Evaluation, evaluate, protocol
from lookharder.models.flops import count
from lookharder.predict.predictor import Predictor
from lookharder.tasks.amodal import Amodal

TRAINING_SEED, BEYOND = 1, 1_000_000
METRIC = {"depth": "abs_rel", "flow": "epe", "amodal": "iou"}
BLIND = {"depth": ("flat", "ramp", "mean_map"), "flow": ("zero",), "amodal": ("visible",)}
BARS = {"depth": 0.5, "flow": 0.5, "amodal": 0.6}


def score(chain: Chain, task: str, examples: list[Example], name: str, steps: int) -> Evaluation:
    rules = protocol(task, "procedural", chain)
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
    """Error of the model, of the best answer of `BLIND`, and their ratio; of an IoU the error is 1 - IoU."""
    metric = METRIC[result.task]
    keys = (metric, *(f"trivial.{name}.{metric}" for name in BLIND[result.task]))
    values = (result.means[key]["mean"] for key in keys)
    mine, *others = (1 - value if metric == "iou" else value for value in values)
    return mine, min(others), mine / min(others)


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
    return (
        (Path(__file__).parent / "tiny_card.md")
        .read_text(encoding="utf-8")
        .format(
            params=cost.params / 1e6,
            macs=cost.macs / 1e6,
            resolution=config.resolution,
            factor=chain.autoencoder.factor,
            steps=config.steps,
            threshold=next(t.threshold for t in config.tasks if isinstance(t, Amodal)),
            seed=TRAINING_SEED,
            data=results[0].data,
            hours=hours,
            run=run,
            table="\n".join(rows),
        )
    )


def run(run: Path, out: Path, *, hours: float) -> None:
    chain = Chain.load(run / "model")
    beyond = ProceduralWorld(chain.config.resolution, TRAINING_SEED)
    chain = choose(chain, [beyond[BEYOND + i] for i in range(100)])
    held_out = ProceduralWorld(chain.config.resolution, HELD_OUT_SEED)
    scenes = [held_out[i] for i in range(500)]
    name = f"procedural:500:{HELD_OUT_SEED}"
    results = [score(chain, task, scenes, name, chain.config.steps) for task in METRIC]
    for result in results:
        print(result.task, *(f"{value:.4f}" for value in ratio(result)))
    chain.save(out, card(chain, results, hours, run), half=True)
