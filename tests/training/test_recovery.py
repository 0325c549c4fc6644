"""Numbers that are not finite: how far a run goes back, and that a kill changes nothing of it."""

import json
import random

import pytest

from lookharder.training.loop import TrainStep
from lookharder.training.recovery import ATTEMPTS, Recovery


def step(iteration: int, skipped: bool = False, excluded: bool = False) -> TrainStep:
    return TrainStep(
        iteration=iteration,
        loss=1.0,
        losses={},
        routing_loss=0.0,
        grad_norm=1.0,
        lr=1.0,
        images=1,
        seconds=1.0,
        data_seconds=0.0,
        skipped=(f"depth/{iteration}",) if skipped else (),
        excluded=excluded,
    )


def fail(recovery: Recovery, first: int, last: int) -> list[bool]:
    return [recovery.watch(step(i, skipped=True)) for i in range(first, last + 1)]


def test_it_goes_back_after_so_many_in_a_row():
    recovery = Recovery(3)
    assert fail(recovery, 1, 2) == [False, False]
    assert not recovery.watch(step(3))
    assert recovery.failing_since is None
    assert fail(recovery, 4, 6) == [False, False, True]
    assert recovery.failing_since == 4


def test_what_is_passed_over_counts_neither_as_finite_nor_as_not():
    recovery = Recovery(2)
    assert fail(recovery, 4, 4) == [False]
    assert not recovery.watch(step(5, excluded=True))
    assert recovery.failing_since == 4


def test_each_attempt_goes_further_back():
    recovery = Recovery(2)
    fail(recovery, 21, 22)
    assert recovery.go_back(22, [30, 20, 10, 5]) == 20  # bad data: these alone
    assert recovery.excluded == [(21, 22)]
    assert recovery.windows[0].examples == ("depth/21", "depth/22")
    fail(recovery, 23, 24)
    assert recovery.go_back(24, [20, 10, 5]) == 10  # bad weights: 20 had led there, so before it
    assert recovery.excluded == [(11, 24)]
    fail(recovery, 25, 26)
    assert recovery.go_back(26, [10, 5]) == 5  # those of 10 were bad as well
    assert recovery.excluded == [(6, 26)]
    assert recovery.rollbacks == ATTEMPTS
    fail(recovery, 27, 28)
    with pytest.raises(FloatingPointError, match=r"27 to 28.* 3 times.*depth/27, depth/28"):
        recovery.go_back(28, [5, 3])


def test_weights_that_went_bad_after_the_checkpoint_are_made_anew():
    recovery = Recovery(2)
    fail(recovery, 25, 26)
    assert recovery.go_back(26, [20, 10]) == 20
    assert recovery.excluded == [(25, 26)]
    fail(recovery, 27, 28)
    assert recovery.go_back(28, [20, 10]) == 20
    assert recovery.excluded == [(21, 28)]


def test_later_failures_begin_with_the_first_attempt():
    recovery = Recovery(2)
    fail(recovery, 3, 4)
    recovery.go_back(4, [2])
    fail(recovery, 7, 8)
    assert recovery.go_back(8, [6, 2]) == 6
    assert (recovery.excluded, recovery.rollbacks) == ([(3, 4), (7, 8)], 1)


def test_no_checkpoint_before_is_an_error_that_says_so():
    recovery = Recovery(1)
    fail(recovery, 3, 3)
    with pytest.raises(FloatingPointError, match="no checkpoint is old enough"):
        recovery.go_back(3, [4])


def test_its_state_is_json():
    recovery, other = Recovery(2), Recovery(2)
    fail(recovery, 21, 22)
    recovery.go_back(22, [20])
    other.load(json.loads(json.dumps(recovery.state())))
    assert (other.windows, other.rollbacks) == (recovery.windows, recovery.rollbacks)


EVERY, KEEP, END = 5, 3, 60


def live(bad: set[int], poison: set[int], killed: set[int]) -> list[int] | str:
    """A run on paper: its weights are the updates that are in them. Returns these, or the error at its end.

    An iteration gives no number if it is in `bad` (its data), or if an update of `poison` is in the weights and more
    than three followed it. It is killed at the moments `killed`, counted in steps of all its lives.
    """
    saved: dict[int, tuple[list[int], str]] = {0: ([], json.dumps(Recovery(2).state()))}
    moment = 0
    while True:
        now = max(saved)
        weights, recovery = list(saved[now][0]), Recovery(2)
        recovery.load(json.loads(saved[now][1]))
        while now < END and (moment := moment + 1) not in killed:
            now += 1
            passed = any(first <= now <= last for first, last in recovery.excluded)
            ill = any(len(weights) - weights.index(p) > 3 for p in poison & set(weights))
            skipped = not passed and (now in bad or ill)
            due = recovery.watch(step(now, skipped=skipped, excluded=passed))
            weights += [] if passed or skipped else [now]
            if due:
                try:
                    target = recovery.go_back(now, list(saved))
                except FloatingPointError as error:
                    return str(error)
                saved = {i: what for i, what in saved.items() if i <= target}
                now, weights = target, list(saved[target][0])
            elif now % EVERY == 0 and recovery.failing_since is None:
                saved[now] = (list(weights), json.dumps(recovery.state()))
                saved = {i: saved[i] for i in sorted(saved)[-KEEP:]}
        if now == END:
            return weights


def test_bad_data_is_passed_over_and_nothing_else():
    good = [i for i in range(1, END + 1) if i not in (12, 13, 31, 32, 33)]
    assert live({12, 13, 31, 32, 33}, set(), set()) == good


def test_a_bad_update_is_left_out_with_what_surrounds_it():
    weights = live(set(), {22}, set())
    assert isinstance(weights, list)
    assert 22 not in weights
    assert weights[:20] == list(range(1, 21))
    assert set(range(31, END + 1)) <= set(weights)


@pytest.mark.parametrize("seed", range(40))
def test_a_kill_changes_nothing(seed):
    chance = random.Random(seed)
    starts = chance.sample(range(8, END - 8), 3)
    bad = {i for start in starts for i in range(start, start + chance.randint(1, 4))}
    poison = {chance.randrange(6, END)} if seed % 2 else set()
    whole = live(bad, poison, set())
    for _ in range(20):
        assert live(bad, poison, {chance.randint(1, 120) for _ in range(6)}) == whole
