"""Losses against DiT's numbers, torch's KL divergence, and what they promise."""

import math

import pytest
import torch
from safetensors.torch import load_file

from lookharder.diffusion.denoiser import Denoiser, target_of
from lookharder.diffusion.loss import (
    binned_log_likelihood,
    edge_loss,
    multi_resolution_noise,
    q_sample,
    training_loss,
    variational_bound,
    weighted_mean,
)
from lookharder.diffusion.sampler import sample
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError

LINEAR = NoiseSchedule(name="linear")


def latents(seed, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_losses_equal_those_of_dit(parity_copy):
    data = load_file(parity_copy("gaussian_diffusion"))
    x0, t, noise = data["input.z0"], data["input.t"], data["input.eps"]
    torch.testing.assert_close(q_sample(LINEAR, x0, noise, t), data["output.zt"])
    denoiser = Denoiser(
        network=lambda x, t, y: data["input.model_output"],
        schedule=LINEAR,
        prediction="eps",
        learned_variance=True,
    )
    terms = training_loss(denoiser, x0, t, noise, x0[:, :0], t)
    for name, ours in {"mse": terms.simple, "vb": terms.vlb, "loss": terms.loss}.items():
        torch.testing.assert_close(ours, data[f"output.{name}"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "schedule",
    [
        LINEAR,
        NoiseSchedule(name="cosine", zero_terminal_snr=True),
        NoiseSchedule(name="rectified", steps=100),
    ],
)
def test_bound_is_the_divergence_of_two_gaussians(schedule):
    times = [1, 2, schedule.steps // 2, schedule.steps - 1]
    t = torch.tensor(times)
    x0, x0_hat, fraction = latents(0, 3, 4, 2, 4, 4, dtype=torch.float64)
    bits = variational_bound(schedule, x0, x0_hat, fraction, t)
    for i, time in enumerate(times):
        # q(x_s | x_t, x0) by the rule for a product of two Gaussians: x_s ~ (alpha_s x0, sigma_s) and x_t given x_s
        (alpha_s, sigma_s), (alpha_t, sigma_t) = (
            schedule.alpha_sigma(time - 1),
            schedule.alpha_sigma(time),
        )
        step = alpha_t / alpha_s
        added = sigma_t**2 - (step * sigma_s) ** 2
        posterior = 1 / (1 / sigma_s**2 + step**2 / added)
        weight = posterior * alpha_s / sigma_s**2  # of x0 in the mean
        log_variance = fraction[i] * math.log(added) + (1 - fraction[i]) * math.log(posterior)
        truth = torch.distributions.Normal(weight * x0[i], posterior**0.5)
        model = torch.distributions.Normal(weight * x0_hat[i], (log_variance / 2).exp())
        nats = torch.distributions.kl_divergence(truth, model)
        torch.testing.assert_close(bits[i], nats / math.log(2), rtol=1e-6, atol=1e-9)


def test_likelihoods_of_all_bins_sum_to_one():
    levels = torch.linspace(-1, 1, 256, dtype=torch.float64).view(256, 1, 1, 1)
    for mean, std in [(0.1, 0.05), (-0.98, 0.2), (0.6, 2.0)]:
        log_std = torch.full_like(levels, math.log(std))
        total = binned_log_likelihood(levels, torch.full_like(levels, mean), log_std).exp().sum()
        assert total.item() == pytest.approx(1, abs=1e-6)


def test_bound_trains_the_variance_and_nothing_else():
    output = latents(1, 3, 4, 4, 4).requires_grad_()
    denoiser = Denoiser(
        network=lambda x, t, y: output,
        schedule=LINEAR,
        prediction="eps",
        learned_variance=True,
    )
    x0, noise = latents(2, 2, 3, 2, 4, 4)
    t = torch.tensor([0, 300, 999])
    training_loss(denoiser, x0, t, noise, x0[:, :0], t).vlb.sum().backward()
    assert (output.grad[:, :2] == 0).all()
    assert (output.grad[:, 2:] != 0).all()
    assert output.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["x0", "v"])
@pytest.mark.parametrize("name", ["linear", "rectified"])
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_its_square(kind, name):
    schedule = NoiseSchedule(name=name, zero_terminal_snr=True)
    x0, noise = latents(3, 2, 3, 2, 4, 4)
    t = torch.tensor([0, 500, 999])
    truth = target_of(kind, x0, noise, schedule.at(t, x0))
    for offset in (0.0, 2.0):
        denoiser = Denoiser(
            network=lambda x, t, y, offset=offset: truth + offset,
            schedule=schedule,
            prediction=kind,
        )
        terms = training_loss(denoiser, x0, t, noise, x0[:, :0], t)
        torch.testing.assert_close(terms.loss, torch.full((3,), offset**2))
        assert terms.vlb is None


def test_weighted_mean_is_the_mean_over_what_is_known():
    values = latents(4, 3, 5, 4, 4)
    known = torch.zeros(3, 1, 4, 4)
    known[0, :, :2], known[1] = 1, 1  # half, all, nothing
    values[2] = 1e6
    expected = torch.stack([values[0, :, :2].mean(), values[1].mean(), torch.tensor(0.0)])
    torch.testing.assert_close(weighted_mean(values, known), expected)
    torch.testing.assert_close(weighted_mean(values, 3 * known), expected)
    torch.testing.assert_close(weighted_mean(values), values.mean((1, 2, 3)))


def test_edges_counts_values_and_steps():
    error = torch.zeros(1, 1, 4, 8)
    error[..., 4:] = 1.0  # half is off by one, with one step across
    steps = 1 / 7 + 1 / 3 + 1  # of 7, 3 and 1 differences along a row, at 1, 2 and 4 cells
    torch.testing.assert_close(edge_loss(error), torch.tensor([0.5 + 0.3 * steps]))
    unknown = torch.ones(1, 1, 4, 8)
    unknown[..., 4:] = 0
    torch.testing.assert_close(edge_loss(error, unknown), torch.zeros(1))
    torch.testing.assert_close(edge_loss(torch.full((1, 2, 5, 3), 2.0)), torch.tensor([2.0]))


@pytest.mark.parametrize("kind", ["x0", "v"])
def test_edges_is_of_the_clean_latent_whatever_is_predicted(kind):
    schedule = NoiseSchedule(name="scaled-linear", zero_terminal_snr=True)
    x0, noise, t = latents(1, 3, 2, 8, 8), latents(2, 3, 2, 8, 8), torch.tensor([0, 500, 999])
    truth = target_of(kind, x0, noise, schedule.at(t, x0))
    denoiser = Denoiser(network=lambda x, t, y: truth, schedule=schedule, prediction=kind)
    terms = training_loss(denoiser, x0, t, noise, x0[:, :0], t, form="edges")
    torch.testing.assert_close(terms.loss, torch.zeros(3), atol=1e-4, rtol=0)


def test_loss_of_an_example_does_not_depend_on_its_batch():
    denoiser = Denoiser(
        network=lambda x, t, y: torch.cat([x, 0.1 * x], 1),
        schedule=LINEAR,
        prediction="v",
        learned_variance=True,
    )
    x0, noise = latents(5, 2, 4, 2, 4, 4)
    t = torch.tensor([0, 10, 600, 999])
    together = training_loss(denoiser, x0, t, noise, x0[:, :0], t).loss
    one = slice(2, 3)
    alone = training_loss(denoiser, x0[one], t[one], noise[one], x0[one, :0], t[one]).loss
    torch.testing.assert_close(together[one], alone)


def test_training_may_follow_prediction_in_inference_mode():
    schedule = NoiseSchedule(name="cosine", steps=77)  # tables that no other test has made
    scale = torch.nn.Parameter(torch.ones(()))
    denoiser = Denoiser(
        network=lambda x, t, y: torch.cat([scale * x, scale * x], 1),
        schedule=schedule,
        prediction="v",
        learned_variance=True,
    )
    x, t = latents(6, 1, 2, 4, 4), torch.tensor([50])
    with torch.inference_mode():
        sample(lambda x, t: denoiser(x, t, x[:, :0], t), x, [76, 20], schedule)
        training_loss(denoiser, x, t, x, x[:, :0], t)
    training_loss(denoiser, x, t, x, x[:, :0], t).loss.sum().backward()
    assert scale.grad.isfinite()


def neighbours(noise):
    """Correlation of horizontal neighbours."""
    return (noise[..., 1:] * noise[..., :-1]).mean().item()


def test_multi_resolution_noise_has_unit_deviation_and_low_frequencies():
    correlation = {}
    for strength in (0.0, 0.3, 0.9):
        noise = multi_resolution_noise(torch.Generator().manual_seed(1), (2, 4, 64, 48), strength)
        assert noise.shape == (2, 4, 64, 48)
        assert noise.std().item() == pytest.approx(1, abs=0.02)
        correlation[strength] = neighbours(noise)
    assert abs(correlation[0.0]) < 0.02
    assert 0.02 < correlation[0.3] < correlation[0.9] < 0.9


def test_multi_resolution_noise_is_a_function_of_its_generator():
    one, two, three = (
        multi_resolution_noise(torch.Generator().manual_seed(seed), (4, 16, 16), 0.9)
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_no_strength_is_white_noise_and_too_much_is_refused():
    white = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(3))
    noise = multi_resolution_noise(torch.Generator().manual_seed(3), (4, 8, 8), 0.0)
    assert torch.equal(noise, white)
    with pytest.raises(InputError, match="strength"):
        multi_resolution_noise(torch.Generator(), (4, 8, 8), 1.5)
