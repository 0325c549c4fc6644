"""A measured bound turns the spread of members into an uncertainty, and changes nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lookharder.chain import Chain
from lookharder.metrics.calibration import bounding_factor, ratios
from lookharder.predict.predictor import Predictor
from lookharder.predict.settings import LEVEL, ErrorBound, SettingsTable

IMAGE = np.random.default_rng(0).integers(0, 256, (2, 3, 24, 32), np.uint8)


def bound(factor, task="depth", level=LEVEL):
    return ErrorBound(
        task=task, level=level, factor=factor, pictures=9, members=8, data="somewhere"
    )


@pytest.fixture(scope="module")
def chain(random_model) -> Chain:
    return Chain.load(random_model)


def test_the_uncertainty_is_the_bound_of_the_spread(chain, tmp_path):
    table = SettingsTable(data="", errors={}, rows=(), bounds=(bound(3.0), bound(9.0, level=0.9)))
    table.write(tmp_path)
    assert SettingsTable.read(tmp_path) == table
    options = {"ensemble_size": 3, "output_uncertainty": True}
    plain = Predictor(chain)(list(IMAGE), **options)
    told = Predictor(chain, settings=SettingsTable.read(tmp_path))(list(IMAGE), **options)
    np.testing.assert_array_equal(told.prediction, plain.prediction)
    spread = plain.uncertainty
    wanted = 3 * (spread + spread.mean((1, 2), keepdims=True))
    np.testing.assert_allclose(told.uncertainty, wanted, rtol=1e-5)
    np.testing.assert_allclose(told.spread, spread, atol=1e-6)
    assert plain.spread is plain.uncertainty
    assert told.doubt == pytest.approx(plain.doubt, rel=1e-5)
    assert plain.bound is None and told.bound.factor == 3
    flow = Predictor(chain, settings=table)(IMAGE[0], task="flow", second=IMAGE[1], **options)
    assert flow.bound is None  # measured for depth alone
    deeper = Predictor(chain, settings=table)(IMAGE[0], levels=2, **options)
    assert deeper.bound is None  # measured at the model's own levels, here one
    table = replace(table, levels={"depth": 2})
    assert Predictor(chain, settings=table)(IMAGE[0], **options).bound.factor == 3


def test_a_stop_rule_is_in_the_spread_of_members(chain):
    table = SettingsTable(data="", errors={}, rows=(), bounds=(bound(50.0),))
    options = {"ensemble_size": 6, "until": "0.05", "output_uncertainty": True}
    plain, told = (Predictor(chain, settings=s)(list(IMAGE), **options) for s in (None, table))
    assert plain.member_counts == told.member_counts


def test_the_promise_is_kept_on_new_pictures():
    """Errors that grow with a spread which is far too small: 68 % and 90 % lie within the bound all the same."""
    rng = np.random.default_rng(4)

    def picture():
        spread = rng.gamma(2.0, 0.01, (12, 16))
        return np.abs(rng.normal(0, 8 * spread * rng.uniform(0.5, 2))), spread

    def ratio(error, spread):
        return ratios(
            error.ravel(), bound(1.0).of(torch.from_numpy(spread)[None])[0].numpy().ravel()
        )

    fitted = [ratio(*picture()) for _ in range(60)]
    for level in (LEVEL, 0.9):
        k = bounding_factor(fitted, level)
        shares = []
        for _ in range(200):
            error, spread = picture()
            shares.append((error <= bound(k).of(torch.from_numpy(spread)[None])[0].numpy()).mean())
        assert level - 0.05 < np.mean(shares) < level + 0.08
