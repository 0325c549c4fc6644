"""Autoencoders against closed forms, torch's counter of operations, and diffusers itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from lookharder import autoencoder
from lookharder.autoencoder import KL, Autoencoder, KLConfig, Pixel, Tiny, TinyConfig
from lookharder.autoencoder.tiny import SHIPPED
from lookharder.errors import InputError
from lookharder.seeding import numpy_generator, torch_generator
from lookharder.training.tiny_autoencoder import photo_crop

SMALL = TinyConfig(channels=4, widths=(4, 6, 8))


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch_generator(seed, "test images")) * 2 - 1


def small_tiny(seed: int = 0) -> Tiny:
    return Tiny(SMALL, torch_generator(seed, "test weights"))


def counted_macs(codec: Tiny, height: int, width: int) -> tuple[int, int]:
    with FlopCounterMode(display=False) as encode:
        latents = codec.encode(images(1, 3, height, width))
    with FlopCounterMode(display=False) as decode:
        codec.decode(latents)
    return encode.get_total_flops() // 2, decode.get_total_flops() // 2


# Pixel


@settings(max_examples=30, deadline=None)
@given(
    factor=st.integers(1, 8),
    power=st.integers(-3, 3),
    cells=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 99),
)
def test_pixel_inverse_is_bit_exact(factor, power, cells, seed):
    codec = Pixel(factor, 2.0**power)
    x = images(2, 3, factor * cells[0], factor * cells[1], seed=seed)
    latents = codec.encode(x)
    assert latents.shape == (2, codec.channels, *cells)
    assert torch.equal(codec.decode(latents), x)


def test_pixel_layout_is_the_documented_one():
    x = images(1, 3, 8, 12)
    latents = Pixel(factor=4, scale=2.0).encode(x)
    for c, dy, dx, row, col in [(0, 0, 0, 0, 0), (1, 2, 3, 1, 2), (2, 3, 1, 0, 1)]:
        expected = 2 * x[0, c, 4 * row + dy, 4 * col + dx]
        assert latents[0, c * 16 + 4 * dy + dx, row, col] == expected


@pytest.mark.parametrize("bad", [{"factor": 0}, {"scale": 0.0}, {"scale": float("nan")}])
def test_pixel_refuses_settings_without_an_inverse(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        Pixel(**bad)


# Tiny


def test_tiny_shapes_follow_the_factor():
    codec = small_tiny()
    latents = codec.encode(images(2, 3, 16, 40))
    assert (codec.factor, codec.channels) == (8, 4)
    assert latents.shape == (2, 4, 2, 5)
    assert codec.decode(latents).shape == (2, 3, 16, 40)


def test_tiny_weights_depend_on_the_generator_alone():
    before = torch.get_rng_state()
    one, same, other = small_tiny(1), small_tiny(1), small_tiny(2)
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert torch.equal(torch.get_rng_state(), before)


def test_tiny_weights_are_frozen_but_gradients_reach_the_latents():
    codec = small_tiny()
    assert not codec.encode(images(1, 3, 8, 8)).requires_grad
    latents = torch.zeros(1, 4, 1, 1, requires_grad=True)
    codec.decode(latents).sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in codec.parameters())


@pytest.mark.parametrize("shape", [SMALL, TinyConfig(), TinyConfig(channels=2, widths=(8, 8))])
@pytest.mark.parametrize("size", [(64, 64), (16, 40)])
def test_tiny_macs_are_those_that_torch_counts(shape, size):
    codec = Tiny(shape, torch_generator(0))
    assert codec.macs(*size) == counted_macs(codec, *size)


def test_tiny_images_of_a_batch_do_not_touch():
    codec, x = small_tiny(), images(3, 3, 16, 16)
    one_by_one = torch.cat([codec.encode(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(codec.encode(x), one_by_one)


def test_tiny_folder_round_trip_is_bit_exact(tmp_path):
    codec = small_tiny()
    codec.std.fill_(3)
    codec.save(tmp_path / "autoencoder")
    config = json.loads((tmp_path / "autoencoder" / "config.json").read_text())
    assert config == codec.config()
    for again in (Tiny.load(tmp_path / "autoencoder"), autoencoder.build(config, tmp_path)):
        assert torch.equal(again.encode(images(1, 3, 8, 8)), codec.encode(images(1, 3, 8, 8)))


def test_tiny_refuses_weights_of_another_latent_space(tmp_path):
    small_tiny(1).save(tmp_path / "autoencoder")
    with pytest.raises(InputError, match="fingerprint"):
        autoencoder.build(small_tiny(2).config(), tmp_path)


def _drop(state):
    del state["mean"]


def _reshape(state):
    state["std"] = state["std"][:3].contiguous()


def _retype(state):
    state["std"] = state["std"].double()


def _add(state):
    state["extra"] = torch.zeros(1)


@pytest.mark.parametrize("damage", [_drop, _reshape, _retype, _add])
def test_tiny_names_the_tensor_that_does_not_fit(tmp_path, damage):
    small_tiny().save(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    damage(state)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"mean|std|extra"):
        Tiny.load(tmp_path)


def test_tiny_refuses_a_truncated_or_absent_file(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: got no such file"):
        Tiny.load(tmp_path)
    small_tiny().save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(InputError, match="weights"):
        Tiny.load(tmp_path)


def test_shipped_tiny_is_whole_small_and_good():
    codec = Tiny.load()
    assert autoencoder.build(codec.config()).fingerprint() == codec.fingerprint()
    assert (codec.factor, codec.channels) == (8, 4)
    assert (SHIPPED / "model.safetensors").stat().st_size <= 3 * 2**20
    # a tilted plane, a measurement that no training set held, within 4 grey levels of 255
    ramp = torch.linspace(-0.9, 0.9, 64)
    plane = (0.7 * ramp[:, None] + 0.3 * ramp[None]).expand(1, 3, 64, 64)
    error = (codec.decode(codec.encode(plane)) - plane).abs()
    assert 127.5 * error[..., 4:-4, 4:-4].mean() < 4


def test_shipped_latents_of_photos_have_about_unit_variance(shared):
    paths = sorted(shared("photos/bsds500").glob("*.jpg"))[:60]
    generator = numpy_generator(0, "test crops")
    photos = [np.asarray(Image.open(path)) for path in paths]
    latents = Tiny.load().encode(
        torch.stack([photo_crop(photo, 64, generator) for photo in photos])
    )
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 1
    assert 0.5 < latents.std() < 2


# KL


@pytest.fixture(scope="session")
def kl_folder(tmp_path_factory) -> Path:
    """A random AutoencoderKL of Stable Diffusion's kind, in miniature, on disk."""
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = diffusers.AutoencoderKL(
            block_out_channels=(8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            norm_num_groups=4,
            latent_channels=4,
            scaling_factor=0.18215,
        )
    folder = tmp_path_factory.mktemp("model") / "vae"
    network.save_pretrained(folder)
    return folder


def test_kl_is_diffusers_own(kl_folder):
    from diffusers import AutoencoderKL

    theirs = AutoencoderKL.from_pretrained(kl_folder).eval()
    ours = KL.load(KLConfig(source=str(kl_folder)))
    x = images(2, 3, 16, 24)
    with torch.no_grad():
        latents = theirs.encode(x).latent_dist.mean * 0.18215
        decoded = theirs.decode(latents / 0.18215).sample
    assert (ours.factor, ours.channels) == (4, 4)
    torch.testing.assert_close(ours.encode(x), latents, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.decode(latents), decoded, rtol=1e-5, atol=1e-5)


def test_kl_layouts_agree_and_leave_no_trace(kl_folder):
    plain = KL.load(KLConfig(source=str(kl_folder), channels_last=False))
    last = KL.load(KLConfig(source=str(kl_folder)))
    kernels = [p for p in last.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    x = images(2, 3, 16, 16)
    latents = last.encode(x)
    torch.testing.assert_close(latents, plain.encode(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(last.decode(latents), plain.decode(latents), rtol=1e-5, atol=1e-5)
    assert latents.is_contiguous()
    assert not latents.requires_grad


def test_kl_draws_from_the_posterior(kl_folder):
    codec = KL.load(KLConfig(source=str(kl_folder)))
    x = images(1, 3, 16, 16)
    posterior = codec.network.encode(x).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=torch_generator(5))
    expected = (posterior.mean + posterior.std * noise) * 0.18215
    drawn = codec.encode(x, generator=torch_generator(5))
    torch.testing.assert_close(drawn, expected, rtol=1e-5, atol=1e-5)
    assert not torch.equal(drawn, codec.encode(x))


def test_kl_source_may_be_relative_to_the_model(kl_folder):
    codec = KL.load(KLConfig(source=str(kl_folder)))
    relative = codec.config() | {"source": kl_folder.name}
    again = autoencoder.build(relative, kl_folder.parent)
    assert torch.equal(again.encode(images(1, 3, 8, 8)), codec.encode(images(1, 3, 8, 8)))


def test_kl_refuses_a_folder_without_weights(tmp_path):
    pytest.importorskip("diffusers")
    with pytest.raises(InputError, match=r"autoencoder\.source"):
        KL.load(KLConfig(source=str(tmp_path)))


def test_kl_macs_of_stable_diffusion(monkeypatch):
    """0.56 and 1.26 TMAC at 512 px: the figures known for Stable Diffusion's autoencoder."""
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        network = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        )
    encode, decode = KL(network, KLConfig(source="meta")).macs(512, 512)
    assert encode == pytest.approx(0.56e12, rel=0.03)
    assert decode == pytest.approx(1.26e12, rel=0.03)


# the seam


def every_kind(kl_folder: Path) -> list[Autoencoder]:
    return [Pixel(2, 0.5), Tiny.load(), KL.load(KLConfig(source=str(kl_folder)))]


def test_config_survives_json_and_rebuilds(kl_folder):
    x = images(1, 3, 16, 16)
    for codec in every_kind(kl_folder):
        again = autoencoder.build(json.loads(json.dumps(codec.config())))
        assert torch.equal(again.encode(x), codec.encode(x))
        assert again.config() == codec.config()


def test_every_kind_refuses_broken_cells(kl_folder):
    for codec in every_kind(kl_folder):
        with pytest.raises(InputError, match="images"):
            codec.encode(images(1, 3, 16, 17))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({}, "kind"),
        ({"kind": "vq"}, "kind"),
        ({"kind": "pixel", "size": 3}, "size"),
        ({"kind": "pixel", "factor": "4"}, "factor"),
        ({"kind": "tiny", "widths": [16, 48, 128], "channels": 4}, "fingerprint"),
        ({"kind": "tiny", "widths": []}, "widths"),
        ({"kind": "kl"}, "source"),
    ],
)
def test_build_names_what_is_wrong(config, named):
    with pytest.raises(InputError, match=named):
        autoencoder.build(config)
