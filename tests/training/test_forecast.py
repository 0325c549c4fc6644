"""The forecast of memory against what torch allocates; Stable Diffusion's encoder against itself."""

import gc
from dataclasses import replace
from itertools import accumulate

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from lookharder.autoencoder import Pixel, Tiny
from lookharder.chain import Chain
from lookharder.config import override
from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.errors import InputError
from lookharder.models.moe import MoEConfig
from lookharder.predict.memory import live_peak
from lookharder.recipes import pixel_chain, smoke
from lookharder.seeding import torch_generator
from lookharder.training import forecast as module
from lookharder.training.cost import STABLE_DIFFUSION
from lookharder.training.distributed.parallel import Team
from lookharder.training.forecast import forecast, refuse_if_too_large
from lookharder.training.loop import start, train
from lookharder.training.run import RunConfig

SIDE, TASKS = 32, ("depth", "flow", "amodal")
GELU = MoEConfig(experts=8, active=2, expert="gelu", renormalise=True)
SWIGLU = MoEConfig(experts=8, active=2, shared=2)


@pytest.fixture(scope="module")
def scenes() -> list[Example]:
    world = ProceduralWorld(SIDE, 1, count=2)
    return [world[0], world[1]]


def small(
    width: int,
    depth: int,
    batch: int,
    *settings: str,
    moe: MoEConfig | None = None,
    sigma: bool = False,
) -> RunConfig:
    config = smoke()
    chain = pixel_chain(width=width, depth=depth, heads=4, resolution=SIDE, factor=2)
    model = replace(chain.model, moe=moe, learn_sigma=sigma, qk_norm=not sigma)
    data = {task: replace(config.data[task], spec="procedural:2:1", size=SIDE) for task in TASKS}
    learning = replace(
        config.train, iterations=2, batch_size=batch, mix=dict.fromkeys(TASKS, 1.0), augment=False
    )
    made = replace(
        config, chain=replace(chain, model=model), data=data, train=learning, device="cpu"
    )
    return override(made, settings)


def convolved() -> RunConfig:
    """With a stem and a head, on pixels."""
    made = small(64, 2, 12)
    model = replace(
        made.chain.model,
        stem="conv",
        stem_widths=(16, 32),
        input_size=SIDE,
        patch_size=8,
        in_channels=9,
        out_channels=3,
    )
    chain = replace(made.chain, model=model, autoencoder=Pixel(factor=1).config())
    return replace(made, chain=chain)


def measured(config: RunConfig, scenes: list[Example]) -> tuple[int, int]:
    """The most bytes that torch's allocator gave out at once in two iterations, weights included; the optimiser's."""
    chain = Chain.build(config.chain, torch_generator(0))
    weights = sum(p.nbytes for p in chain.network.parameters())
    gc.collect()  # what is freed meanwhile must be of this training
    activities = [ProfilerActivity.CPU]
    with profile(activities=activities, profile_memory=True, acc_events=True) as profiler:
        state = start(chain, config.train, Team(config=config.runtime))
        steps = list(train(config.train, state, chain, dict.fromkeys(TASKS, scenes)))
    assert len(steps) == 2 and not steps[1].skipped
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    most = max(accumulate(event.nbytes() for event in events))  # of what is freed it is negative
    held = [v for of_one in state.optimizer.state.values() for v in of_one.values()]
    moments = sum(v.nbytes for v in held if isinstance(v, Tensor) and v.ndim)
    return weights + most, moments


CASES = {
    "dense": small(64, 4, 24),
    "dense, learned variance, wide": small(192, 2, 6, sigma=True),
    "weights outweigh": small(256, 2, 3),
    "recompute": small(64, 6, 24, "runtime.recompute=true"),
    "micro-batches": small(64, 4, 24, "runtime.accumulate=2"),
    "bfloat16": small(64, 4, 24, "runtime.precision=bfloat16"),
    "experts, gelu": small(64, 2, 12, moe=GELU),
    "experts, swiglu, recompute": small(64, 2, 12, "runtime.recompute=true", moe=SWIGLU),
    "convolutional stem": convolved(),
    "muon": small(192, 2, 3, "train.optim.optimizer=muon"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_forecast_is_within_10_percent_of_what_torch_allocates(case, scenes):
    config = CASES[case]
    found, (most, moments) = forecast(config), measured(config, scenes)
    assert found.peak / most == pytest.approx(1.0, abs=0.1)
    assert found.moments == moments


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("case", CASES)
def test_the_forecast_is_within_15_percent_on_a_gpu(case, scenes):
    config = replace(CASES[case], device="cuda")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    chain = Chain.build(config.chain, torch_generator(0)).to(torch.device("cuda"))
    state = start(chain, config.train, Team(config=config.runtime, device=torch.device("cuda")))
    list(train(config.train, state, chain, dict.fromkeys(TASKS, scenes)))
    most = torch.cuda.max_memory_allocated() - before
    assert forecast(config).peak / most == pytest.approx(1.0, abs=0.15)


def test_parts_and_micro_batches_need_less():
    config = small(256, 4, 48)
    whole, parts = forecast(config), forecast(override(config, ["runtime.shard=4"]), ranks=4)
    assert parts.weights == -(-whole.weights // 4 // 4) * 4
    assert parts.moments * 4 == pytest.approx(whole.moments, rel=1e-4)
    assert parts.gathered > 0 == whole.gathered
    assert parts.forward < whole.forward / 3
    halves = forecast(override(config, ["runtime.accumulate=2"]))
    assert 2 * halves.forward == pytest.approx(whole.forward, rel=1e-6)
    assert halves.state == whole.state and halves.early


def test_a_run_that_does_not_fit_is_refused_before_it_starts(monkeypatch):
    config = small(64, 2, 6)
    needed = forecast(config)
    copied = needed.weights + needed.moments + needed.average  # of which a save is made
    built = needed.weights + needed.autoencoder  # no longer free
    least = needed.peak + needed.examples + copied - built
    monkeypatch.setattr(module, "available", lambda device: least)
    assert refuse_if_too_large(config) == needed
    monkeypatch.setattr(module, "available", lambda device: least - 1)
    with pytest.raises(InputError, match=r"memory: got .* GB needed on cpu for 6 examples"):
        refuse_if_too_large(config)
    monkeypatch.setattr(module, "available", lambda device: None)
    assert refuse_if_too_large(config) == needed


def test_stable_diffusion_s_encoder_in_numbers():
    diffusers = pytest.importorskip("diffusers")
    from lookharder.autoencoder import KL, KLConfig

    with torch.device("meta"):
        network = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        )
    codec = KL(network, KLConfig(source="counted"))
    found = STABLE_DIFFUSION
    assert sum(p.numel() for p in network.parameters()) == found.params
    assert (codec.factor, codec.channels) == (found.factor, found.channels)
    for side in (256, 512):
        with FlopCounterMode(display=False) as counter:
            codec.encode(torch.empty(1, 3, side, side, device="meta"))
        assert counter.get_total_flops() == 2 * found.encode_macs(side**2)
    pictures = torch.empty(2, 3, 256, 256, device="meta")
    assert live_peak(codec.encode, pictures) / (2 * 256**2) == pytest.approx(found.live, rel=0.01)


def test_crops_are_as_large_as_they_say_and_latents_are_not_encoded_again():
    config = small(64, 2, 6)
    task = next(iter(config.data))
    spec = override(config, [f"data.{task}.spec=folder:photos?depth_unit=mm&crop=32"])
    size = override(config, [f"data.{task}.spec=folder:photos", f"data.{task}.size=32"])
    assert forecast(spec) == forecast(size)
    coded = replace(config, chain=replace(config.chain, autoencoder=Tiny.load().config()))
    kept = override(coded, [f"data.{name}.spec=latents:folder" for name in config.data])
    assert forecast(kept).encode < forecast(coded).encode
