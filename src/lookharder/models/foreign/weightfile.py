"""Reads the tensors of a weights file, whoever wrote it, and never runs what is in it.

    .safetensors    read here: a header and bytes
    .pt, .pth       a pickle: turned into safetensors by `unpickle`, in a process of its own

The weights of a file may lie under a prefix; it is removed. Then every key left is a weight.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from lookharder.errors import InputError
from lookharder.jsons import parse_json
from lookharder.tensors import read_tensors

Weights = dict[str, Tensor]

# Prefixes under which a flat file may keep its weights, best first, and what may lie beside them.
PREFIXES = {"state.": ("input.", "output"), "ema.": ("model.",), "model.": ()}
UNPICKLE_SECONDS = 120
UNPICKLE_BYTES_PER_SECOND = 20e6  # a slow network disk


def read(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Tensors by name without their prefix, and the JSON of the `config` metadata ({} if none).

    Raises:
        InputError: no such file, no such format, broken, or with stray keys beside the prefix.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", "a .safetensors, .pt or .pth file")
    if path.suffix == ".safetensors":
        tensors, header = _read_safetensors(path, path)
    elif path.suffix in (".pt", ".pth"):
        with tempfile.TemporaryDirectory() as folder:
            tensors, header = _read_safetensors(_unpickled(path, Path(folder)), path)
    else:
        raise InputError(str(path), f"suffix {path.suffix!r}", ".safetensors, .pt, .pth")

    for prefix, beside in PREFIXES.items():
        if any(key.startswith(prefix) for key in tensors):
            stray = [key for key in tensors if not key.startswith((prefix, *beside))]
            if stray:
                raise InputError(str(path), f"unexpected {', '.join(stray)}", f"keys {prefix}*")
            state = {
                key.removeprefix(prefix): tensor
                for key, tensor in tensors.items()
                if key.startswith(prefix)
            }
            return state, header
    return tensors, header


def _read_safetensors(file: Path, named: Path) -> tuple[Weights, dict[str, Any]]:
    tensors, metadata = read_tensors(file, str(named))
    header = parse_json(metadata.get("config", "{}"), f"{named}: config metadata")
    if not isinstance(header, dict):
        raise InputError(str(named), f"config metadata {header!r}", "a JSON object")
    return tensors, header


def _unpickled(path: Path, folder: Path) -> Path:
    """The file as safetensors in `folder`."""
    script, target = Path(__file__).with_name("unpickle.py"), folder / "weights.safetensors"
    kept = {"LD_LIBRARY_PATH"} & set(os.environ)  # where clusters keep torch's libraries
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(script), str(path.resolve()), str(target)],
            env={"OMP_NUM_THREADS": "1"} | {name: os.environ[name] for name in kept},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=UNPICKLE_SECONDS + path.stat().st_size / UNPICKLE_BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        got = f"not open after {expired.timeout:.0f} s"
        raise InputError(str(path), got, "a file that opens in time") from expired
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(str(path), lines[-1], "a dict of tensors, bare or under 'ema' or 'model'")
    return target
