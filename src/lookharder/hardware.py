"""What machines can do: peak speeds of accelerators, the share of a peak that is assumed, and the memory that is free.

Peaks are of dense products by the makers' data sheets: 16-bit with sums in float32, and float32 outside tensor cores,
which is how torch multiplies float32 unless told otherwise. Nobody reaches the peak: `MFU` is the share that a well-fed
training of a transformer reaches, an assumption that is stated in every answer that rests on it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lookharder.errors import InputError

if TYPE_CHECKING:
    import torch

MFU = 0.4
DEVICES = ("auto", "cpu", "cuda", "mps")
LIMITS = {  # files of a control group: limit -> what is used of it, bytes (version 2, then 1)
    "memory.max": "memory.current",
    "memory/memory.limit_in_bytes": "memory/memory.usage_in_bytes",
}


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One kind of device.

    Attributes:
        half: peak of 16-bit products, FLOP/s.
        single: peak of float32 products, FLOP/s; None where it is not in the table.
        name: what `torch.cuda.get_device_name` says, as a regular expression; None where it is not known.
    """

    half: float
    single: float | None = None
    name: str | None = None


ACCELERATORS = {
    "h200": Accelerator(half=989.4e12, single=67e12, name=r"NVIDIA H200"),
    "h100": Accelerator(half=989.4e12, single=67e12, name=r"NVIDIA H100 80GB HBM3"),
    "h100-pcie": Accelerator(half=756e12, single=51e12, name=r"NVIDIA H100 PCIe"),
    "a100": Accelerator(half=312e12, single=19.5e12, name=r"NVIDIA A100-.*"),
    "l40s": Accelerator(half=362e12, single=91.6e12, name=r"NVIDIA L40S"),
    "rtx4090": Accelerator(half=165.2e12, single=82.6e12, name=r"NVIDIA GeForce RTX 4090"),
    "rtx3090": Accelerator(half=71e12, single=35.6e12, name=r"NVIDIA GeForce RTX 3090"),
    "v100": Accelerator(half=125e12),
    "t4": Accelerator(half=65e12),
}


def peak_of(name: str, precision: str) -> float | None:
    """Peak FLOP/s in "bfloat16" or "float32" of a device by the name that torch gives it; None for one not listed."""
    for device in ACCELERATORS.values():
        if device.name is not None and re.fullmatch(device.name, name):
            return device.half if precision == "bfloat16" else device.single
    return None


def free_memory(
    meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes that this process may still take: what the host has, or what its container leaves if that is less.

    Args:
        meminfo: the kernel's account of the host.
        cgroup: the folder of the control groups.

    Returns:
        None where neither is known: the system is not Linux.
    """
    lines = [line.split() for line in _text(meminfo).splitlines()]
    found = [int(number) * 1024 for label, number, *_ in lines if label == "MemAvailable:"]
    for limit, used in LIMITS.items():
        most, taken = _text(cgroup / limit).strip(), _text(cgroup / used).strip()
        if most.isdecimal() and taken.isdecimal():  # "max" where there is no limit
            found.append(max(0, int(most) - int(taken)))
    return min(found, default=None)


def _text(path: Path) -> str:
    """A small file of the kernel's; empty where there is none."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def pick_device(name: "str | torch.device" = "auto") -> "torch.device":
    """The device of a name: "cpu", "cuda", "cuda:1", "mps", or "auto" for a GPU where there is one.

    Of several GPUs that are not told apart by their number, a process of torchrun's takes that of its LOCAL_RANK.

    Raises:
        InputError: another name, or a device that this machine lacks.
    """
    import torch

    if isinstance(name, torch.device):
        return name
    kind, _, index = name.partition(":")
    if kind not in DEVICES or not (index.isdecimal() or name == kind):
        raise InputError("device", repr(name), f"one of {list(DEVICES)}")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(kind, True):
        raise InputError("device", f"{name!r}, which this machine lacks", "'cpu' or 'auto'")
    if name == "auto":
        name = next((gpu for gpu, here in present.items() if here), "cpu")
    if name == "cuda" and (rank := os.environ.get("LOCAL_RANK")):
        name = f"cuda:{int(rank) % torch.cuda.device_count()}"
    return torch.device(name)


def exact_device(device: "torch.device") -> "torch.device | str":
    """Where numbers of 64 bits are computed for a device: there, or for MPS, which has none, on the host."""
    return "cpu" if device.type == "mps" else device
