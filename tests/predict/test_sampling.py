"""What is sampled depends on image, member and field alone: not on the chunk, the neighbours, or their sequence."""

import pytest
import torch

from lookharder.chain import Chain
from lookharder.data.example import collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import Remembered
from lookharder.models.flops import count
from lookharder.predict import memory
from lookharder.predict.cost import image_cost
from lookharder.predict.effort import Effort
from lookharder.predict.memory import PeakMemory
from lookharder.predict.sampling import BatchSampler

WORLD = Remembered(ProceduralWorld(32, 5, count=8))
MEMBERS, IMAGES = range(4), range(3)
FIELDS = len(MEMBERS) * len(IMAGES)


@pytest.fixture(scope="module")
def chain(random_model) -> Chain:
    return Chain.load(random_model)


def sampler_of(chain, task="depth", count=3, **options) -> BatchSampler:
    batch, task = collate([WORLD[i] for i in range(count)]), chain.task(task)
    effort = options.pop("effort", Effort(steps=2))
    return BatchSampler(chain, task, batch, chain.condition(task, batch), effort, **options)


def sampled(sampler, members=MEMBERS, images=IMAGES) -> torch.Tensor:
    (latents,) = sampler.sample(members, images)
    return sampler.decode(latents, members)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("task", "name", "chunk"),
    [
        *[
            ("depth", name, chunk)
            for name in ("ddim", "ddpm", "dpmpp-2m", "heun")
            for chunk in (1, 5)
        ],
        *[(task, "ddim", 5) for task in ("flow", "amodal")],
    ],
)
def test_chunks_change_nothing(chain, task, name, chunk):
    effort = Effort(steps=3, sampler=name)
    whole = sampled(sampler_of(chain, task, effort=effort))
    cut = sampled(sampler_of(chain, task, effort=effort, chunk=chunk, codec_chunk=chunk))
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)
    batch = collate([WORLD[0], WORLD[1]])
    at_once = chain.condition(chain.task(task), batch)
    in_turn = chain.condition(chain.task(task), batch, chunk)
    torch.testing.assert_close(in_turn, at_once, rtol=0, atol=0)


def test_the_autoencoder_takes_what_fits_in_half_of_what_is_free(chain):
    needed = PeakMemory(weights=0, encode=8 * 10**6, network=0, decode=10**7)
    size, most = (1024, 1024), 50
    for free, expected in ((None, most), (10**12, most), (10**8, 5), (10**6, 1)):
        assert memory.codec_chunk_within(free, chain, size, most, lambda: needed) == expected


@torch.inference_mode()
def test_neighbours_and_sequence_change_nothing(chain):
    whole = sampled(sampler_of(chain))
    backwards = sampled(sampler_of(chain), MEMBERS[::-1], IMAGES[::-1]).flip(0, 1)
    torch.testing.assert_close(backwards, whole, rtol=0, atol=0)
    for member in MEMBERS:
        for image in IMAGES:
            alone = sampled(sampler_of(chain), [member], [image])[0, 0]
            torch.testing.assert_close(alone, whole[member, image], rtol=0, atol=0)
    first = sampled(sampler_of(chain, count=1), images=[0])
    torch.testing.assert_close(first, whole[:, :1], rtol=0, atol=0)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["ddim", "heun"])
def test_the_last_step_is_what_is_sampled_at_once(chain, name):
    effort = Effort(steps=4, sampler=name)
    watched = sampler_of(chain, effort=effort, chunk=5)
    steps = list(watched.sample(MEMBERS, IMAGES, by="step"))
    assert len(steps) == 4
    (whole,) = sampler_of(chain, effort=effort).sample(MEMBERS, IMAGES)
    torch.testing.assert_close(steps[-1], whole, rtol=0, atol=0)
    assert not torch.equal(steps[0], whole)


@torch.inference_mode()
def test_a_pair_of_opposites_starts_from_opposite_noise(chain, monkeypatch):
    seen = []
    network = chain.denoiser.network
    monkeypatch.setattr(
        network, "forward", lambda x, t, y, f=network.forward: seen.append(x) or f(x, t, y)
    )
    sampled(sampler_of(chain, effort=Effort(steps=1, antithetic=True)), range(3), range(2))
    channels = chain.autoencoder.channels
    z = seen[0][:, -channels:].unflatten(0, (3, 2))
    torch.testing.assert_close(z[1], -z[0], rtol=0, atol=0)
    assert not torch.equal(z[2].abs(), z[0].abs())
    assert not torch.equal(z[0, 1].abs(), z[0, 0].abs())


@torch.inference_mode()
def test_work_is_done_once_and_known_before(chain, monkeypatch):
    encoded, asked = [], []
    codec, network = type(chain.autoencoder), chain.denoiser.network
    encode, forward = codec.encode, network.forward
    monkeypatch.setattr(codec, "encode", lambda s, x: encoded.append(len(x)) or encode(s, x))
    monkeypatch.setattr(
        network, "forward", lambda x, t, y: asked.append((len(x), len(t))) or forward(x, t, y)
    )
    effort = Effort(steps=3)
    sampled(sampler_of(chain, effort=effort, chunk=5))
    assert encoded == [3 * 2], "two source images of three pictures, whatever the members"
    assert sum(inputs for inputs, _ in asked) == 3 * FIELDS
    assert {times for _, times in asked} == {1}, "what a chunk shares is computed on one row"
    cost = image_cost(chain, "depth", effort, (32, 32))
    assert cost.member == 3 * count(chain.config.model, 8, 8).macs, "Pixel decodes for nothing"


@torch.inference_mode()
def test_heun_evaluates_twice_and_is_charged_twice(chain, monkeypatch):
    asked = []
    network = chain.denoiser.network
    monkeypatch.setattr(
        network, "forward", lambda x, t, y, f=network.forward: asked.append(len(x)) or f(x, t, y)
    )
    effort = Effort(steps=4, sampler="heun")
    sampled(sampler_of(chain, effort=effort))
    cost = image_cost(chain, "depth", effort, (32, 32))
    assert FIELDS * cost.member == sum(asked) * cost.forward
    assert sum(asked) == 7 * FIELDS
