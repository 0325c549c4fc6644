"""An iteration of training has all its tensors on the device, and how often it waits is counted."""

import pytest
import torch

from lookharder.chain import Chain
from lookharder.data.source import DataConfig, open_data
from lookharder.training.config import TrainConfig
from lookharder.training.distributed.parallel import Team
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.loop import averaged, start, train
from lookharder.training.optim import OptimConfig


def trained(folder, place, optimizer, precision):
    """The averaged weights after three iterations, and their losses."""
    chain = Chain.load(folder).to(torch.device(place))
    optim = OptimConfig(optimizer=optimizer, lr=1e-3, weight_decay=0.1)
    mix = {"depth": 1.0, "flow": 1.0, "amodal": 1.0}
    config = TrainConfig(mix=mix, iterations=3, batch_size=6, optim=optim)
    runtime = RuntimeConfig(precision=precision, accumulate=2)
    state = start(chain, config, Team(config=runtime, device=torch.device(place)))
    scenes = open_data(DataConfig(spec="procedural:4", size=32))
    return list(train(config, state, chain, dict.fromkeys(mix, scenes))), averaged(chain, state)


@pytest.mark.parametrize(("optimizer", "precision"), [("adamw", "bfloat16"), ("muon", "float32")])
def test_an_iteration_waits_three_times(learner, random_model, optimizer, precision):
    _, model = trained(random_model, "cuda", optimizer, precision)
    waits = {
        "lookharder.tasks.depth.to_image: to the host": 6,
        "lookharder.training.loop.update: to the host": 3,
    }
    assert dict(learner.waits) == waits
    assert {p.device.type for p in model.network.parameters()} == {"cuda"}
