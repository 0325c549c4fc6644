"""Every second member sees the mirror image, and its answer is one of the picture itself."""

import numpy as np
import pytest
import torch

from lookharder import Predictor
from lookharder.chain import Chain
from lookharder.data.example import Batch, collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.errors import InputError
from lookharder.models.flops import count
from lookharder.predict.effort import Effort
from lookharder.predict.sampling import BatchSampler

WORLD = Remembered(ProceduralWorld(64, 5, count=2))
TASKS = ("depth", "flow", "amodal")
NOISE = [(0, 7), (0, 8)]


@pytest.fixture(scope="module")
def predictor(random_model) -> Predictor:
    return Predictor(Chain.load(random_model), name="random")


def painted(chain: Chain, task, batch: Batch, effort: Effort) -> torch.Tensor:
    condition = chain.condition(task, batch)
    sampler = BatchSampler(chain, task, batch, condition, effort, noise=NOISE, chunk=3)
    (latents,) = sampler.sample(range(4), range(2))
    return sampler.decode(latents, range(4))


@torch.inference_mode()
@pytest.mark.parametrize("name", TASKS)
def test_odd_members_are_what_the_mirror_image_is_answered_with_turned_back(predictor, name):
    chain, batch = predictor.chain, collate([WORLD[0], WORLD[1]])
    task = chain.task(name)
    both = painted(chain, task, batch, Effort(steps=2, mirror=True))
    plain = painted(chain, task, batch, Effort(steps=2))
    other = task.mirror(painted(chain, task, batch.mirror(), Effort(steps=2)))
    torch.testing.assert_close(both[::2], plain[::2], rtol=0, atol=0)
    torch.testing.assert_close(both[1::2], other[1::2], rtol=0, atol=0)
    assert not torch.equal(both[1::2], plain[1::2])


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_network_to_which_left_and_right_are_alike_answers_as_without(
    predictor, monkeypatch, name, levels
):
    """It paints slopes of its pictures across and along; the former change their sign in the mirror."""
    chain = predictor.chain
    codec = chain.autoencoder

    def see(x, t, y):
        first, *_ = x.split(codec.channels, dim=1)
        grey = codec.decode(first).mean(1, keepdim=True)
        across = (grey.roll(-1, -1) - grey.roll(1, -1)) / 4
        along = (grey.roll(-1, -2) - grey.roll(1, -2)) / 4
        odd = across if name == "flow" else across.abs()
        return codec.encode(torch.cat([odd, along, along], dim=1))

    monkeypatch.setattr(chain.network, "forward", see)
    given = {"depth": {}, "flow": {"second": WORLD[0].second}, "amodal": {"mask": WORLD[0].visible}}
    asked = {"task": name, "levels": levels, "num_inference_steps": 1, **given[name]}
    plain = predictor(WORLD[0].image, **asked, ensemble_size=2)
    mirrored = predictor(WORLD[0].image, **asked, mirror=True, output_uncertainty=True)
    assert mirrored.members == 2
    assert np.abs(mirrored.uncertainty).max() < 1e-4
    np.testing.assert_allclose(mirrored.prediction, plain.prediction, atol=1e-4)


def test_multiply_adds_are_those_that_were_done(predictor, monkeypatch):
    chain, encoded, asked = predictor.chain, [], []
    codec, forward = type(chain.autoencoder), chain.network.forward
    encode = codec.encode
    monkeypatch.setattr(codec, "encode", lambda s, x: encoded.append(len(x)) or encode(s, x))
    monkeypatch.setattr(codec, "macs", lambda s, *size: (10**6, 0))
    monkeypatch.setattr(
        chain.network, "forward", lambda x, t, y: asked.append(len(x)) or forward(x, t, y)
    )
    given = {"task": "flow", "second": WORLD[0].second}
    for levels in (1, 2):
        encoded.clear(), asked.clear()
        told = Predictor(chain)
        result = told(WORLD[0].image, **given, mirror=True, ensemble_size=3, levels=levels)
        one = count(chain.config.model, 8, 8).macs
        assert result.macs == sum(encoded) * 10**6 + sum(asked) * one


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ensemble_size": 1}, "mirror: got one member, allowed: ensemble_size of 2 or more"),
        ({"budget": "1 GMACs"}, "mirror: got True, allowed: nothing beside a budget"),
    ],
)
def test_what_contradicts_it_is_refused(predictor, asked, said):
    with pytest.raises(InputError, match=said):
        predictor(WORLD[0].image, mirror=True, **asked)


def test_a_task_that_has_no_mirror_image_is_refused_before_anything_runs(predictor, monkeypatch):
    monkeypatch.setattr(type(predictor.chain.task("depth")), "mirrors", False)
    said = "mirror: got True, of task 'depth', allowed: False, or task 'flow' 'amodal'"
    with pytest.raises(InputError, match=said):
        predictor(WORLD[0].image, mirror=True)
