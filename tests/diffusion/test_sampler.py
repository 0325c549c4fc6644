"""Samplers against exact denoisers, DiT, diffusers and the textbook posterior."""

from functools import partial
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file

from lookharder.diffusion.denoiser import Denoised, Denoiser
from lookharder.diffusion.sampler import draw_noise, sample, trajectory
from lookharder.diffusion.schedule import NoiseSchedule, spaced_timesteps
from lookharder.diffusion.steps import STEPS, StepState, ddim_step, ddpm_step
from lookharder.errors import InputError

from .oracles import FiniteData, GaussianData
from .test_schedule import DIFFUSERS

LINEAR = NoiseSchedule(name="linear")
SHAPE = (2, 4, 4)
SCHEDULES = [
    LINEAR,
    NoiseSchedule(name="scaled-linear", zero_terminal_snr=True),
    NoiseSchedule(name="cosine"),
    NoiseSchedule(name="rectified"),
]


def by_name(schedule):
    return schedule.name


def wavy(x, t, y):
    """A network with some life in it, and outputs of moderate size."""
    return torch.sin(3 * x) * 0.5 + 0.3 * x + t.view(-1, 1, 1, 1) / 2000


def unasked(x_t, t):
    """A denoiser for steps that do without a further evaluation."""
    raise AssertionError(f"evaluated at {t}")


def bound(denoiser):
    return lambda x, t: denoiser(x, t, x[:, :0], t)


@pytest.mark.parametrize("steps", [5, 50])
def test_ddim_equals_that_of_dit(parity_copy, steps):
    data = load_file(parity_copy("gaussian_diffusion"))

    def network(x, t, y):
        return 0.7 * torch.tanh(x) + t.view(-1, 1, 1, 1) / 1000

    denoiser = Denoiser(network=network, schedule=LINEAR, prediction="eps")
    times = spaced_timesteps(1000, steps, "leading")
    ours = sample(bound(denoiser), data[f"input.zT_ddim{steps}"], times, LINEAR)
    torch.testing.assert_close(ours, data[f"output.ddim{steps}"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("kind", ["eps", "x0", "v"])
@pytest.mark.parametrize("name", ["linear", "scaled-linear", "cosine"])
@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_ddim_equals_that_of_diffusers(name, kind, spacing, eta):
    from diffusers import DDIMScheduler

    zero_snr = kind != "eps"
    theirs = DDIMScheduler(
        **DIFFUSERS[name],
        clip_sample=False,
        prediction_type={"eps": "epsilon", "x0": "sample", "v": "v_prediction"}[kind],
        timestep_spacing=spacing,
        rescale_betas_zero_snr=zero_snr,
    )
    theirs.set_timesteps(10)
    noise = draw_noise([(0,), (1,)], SHAPE)
    x = noise(0)
    for index, t in enumerate(theirs.timesteps.tolist(), 1):
        output = wavy(x, torch.tensor([t, t]), None)
        x = theirs.step(output, t, x, eta=eta, variance_noise=noise(index)).prev_sample
    schedule = NoiseSchedule(name=name, zero_terminal_snr=zero_snr)
    denoiser = Denoiser(network=wavy, schedule=schedule, prediction=kind)
    times = spaced_timesteps(1000, 10, spacing)
    step = partial(ddim_step, eta=eta)
    ours = sample(bound(denoiser), noise(0), times, schedule, step, noise)
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", ["linear", "scaled-linear", "cosine"])
def test_ddpm_equals_that_of_diffusers(name, learned):
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(
        **DIFFUSERS[name],
        clip_sample=False,
        prediction_type="v_prediction",
        variance_type="learned_range" if learned else "fixed_small",
        timestep_spacing="leading",
    )
    theirs.set_timesteps(20)

    def network(x, t, y):
        return torch.cat([wavy(x, t, y), torch.cos(x)], 1) if learned else wavy(x, t, y)

    stream = torch.Generator().manual_seed(4)
    noises = [torch.randn(2, *SHAPE, generator=stream) for _ in range(21)]
    stream.manual_seed(4)
    x = torch.randn(2, *SHAPE, generator=stream)
    for t in theirs.timesteps.tolist():
        x = theirs.step(network(x, torch.tensor([t, t]), None), t, x, generator=stream).prev_sample
    schedule = NoiseSchedule(name=name)
    denoiser = Denoiser(
        network=network, schedule=schedule, prediction="v", learned_variance=learned
    )
    times = spaced_timesteps(1000, 20, "leading")
    ours = sample(bound(denoiser), noises[0], times, schedule, ddpm_step, noises.__getitem__)
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=by_name)
def test_ddpm_is_the_textbook_posterior_and_ddim_at_eta_one(schedule):
    x0, eps, noise = torch.randn(3, 1, *SHAPE, dtype=torch.float64, generator=torch.Generator())
    for t, s in [(1, 0), (500, 400), (990, 0), (998, 997)]:
        (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule.alpha_sigma(s), schedule.alpha_sigma(t)
        x_t = alpha_t * x0 + sigma_t * eps
        state = StepState(t=t, x_t=x_t, denoised=Denoised(x0=x0, eps=eps))
        step = alpha_t / alpha_s
        added = sigma_t**2 - (step * sigma_s) ** 2  # variance of x_t given x_s
        variance = 1 / (1 / sigma_s**2 + step**2 / added)
        mean = variance * (alpha_s / sigma_s**2 * x0 + step / added * x_t)
        ours = ddpm_step(unasked, state, s, schedule, lambda: noise)
        torch.testing.assert_close(ours, mean + variance**0.5 * noise, rtol=1e-7, atol=1e-9)
        assert torch.equal(ours, ddim_step(unasked, state, s, schedule, lambda: noise, eta=1.0))


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_learned_variance_lies_between_its_bounds(fraction):
    zero = torch.zeros(1, *SHAPE, dtype=torch.float64)
    denoised = Denoised(x0=zero, eps=zero, variance_fraction=zero + fraction)
    state = StepState(t=600, x_t=zero, denoised=denoised)
    deviation = ddpm_step(unasked, state, 599, LINEAR, lambda: torch.ones_like(zero))
    deviation = deviation.unique().item()
    (alpha_s, sigma_s), (alpha_t, sigma_t) = LINEAR.alpha_sigma(599), LINEAR.alpha_sigma(600)
    beta = 1 - (alpha_t / alpha_s) ** 2
    beta_tilde = beta * sigma_s**2 / sigma_t**2
    assert deviation**2 == pytest.approx(beta**fraction * beta_tilde ** (1 - fraction), rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=by_name)
def test_ddim_converges_to_the_probability_flow(schedule):
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    x_T = torch.linspace(-2, 2, 32, dtype=torch.float64).view(1, *SHAPE)
    truth = data.flow_to_data(x_T, 999)
    error = {
        steps: (sample(data, x_T, spaced_timesteps(1000, steps, "trailing"), schedule) - truth)
        .abs()
        .max()
        .item()
        for steps in (5, 25, 125)
    }
    assert error[125] < 0.05
    assert error[125] < error[25] / 3 < error[5] / 6


@pytest.mark.parametrize("schedule", SCHEDULES, ids=by_name)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_few_steps_with_true_draws_of_x0_give_the_distribution_of_the_data(schedule, eta):
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    noise = draw_noise([(0,)], (1, 128, 128))
    denoise = partial(data.draw, generator=torch.Generator().manual_seed(1))
    times = spaced_timesteps(1000, 5, "trailing")
    draws = sample(denoise, noise(0), times, schedule, partial(ddim_step, eta=eta), noise)
    assert draws.mean().item() == pytest.approx(0.4, abs=0.015)
    assert draws.std().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=by_name)
@pytest.mark.parametrize("sampler", STEPS)
def test_every_draw_from_finite_data_is_one_of_them(schedule, sampler):
    points = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(5))
    data = FiniteData(schedule=schedule, points=points)
    noise = draw_noise([(6, member) for member in range(24)], SHAPE)
    times = spaced_timesteps(1000, 50, "trailing")
    draws = sample(data, noise(0), times, schedule, STEPS[sampler].step, noise)
    distance, nearest = torch.cdist(draws.flatten(1), points.flatten(1)).min(dim=1)
    assert distance.max() < 1e-3
    assert len(nearest.unique()) > 1


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_denoiser_is_asked_once_for_each_time(steps):
    asked = []
    data = GaussianData(schedule=LINEAR, mean=0.0, std=1.0)

    def counting(x_t, t):
        assert t.dtype == torch.long
        asked.append(t.unique().item())
        return data(x_t, t)

    times = spaced_timesteps(1000, steps, "trailing")
    states = list(trajectory(counting, torch.zeros(2, *SHAPE), times, LINEAR))
    assert asked == times == [state.t for state in states]


def test_stopping_early_costs_no_more_than_what_was_seen():
    asked = []
    data = GaussianData(schedule=LINEAR, mean=0.0, std=1.0)

    def counting(x_t, t):
        asked.append(t)
        return data(x_t, t)

    times = spaced_timesteps(1000, 10, "trailing")
    list(islice(trajectory(counting, torch.zeros(1, *SHAPE), times, LINEAR), 3))
    assert len(asked) == 3


def test_states_remember_one_state_and_no_more():
    data = GaussianData(schedule=LINEAR, mean=0.0, std=1.0)
    first, second, third = trajectory(data, torch.ones(1, *SHAPE), [900, 500, 100], LINEAR)
    assert first.past is None
    assert (second.past.t, third.past.t) == (900, 500)
    assert third.past.denoised is second.denoised
    assert third.past.past is None


@pytest.mark.parametrize("sampler", STEPS)
def test_the_step_to_the_clean_end_is_x0(sampler):
    x0, eps, fraction = torch.randn(3, 1, *SHAPE, generator=torch.Generator())
    denoised = Denoised(x0=x0, eps=eps, variance_fraction=fraction)
    state = StepState(t=300, x_t=x0, denoised=denoised)
    assert torch.equal(STEPS[sampler].step(unasked, state, -1, LINEAR, None), x0)


def test_a_draw_does_not_depend_on_the_others_in_its_batch():
    data = GaussianData(schedule=LINEAR, mean=0.2, std=0.7)
    times = spaced_timesteps(1000, 8, "trailing")
    keys = [(9, "image", member) for member in range(5)]

    def draw(keys):
        noise = draw_noise(keys, SHAPE)
        return sample(data, noise(0), times, LINEAR, ddpm_step, noise)

    together = draw(keys)
    torch.testing.assert_close(draw(keys[3:4]), together[3:4], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(draw(keys[::-1]), together.flip(0), rtol=1e-6, atol=1e-6)
    assert len(together.flatten(1)[:, 0].unique()) == 5


def test_noise_is_fresh_for_every_step():
    noise = draw_noise([(0,)], SHAPE)
    assert torch.equal(noise(3), noise(3))
    assert len({noise(index)[0, 0, 0, 0].item() for index in range(20)}) == 20


def test_gradients_reach_the_first_noise():
    x_T = torch.ones(1, *SHAPE, requires_grad=True)
    data = GaussianData(schedule=LINEAR, mean=0.0, std=1.0)
    sample(data, x_T, [999, 400], LINEAR).sum().backward()
    assert (x_T.grad != 0).all()


def test_bad_requests_are_refused():
    data = GaussianData(schedule=LINEAR, mean=0.0, std=1.0)
    x = torch.zeros(1, *SHAPE)
    for times in ([], [5, 5], [1, 2]):
        with pytest.raises(InputError, match="descending"):
            sample(data, x, times, LINEAR)
    with pytest.raises(InputError, match="noise"):
        sample(data, x, [9, 5], LINEAR, ddpm_step)
    state = next(trajectory(data, x, [9], LINEAR))
    for s in (9, -2):
        with pytest.raises(InputError, match="s: got"):
            ddim_step(unasked, state, s, LINEAR)
    with pytest.raises(InputError, match="eta"):
        ddim_step(unasked, state, 3, LINEAR, eta=1.5)
