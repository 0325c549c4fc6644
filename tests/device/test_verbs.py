"""Evaluation and the caching of latents on a device are those of the host, and wait for it a few times.

The device is one that is not there (`pretend`).
"""

import pytest
import torch

from lookharder.autoencoder.tiny import Tiny, TinyConfig
from lookharder.chain import Chain
from lookharder.data.procedural import ProceduralWorld
from lookharder.evaluate.evaluation import evaluate, protocol
from lookharder.predict.predictor import Predictor
from lookharder.seeding import torch_generator
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.training.latent_cache import CacheConfig, cache_latents

WORLD = ProceduralWorld(32, 7, count=3)


@pytest.mark.parametrize("task", ["depth", "flow", "amodal"])
def test_an_evaluation_waits_as_often_however_many_steps_it_takes(device, random_model, task):
    asked = {"data": "procedural", "rules": protocol(task, "procedural"), "members": 2}
    found = []
    for steps in (1, 3):
        asked["steps"] = steps
        host = evaluate(Predictor(Chain.load(random_model)), task, WORLD, **asked)
        predictor = Predictor(Chain.load(random_model), "cuda")
        device.waits.clear()
        there = evaluate(predictor, task, WORLD, **asked)
        found.append(dict(device.waits))
        for name, mean in host.means.items():
            assert there.means[name]["mean"] == pytest.approx(mean["mean"], abs=1e-3), name
    assert found[0] == found[1]
    assert (
        sum(found[0].values()) == {"depth": 48, "flow": 12, "amodal": 9}[task]
    )  # for three pictures


@pytest.mark.parametrize("task", [Depth(), Flow(), Amodal()])
def test_latents_are_those_of_the_host(device, tmp_path, task):
    config, sets = CacheConfig(spec="procedural", size=32, batch_size=1), []
    for place in ("cpu", "cuda"):
        codec = Tiny(TinyConfig(widths=(4, 6, 8)), torch_generator(0))
        where = {"codec": codec, "device": torch.device(place)}
        device.waits.clear()
        sets.append(cache_latents(WORLD, tmp_path / place, config, task=task, **where))
    waits = sum(n for at, n in device.waits.items() if "_digest" not in at and "finger" not in at)
    assert waits == 9 + 4 * (task.name == "depth")  # three a batch; depth asks what is known
    for flip in (False, True):
        host, there = (each.group(range(3), [flip] * 3) for each in sets)
        for expected, found in zip(host, there, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
