"""The device by name, signals as a flag, and a speed by an artificial clock."""

import os
import signal
import threading

import pytest
import torch

from lookharder.errors import InputError
from lookharder.hardware import pick_device
from lookharder.training.distributed.runtime import (
    SIGNALS,
    RuntimeConfig,
    Throughput,
    signals,
)


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device().type == pick_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="device: got 'cuda', which this machine lacks"):
        pick_device("cuda")
    with pytest.raises(InputError, match="'tpu'"):
        pick_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [pick_device(name).type for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_raises_the_flag_and_handlers_come_back(number):
    former = [signal.getsignal(n) for n in SIGNALS]
    with signals() as stop:
        assert (stop.stop_requested, stop.received) == (False, None)
        os.kill(os.getpid(), number)
        assert (stop.stop_requested, stop.received) == (True, number.name)
    assert [signal.getsignal(n) for n in SIGNALS] == former


def test_a_second_interrupt_does_not_wait():
    former = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == "SIGTERM"
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == former


def test_another_thread_leaves_the_handlers_alone():
    former = [signal.getsignal(n) for n in SIGNALS]
    seen = []

    def work() -> None:
        with signals() as stop:
            seen.append((stop.stop_requested, [signal.getsignal(n) for n in SIGNALS]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, former)]


def test_throughput_is_that_of_the_window():
    times = iter([0.0, 10.0, 11.0, 12.0, 14.0])  # a slow first iteration, then 1 s, 1 s, 2 s
    meter = Throughput(window=2, clock=lambda: next(times))
    assert meter.images_per_second is None
    assert meter.seconds_left(100) is None
    meter.update(20)
    assert meter.images_per_second == 2.0
    meter.update(20)
    assert meter.images_per_second == 40 / 11
    meter.update(20)
    assert meter.images_per_second == 20.0
    meter.update(40)
    assert meter.images_per_second == 60 / 3
    assert meter.seconds_left(100) == 5.0


@pytest.mark.parametrize("name", ["shard", "accumulate"])
def test_layouts_of_nothing_are_refused(name):
    with pytest.raises(InputError, match=rf"runtime\.{name}: got 0, allowed: 1 or more"):
        RuntimeConfig(**{name: 0})


def test_an_unknown_precision_is_named():
    with pytest.raises(Exception, match="precision"):  # by the type checker, where it is on
        RuntimeConfig(precision="float16")
