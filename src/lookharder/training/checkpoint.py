"""Checkpoints that survive a kill, a full disk and a flipped bit.

    checkpoints/00000010/state.safetensors    every tensor of the training state
                         manifest.json        iteration, meta, size and sha256 of the state, seal

A checkpoint is a folder that appears by one rename, once all inside it has reached the disk: it
is whole or it is not there. It is never written again, and iterations only grow. A reader believes
a manifest that is byte for byte what its contents and their sha256, the seal, render to, and then
a state of the size and sha256 that the manifest names; otherwise it takes the checkpoint before,
and says so. No pickle anywhere.

`pack` and `unpack` turn model, averaged weights and the optimiser's moments into one flat dict of tensors
and back, by the names of the parameters, bit for bit.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from lookharder.errors import InputError
from lookharder.files import sync_folder
from lookharder.training.optim import Ema, optimized

STATE, MANIFEST, ASIDE = "state.safetensors", "manifest.json", ".tmp-"
FORMAT = 1
SPARE = 1 << 20  # bytes left for the manifest and the folder itself

log = logging.getLogger(__name__)


class DamagedError(Exception):
    """A checkpoint that is not what was once saved; the message says how."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training state that was read and found intact.

    Attributes:
        iteration: how many iterations the state has behind it.
        tensors: on the CPU, each in memory of its own.
        meta: the JSON dict that was saved with them.
        path: its folder.
        skipped: the newer checkpoints that are damaged, each with the reason.
    """

    iteration: int
    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    path: Path
    skipped: list[str]


def save(
    folder: Path, iteration: int, tensors: dict[str, Tensor], meta: dict[str, Any], keep: int = 3
) -> Path:
    """Write a checkpoint and return its folder.

    Then all but the newest `keep` are removed, and damaged ones that are newer than this one. To
    save once more the state that an intact checkpoint holds changes nothing.

    Args:
        folder: of all checkpoints of one run; made if absent.
        iteration: names the checkpoint; no less than that of any intact one.
        tensors: on any device, with any strides, shared or not.
        meta: finite JSON values.
        keep: how many checkpoints stay, 1 or more.

    Raises:
        InputError: an intact checkpoint is newer, or holds another state of this iteration.
        OSError: the disk is full or fails; no intact checkpoint is lost.
    """
    if keep < 1:
        raise InputError("keep", keep, "1 or more checkpoints")
    if not folder.is_dir():
        folder.mkdir(parents=True)
        sync_folder(folder.parent)
    for other in _checkpoints(folder):
        if int(other.name) > iteration and _intact_digest(other):
            raise InputError("iteration", iteration, f"that of the intact {other}, or more")
    needed = SPARE + sum(tensor.nbytes for tensor in tensors.values())
    if (free := shutil.disk_usage(folder).free) < needed:
        raise OSError(errno.ENOSPC, f"{needed:,} bytes needed, {free:,} free", str(folder))

    path = folder / f"{iteration:08d}"
    aside = folder / f"{ASIDE}{uuid.uuid4().hex}"
    try:
        digest = _write(aside, iteration, tensors, meta)
        there = _intact_digest(path)
        if there is None:
            if path.exists():
                _remove(path)
            aside.rename(path)
            sync_folder(folder)
        elif there != digest:
            raise InputError("iteration", iteration, f"another: {path} holds another state")
    finally:
        shutil.rmtree(aside, ignore_errors=True)

    found = _checkpoints(folder)
    newest = found.index(path)
    for other in found[:newest] + found[newest + keep :]:
        _remove(other)
    return path


def load_latest(folder: Path) -> Checkpoint | None:
    """Read the newest intact checkpoint; None if there is none at all.

    Damaged ones on the way are logged as warnings and listed in `skipped`.

    Raises:
        InputError: there are checkpoints and all are damaged, or one is in an unknown format.
    """
    skipped: list[str] = []
    for path in _checkpoints(folder):
        try:
            manifest = verify(path)
        except (DamagedError, OSError) as error:
            skipped.append(f"{path.name}: {error}")
            log.warning("checkpoint %s skipped: %s", path, error)
            continue
        return Checkpoint(
            iteration=manifest["iteration"],
            # cloned out of the mapped file, which aligns tensors to 8 bytes only
            tensors={name: tensor.clone() for name, tensor in load_file(path / STATE).items()},
            meta=manifest["meta"],
            path=path,
            skipped=skipped,
        )
    if skipped:
        raise InputError(f"checkpoints in {folder}", "; ".join(skipped), "at least one intact")
    return None


def clean(folder: Path) -> None:
    """Remove what a killed `save` has left: when a run starts, never beside another that saves."""
    for orphan in folder.glob(f"{ASIDE}*"):
        shutil.rmtree(orphan)


def verify(path: Path) -> dict[str, Any]:
    """Check one checkpoint, every byte of it, and return its manifest.

    Raises:
        DamagedError: saying what is wrong.
        OSError: a file is missing or cannot be read.
        InputError: the manifest is intact and of a format that this version does not know.
    """
    text = (path / MANIFEST).read_bytes()
    try:
        manifest: dict[str, Any] = json.loads(text)
        del manifest["seal"]
        sealed = _render(manifest) == text
    except (ValueError, TypeError, KeyError):  # no JSON, no object, no seal
        sealed = False
    if not sealed:
        raise DamagedError(f"{MANIFEST} is not as it was written")
    if manifest["format"] != FORMAT:
        raise InputError(f"checkpoint {path}", f"format {manifest['format']}", f"format {FORMAT}")
    if manifest["iteration"] != int(path.name):
        raise DamagedError(f"{MANIFEST} is that of iteration {manifest['iteration']}")
    expected, size = manifest["files"][STATE], (path / STATE).stat().st_size
    if size != expected["bytes"]:
        raise DamagedError(f"{STATE} has {size} bytes instead of {expected['bytes']}")
    if _sha256(path / STATE) != expected["sha256"]:
        raise DamagedError(f"{STATE} has not the sha256 of its manifest")
    return manifest


def pack(model: nn.Module, ema: Ema, optimizer: Optimizer) -> dict[str, Tensor]:
    """The training state as one flat dict: `model.NAME`, `ema.NAME`, `optimizer.SLOT.NAME`.

    A parameter that no update has reached has moments of zero, which is where it starts. The
    tensors are not copies: save them before the next update.
    """
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state |= {f"ema.{name}": tensor for name, tensor in ema.state().items()}
    for name, parameter, slots in optimized(model, optimizer):
        zeros = parameter.detach().new_zeros(()).expand_as(parameter)  # takes no memory
        untouched = {slot: torch.zeros(()) if slot == "step" else zeros for slot in slots}
        moments = optimizer.state.get(parameter) or untouched
        assert moments.keys() == set(slots), "not the state of a plain AdamW or Muon"
        state |= {f"optimizer.{slot}.{name}": moments[slot] for slot in slots}
    return state


def unpack(tensors: dict[str, Tensor], model: nn.Module, ema: Ema, optimizer: Optimizer) -> None:
    """Put back what `pack` returned, bit for bit, on the devices where the model is.

    Raises:
        InputError: before any change; lists keys missing, unexpected, or of other shape or type.
    """
    expected, found = (
        {f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in state.items()}
        for state in (pack(model, ema, optimizer), tensors)
    )
    if found != expected:
        got = f"missing {sorted(expected - found)}, unexpected {sorted(found - expected)}"
        raise InputError("checkpoint", got, "exactly the state of this model and optimizer")

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    model.load_state_dict(part("model."))
    ema.load(part("ema."))
    moments = {
        index: {slot: tensors[f"optimizer.{slot}.{name}"].clone() for slot in slots}
        for index, (name, _, slots) in enumerate(optimized(model, optimizer))
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _checkpoints(folder: Path) -> list[Path]:
    """The folders that bear the name of a checkpoint, newest first."""
    named = [path for path in folder.glob("*") if path.is_dir() and path.name.isdecimal()]
    return sorted(named, key=lambda path: int(path.name), reverse=True)


def _intact_digest(path: Path) -> str | None:
    """The sha256 of the state of a checkpoint; None if it is damaged or absent."""
    try:
        return str(verify(path)["files"][STATE]["sha256"])
    except (DamagedError, OSError):
        return None


def _write(aside: Path, iteration: int, tensors: dict[str, Tensor], meta: dict[str, Any]) -> str:
    """Bring a whole checkpoint to the disk, folder included; returns the sha256 of its state."""
    aside.mkdir()
    state = aside / STATE
    try:
        save_file(_standalone(tensors), state)
    except safetensors.SafetensorError as error:  # which is how it reports a failing disk
        raise OSError(errno.EIO, f"not written: {error}", str(state)) from error
    digest = _sha256(state)
    manifest = {
        "format": FORMAT,
        "iteration": iteration,
        "meta": meta,
        "versions": {"torch": str(torch.__version__), "safetensors": safetensors.__version__},
        "files": {STATE: {"bytes": state.stat().st_size, "sha256": digest}},
    }
    (aside / MANIFEST).write_bytes(_render(manifest))
    for path in (state, aside / MANIFEST):
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    sync_folder(aside)
    return digest


def _standalone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous, and no two in the same memory, which safetensors refuses."""
    memory: set[int] = set()
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        here = tensor.detach().cpu().contiguous()
        shared = here.untyped_storage().data_ptr() in memory
        result[name] = here.clone() if shared else here
        memory.add(here.untyped_storage().data_ptr())
    return result


def _render(manifest: dict[str, Any]) -> bytes:
    """The one text of a manifest: its JSON, sealed with the sha256 of itself."""
    seal = hashlib.sha256(json.dumps(manifest, allow_nan=False).encode()).hexdigest()
    return (json.dumps(manifest | {"seal": seal}, indent=2, allow_nan=False) + "\n").encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _remove(path: Path) -> None:
    """Take a checkpoint out of sight at once; what cannot be deleted then is left to `clean`."""
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex}")
    path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
