"""What is painted depends on the order alone: not on the chunk, the neighbours, or their sequence. Bit for bit."""

import pytest
import torch

from lookharder.chain import Chain
from lookharder.data.example import collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.models.flops import count
from lookharder.predict.effort import Effort
from lookharder.predict.sampling import Easel

WORLD = ProceduralWorld(32, 5)
ORDERS = [(b, n) for n in range(4) for b in range(3)]


@pytest.fixture(scope="module")
def chain(random_model) -> Chain:
    return Chain.load(random_model)


def easel(chain, task="depth", count=3, **options) -> Easel:
    batch = collate([WORLD[i] for i in range(count)])
    effort = options.pop("effort", Effort(steps=2))
    return Easel(chain, chain.task(task), batch, effort, **options)


@torch.inference_mode()
@pytest.mark.parametrize("task", ["depth", "flow", "amodal"])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpmpp-2m"])
@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_change_nothing(chain, task, sampler, chunk):
    effort = Effort(steps=3, sampler=sampler)
    whole = easel(chain, task, effort=effort).paint(ORDERS)
    cut = easel(chain, task, effort=effort, chunk=chunk).paint(ORDERS)
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)


@torch.inference_mode()
def test_neighbours_and_sequence_change_nothing(chain):
    whole = easel(chain).paint(ORDERS)
    backwards = easel(chain).paint(ORDERS[::-1]).flip(0)
    torch.testing.assert_close(backwards, whole, rtol=0, atol=0)
    alone = torch.cat([easel(chain).paint([order]) for order in ORDERS])
    torch.testing.assert_close(alone, whole, rtol=0, atol=0)
    first = easel(chain, count=1).paint([(0, n) for n in range(4)])
    torch.testing.assert_close(first, whole[::3], rtol=0, atol=0)


@torch.inference_mode()
def test_the_last_thing_watched_is_what_is_painted(chain):
    effort = Effort(steps=4)
    watched = easel(chain, effort=effort, chunk=5)
    *_, last = watched.watch(ORDERS)
    painting = easel(chain, effort=effort)
    torch.testing.assert_close(last, painting.paint(ORDERS), rtol=0, atol=0)
    assert watched.macs == painting.macs, "Pixel decodes for nothing"


@torch.inference_mode()
def test_a_pair_of_opposites_starts_from_opposite_noise(chain, monkeypatch):
    seen = []
    network = chain.denoiser.network
    monkeypatch.setattr(
        network, "forward", lambda x, t, y, f=network.forward: seen.append(x) or f(x, t, y)
    )
    easel(chain, effort=Effort(steps=1, antithetic=True)).paint([(0, 0), (0, 1), (0, 2), (1, 0)])
    channels = chain.autoencoder.channels
    z = seen[0][:, -channels:]
    torch.testing.assert_close(z[1], -z[0], rtol=0, atol=0)
    assert not torch.equal(z[2].abs(), z[0].abs())
    assert not torch.equal(z[3].abs(), z[0].abs())


@torch.inference_mode()
def test_work_is_counted_and_done_once(chain, monkeypatch):
    encoded, asked = [], []
    codec, network = type(chain.autoencoder), chain.denoiser.network
    encode, forward = codec.encode, network.forward
    monkeypatch.setattr(codec, "encode", lambda s, x: encoded.append(len(x)) or encode(s, x))
    monkeypatch.setattr(
        network, "forward", lambda x, t, y: asked.append((len(x), len(t))) or forward(x, t, y)
    )
    painting = easel(chain, effort=Effort(steps=3), chunk=5)
    painting.paint(ORDERS)
    assert encoded == [3 * 2], "two source images of three pictures, whatever the draws"
    assert sum(inputs for inputs, _ in asked) == 3 * len(ORDERS)
    assert {times for _, times in asked} == {1}, "what a chunk shares is computed on one row"
    one = count(chain.config.model, *painting.shape[1:]).macs
    assert painting.macs == 3 * len(ORDERS) * one


@torch.inference_mode()
def test_heun_asks_twice_and_is_charged_twice(chain, monkeypatch):
    asked = []
    network = chain.denoiser.network
    monkeypatch.setattr(
        network, "forward", lambda x, t, y, f=network.forward: asked.append(len(x)) or f(x, t, y)
    )
    effort = Effort(steps=4, sampler="heun")
    painting = easel(chain, effort=effort)
    painting.paint(ORDERS)
    one = count(chain.config.model, *painting.shape[1:]).macs
    assert painting.macs == sum(asked) * one
    assert 7 * len(ORDERS) == sum(asked)
