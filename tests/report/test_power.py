"""The seeds that an effect takes, against how often a t-test of so many seeds finds it; and gains that grow."""

from dataclasses import replace

import numpy as np
import pytest
import scipy

from lookharder.report.compare import Scatter, Strata, gain
from lookharder.report.power import Power, farther, law_words, power, power_words
from lookharder.report.trend import trend
from lookharder.scaling.law import fit_power_law
from lookharder.scaling.record import Record

RNG = np.random.default_rng(0)


def scatter(between: float, images: float = 0.0, networks: int = 1, seeds: int = 3) -> Scatter:
    """Standard deviations of a gain: from seed to seed, and on other images."""
    return Scatter(
        value=0.0,
        of_images=images * scipy.stats.norm.ppf((np.arange(2000) + 0.5) / 2000),
        of_seeds=between**2,
        free=networks * (seeds - 1),
        shares=(1 / networks,) * networks,
        seeds=(seeds,) * networks,
        images=256,
    )


@pytest.mark.parametrize("between", [1.5, 4.0])
def test_so_many_seeds_find_the_effect_four_times_in_five(between):
    seeds = power(scatter(between)).seeds

    def found(n: int) -> float:
        gains = 3.0 + between * RNG.standard_normal((20_000, n))
        low, _ = scipy.stats.t.interval(
            0.95, n - 1, gains.mean(1), gains.std(1, ddof=1) / np.sqrt(n)
        )
        return float(np.mean(low > 0))

    assert found(seeds) > 0.79 and found(seeds - 1) < 0.81


def test_networks_share_their_spread_and_the_mean():
    one, four = power(scatter(4.0)).seeds, power(scatter(4.0, networks=4)).seeds
    assert four < one <= 4 * four + 4
    assert power(scatter(0.0)).seeds == 2
    assert power(scatter(4.0), effect=6.0).seeds < one < power(scatter(4.0), wanted=0.95).seeds


def test_where_images_are_too_few_seeds_do_not_help():
    wide = scatter(0.5, images=2.0)
    found = power(wide)
    assert found.seeds is None and found.images > 256
    enough = scatter(0.0, images=2.0 * (256 / found.images) ** 0.5)
    assert power(enough, wanted=0.79).seeds is not None
    assert power(enough, wanted=0.81, effect=2.97).seeds is None
    alone = scatter(0.0, seeds=1)
    assert power(alone).seeds is None


def test_words():
    vague = scatter(4.0)
    takes = power(vague).seeds
    said = f"to tell a difference of 3 % takes {takes} seeds of each network, in place of 3"
    assert power_words(vague, 9.0, 0.0, 3) == said
    side = power_words(replace(vague, value=-6.0), -1.0, -5.0, 3)
    assert "worse, by about the 5 % that are allowed" in side
    assert f"takes {power(vague, 1.0).seeds or 'more than 100'} seeds" in side
    assert "would have been told" in power_words(scatter(1.0), 4.0, 0.0, 9)
    assert "images, and more seeds" in power_words(scatter(1.0, images=9.0), 20.0, 0.0, 3)
    assert "one seed" in power_words(scatter(0.0, seeds=1), 9.0, 0.0, 1)
    assert isinstance(power(vague), Power)


def test_a_law_that_is_open_says_how_far_a_point_would_decide_it():
    x = [float(4**i) for i in range(6)]
    noise = np.tile([0.98, 1.0, 1.02], 2)
    law = fit_power_law(x, list(noise * np.array(x) ** -0.2), offset=False, resamples=40)
    factor = farther(law)
    fall = law.predict(x[-1]) / law.predict(x[-1] * factor)
    assert fall == pytest.approx(np.exp(2 * law.scatter))
    assert f"takes a point at {factor:.2g} times the compute" in law_words(law)
    rising = fit_power_law(x, list(noise * np.array(x) ** 0.01), offset=False, resamples=40)
    assert farther(rising) is None and "no larger point" in law_words(rising)


def measured(size: int, seed: int, asked: int, error: float, images: int) -> Record:
    values = np.full(images, error) * np.exp(0.01 * RNG.standard_normal(images))
    told = {"claim": "", "task": "depth", "metric": "abs_rel", "protocol": "p", "machine": "here"}
    return Record(
        **told,
        study="trade",
        run=f"{size}-{seed}-{asked}",
        point={"size": f"n{size}", "steps": 1, "members": asked},
        seed=seed,
        params=10**size,
        active_params=10**size,
        train_macs=1.0,
        train_macs_paper=1.0,
        inference_macs=asked * 10.0**size,
        value=float(values.mean()),
        low=float(values.mean()),
        high=float(values.mean()),
        images=images,
        per_image=tuple(map(float, values)),
        seconds=1.0,
        versions={},
        time=1.0,
    )


def strata(slope: float, networks: int = 4, seeds: int = 3, images: int = 30) -> Strata:
    """Gains of 5 % and `slope` more for each network ten times as large, give or take 0.5 % a seed."""
    found: Strata = {}
    for size in range(1, networks + 1):
        pairs = []
        for seed in range(seeds):
            gained = 5 + slope * size + 0.5 * RNG.standard_normal()
            pair = (
                measured(size, seed, n, e, images) for n, e in ((1, 1.0), (4, 1 - gained / 100))
            )
            pairs.append(tuple(pair))
        found[("size", f"n{size}"),] = pairs
    return found


def test_a_gain_that_grows_has_its_slope():
    one = strata(2.0)
    found = trend(one)
    assert found.low < 2.0 < found.high and found.low > 1.0
    x, y = range(4), [gain({key: pairs}).value for key, pairs in one.items()]
    assert found.value == pytest.approx(np.polyfit(x, y, 1)[0])


def test_the_interval_of_a_slope_holds_it_as_often_as_it_says():
    found = [trend(strata(0.0)) for _ in range(60)]
    inside = np.mean([each.low < 0 < each.high for each in found])
    assert 0.87 < inside <= 1.0  # 95 %, of 60


def test_two_networks_or_single_seeds_have_no_slope():
    assert trend(strata(2.0, networks=2)) is None
    assert trend(strata(2.0, seeds=1)) is None
