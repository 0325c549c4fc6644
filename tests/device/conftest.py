"""Devices that are not there, as fixtures."""

from collections.abc import Iterator

import pytest
import torch
from tests.device.pretend import Pretend
from tests.device.stand_in import StandIn

from lookharder.diffusion import loss, schedule


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What torch says of a GPU, and autocast, where there is none; tables of other such devices are forgotten."""
    tables = (schedule._table, loss._bound_tables)
    autocast = torch.autocast

    def on_host(kind: str, *args: object, **options: object) -> torch.autocast:
        return autocast("cpu", *args, **options)

    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device=None: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (10**10, 10**10))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    # a build of torch for GPUs asks the driver, which is not there
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch, "autocast", on_host)
    for table in tables:
        table.cache_clear()
    yield
    for table in tables:
        table.cache_clear()


@pytest.fixture
def device(without_gpu: None):
    with Pretend() as device:
        yield device


@pytest.fixture
def learner(without_gpu: None):
    with StandIn("cuda") as device:
        yield device


@pytest.fixture
def mps(without_gpu: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with Pretend("mps") as device:
        yield device
