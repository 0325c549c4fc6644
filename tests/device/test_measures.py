"""What studies measure of a model is the same on a device as on the host.

The device is one that is not there (`pretend`).
"""

import numpy as np
import pytest
import torch

from lookharder.chain import Chain
from lookharder.data.procedural import ProceduralWorld
from lookharder.evaluate.forecast import forecast
from lookharder.evaluate.held_out import validation_loss


@pytest.mark.parametrize("task", ["depth", "flow", "amodal"])
def test_losses_and_draws_are_those_of_the_host(device, random_model, task):
    chain = Chain.load(random_model)
    side = chain.config.model.input_size * chain.autoencoder.factor
    scenes = [ProceduralWorld(side, seed=7)[i] for i in range(2)]

    def measure():
        draws = forecast(chain, task, scenes, steps=2, members=2, seed=0).draws
        return validation_loss(chain, task, scenes, levels=2, seed=0), draws

    loss, draws = measure()
    chain.to(torch.device("cuda"))
    assert chain.device.type == "cuda"
    loss_there, draws_there = measure()
    torch.testing.assert_close(loss_there, loss, rtol=1e-5, atol=1e-6)
    assert np.allclose(draws_there, draws, atol=1e-4)
