"""Where a system's steps begin, and what that does to an error of eps."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lookharder.diffusion.denoiser import Denoised
from lookharder.diffusion.sampling import USABLE, Sampling
from lookharder.diffusion.schedule import NoiseSchedule, spaced_timesteps
from lookharder.errors import InputError
from lookharder.recipes import RECIPES

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.noisy_end import WAYS, error

COSINE = NoiseSchedule(name="cosine")


@pytest.mark.parametrize("steps", [2, 10, 50])
def test_a_start_at_a_usable_signal_keeps_an_error_of_eps_small(steps: int):
    """From pure noise of the cosine schedule 0.01 becomes 0.2 to 0.5; from alpha = 1/15 no more than with v."""
    assert error(COSINE, WAYS["trailing"], steps) > 0.2
    assert error(COSINE, WAYS["start 1/15"], steps) < 1.5 * error(COSINE, WAYS["v"], steps)


def test_steps_begin_where_the_signal_is_and_leading_ones_where_they_always_did():
    start = Sampling(start_alpha=USABLE)
    for name in ("linear", "cosine"):
        schedule = NoiseSchedule(name=name)
        for spacing in ("trailing", "linspace"):
            first = start.times(schedule, 4, spacing)[0]
            assert schedule.alpha_sigma(first)[0] >= USABLE > schedule.alpha_sigma(first + 1)[0]
            assert len(start.times(schedule, first + 1, spacing)) == first + 1
            with pytest.raises(InputError, match="steps"):
                start.times(schedule, first + 2, spacing)
        assert start.times(schedule, 50, "leading") == spaced_timesteps(1000, 50, "leading")
        other = start.times(schedule, 10, "trailing", NoiseSchedule(name="scaled-linear"))
        assert schedule.alpha_sigma(other[0])[0] >= USABLE and len(other) == 10
    assert start.times(NoiseSchedule(name="scaled-linear"), 1) == [999]


def test_leading_one_later_is_stable_diffusion_s():
    assert spaced_timesteps(1000, 50, "leading+1")[:2] == [981, 961]
    assert spaced_timesteps(1000, 50, "leading+1")[-1] == 1
    with pytest.raises(InputError, match="steps"):
        spaced_timesteps(1000, 1000, "leading+1")


def test_the_last_step_may_keep_the_noise_of_the_first_time():
    """diffusers with `set_alpha_to_one=False`: the step to alpha_bar_0."""
    schedule = NoiseSchedule(name="scaled-linear")
    x0, eps = torch.randn(2, 1, 4, 4, 4).unbind(0)
    found = Sampling(final="first").answer(Denoised(x0=x0, eps=eps), schedule)
    beta = 0.00085
    torch.testing.assert_close(found, (1 - beta) ** 0.5 * x0 + beta**0.5 * eps)
    assert Sampling().answer(Denoised(x0=x0, eps=eps), schedule) is x0


def test_what_cannot_work_together_is_said():
    plain = Sampling()
    said = plain.danger("eps", COSINE, 999, 50)
    assert said is not None and "20,291 times" in said and "start_alpha=0.0667" in said
    assert plain.danger("v", COSINE, 999, 50) is None
    assert replace(plain, clip_x0=4.0).danger("eps", COSINE, 999, 50) is None
    linear = NoiseSchedule(name="linear")
    assert plain.danger("eps", linear, 999, 50) is None, "later steps mend it"
    assert plain.danger("eps", linear, 999, 1) is not None


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("paper_")])
def test_no_recipe_of_the_paper_s_is_in_danger(name: str):
    chain = RECIPES[name]().chain
    for spacing in ("leading", "trailing"):
        first = chain.sampling.times(chain.schedule, chain.steps, spacing)[0]
        assert chain.sampling.danger(chain.prediction, chain.schedule, first, chain.steps) is None
    assert chain.sampling.spacing == "leading"


@pytest.mark.parametrize(
    "wrong", [{"start_alpha": 1.0}, {"start_alpha": -0.1}, {"clip_x0": 0.0}], ids=str
)
def test_bad_values(wrong: dict[str, float]):
    with pytest.raises(InputError):
        Sampling(**wrong)


def test_a_start_that_training_has_not_is_named():
    with pytest.raises(InputError, match=r"start_alpha: got 0.9999.*0.9996 or less"):
        Sampling(start_alpha=0.9999).times(NoiseSchedule(name="scaled-linear"), 2)
