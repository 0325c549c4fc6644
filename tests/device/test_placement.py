"""A prediction has all its tensors on its device, and no denoising step waits for it.

The device is one that is not there (`pretend`), so this holds where no GPU is.
"""

from dataclasses import replace

import numpy as np
import pytest

from lookharder.chain import Chain
from lookharder.models.dit import DiT
from lookharder.models.surgery import upcycle
from lookharder.predict.predictor import Predictor

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 32, 40), np.uint8)
SAMPLERS = ("ddim", "ddpm", "dpmpp-2m", "euler", "heun")


def both(device, chain_of, **options):
    """The answers of host and device, and what the latter waited for."""
    options = {"output_uncertainty": True, "ensemble_size": 2} | options
    on_host = Predictor(chain_of())(IMAGE, **options)
    predictor = Predictor(chain_of(), "cuda")
    device.waits.clear()
    on_device = predictor(IMAGE, **options)
    return on_host, on_device, dict(device.waits)


VISIBLE = np.zeros((32, 40), bool)
VISIBLE[8:20, 10:30] = True
BESIDE = {"depth": {}, "flow": {"second": np.roll(IMAGE, 2, 2)}, "amodal": {"mask": VISIBLE}}


@pytest.mark.parametrize(("task", "levels"), [(t, n) for t in BESIDE for n in (1, 2)][1:])
def test_every_task_closer_and_from_afar(device, random_model, task, levels):
    """No step waits; whatever the number of steps, the host asks a few times for a whole answer."""
    found = []
    for steps in (1, 2):
        asked = {"task": task, "levels": levels, "num_inference_steps": steps, **BESIDE[task]}
        host, there, waits = both(device, lambda: Chain.load(random_model), **asked)
        assert np.allclose(host.prediction, there.prediction, atol=1e-4)
        found.append(waits)
    assert found[0] == found[1]
    assert sum(found[0].values()) <= 20, found[0]


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        *[(sampler, {}) for sampler in SAMPLERS],
        ("ddim", {"cache": 2, "antithetic": True}),
        ("ddim", {"mirror": True, "ensemble_size": 3}),
        ("ddim", {"until": "1e-9", "ensemble_size": 4}),
    ],
)
def test_a_prediction_waits_as_often_however_many_steps_it_takes(
    device, random_model, sampler, options
):
    found = []
    for steps in (2, 4):
        asked = {"num_inference_steps": steps, "sampler": sampler} | options
        host, there, waits = both(device, lambda: Chain.load(random_model), **asked)
        assert np.allclose(host.prediction, there.prediction, atol=1e-4)
        assert np.allclose(host.uncertainty, there.uncertainty, atol=1e-4)
        found.append(waits)
    assert found[0] == found[1]


@pytest.mark.parametrize("backend", ["grouped", "padded_bmm", "loop"])
def test_experts(device, random_model, backend):
    def chain_of():
        chain = Chain.load(random_model)
        sparse = upcycle(chain.network, experts=4, active=2)
        model = replace(sparse.config, moe=replace(sparse.config.moe, backend=backend))
        network = DiT(model)
        network.load_state_dict(sparse.state_dict())
        return Chain(replace(chain.config, model=model), network, chain.autoencoder)

    host, there, _ = both(device, chain_of, num_inference_steps=2)
    assert np.allclose(host.prediction, there.prediction, atol=1e-4)
