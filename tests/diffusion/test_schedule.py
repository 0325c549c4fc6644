"""Schedules against the published tables, diffusers, and their own invariants."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.diffusion.schedule import (
    NoiseSchedule,
    alphas_cumprod,
    spaced_timesteps,
    timesteps,
)
from lookharder.errors import InputError

CIRCLES = ["linear", "scaled-linear", "cosine"]
DIFFUSERS = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled-linear": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}

schedules = st.builds(
    NoiseSchedule,
    name=st.sampled_from([*CIRCLES, "rectified"]),
    steps=st.integers(30, 1500),
    zero_terminal_snr=st.booleans(),
)


@pytest.mark.parametrize("name", CIRCLES)
def test_tables_equal_diffusers(name):
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(**DIFFUSERS[name]).alphas_cumprod
    ours = alphas_cumprod(name)
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours.float(), theirs, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "amplification"), [("scaled-linear", 15), ("linear", 157), ("cosine", 2.03e4)]
)
def test_what_is_left_of_x0_at_the_noisy_end(name, amplification):
    alpha, _ = NoiseSchedule(name=name).alpha_sigma(999)
    assert 1 / alpha == pytest.approx(amplification, rel=0.03)


@pytest.mark.parametrize("name", CIRCLES)
@pytest.mark.parametrize("steps", [50, 250, 4000])
def test_noise_along_the_way_hardly_depends_on_the_number_of_steps(name, steps):
    coarse, fine = alphas_cumprod(name, steps), alphas_cumprod(name)
    middle = [table[len(table) // 2 - 1].item() for table in (coarse, fine)]
    assert middle[0] == pytest.approx(middle[1], abs=0.02)


@pytest.mark.parametrize("name", CIRCLES)
def test_zero_terminal_snr_equals_diffusers(name):
    from diffusers import DDPMScheduler
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    betas = DDPMScheduler(**DIFFUSERS[name]).betas.double()
    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas), 0)
    schedule = NoiseSchedule(name=name, zero_terminal_snr=True)
    alpha = schedule.alpha(torch.arange(1000), torch.float64)
    torch.testing.assert_close(alpha**2, theirs, rtol=1e-4, atol=1e-8)
    assert alpha[-1] == 0
    assert alpha[0] == pytest.approx(alphas_cumprod(name)[0].item() ** 0.5, rel=1e-12)


@given(schedules)
@settings(max_examples=40, deadline=None)
def test_snr_falls_strictly_from_the_clean_end(schedule):
    t = torch.arange(-1, schedule.steps)
    alpha, sigma = schedule.alpha(t, torch.float64), schedule.sigma(t, torch.float64)
    assert (alpha[0], sigma[0]) == (1, 0)
    noise_to_signal = sigma / alpha
    assert (noise_to_signal.diff() > 0).all()


@given(schedules, st.floats(0, 0.999))
@settings(max_examples=40, deadline=None)
def test_rates_are_the_tangent_of_the_circle_or_the_line(schedule, where):
    t = int(where * schedule.steps)
    alpha, sigma, alpha_rate, sigma_rate = (
        value.item()
        for value in schedule.at(torch.tensor([t]), torch.zeros(1, 1, 1, 1, dtype=torch.float64))
    )
    assert alpha * sigma_rate - sigma * alpha_rate == pytest.approx(1, abs=1e-12)
    if schedule.name == "rectified":
        assert alpha + sigma == pytest.approx(1, abs=1e-12)
        assert (alpha_rate, sigma_rate) == (-1, 1)
        return
    assert alpha**2 + sigma**2 == pytest.approx(1, abs=1e-12)
    assert alpha * alpha_rate + sigma * sigma_rate == pytest.approx(0, abs=1e-12)
    assert alpha_rate**2 + sigma_rate**2 == pytest.approx(1, abs=1e-12)


def test_rectified_is_pure_noise_at_the_last_time():
    schedule = NoiseSchedule(name="rectified", steps=8)
    assert [schedule.alpha_sigma(t) for t in (-1, 3, 7)] == [(1, 0), (0.5, 0.5), (0, 1)]


def test_times_outside_the_process_are_errors():
    schedule = NoiseSchedule(name="linear")
    for t in (-2, 1000):
        with pytest.raises(InputError):
            schedule.alpha_sigma(t)
        with pytest.raises((IndexError, RuntimeError), match="out of"):
            schedule.alpha(torch.tensor([t]))


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "linear", "steps": 20},
        {"name": "cosine", "steps": 1},
        {"name": "rectified", "steps": 1},
    ],
)
def test_impossible_schedules_are_refused(bad):
    with pytest.raises(InputError):
        NoiseSchedule(**bad)


def test_unknown_tables_are_refused():
    with pytest.raises(InputError, match="cosine"):
        alphas_cumprod("quadratic")


@given(st.integers(1, 1500), st.data(), st.sampled_from(["trailing", "leading", "linspace"]))
@settings(max_examples=100, deadline=None)
def test_spacings_have_the_length_asked_and_fall_strictly(steps_train, data, spacing):
    steps = data.draw(st.integers(1, steps_train))
    times = spaced_timesteps(steps_train, steps, spacing)
    assert len(times) == steps
    assert all(t > s for t, s in pairwise(times))
    assert 0 <= times[-1] <= times[0] < steps_train
    if spacing != "leading":
        assert times[0] == steps_train - 1
    if spacing != "trailing" and steps > 1:
        assert times[-1] == 0


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
def test_spacings_equal_diffusers(spacing):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(timestep_spacing=spacing)
    # 1 step of linspace is [0] there; at some counts their trailing spacing has one time too many, -1
    for steps in (2, 3, 4, 5, 7, 10, 13, 20, 50, 64, 100, 250, 333, 500, 999, 1000):
        scheduler.set_timesteps(steps)
        assert spaced_timesteps(1000, steps, spacing) == scheduler.timesteps.tolist()


@pytest.mark.parametrize("steps", [1, 5, 10, 50, 250, 1000])
def test_leading_is_the_respacing_of_dit_where_it_divides(steps):
    assert spaced_timesteps(1000, steps, "leading") == [*range(0, 1000, 1000 // steps)][::-1]


def test_one_step_starts_from_pure_noise():
    assert spaced_timesteps(1000, 1, "trailing") == [999]
    assert spaced_timesteps(1000, 1, "linspace") == [999]
    assert spaced_timesteps(1000, 1, "leading") == [0]  # the known fault


@pytest.mark.parametrize(
    ("steps", "spacing"), [(0, "trailing"), (1001, "leading"), (-1, "linspace"), (4, "karras")]
)
def test_impossible_spacings_are_refused(steps, spacing):
    with pytest.raises(InputError, match="allowed"):
        spaced_timesteps(1000, steps, spacing)


SPACINGS = st.sampled_from(["trailing", "leading", "linspace"])


def test_log_snr_has_its_infinities_at_the_two_ends():
    schedule = NoiseSchedule(name="rectified", steps=4)
    expected = [float("inf"), 2 * math.log(3), 0.0, -2 * math.log(3), -float("inf")]
    assert schedule.log_snr(torch.arange(-1, 4)).tolist() == pytest.approx(expected, abs=1e-12)


@given(schedules, st.data(), SPACINGS)
@settings(max_examples=30, deadline=None)
def test_spread_over_its_own_schedule_a_sampler_visits_the_plain_times(schedule, data, spacing):
    steps = data.draw(st.integers(1, schedule.steps))
    plain = spaced_timesteps(schedule.steps, steps, spacing)
    assert timesteps(schedule, steps, spacing) == plain
    assert timesteps(schedule, steps, spacing, replace(schedule)) == plain


@given(schedules, schedules, st.data(), SPACINGS)
@settings(max_examples=60, deadline=None)
def test_any_count_on_any_two_schedules_gives_distinct_falling_times(train, test, data, spacing):
    steps = data.draw(st.sampled_from([1, 2, train.steps]) | st.integers(1, train.steps))
    times = timesteps(train, steps, spacing, test)
    assert len(times) == steps
    assert all(t > s for t, s in pairwise(times))
    assert 0 <= times[-1] <= times[0] < train.steps
    if spacing != "leading":
        assert times[0] == train.steps - 1  # where pure noise is taken for a latent
    if steps == train.steps:
        assert times == [*range(train.steps)][::-1]


@pytest.mark.parametrize("test", [*CIRCLES, "rectified"])
def test_one_later_leading_times_on_another_schedule_are_there_for_every_count_but_the_last(test):
    """Of some counts, the test schedule has as many times that training reaches: 956 of "cosine"."""
    train = NoiseSchedule(name="scaled-linear")
    for steps in (*range(1, 40), *range(700, 1000)):
        times = timesteps(train, steps, "leading+1", NoiseSchedule(name=test))
        assert len(times) == steps and all(t > s for t, s in pairwise(times))
    with pytest.raises(InputError, match="999"):
        timesteps(train, 1000, "leading+1", NoiseSchedule(name=test))


@given(schedules, schedules, st.integers(2, 8))
@settings(max_examples=40, deadline=None)
def test_each_visited_time_has_the_nearest_snr_to_a_test_time(train, test, steps):
    ours = train.log_snr(torch.arange(train.steps))
    theirs = test.log_snr(torch.arange(test.steps))
    reached = [value for value in theirs.tolist() if value >= ours[-1]]
    times = timesteps(train, steps, "trailing", test)
    wanted = spaced_timesteps(len(reached), steps, "trailing") if len(reached) >= steps else []
    assert not wanted or times[0] == train.steps - 1
    for index, (t, at) in enumerate(zip(times, wanted, strict=False)):
        distance = (ours - reached[at]).abs()
        nearest = distance.argmin().item()
        pushed = nearest >= times[index - 1] or nearest < steps - 1 - index
        tied = torch.isclose(distance[t], distance[nearest], rtol=1e-9)  # either is the nearest
        assert index == 0 or tied or pushed


def test_the_papers_cosine_spends_its_looks_on_a_scaled_linear_model():
    train, test = NoiseSchedule(name="scaled-linear"), NoiseSchedule(name="cosine")
    times = timesteps(train, 50, "trailing", test)
    assert times != spaced_timesteps(1000, 50, "trailing")
    assert times[0] == 999
    assert times[0] - times[1] > 50  # none is crowded into the end that training lacks
    # equal SNR: alpha^2 there is cosine's, and cosine spreads the angle evenly
    angles = [math.asin(train.alpha_sigma(t)[1]) for t in times]
    steps = [a - b for a, b in pairwise(angles)]
    assert max(steps) / min(steps) < 1.2


def test_a_line_is_visited_at_the_snr_of_a_circle():
    train, test = NoiseSchedule(name="rectified"), NoiseSchedule(name="linear")
    for t, at in zip(
        timesteps(train, 20, "trailing", test)[1:],
        spaced_timesteps(1000, 20, "trailing")[1:],
        strict=True,
    ):
        (alpha, sigma), (alpha_at, sigma_at) = train.alpha_sigma(t), test.alpha_sigma(at)
        assert sigma == pytest.approx(sigma_at / (alpha_at + sigma_at), abs=0.51e-3)
        assert alpha == pytest.approx(alpha_at / (alpha_at + sigma_at), abs=0.51e-3)


@pytest.mark.parametrize(("steps", "spacing"), [(0, "trailing"), (101, "leading"), (4, "karras")])
def test_impossible_requests_on_another_schedule_are_refused(steps, spacing):
    train, test = NoiseSchedule(name="linear", steps=100), NoiseSchedule(name="cosine")
    with pytest.raises(InputError, match="allowed"):
        timesteps(train, steps, spacing, test)
