"""The only place where a pickle is opened: a process of its own, run as a script, that dies after.

    python -I unpickle.py SOURCE.pt TARGET.safetensors SECONDS

A pickle is a program. torch's restricted unpickler (`weights_only`) runs none of it but the
construction of tensors and containers; should that ever fail, what runs here runs without the
caller's environment, under a cap on memory, file size and processor time, and hands back tensors alone. Imports
nothing of the package, so that `-I` finds all it needs. Failure is one line and exit status 1.
"""

import argparse
import codecs
import pathlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

WRAPPERS = (  # what training scripts put weights under, best first: averages, then the weights themselves
    *("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema"),
    *("module", "model", "model_state_dict", "state_dict", "net", "network"),
)
BESIDE = (str, bytes, bool, int, float, type(None), np.generic)  # facts that may lie among weights
PLAIN: list[Any] = [  # plain data, whose construction runs nothing
    argparse.Namespace,
    pathlib.PosixPath,
    np.dtype,
    np.float64(0).__reduce__()[
        0
    ],  # what makes a number of numpy; its place differs between versions
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")),
    codecs.encode,
]
SLACK = 1 << 30  # bytes beyond what the file's own size explains


def cap_resources(source: Path, seconds: int) -> None:
    """Allow what a file of this size can need: itself, a copy of its weights, their bytes; processor time."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # a signal, then the end
    if sys.platform != "linux":
        return  # elsewhere the address space in use is not known, so it cannot be capped
    pages_in_use = int(Path("/proc/self/statm").read_text().split()[0])
    room = 3 * source.stat().st_size + SLACK
    for limit, bound in (
        (resource.RLIMIT_AS, pages_in_use * resource.getpagesize() + room),
        (resource.RLIMIT_FSIZE, room),
    ):
        soft, hard = resource.getrlimit(limit)
        if soft == resource.RLIM_INFINITY or soft > bound:
            resource.setrlimit(limit, (bound, hard))


def convert(source: Path, target: Path) -> None:
    """Write the weights of a torch file as safetensors: a bare state dict, or one in WRAPPERS."""
    # training scripts store parsed arguments and figures beside the weights: plain data
    with torch.serialization.safe_globals(PLAIN):
        content = torch.load(source, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        sys.exit(f"a {type(content).__name__}")
    weights = unwrapped(content)
    known = (torch.Tensor, *BESIDE)
    if strangers := [str(key) for key, value in weights.items() if not isinstance(value, known)]:
        sys.exit(f"a dict with other things than tensors: {', '.join(strangers)}")
    tensors = {key: value for key, value in weights.items() if isinstance(value, torch.Tensor)}
    save_file({key: value.detach().clone().contiguous() for key, value in tensors.items()}, target)


def unwrapped(content: dict[str, Any]) -> dict[str, Any]:
    """The dict that holds the weights, the average where there is one, however deep it is wrapped."""
    while inner := [
        content[n] for n in WRAPPERS if isinstance(content.get(n), dict) and content[n]
    ]:
        content = inner[0]
    return content


def main(source: Path, target: Path, seconds: int) -> None:
    """Convert, or say in one line why not."""
    try:
        cap_resources(source, seconds)
        convert(source, target)
    except Exception as error:  # whatever a hostile file provokes
        lines = str(error).splitlines() or ["no details"]
        telling = next((line for line in lines if "nsupported" in line), lines[0])
        sys.exit(f"{type(error).__name__}: {telling}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
