"""How hard to look, as callers say it: parsed, checked, and met when arithmetic says so."""

import math

import pytest
from jaxtyping import TypeCheckError

from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.predict.effort import Budget, Effort, StopRule


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("2s", "seconds", 2),
        ("300ms", "seconds", 0.3),
        ("1.5 min", "seconds", 90),
        ("5 GMACs", "MACs", 5e9),
        ("5gmac", "MACs", 5e9),
        ("2e3 MMACs", "MACs", 2e9),
        ("500 MB", "bytes", 5e8),
        ("1GiB", "bytes", 2**30),
    ],
)
def test_a_budget_is_an_amount_and_a_unit(text, kind, amount):
    budget = Budget.parse(text)
    assert (budget.kind, budget.amount) == (kind, pytest.approx(amount))


@pytest.mark.parametrize("text", ["", "2", "s", "-2s", "0s", "2 parsecs", "1..2s", "infs", "nan s"])
def test_what_is_not_a_budget_is_refused(text):
    with pytest.raises(InputError, match="budget"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["2 s", "0.3 s", "5 GMACs", "12.5 MMACs", "500 MB"])
def test_a_budget_reads_as_it_was_written(text):
    assert str(Budget.parse(text)) == text
    assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("0.01", StopRule(doubt=0.01)),
        ("doubt:0.01", StopRule(doubt=0.01)),
        ("gain:1e-3", StopRule(gain=1e-3)),
        ("0.01, gain:0.001", StopRule(doubt=0.01, gain=0.001)),
        ("change:0.5", StopRule(change=0.5)),
        ("gain:0.1,change:2", StopRule(gain=0.1, change=2.0)),
    ],
)
def test_a_rule_is_read(text, rule):
    assert StopRule.parse(text) == rule


@pytest.mark.parametrize("text", ["", "x", "doubt:", "joy:1", "-1", "0", "nan", "inf", "change:0"])
def test_what_is_not_a_rule_is_refused(text):
    with pytest.raises(InputError, match="until"):
        StopRule.parse(text)


def test_doubt_falls_with_the_root_of_the_draws():
    rule = StopRule(doubt=0.1)
    assert not rule.met(0.29, 8, 1)
    assert rule.met(0.29, 9, 1)


def test_gain_is_what_the_next_draws_are_expected_to_take_off():
    spread, n, more = 0.3, 4, 5
    gain = spread / math.sqrt(n) - spread / math.sqrt(n + more)
    assert StopRule(gain=gain * 1.001).met(spread, n, more)
    assert not StopRule(gain=gain * 0.999).met(spread, n, more)


def test_a_rule_in_another_unit_is_the_same_rule():
    rule = StopRule(doubt=0.4, gain=0.02)
    assert rule.scale(0.25) == StopRule(doubt=0.1, gain=0.005)
    assert StopRule(gain=0.02).scale(3.0).doubt is None


def test_one_draw_knows_nothing_of_its_doubt():
    assert not StopRule(doubt=1.0).met(0.0, 1, 1)
    assert not StopRule(doubt=1.0, least=3).met(0.0, 2, 1)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 1, "members": 0}, "members"),
        ({"steps": 1, "sampler": "leapfrog"}, "sampler"),
        ({"steps": 1, "spacing": "random"}, "spacing"),
        ({"steps": 1, "noise_schedule": "square"}, "noise_schedule"),
    ],
)
def test_impossible_efforts_are_refused(values, says):
    with pytest.raises((InputError, TypeCheckError), match=says):  # whichever looks first
        Effort(**values)


def test_another_schedule_moves_the_steps_and_keeps_their_number():
    schedule = NoiseSchedule(name="scaled-linear", zero_terminal_snr=True)
    own = Effort(steps=10).timesteps(schedule)
    other = Effort(steps=10, noise_schedule="cosine").timesteps(schedule)
    assert len(set(other)) == 10
    assert other == sorted(other, reverse=True)
    assert own != other
