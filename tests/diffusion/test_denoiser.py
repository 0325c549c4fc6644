"""Conversions between predictions, and what a denoiser makes of a network's output."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.diffusion.denoiser import Denoiser, target_of, to_eps, to_x0
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError

KINDS = ["eps", "x0", "v"]
schedules = st.builds(
    NoiseSchedule,
    name=st.sampled_from(["linear", "scaled-linear", "cosine", "rectified"]),
    steps=st.integers(30, 1000),
    zero_terminal_snr=st.booleans(),
)


def latents(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@given(schedules, st.sampled_from(KINDS), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_conversions_there_and_back(schedule, kind, where, seed):
    last = schedule.steps - (2 if kind == "eps" else 1)  # eps says nothing of x0 at alpha = 0
    t = torch.tensor([0, round(where * last), last])
    x0, eps = latents(seed, 2, 3, 2, 4, 4)
    at = schedule.at(t, x0)
    x_t = at.alpha * x0 + at.sigma * eps
    output = target_of(kind, x0, eps, at)
    torch.testing.assert_close(to_x0(kind, output, x_t, at), x0, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(to_eps(kind, output, x_t, at), eps, rtol=1e-8, atol=1e-8)


def test_velocity_is_that_of_the_two_literatures():
    x0, eps = latents(0, 2, 1, 2, 4, 4)
    t = torch.tensor([600])
    circle, line = NoiseSchedule(name="cosine"), NoiseSchedule(name="rectified")
    alpha, sigma = circle.alpha_sigma(600)
    salimans = alpha * eps - sigma * x0
    torch.testing.assert_close(target_of("v", x0, eps, circle.at(t, x0)), salimans)
    torch.testing.assert_close(target_of("v", x0, eps, line.at(t, x0)), eps - x0)


@pytest.mark.parametrize("name", ["linear", "scaled-linear", "cosine", "rectified"])
@pytest.mark.parametrize("kind", ["x0", "v"])
def test_one_step_from_pure_noise_is_exact(name, kind):
    schedule = NoiseSchedule(name=name, zero_terminal_snr=True)
    x0, eps = latents(1, 2, 1, 2, 4, 4, dtype=torch.float32)
    t, at = torch.tensor([999]), schedule.at(torch.tensor([999]), x0)
    output = target_of(kind, x0, eps, at)
    denoiser = Denoiser(network=lambda x, t, y: output, schedule=schedule, prediction=kind)
    denoised = denoiser(eps, t, x0[:, :0], t)  # x_T is eps itself
    assert torch.equal(denoised.x0, x0) or name == "rectified"
    torch.testing.assert_close(denoised.x0, x0, rtol=0, atol=1e-6)
    torch.testing.assert_close(denoised.eps, eps, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "rectified"])
def test_eps_prediction_refuses_pure_noise(name):
    schedule = NoiseSchedule(name=name, zero_terminal_snr=True)
    with pytest.raises(InputError, match="zero terminal SNR"):
        Denoiser(network=lambda x, t, y: x, schedule=schedule, prediction="eps")


def test_network_sees_condition_first_and_its_extra_channels_are_variance():
    seen = {}

    def network(x, t, y):
        seen.update(x=x, t=t, y=y)
        return torch.cat([x[:, 3:], torch.full_like(x[:, 3:], -0.5)], 1)

    denoiser = Denoiser(
        network=network,
        schedule=NoiseSchedule(name="linear"),
        prediction="eps",
        learned_variance=True,
    )
    x_t, condition = latents(2, 2, 2, 4, 4), latents(3, 2, 3, 4, 4)
    t, labels = torch.tensor([5, 900]), torch.tensor([7, 8])
    denoised = denoiser(x_t, t, condition, labels)
    assert torch.equal(seen["x"], torch.cat([condition, x_t], 1))
    assert torch.equal(seen["t"], t)
    assert torch.equal(seen["y"], labels)
    assert torch.equal(denoised.eps, x_t)
    assert torch.equal(denoised.variance_fraction, torch.full_like(x_t, 0.25))


def test_the_network_sees_the_noisy_latent_scaled_and_nothing_else_changes():
    seen = {}

    def network(x, t, y):
        seen["x"] = x
        return torch.ones_like(x[:, 3:])

    plain = Denoiser(network=network, schedule=NoiseSchedule(name="linear"), prediction="v")
    x_t, condition, t = latents(2, 2, 2, 4, 4), latents(3, 2, 3, 4, 4), torch.tensor([5, 900])
    expected = plain(x_t, t, condition, t)
    quiet = replace(plain, input_scale=0.25)(x_t, t, condition, t)
    assert torch.equal(seen["x"], torch.cat([condition, x_t / 4], 1))
    assert torch.equal(quiet.x0, expected.x0) and torch.equal(quiet.eps, expected.eps)
    with pytest.raises(InputError, match="input_scale: got 0"):
        replace(plain, input_scale=0.0)


@pytest.mark.parametrize(("learned_variance", "channels"), [(False, 4), (True, 2)])
def test_wrong_number_of_channels_is_refused(learned_variance, channels):
    denoiser = Denoiser(
        network=lambda x, t, y: x.new_zeros(1, channels, 4, 4),
        schedule=NoiseSchedule(name="linear"),
        prediction="v",
        learned_variance=learned_variance,
    )
    x = latents(4, 1, 2, 4, 4)
    with pytest.raises(InputError, match="output channels"):
        denoiser(x, torch.tensor([5]), x, torch.tensor([0]))


@pytest.mark.parametrize("kind", KINDS)
def test_clipping_keeps_the_decomposition(kind):
    schedule = NoiseSchedule(name="cosine")
    denoiser = Denoiser(
        network=lambda x, t, y: 3 * torch.sin(9 * x),
        schedule=schedule,
        prediction=kind,
        clip_x0=0.5,
    )
    x_t, t = latents(5, 3, 2, 4, 4), torch.tensor([10, 500, 990])
    denoised = denoiser(x_t, t, x_t[:, :0], t)
    at = schedule.at(t, x_t)
    assert denoised.x0.abs().max() == 0.5
    torch.testing.assert_close(at.alpha * denoised.x0 + at.sigma * denoised.eps, x_t)


def test_a_network_in_bfloat16_is_integrated_in_float32():
    denoiser = Denoiser(
        network=lambda x, t, y: x.bfloat16(),
        schedule=NoiseSchedule(name="cosine"),
        prediction="v",
    )
    x_t, t = latents(6, 1, 2, 4, 4, dtype=torch.float32), torch.tensor([300])
    assert denoiser(x_t, t, x_t[:, :0], t).x0.dtype == torch.float32


def test_bad_settings_are_refused():
    schedule = NoiseSchedule(name="linear")
    with pytest.raises(InputError, match="clip_x0"):
        Denoiser(network=lambda x, t, y: x, schedule=schedule, prediction="v", clip_x0=0.0)
