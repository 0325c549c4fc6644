"""Steps against the exact flow of Gaussian data: orders of convergence, diffusers, and what they promise."""

import math
from functools import partial
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.diffusion.denoiser import Denoised, Denoiser
from lookharder.diffusion.sampler import draw_noise, sample, trajectory
from lookharder.diffusion.schedule import NoiseSchedule, spaced_timesteps, timesteps
from lookharder.diffusion.steps import (
    STEPS,
    StepState,
    ddim_step,
    ddpm_step,
    dpmpp_2m_step,
    evaluations,
    find_step,
    heun_step,
)
from lookharder.errors import InputError

from .oracles import GaussianData
from .test_sampler import SHAPE, bound, unasked, wavy
from .test_schedule import DIFFUSERS

NAMES = ["linear", "scaled-linear", "cosine", "rectified"]
# rectified ends in pure noise in any case
EVERY = [*product(NAMES, [False]), *product(NAMES[:3], [True])]
SPACINGS = ["trailing", "leading", "linspace"]
ORDERS = {"ddim": 1, "dpmpp-2m": 2, "heun": 2}  # "euler" is "ddim", as is shown below
POINTS = torch.linspace(-2, 2, 32, dtype=torch.float64).view(1, *SHAPE)


def error_of_flow(step, schedule, times, data):
    """How far from the probability flow, between two times and without the jump to the clean end."""
    *_, last = trajectory(data, POINTS, times, schedule, step)

    def level(t):
        alpha, sigma = schedule.alpha_sigma(t)
        return alpha * data.mean, math.hypot(alpha * data.std, sigma)

    (mean_t, std_t), (mean_s, std_s) = level(times[0]), level(times[-1])
    return (last.x_t - mean_s - std_s * (POINTS - mean_t) / std_t).abs().max().item()


@pytest.mark.parametrize("first", [3071, 4095], ids=["inside", "from the noisy end"])
@pytest.mark.parametrize(("name", "zero_snr"), EVERY)
@pytest.mark.parametrize("sampler", ORDERS)
def test_halving_the_steps_costs_what_the_order_says(sampler, name, zero_snr, first):
    schedule = NoiseSchedule(name=name, steps=4096, zero_terminal_snr=zero_snr)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    errors = []
    for count in (16, 32):
        times = [round(first - i * (first - 1023) / count) for i in range(count + 1)]
        errors.append(error_of_flow(find_step(sampler), schedule, times, data))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[sampler], abs=0.25)


@pytest.mark.parametrize("name", ["scaled-linear", "rectified"])
def test_second_order_pays_at_equal_calls(name):
    schedule = NoiseSchedule(name=name, steps=4096, zero_terminal_snr=True)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)

    def error(sampler, count):
        times = [round(4095 - i * 3072 / count) for i in range(count + 1)]
        return error_of_flow(find_step(sampler), schedule, times, data)

    euler = error("euler", 32)
    assert evaluations("heun", 17) == evaluations("dpmpp-2m", 33) == evaluations("euler", 33)
    assert error("heun", 16) < euler / 5
    assert error("dpmpp-2m", 32) < euler / 5


@pytest.mark.parametrize("name", NAMES)
def test_ddpm_converges_to_the_distribution_of_the_data(name):
    # The chain is linear and Gaussian, so the moments follow from two answers of the denoiser; no draws are needed.
    schedule = NoiseSchedule(name=name, zero_terminal_snr=True)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    probe = torch.tensor([0.0, 1.0], dtype=torch.float64).view(2, 1, 1, 1)
    narrow = []
    for count in (40, 160):
        times = spaced_timesteps(1000, count, "trailing")
        mean, variance = 0.0, 1.0
        for t, s in pairwise(times):
            state = StepState(t=t, x_t=probe, denoised=data(probe, torch.tensor([t, t])))
            still = ddpm_step(
                unasked, state, s, schedule, lambda: torch.zeros_like(probe)
            ).flatten()
            pushed = ddpm_step(
                unasked, state, s, schedule, lambda: torch.ones_like(probe)
            ).flatten()
            slope, spread = still[1] - still[0], pushed[0] - still[0]
            mean, variance = still[0] + slope * mean, slope**2 * variance + spread**2
        last = data(probe, torch.tensor([times[-1]] * 2)).x0.flatten()
        gain = last[1] - last[0]
        assert (last[0] + gain * mean).item() == pytest.approx(0.4, abs=1e-4)
        narrow.append(0.5 - (gain * variance**0.5).item())
    assert 0 < narrow[1] < 0.025
    assert narrow[1] < narrow[0] / 2.5


@pytest.mark.parametrize("name", NAMES)
def test_euler_on_the_velocity_of_the_line_is_ddim_on_every_schedule(name):
    schedule = NoiseSchedule(name=name, zero_terminal_snr=True)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    times = spaced_timesteps(1000, 7, "trailing")
    (alpha, sigma) = schedule.alpha_sigma(times[0])
    y = POINTS / (alpha + sigma)
    for t, s in pairwise(times):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.alpha_sigma(t), schedule.alpha_sigma(s)
        q_t, q_s = sigma_t / (alpha_t + sigma_t), sigma_s / (alpha_s + sigma_s)
        denoised = data((alpha_t + sigma_t) * y, torch.tensor([t]))
        y = y + (q_s - q_t) * (denoised.eps - denoised.x0)
    *_, last = trajectory(data, POINTS, times, schedule, find_step("euler"))
    torch.testing.assert_close(last.x_t, (alpha_s + sigma_s) * y, rtol=1e-10, atol=1e-12)


def test_heun_is_the_textbook_method_on_the_velocity_of_rectified_flow():
    schedule = NoiseSchedule(name="rectified")
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    times = spaced_timesteps(1000, 6, "trailing")

    def velocity(x, t):
        denoised = data(x, torch.tensor([t]))
        return denoised.eps - denoised.x0

    x = POINTS
    for t, s in pairwise(times):
        h = schedule.alpha_sigma(s)[1] - schedule.alpha_sigma(t)[1]
        here = velocity(x, t)
        x = x + h / 2 * (here + velocity(x + h * here, s))
    *_, last = trajectory(data, POINTS, times, schedule, heun_step)
    torch.testing.assert_close(last.x_t, x, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("kind", ["eps", "x0", "v"])
@pytest.mark.parametrize("name", ["linear", "scaled-linear", "cosine"])
def test_dpmpp_2m_equals_that_of_diffusers(name, kind, spacing):
    from diffusers import DPMSolverMultistepScheduler

    theirs = DPMSolverMultistepScheduler(
        **DIFFUSERS[name],
        prediction_type={"eps": "epsilon", "x0": "sample", "v": "v_prediction"}[kind],
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
    )
    times = spaced_timesteps(1000, 12, spacing)
    theirs.set_timesteps(timesteps=times)
    start = x = draw_noise([(0,), (1,)], SHAPE)(0)
    for t in theirs.timesteps:
        x = theirs.step(wavy(x, t.repeat(2), None), t, x).prev_sample
    schedule = NoiseSchedule(name=name)
    denoiser = Denoiser(network=wavy, schedule=schedule, prediction=kind)
    ours = sample(bound(denoiser), start, times, schedule, dpmpp_2m_step)
    # their tables are float32, in which 1 - alpha^2 has few digits at cosine's clean end, alpha^2 at its noisy one
    error = (ours - x).abs().max() / x.abs().max()
    assert error < (5e-3 if name == "cosine" else 2e-4)


def test_dpmpp_2m_equals_that_of_diffusers_on_rectified_flow():
    from diffusers import DPMSolverMultistepScheduler

    theirs = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=2
    )
    schedule = NoiseSchedule(name="rectified")
    times = [111 * k - 1 for k in range(9, 0, -1)]
    theirs.set_timesteps(9)  # at sigma = 0.999, 0.888, ..., which are times of ours
    sigmas = [schedule.alpha_sigma(t)[1] for t in (*times, -1)]
    assert theirs.sigmas.tolist() == pytest.approx(sigmas, abs=1e-6)
    start = x = draw_noise([(2,)], SHAPE)(0)
    for t, name in zip(times, theirs.timesteps, strict=True):
        x = theirs.step(wavy(x, torch.tensor([t]), None), name, x).prev_sample
    denoiser = Denoiser(network=wavy, schedule=schedule, prediction="v")
    ours = sample(bound(denoiser), start, times, schedule, dpmpp_2m_step)
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


def test_the_second_step_from_pure_noise_is_of_first_order_and_the_third_is_not():
    schedule = NoiseSchedule(name="cosine", zero_terminal_snr=True)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    states = list(trajectory(data, POINTS, [999, 900, 700, 400], schedule, dpmpp_2m_step))
    same = [
        torch.equal(after.x_t, ddim_step(unasked, before, after.t, schedule))
        for before, after in pairwise(states)
    ]
    assert same[:1] == [True]
    torch.testing.assert_close(
        states[2].x_t, ddim_step(unasked, states[1], 700, schedule), rtol=1e-12, atol=1e-12
    )
    assert not torch.allclose(
        states[3].x_t, ddim_step(unasked, states[2], 400, schedule), atol=1e-3
    )


@pytest.mark.parametrize("counts", [(1, 2, 3, 7), pytest.param((50, 1000), marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "zero_snr"), EVERY)
@pytest.mark.parametrize("sampler", STEPS)
def test_every_combination_gives_finite_numbers(sampler, name, zero_snr, counts):
    schedule = NoiseSchedule(name=name, zero_terminal_snr=zero_snr)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    noise = draw_noise([(0,)], (1, 1, 2))
    for steps, spacing in product(counts, SPACINGS):
        times = spaced_timesteps(1000, steps, spacing)
        answer = sample(data, noise(0), times, schedule, find_step(sampler), noise)
        assert answer.isfinite().all(), (steps, spacing)
        assert answer.abs().max() < 5, (steps, spacing)


@pytest.mark.parametrize("sampler", STEPS)
def test_all_times_of_a_short_process_give_finite_numbers(sampler):
    schedule = NoiseSchedule(name="cosine", steps=60, zero_terminal_snr=True)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    noise = draw_noise([(0,)], (1, 1, 2))
    answer = sample(data, noise(0), [*range(60)][::-1], schedule, find_step(sampler), noise)
    assert answer.abs().max() < 5


@pytest.mark.parametrize(
    ("name", "test"), [pair for pair in product(NAMES, NAMES) if pair[0] != pair[1]]
)
def test_any_test_schedule_leads_to_the_data_along_the_states_of_training(name, test):
    schedule, other = NoiseSchedule(name=name), NoiseSchedule(name=test, zero_terminal_snr=True)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    truth = data.flow_to_data(POINTS, 999)

    def error(steps):
        times = timesteps(schedule, steps, "trailing", other)
        return (sample(data, POINTS, times, schedule) - truth).abs().max()

    assert error(48) < 0.1
    assert error(48) < error(8) / 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sampler", STEPS)
def test_one_step_of_any_sampler_is_the_denoisers_answer(sampler, name):
    schedule = NoiseSchedule(name=name, zero_terminal_snr=True)
    data = GaussianData(schedule=schedule, mean=0.4, std=0.5)
    answer = sample(data, POINTS, [999], schedule, find_step(sampler))
    assert torch.equal(answer, data(POINTS, torch.tensor([999])).x0)


@pytest.mark.parametrize("sampler", STEPS)
def test_the_step_to_the_clean_end_is_x0_whatever_the_past(sampler):
    schedule = NoiseSchedule(name="cosine")
    x0, eps, was = torch.randn(3, 1, *SHAPE, generator=torch.Generator())
    past = StepState(t=500, x_t=was, denoised=Denoised(x0=was, eps=eps))
    state = StepState(t=300, x_t=x0, denoised=Denoised(x0=x0, eps=eps), past=past)
    assert torch.equal(find_step(sampler)(unasked, state, -1, schedule, None), x0)


@given(
    st.sampled_from(sorted(STEPS)),
    st.sampled_from(NAMES),
    st.lists(st.integers(0, 999), min_size=1, max_size=6, unique=True),
)
@settings(max_examples=25, deadline=None)
def test_where_the_answer_never_changes_every_deterministic_step_is_exact(sampler, name, times):
    times = sorted(times, reverse=True)
    schedule = NoiseSchedule(name=name, zero_terminal_snr=True)
    x0 = POINTS / 3

    def denoise(x_t, t):
        at = schedule.at(t, x_t)
        return Denoised(x0=x0, eps=(x_t - at.alpha * x0) / at.sigma)

    alpha, sigma = schedule.alpha_sigma(times[0])
    noise = torch.randn(1, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    step = find_step("ddim" if sampler == "ddpm" else sampler)
    *_, last = trajectory(denoise, alpha * x0 + sigma * noise, times, schedule, step)
    alpha, sigma = schedule.alpha_sigma(times[-1])
    torch.testing.assert_close(last.x_t, alpha * x0 + sigma * noise, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("sampler", STEPS)
def test_evaluations_are_counted_beforehand(sampler, steps):
    schedule = NoiseSchedule(name="rectified")
    data = GaussianData(schedule=schedule, mean=0.0, std=1.0)
    asked = []

    def counting(x_t, t):
        asked.append(t.item())
        return data(x_t, t)

    times = spaced_timesteps(1000, steps, "trailing")
    noise = draw_noise([(0,)], SHAPE)
    visited = trajectory(counting, noise(0), times, schedule, find_step(sampler), noise)
    for index, state in enumerate(visited, start=1):
        assert len(asked) == evaluations(sampler, index)
        assert state.t == asked[-1] == times[index - 1]
    assert len(asked) == (2 * steps - 1 if sampler == "heun" else steps)


@pytest.mark.parametrize("sampler", STEPS)
def test_noise_is_made_only_where_a_step_renews_it(sampler):
    schedule = NoiseSchedule(name="linear")
    data = GaussianData(schedule=schedule, mean=0.0, std=1.0)
    made = []

    def noise(index):
        made.append(index)
        return torch.zeros(1, *SHAPE)

    sample(data, POINTS, [900, 600, 300, 0], schedule, find_step(sampler), noise)
    assert made == ([1, 2, 3] if sampler == "ddpm" else [])


@pytest.mark.parametrize("steps", [2, 5])
def test_no_sampler_reaches_further_back_than_one_state(steps):
    schedule = NoiseSchedule(name="linear")
    data = GaussianData(schedule=schedule, mean=0.0, std=1.0)
    times = spaced_timesteps(1000, steps, "trailing")
    for sampler in ("ddim", "dpmpp-2m", "heun"):
        *_, last = trajectory(data, POINTS, times, schedule, find_step(sampler))
        assert last.past is not None and last.past.past is None


def test_samplers_are_found_by_name():
    assert find_step("euler") is find_step("ddim") is ddim_step
    renewing = find_step("ddim", eta=0.4)
    assert isinstance(renewing, partial) and renewing.keywords == {"eta": 0.4}
    with pytest.raises(InputError, match="sampler: got 'plms', allowed: one of ddim, ddpm"):
        find_step("plms")
    with pytest.raises(InputError, match="sampler: got 'plms'"):
        evaluations("plms", 3)
    with pytest.raises(InputError, match="steps: got 0"):
        evaluations("ddim", 0)
    with pytest.raises(InputError, match=r"eta: got 0\.5, allowed: 0 with sampler 'heun'"):
        find_step("heun", eta=0.5)
    with pytest.raises(InputError, match=r"eta: got 1\.5, allowed: 0 \.\. 1"):
        find_step("ddim", eta=1.5)


def test_heun_evaluates_once_where_it_predicts_and_not_at_the_clean_end():
    schedule = NoiseSchedule(name="rectified")
    data = GaussianData(schedule=schedule, mean=0.0, std=1.0)
    seen = []

    def denoise(x_t, t):
        seen.append((x_t, t))
        return data(x_t, torch.tensor([t]))

    state = StepState(t=900, x_t=POINTS, denoised=data(POINTS, torch.tensor([900])))
    corrected = heun_step(denoise, state, 500, schedule)
    ((predicted, t),) = seen
    assert t == 500
    assert torch.equal(predicted, ddim_step(unasked, state, 500, schedule))
    assert not torch.equal(corrected, predicted)
    assert torch.equal(heun_step(unasked, state, -1, schedule), state.denoised.x0)
