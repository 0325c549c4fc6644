"""One table of peaks for every answer; free memory is what host and container both leave."""

from pathlib import Path

import pytest

from lookharder.hardware import ACCELERATORS, MFU, free_memory, peak_of
from lookharder.scaling.budgets import DEVICES, Rates
from lookharder.training.cost import DEVICES as PRICED

MEMINFO = "MemTotal:       100 kB\nMemFree:         10 kB\nMemAvailable:    50 kB\n"


def test_a_plan_and_a_dry_run_take_a_device_for_equally_fast():
    for name, peak in PRICED.items():
        assert peak == DEVICES[name.lower()] == ACCELERATORS[name.lower()].half
        assert Rates(device=name.lower()).speed == pytest.approx(MFU * peak)


def test_a_device_is_known_by_the_name_that_torch_gives_it():
    assert peak_of("NVIDIA A100-SXM4-80GB", "bfloat16") == 312e12
    assert peak_of("NVIDIA A100-SXM4-80GB", "float32") == 19.5e12
    assert peak_of("NVIDIA H100 80GB HBM3", "bfloat16") == 989.4e12
    assert peak_of("NVIDIA H100 PCIe", "bfloat16") == 756e12
    assert peak_of("somebody's GPU", "bfloat16") is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 50 * 1024),
        ({"memory.max": "max\n", "memory.current": "1\n"}, 50 * 1024),
        ({"memory.max": "3000\n", "memory.current": "1000\n"}, 2000),
        ({"memory.max": "3000\n", "memory.current": "4000\n"}, 0),
        ({"memory.max": str(10**12), "memory.current": "0"}, 50 * 1024),
        (
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "5",
            },
            50 * 1024,
        ),
        (
            {"memory/memory.limit_in_bytes": "700", "memory/memory.usage_in_bytes": "200"},
            500,
        ),
    ],
)
def test_free_memory_is_the_less_of_host_and_container(files, expected, tmp_path: Path):
    (tmp_path / "meminfo").write_text(MEMINFO)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_memory(tmp_path / "meminfo", tmp_path) == expected


def test_where_the_kernel_says_nothing_nothing_is_known(tmp_path: Path):
    assert free_memory(tmp_path / "meminfo", tmp_path) is None
