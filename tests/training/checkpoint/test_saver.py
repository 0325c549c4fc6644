"""Saving in a thread: training waits for the copy alone, nothing is lost, and no error stays unheard."""

import threading

import pytest
import torch

from lookharder.training import checkpoint
from lookharder.training.checkpoint import load_latest
from lookharder.training.checkpoint.saver import Saver


@pytest.fixture
def gate(monkeypatch) -> threading.Event:
    """Every save waits for it."""
    event, own = threading.Event(), checkpoint.save

    def gated(*args):
        assert event.wait(20)
        return own(*args)

    monkeypatch.setattr(checkpoint, "save", gated)
    return event


def test_training_goes_on_while_the_state_of_before_is_saved(tmp_path, gate):
    weights = torch.zeros(3)
    with Saver(tmp_path, keep=2) as saver:
        saver.save(1, {"w": weights}, {"note": 1})
        weights += 1  # the next update
        assert load_latest(tmp_path) is None
        saver.check()
        gate.set()
        saver.settle()
        found = load_latest(tmp_path)
        assert found is not None
        assert (found.iteration, found.meta, found.tensors["w"].tolist()) == (
            1,
            {"note": 1},
            [0.0] * 3,
        )
        assert saver.waited > 0


def test_the_second_save_waits_for_the_first(tmp_path, gate):
    weights = torch.zeros(3)
    with Saver(tmp_path, keep=2) as saver:
        saver.save(1, {"w": weights}, {})
        second = threading.Thread(target=saver.save, args=(2, {"w": weights + 1}, {}))
        second.start()
        second.join(0.2)
        assert second.is_alive()
        gate.set()
        second.join(20)
    assert [saved.tensors["w"].tolist() for saved in _all(tmp_path)] == [[1.0] * 3, [0.0] * 3]


def test_copies_lie_in_the_same_memory_save_after_save(tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr(
        checkpoint,
        "save",
        lambda folder, iteration, tensors, *rest: places.append(tensors["w"].data_ptr()),
    )
    with Saver(tmp_path, keep=2) as saver:
        for iteration in (1, 2, 3):
            saver.save(iteration, {"w": torch.zeros(1000)}, {})
    assert len(places) == 3
    assert len(set(places)) == 1


def test_leaving_the_block_saves_what_was_copied(tmp_path, gate):
    with pytest.raises(KeyboardInterrupt), Saver(tmp_path, keep=2) as saver:
        saver.save(1, {"w": torch.zeros(3)}, {})
        gate.set()
        raise KeyboardInterrupt
    assert checkpoint.intact(tmp_path) == [1]


@pytest.mark.parametrize("moment", ["check", "settle", "save", "leave"])
def test_a_failed_save_is_heard_of(tmp_path, monkeypatch, moment):
    failed = threading.Event()

    def fail(*args):
        failed.set()
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save", fail)
    with pytest.raises(OSError, match="disk full"), Saver(tmp_path, keep=2) as saver:
        saver.save(1, {"w": torch.zeros(3)}, {})
        assert failed.wait(20)
        while moment == "check":  # an iteration after the other
            saver.check()
        if moment == "settle":
            saver.settle()
        if moment == "save":
            saver.save(2, {"w": torch.zeros(3)}, {})


def test_it_does_not_hide_why_the_block_ended(tmp_path, monkeypatch, caplog):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save", fail)
    with pytest.raises(FloatingPointError), Saver(tmp_path, keep=2) as saver:
        saver.save(1, {"w": torch.zeros(3)}, {})
        raise FloatingPointError
    assert "disk full" in caplog.text


def _all(folder):
    return [checkpoint.load(folder / f"{i:08d}") for i in checkpoint.intact(folder)]
