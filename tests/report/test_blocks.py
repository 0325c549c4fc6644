"""What all networks of a study tell of seeds: intervals that are narrower, and hold the truth as often as they say."""

from dataclasses import replace

import numpy as np
import pytest

from lookharder.report.blocks import spread
from lookharder.report.compare import gain, pairs
from lookharder.report.findings import findings

from .test_report import SCENE, record

FEW = SCENE[:12]


def world(rng, seeds: int, levels: int, restless: float = 1.0, gained: float = 0.0) -> list:
    """Lengths of training that are equally good but for `gained` percent of the last, and what 2 % each seed makes."""
    shared = 0.05 * rng.standard_normal(seeds)  # of a seed, whatever the length
    found = []
    for level in range(1, levels + 1):
        ends = level in (1, levels)
        own = 0.02 * (restless if ends else 1.0) * rng.standard_normal(seeds)
        for seed in range(seeds):
            values = FEW * np.exp(shared[seed] + own[seed])
            values *= 1 - gained / 100 if level == levels else 1
            made = record(
                "pretraining", {"pretrain_iterations": level}, float(values.mean()), seed=seed
            )
            found.append(replace(made, images=len(FEW), per_image=tuple(map(float, values))))
    return found


def ends(found: list) -> tuple[dict[str, int], dict[str, int]]:
    lengths = [r.point["pretrain_iterations"] for r in found]
    return {"pretrain_iterations": min(lengths)}, {"pretrain_iterations": max(lengths)}


@pytest.mark.parametrize(("restless", "least"), [(1.0, 0.92), (1.5, 0.88)])
def test_intervals_hold_the_truth_and_are_half_as_wide(restless, least):
    rng, held, widths = np.random.default_rng(int(10 * restless)), 0, []
    for _ in range(150):
        found = world(rng, 3, 5, restless)
        before, after = ends(found)
        strata = pairs(found, before, after)
        told, alone = gain(strata, spread(found, before, after)), gain(strata)
        held += told.low <= 0 <= told.high
        widths.append((told.high - told.low, alone.high - alone.low))
    assert least <= held / 150 <= 0.99
    mine, pairs_own = np.mean(widths, axis=0)
    assert mine < 0.75 * pairs_own


def test_no_effect_is_seldom_said_of_one_that_matters():
    """Of worlds with an effect of 3 %, and of worlds with none."""
    rng = np.random.default_rng(5)
    said = {}
    for gained in (0.0, 3.0):
        verdicts = [
            next(
                f for f in findings(world(rng, 6, 5, gained=gained), [], ["pretraining"]) if f.value
            )
            for _ in range(40)
        ]
        said[gained] = [each.verdict for each in verdicts]
    assert said[3.0].count("no effect") <= 4 and said[0.0].count("no effect") > 4
    assert said[0.0].count("holds") <= 4 and said[3.0].count("holds") > 4


def test_the_spread_is_that_of_residuals():
    """Against the analysis of variance by hand: five lengths, three seeds, 8 degrees of freedom."""
    found = world(np.random.default_rng(2), 3, 5)
    told = spread(found, *ends(found))
    y = 100 * np.log([r.value for r in found]).reshape(5, 3)
    left = y - y.mean(0) - y.mean(1, keepdims=True) + y.mean()
    assert told is not None and told.free == 8
    assert told.variance == pytest.approx(2 * np.square(left).sum() / 8)
    missing = spread(found[:-1], *ends(found))
    assert missing is not None and missing.free == 7


def test_only_networks_that_were_trained_apart_tell():
    asked = [
        record("steps", {"size": "n1", "steps": t}, 0.1 + 0.01 * t, seed=s)
        for t in (1, 2, 4)
        for s in range(3)
    ]
    assert spread(asked, {"steps": 1}, {"steps": 4}) is None
    copied = [record("upcycling", {"experts": e}, 0.1, seed=s) for e in (1, 4, 8) for s in range(3)]
    assert spread(copied, {"experts": 1}, {"experts": 8}) is None
