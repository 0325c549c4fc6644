"""Reads the tensors of a weights file, whoever wrote it, and never runs what is in it.

    .safetensors    read here: a header and bytes
    .pt, .pth ...   a pickle: turned into safetensors by `unpickle`, in a process of its own

The weights of a file may lie under a prefix; it is removed. Then every key left is a weight.
"""

import math
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from lookharder.errors import InputError
from lookharder.files import opened
from lookharder.jsons import parse_json
from lookharder.tensors import read_tensors

Weights = dict[str, Tensor]

# Prefixes under which a flat file may keep its weights, best first, and what may lie beside them.
PREFIXES = {"state.": ("input.", "output"), "ema.": ("model.",), "model.": ()}
WRAPPED = ("module.", "_orig_mod.")
PICKLES = (".pt", ".pth", ".pth.tar", ".pt.tar", ".ckpt", ".bin")
UNPICKLE_SECONDS = 120  # of processor time: on a loaded machine a file opens later, not never
UNPICKLE_BYTES_PER_SECOND = 20e6  # a slow network disk
PATIENCE = 30  # times that, on the wall


def read(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Tensors by name without their prefix, and the JSON of the `config` metadata ({} if none).

    Raises:
        InputError: no such file, no such format, broken, or with stray keys beside the prefix.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", "a .safetensors, .pt or .pth file")
    with opened(path) as handle:
        if handle.read(40).startswith(b"version https://git-lfs"):
            got, allowed = "a Git LFS pointer", "the file itself: fetch it with `git lfs pull`"
            raise InputError(str(path), got, allowed)
    if path.suffix == ".safetensors":
        tensors, header = _read_safetensors(path, path)
    elif path.name.endswith(PICKLES):
        with tempfile.TemporaryDirectory() as folder:
            tensors, header = _read_safetensors(_unpickled(path, Path(folder)), path)
    else:
        allowed = ", ".join((".safetensors", *PICKLES))
        raise InputError(str(path), f"suffix {path.suffix!r}", allowed)
    tensors = _bare(tensors)
    for prefix, beside in PREFIXES.items():
        if any(key.startswith(prefix) for key in tensors):
            stray = [key for key in tensors if not key.startswith((prefix, *beside))]
            if stray:
                lone = [key for key in tensors if key.startswith(prefix)]
                few = min(stray, lone, key=len)
                got = f"{', '.join(few[:4])}{', ...' if len(few) > 4 else ''} beside other weights"
                raise InputError(str(path), got, f"keys {prefix}*, or none of them")
            state = {
                key.removeprefix(prefix): tensor
                for key, tensor in tensors.items()
                if key.startswith(prefix)
            }
            return _bare(state), header
    return tensors, header


def _bare(tensors: Weights) -> Weights:
    """The tensors without what DistributedDataParallel and torch.compile put before each name, however often."""
    while tensors and (found := [p for p in WRAPPED if all(key.startswith(p) for key in tensors)]):
        tensors = {key.removeprefix(found[0]): tensor for key, tensor in tensors.items()}
    return tensors


def _read_safetensors(file: Path, named: Path) -> tuple[Weights, dict[str, Any]]:
    tensors, metadata = read_tensors(file, str(named))
    header = parse_json(metadata.get("config", "{}"), f"{named}: config metadata")
    if not isinstance(header, dict):
        raise InputError(str(named), f"config metadata {header!r}", "a JSON object")
    return tensors, header


def _unpickled(path: Path, folder: Path) -> Path:
    """The file as safetensors in `folder`."""
    script, target = Path(__file__).with_name("unpickle.py"), folder / "weights.safetensors"
    seconds = math.ceil(UNPICKLE_SECONDS + path.stat().st_size / UNPICKLE_BYTES_PER_SECOND)
    kept = {"LD_LIBRARY_PATH"} & set(os.environ)  # where clusters keep torch's libraries
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(script), str(path.resolve()), str(target), str(seconds)],
            env={"OMP_NUM_THREADS": "1"} | {name: os.environ[name] for name in kept},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE * seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        got = f"not open after {expired.timeout:.0f} s"
        raise InputError(str(path), got, "a file that opens in time") from expired
    if done.returncode == -signal.SIGXCPU:
        got = f"not open after {seconds} s of processor time"
        raise InputError(str(path), got, "a file that opens in time")
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(str(path), lines[-1], "a dict of tensors, bare or under 'ema' or 'model'")
    return target
