"""Does looking for good noise pay? Search against the plain median of as many draws, at equal MACs or fewer.

    python benchmarks/noise_search.py --model tiny --scenes 48 --out docs/results/noise-search
    python benchmarks/noise_search.py --model tiny --data ../shared/data --out docs/results/noise-search-real

The budget is 16 draws a picture. A mirrored median is in the table because the judges need predictions of the mirror
image: whoever pays for these could as well merge them.
"""

import argparse
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from real_samples import SETS

from lookharder.chain import Chain
from lookharder.data.example import Batch, Example, collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import open_spec
from lookharder.easel import Easel
from lookharder.effort import Effort
from lookharder.evaluate import SCORES, Protocol, protocol
from lookharder.files import write_json
from lookharder.inputs import resized
from lookharder.metrics.statistics import bootstrap_mean, paired_bootstrap
from lookharder.predict import Predictor
from lookharder.search import Search, search
from lookharder.tasks import verify

METRIC = {"depth": "abs_rel", "flow": "epe", "amodal": "iou"}
TRAINING_SEED, BEYOND = 1, 2_000_000
DRAWS = 16
Way = Callable[[Chain, str, Batch, Effort], tuple[torch.Tensor, int]]


def painted(chain: Chain, name: str, batch: Batch, effort: Effort, count: int) -> tuple:
    easel = Easel(chain, chain.task(name), batch, effort)
    images = easel.paint([(b, n) for n in range(count) for b in range(len(batch.image))])
    return chain.task(name).from_image(images.unflatten(0, (count, -1))), easel.macs


def median(chain: Chain, name: str, batch: Batch, effort: Effort) -> tuple[torch.Tensor, int]:
    draws, macs = painted(chain, name, batch, effort, DRAWS)
    return chain.task(name).merge(draws)[0], macs


def mirrored(chain: Chain, name: str, batch: Batch, effort: Effort) -> tuple[torch.Tensor, int]:
    """Half of the draws of the mirror image, turned back."""
    plain, macs = painted(chain, name, batch, effort, DRAWS // 2)
    other, more = painted(chain, name, verify.flip(batch), effort, DRAWS // 2)
    turn = verify.flip_flow if name == "flow" else verify.flip_map
    turned = turn(other.flatten(0, 1)).unflatten(0, other.shape[:2])
    return chain.task(name).merge(torch.cat([plain, turned]))[0], macs + more


def searched(**how) -> Way:
    def way(chain: Chain, name: str, batch: Batch, effort: Effort) -> tuple[torch.Tensor, int]:
        answer = search(chain, name, batch, effort, Search(**how))
        return answer.prediction, answer.macs

    return way


# Depth's judges predict the mirror image and a crop of 9/16 of the pixels: 4 references are 6.25 draws. Others, 4.
WAYS: dict[str, Way] = {
    "median of 16": median,
    "median of 8 and 8 mirrored": mirrored,
    "best of 8": searched(candidates=8),
    "best 4 of 8, merged": searched(candidates=8, keep=4),
    "zero-order, 3 x 3": searched(method="zero-order", candidates=3, rounds=2),
    "zero-order, 3 x 3, best 3 merged": searched(
        method="zero-order", candidates=3, rounds=2, keep=3
    ),
}


def error(task: str, prediction: np.ndarray, example: Example, rules: Protocol) -> float:
    value = SCORES[task](prediction, example, rules)[METRIC[task]]
    return 1 - value if task == "amodal" else value


@torch.inference_mode()
def compare(
    predictor: Predictor, task: str, sets: dict[str, list[Example]], effort: Effort
) -> dict[str, dict]:
    """Each way's error, its MACs beside the median's, and the paired difference to it.

    Every picture is predicted at the model's resolution and scored at its own size, by the protocol of its set.
    """
    chain = predictor.chain
    groups = [
        (protocol(task, reader, chain), list(part))
        for reader, examples in sets.items()
        for _, same in groupby(examples, key=lambda example: example.image.shape)
        for part in batched(list(same))
    ]
    errors, macs = {}, {}
    for name, way in WAYS.items():
        errors[name], macs[name] = [], 0
        for rules, part in groups:
            height, width = part[0].image.shape[-2:]
            batch = resized(
                collate([seen(e) for e in part]), *predictor.working_size(height, width)
            )
            prediction, spent = way(chain, task, batch, effort)
            prediction = chain.task(task).resize(prediction, height, width)
            values = (prediction if task == "flow" else prediction[:, None]).numpy()
            pairs = zip(values, part, strict=True)
            errors[name] += [error(task, value, example, rules) for value, example in pairs]
            macs[name] += spent
    plain = errors["median of 16"]
    return {
        name: {
            "error": bootstrap_mean(errors[name], 0)._asdict(),
            "macs": macs[name] / macs["median of 16"],
            "difference": paired_bootstrap(errors[name], plain, 0)._asdict(),
        }
        for name in WAYS
    }


def seen(example: Example) -> Example:
    """What a prediction may see."""
    return Example(
        name=example.name, image=example.image, second=example.second, visible=example.visible
    )


def batched(examples: list[Example], most: int = 16) -> list[list[Example]]:
    return [examples[first : first + most] for first in range(0, len(examples), most)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--data", type=Path, help="folder of real samples, instead of scenes")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    predictor = Predictor.from_pretrained(options.model)
    world = ProceduralWorld(predictor.chain.config.resolution, TRAINING_SEED)
    results = {}
    for steps in options.steps:
        for task in METRIC:
            if options.data is None:
                sets = {"procedural": [world[BEYOND + i] for i in range(options.scenes)]}
            else:
                opened = {
                    reader: open_spec(f"{reader}:{options.data / folder}", 64)
                    for reader, folder, owner in SETS
                    if owner == task
                }
                sets = {
                    reader: [data[i] for i in range(len(data))] for reader, data in opened.items()
                }
            found = compare(predictor, task, sets, Effort(steps=steps))
            results[f"{task}, {steps} steps"] = found
            print(f"{task}, {steps} steps")
            for name, row in found.items():
                gap = row["difference"]
                print(
                    f"  {name:34} {row['error']['mean']:.4f}  {row['macs']:.2f} of the MACs  "
                    f"{gap['mean']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]"
                )
    write_json(options.out.with_suffix(".json"), results)


if __name__ == "__main__":
    main()
