"""The newest checkpoint of a run of `sight` becomes the shipped model: its resolution chosen, scored on real pictures.

    python -m benchmarks ship_sight runs/sight DATA src/lookharder/weights/sight --hours 5

DATA holds one folder a set, as for `real_samples`. The resolution at which the network works by default is that of the
least error beside answers without a model, on one set of each task (`JUDGES`). Writes the model folder, weights in
float16, and its card; prints the scores.
"""

from dataclasses import replace
from pathlib import Path

from benchmarks.real_samples import SHOWN, score, summary
from benchmarks.sight_curve import newest
from lookharder.chain import Chain
from lookharder.data.source import open_spec
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.metrics.scores import SCORES
from lookharder.models.flops import count
from lookharder.predict.predictor import Predictor
from lookharder.predict.settings import SettingsTable

RESOLUTIONS = (80, 96, 112, 128, 160)
JUDGES = (  # set, folder, task, metric, answer without a model
    ("nyuv2", "nyuv2/train?split=val", "depth", "abs_rel", "ramp"),
    ("seven_flow", "seven_flow", "flow", "epe", "zero"),
    ("coco_amodal", "coco_amodal", "amodal", "iou_occluded", "hull"),
)


def choose(chain: Chain, data: Path) -> dict[int, float]:
    """Mean over the tasks of error / error of an answer without a model, by resolution."""
    predictor, found = Predictor(chain), dict.fromkeys(RESOLUTIONS, 0.0)
    for reader, folder, task, metric, trivial in JUDGES:
        pictures = open_spec(f"{reader}:{data / folder}", 64)
        rules = protocol(task, reader, chain)
        for resolution in RESOLUTIONS:
            result = evaluate(
                predictor, task, pictures, data=reader, rules=rules, resolution=resolution
            )
            own, other = (
                SCORES[task].error(metric, result.means[name]["mean"])
                for name in (metric, f"trivial.{trivial}.{metric}")
            )
            found[resolution] += own / other / len(JUDGES)
            print(reader, resolution, f"{own:.4f} {other:.4f}", flush=True)
    return found


def run(run: Path, data: Path, out: Path, *, hours: float) -> None:
    config, chain, iteration = newest(run)
    found = choose(chain, data)
    best = min(found, key=found.__getitem__)
    chain = Chain(replace(chain.config, resolution=best), chain.network, chain.autoencoder)
    shipped = Predictor(chain, name="sight", settings=SettingsTable.read(out))
    results = score(dict.fromkeys(SHOWN, shipped), data, None)
    cost = count(chain.config.model, 96, 128)
    card = (Path(__file__).parent / "sight_card.md").read_text(encoding="utf-8")
    chain.save(
        out,
        card.format(
            params=cost.params / 1e6,
            macs=cost.macs / 1e6,
            resolution=best,
            chosen=", ".join(f"{value:.3f} at {side}" for side, value in found.items()),
            pictures=iteration * config.train.batch_size,
            hours=hours,
            table=summary(results),
        ),
        half=True,
    )
    print(summary(results))
