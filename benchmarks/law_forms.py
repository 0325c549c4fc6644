"""Which law of size and images? Seven forms held against each other on the trainings of the studies.

    sum             E + A N^-a + B D^-b                         Hoffmann et al. (arXiv 2203.15556)
    power           (A N^-a + B D^-b)^g                         as Kaplan et al. (arXiv 2001.08361) join the two
    bent plane      c N^-a D^-b e^(h log N log D)               images are worth more, or less, to a larger network
    bounded plane   M / (1 + (A N^-a D^-b)^-1)                  odds of the error below a ceiling, product of two powers
    bounded sum     M / (1 + (A N^-a + B D^-b)^-1)              the same, sum of two powers
    bounded power   M / (1 + (A N^-a + B D^-b)^-g)              what the planner uses
    with a floor    0.1 + the same                              whether a floor could be told

python -m benchmarks law_forms docs/results/laptop

Fitted to logarithms of means over seeds by least squares from many starts. `off` is log measured - log fitted at each
place; of root mean squares of such, `scatter` counts unknowns, `left_out` is of each place predicted from all others,
`largest` of the largest budget of `allocation`, predicted from all other trainings, and `planned`, with a planner.json
beside the records, of what that measured for budgets that no study spent, predicted from the studies. `blind` is what
the ceiling should be: the error of the image-independent baseline, on the same held-out scenes.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED
from lookharder.evaluate.evaluation import protocol
from lookharder.evaluate.survey import truth_of
from lookharder.files import write_json
from lookharder.metrics.scores import SCORES
from lookharder.scaling.laws import Laws
from lookharder.scaling.record import Records
from lookharder.seeding import numpy_generator
from lookharder.study.families import SIDE, TASK, whole_trainings
from lookharder.study.presets import LAPTOP

STARTS, FLOOR = 60, 0.1
Form = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # unknowns, log N, log D


def both(p: np.ndarray, n: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.logaddexp(p[0] - p[1] * n, p[2] - p[3] * d)


def inside(ceiling: float, log_odds: np.ndarray) -> np.ndarray:
    return ceiling - np.logaddexp(0, -log_odds)


FORMS: dict[str, tuple[Form, tuple[float, ...]]] = {  # with where starts are looked for
    "sum": (lambda p, n, d: np.logaddexp(p[4], both(p, n, d)), (-2.5, 0.5, -2.5, 0.5, -1.5)),
    "power": (lambda p, n, d: p[4] * both(p, n, d), (-1.5, 0.5, -1.5, 0.5, 0.5)),
    "bent plane": (
        lambda p, n, d: p[0] - p[1] * n - p[2] * d + p[3] * n * d,
        (-1.3, 0.1, 0.1, 0.0),
    ),
    "bounded plane": (
        lambda p, n, d: inside(p[3], p[0] - p[1] * n - p[2] * d),
        (0.5, 0.5, 0.5, -1.1),
    ),
    "bounded sum": (lambda p, n, d: inside(p[4], both(p, n, d)), (0.5, 0.5, 0.5, 0.5, -1.1)),
    "bounded power": (
        lambda p, n, d: inside(p[5], p[4] * both(p, n, d)),
        (0.5, 0.5, 0.5, 0.5, 1.5, -1.1),
    ),
    "with a floor": (
        lambda p, n, d: np.logaddexp(np.log(FLOOR), inside(p[5], p[4] * both(p, n, d))),
        (0.5, 0.5, 0.5, 0.5, 1.5, -1.3),
    ),
}


def fitted(name: str, n: np.ndarray, d: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The unknowns with the least squares, of many starts."""
    form, around = FORMS[name]
    starts = np.array(around) + numpy_generator(0, name).normal(0, 0.7, (STARTS, len(around)))
    tries = [least_squares(lambda p: form(p, n, d) - y, s, xtol=1e-12, ftol=1e-12) for s in starts]
    return min(tries, key=lambda found: found.cost).x


def planned(results: Path) -> np.ndarray:
    """(log size, log images, log error) of what the planner's answers measured with one step and one draw."""
    path = results / "planner.json"
    if not path.is_file():
        return np.zeros((0, 3))
    families = {f.name: f for f in Laws.read(results / "laws.json").families}
    rows = []
    for row in json.loads(path.read_text(encoding="utf-8"))["plans"]:
        family = families[row["family"]]
        if family.architecture == "dense" and (row["steps"], row["draws"]) == (1, 1):
            size = next(size for size in family.sizes if size.name == row["size"])
            rows.append((size.n, row["iterations"] * family.batch, row["measured"]))
    return np.log(np.array(rows).reshape(-1, 3))


def blind() -> float:
    """AbsRel of the best of the maps that ignore the picture, on the held-out scenes of the studies."""
    rules = protocol(TASK, "procedural")
    world = ProceduralWorld(SIDE, HELD_OUT_SEED, count=LAPTOP.held_out)
    score = SCORES[TASK]
    truths = [truth_of(world[i], score) for i in range(len(world))]
    scores = [
        np.mean([score.evaluate(answer(each), each, rules)["abs_rel"] for each in truths])
        for answer in score.trivial(truths, rules).values()
    ]
    return float(min(scores))


def rms(off: Any) -> float:
    return float(np.sqrt(np.mean(np.square(off))))


def run(results: Path, *, out: Path | None = None) -> None:
    roads: dict[tuple[float, float, float], list[float]] = {}
    for record in whole_trainings(Records.read(results / "records.jsonl")):
        place = (float(record.active_params), float(record.train_images or 0), record.train_macs)
        roads.setdefault(place, []).append(record.value)
    size, images, macs = np.log(np.array(list(roads))).T
    n, d = size - size.mean(), images - images.mean()  # near 0, so that starts are of one scale
    y = np.log([np.mean(values) for values in roads.values()])
    largest = np.abs(macs - np.log(LAPTOP.budgets[-1][0])) < 0.01
    after = planned(results)
    found = {}
    for name, (form, around) in FORMS.items():
        whole, before = (fitted(name, n[m], d[m], y[m]) for m in (np.ones_like(largest), ~largest))
        each = []
        for i in range(len(y)):
            rest = np.arange(len(y)) != i
            each.append(form(fitted(name, n[rest], d[rest], y[rest]), n[i], d[i]) - y[i])
        off = form(whole, n, d) - y
        ahead = form(whole, after[:, 0] - size.mean(), after[:, 1] - images.mean()) - after[:, 2]
        found[name] = {
            "unknowns": len(around),
            "off": [round(float(value), 4) for value in -off],
            "scatter": float(np.sqrt((off**2).sum() / (len(y) - len(around)))),
            "left_out": rms(each),
            "largest": rms(form(before, n[largest], d[largest]) - y[largest]),
            "planned": rms(ahead) if len(after) else None,
            "ceiling": float(np.exp(whole[-1])) if name.startswith("bounded") else None,
        }
        print(name, {k: round(v, 4) for k, v in found[name].items() if isinstance(v, float)})
    facts = {
        "places": [{"params": n, "images": d, "macs": c} for n, d, c in roads],
        "largest": int(largest.sum()),
        "planned": len(after),
        "blind": blind(),
    }
    print(f"{len(y)} places; blind {facts['blind']:.4f}")
    write_json(out or results / "law-forms.json", {**facts, "forms": found})
