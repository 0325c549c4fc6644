"""Speeds by a clock that the test winds, MACs as torch counts them, a TensorBoard that notes what it is told."""

import sys
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lookharder.chain import Chain
from lookharder.config import override
from lookharder.data.source import open_data
from lookharder.errors import InputError
from lookharder.hardware import peak_of
from lookharder.models.flops import breakdown
from lookharder.models.layers import TIME_FEATURES
from lookharder.recipes import smoke
from lookharder.seeding import torch_generator
from lookharder.training.batches import apportion
from lookharder.training.loop import TrainStep, start, train
from lookharder.training.monitor import throughput as watch
from lookharder.training.monitor.throughput import (
    Board,
    Meter,
    iteration_macs,
    peak_flops,
    scalars,
)

SMALL = override(
    smoke(),
    [
        "chain.model.depth=1",
        "chain.model.hidden_size=32",
        "train.batch_size=7",
        "train.iterations=1",
        *[f"data.{task}.spec=procedural:1:1" for task in ("generation", "depth", "flow", "amodal")],
        "data.flow.size=48",
    ],
)


class Clock:
    """Seconds pass when it is told so."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += seconds


def step(iteration=1, seconds=2.0, data_seconds=0.5, images=32, **more) -> TrainStep:
    return TrainStep(
        iteration=iteration,
        loss=0.5,
        losses={"depth": 0.4, "flow": 0.6},
        routing_loss=0.0,
        grad_norm=1.0,
        lr=1e-3,
        images=images,
        seconds=seconds,
        data_seconds=data_seconds,
        **more,
    )


def test_a_row_sums_what_has_been_since_the_row_before():
    clock = Clock()
    meter = Meter(3_000_000, 12e6, clock=clock, now=lambda: 1000.0)
    for seconds, waited in ((2.0, 0.5), (4.0, 1.0)):
        meter.update(step(seconds=seconds, data_seconds=waited))
        clock.pass_(seconds)
    clock.pass_(3.0)
    with meter.validating():
        clock.pass_(1.0)
    assert meter.row(3.0) == {
        "images_per_second": 64 / 6,
        "macs_per_second": 1e6,  # two iterations of 3 M in 6 s
        "mfu": 2e6 / 12e6,
        "data_wait": 0.25,
        "save_stall": 0.3,  # 3 of the 10 s that have passed
        "save_seconds": 3.0,
        "validation_seconds": 1.0,
        "busy_seconds": 6.0,
        "started": 1000.0,
    }
    meter.update(step(seconds=1.0, data_seconds=0.0))
    clock.pass_(1.0)
    second = meter.row()
    assert (second["images_per_second"], second["save_stall"], second["busy_seconds"]) == (32, 0, 1)


def test_what_was_left_out_is_work_that_does_not_count_and_what_was_excluded_is_no_work():
    meter = Meter(10, clock=Clock())
    meter.update(step(seconds=2.0))
    meter.update(step(seconds=2.0, skipped=("depth/a",)))
    meter.update(step(seconds=0.0, data_seconds=0.0, images=0, excluded=True))
    row = meter.row()
    assert (row["images_per_second"], row["macs_per_second"], row["busy_seconds"]) == (16, 5, 2)
    assert row["mfu"] is None
    meter.update(step(seconds=0.0, data_seconds=0.0, images=0, excluded=True))
    row = meter.row()
    assert row["images_per_second"] is row["macs_per_second"] is row["data_wait"] is None


def test_a_validation_that_fails_has_taken_its_time():
    clock = Clock()
    meter = Meter(1, clock=clock)
    with pytest.raises(OSError, match="full"), meter.validating():
        clock.pass_(2.0)
        raise OSError("full")
    assert meter.row()["validation_seconds"] == 2.0


def test_macs_of_an_iteration_are_those_that_torch_counts():
    chain = Chain.build(SMALL.chain, torch_generator(0))
    datasets = {task: open_data(data) for task, data in SMALL.data.items()}
    state = start(chain, SMALL.train)
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        list(train(SMALL.train, state, chain, datasets))
    # The pictures and the time need no gradient: the first layers of both have one product less on the way back.
    spared = 0
    for task, count in apportion(SMALL.train.mix, SMALL.train.batch_size).items():
        side = datasets[task][0].image.shape[-1] // chain.autoencoder.factor
        first = breakdown(chain.config.model, side, side)["patch embedding"].macs
        items = count * chain.task(task).fields
        spared += items * (first + TIME_FEATURES * chain.config.model.hidden_size)
    macs = iteration_macs(chain, SMALL.train, datasets)
    assert counter.get_total_flops() == 2 * (macs - spared)


def test_peaks_are_found_by_the_whole_name(monkeypatch):
    assert peak_of("NVIDIA H100 80GB HBM3", "bfloat16") == 989.4e12
    assert peak_of("NVIDIA H100 PCIe", "bfloat16") == 756e12
    assert peak_of("NVIDIA A100-SXM4-80GB", "float32") == 19.5e12
    for unknown in ("NVIDIA H100", "NVIDIA L4", "NVIDIA GeForce RTX 4090 Laptop GPU", ""):
        assert peak_of(unknown, "bfloat16") is None
    assert peak_flops(torch.device("cpu"), "float32") is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert peak_flops(torch.device("cuda", 0), "bfloat16", 4) == 4 * 989.4e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Abacus")
    assert peak_flops(torch.device("cuda", 0), "bfloat16") is None


def test_scalars_are_the_numbers_of_a_row():
    row = asdict(step(skipped=("depth/a",))) | Meter(1, clock=Clock()).row() | {"time": 5.0}
    found = scalars(row)
    assert found["losses/depth"] == 0.4 and found["lr"] == 1e-3 and found["loss"] == 0.5
    assert found["speed/save_seconds"] == 0.0
    assert "speed/mfu" not in found  # it is None
    assert not {"iteration", "time", "skipped", "excluded"} & set(found)
    assert scalars({"loss": None, "losses": {"depth": None, "flow": 1.0}}) == {"losses/flow": 1.0}
    validation = {"iteration": 5, "depth.abs_rel": 0.1, "depth.ratio": 0.5}
    assert scalars(validation) == {
        "validation/depth_abs_rel": 0.1,
        "validation/depth_ratio": 0.5,
    }


def test_a_board_is_told_each_number_at_its_iteration(monkeypatch, tmp_path):
    said: list[tuple] = []

    class Writer:
        def __init__(self, log_dir, purge_step):
            said.append(("open", log_dir, purge_step))

        def add_scalar(self, tag, value, step, walltime):
            said.append((tag, value, step, walltime))

        def close(self):
            said.append(("close",))

    module = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    board = Board(tmp_path / "events", 20)
    board.write({"iteration": 25, "loss": 0.5, "losses": {"depth": 0.25}, "time": 9.0})
    board.close()
    assert said == [
        ("open", str(tmp_path / "events"), 21),
        ("loss", 0.5, 25, 9.0),
        ("losses/depth", 0.25, 25, 9.0),
        ("close",),
    ]


def test_without_tensorboard_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"tensorboard: got .*lookharder\[tensorboard\]"):
        watch.Board(tmp_path)
    assert list(tmp_path.iterdir()) == []
