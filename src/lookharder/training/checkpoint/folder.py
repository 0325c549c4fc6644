"""The checkpoints of one run: a folder for each, of which the newest few are kept."""

import errno
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
from torch import Tensor

from lookharder.errors import InputError
from lookharder.files import sync_folder
from lookharder.training.checkpoint import manifest
from lookharder.training.checkpoint.manifest import DamagedError, verify
from lookharder.training.distributed.ranks import ALONE, Ranks

STATE, ASIDE = "state.safetensors", ".tmp-"
SPARE = 1 << 20  # bytes left for the manifest and the folder itself

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training state that was read and found intact.

    Attributes:
        iteration: how many iterations the state has behind it.
        tensors: whole, on the CPU, each in memory of its own.
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
    folder: Path,
    iteration: int,
    tensors: dict[str, Tensor],
    meta: dict[str, Any],
    keep: int = 3,
    ranks: Ranks = ALONE,
    every: int = 1,
) -> Path:
    """Write a checkpoint and return its folder; several ranks call it together, each with its own tensors.

    Then all older ones but the newest `keep` are removed, and damaged ones that are newer than this one. To
    save once more the state that an intact checkpoint holds changes nothing.

    Args:
        folder: of all checkpoints of one run; made if absent. All ranks see it.
        iteration: names the checkpoint; no less than that of any intact one.
        tensors: on any device, with any strides, shared or not; those that several ranks have are pieces of one.
        meta: finite JSON values.
        keep: how many checkpoints stay, 1 or more.
        ranks: who writes.
        every: only iterations that it divides are kept and count; of others, saved because a run was stopped, this one.

    Raises:
        InputError: an intact checkpoint is newer, or holds another state of this iteration.
        OSError: the disk is full or fails; no intact checkpoint is lost.
    """
    if keep < 1:
        raise InputError("keep", keep, "1 or more checkpoints")
    needed = sum(ranks.together(lambda: sum(tensor.nbytes for tensor in tensors.values())))
    aside = ranks.first(lambda: _prepare(folder, iteration, SPARE + needed))
    try:
        files = ranks.together(lambda: _write(aside, tensors, ranks))
        return ranks.first(lambda: _publish(aside, iteration, meta, files, keep, every))
    finally:
        if ranks.rank == 0:
            shutil.rmtree(aside, ignore_errors=True)


def load_latest(folder: Path, ranks: Ranks = ALONE) -> Checkpoint | None:
    """Read the newest intact checkpoint; None if there is none at all.

    Several ranks call it together: rank 0 says which one, all read that, and none goes on before all have read.
    Without that wait a rank that saves could publish the next checkpoint, or remove this one, under a reader.
    Damaged ones on the way are logged as warnings and listed in `skipped`, on rank 0.

    Raises:
        InputError: there are checkpoints and all are damaged, or one is in an unknown format.
    """
    found: Checkpoint | None = None

    def choose() -> str | None:
        nonlocal found
        found = _newest(folder)
        return found.path.name if found else None

    name = ranks.first(choose)
    if name is None:
        return None

    def read() -> None:
        nonlocal found
        if found is None:  # rank 0 has read it as it chose
            found = load(folder / name)

    ranks.together(read)
    return found


def _newest(folder: Path) -> Checkpoint | None:
    skipped: list[str] = []
    for path in _checkpoints(folder):
        try:
            return load(path, skipped)
        except (DamagedError, OSError) as error:
            skipped.append(f"{path.name}: {error}")
            log.warning("checkpoint %s skipped: %s", path, error)
    if skipped:
        raise InputError(f"checkpoints in {folder}", "; ".join(skipped), "at least one intact")
    return None


def load(path: Path, skipped: list[str] | None = None) -> Checkpoint:
    """Verify and read one checkpoint; raises as `verify` does."""
    contents = verify(path)
    pieces: dict[str, list[Tensor]] = {}
    for name in contents["files"]:
        for key, tensor in load_file(path / name).items():
            pieces.setdefault(key, []).append(tensor)
    return Checkpoint(
        iteration=contents["iteration"],
        # copied out of the mapped files, which align tensors to 8 bytes only
        tensors={
            key: torch.cat(parts) if len(parts) > 1 else parts[0].clone()
            for key, parts in pieces.items()
        },
        meta=contents["meta"],
        path=path,
        skipped=skipped or [],
    )


def intact(folder: Path) -> list[int]:
    """The iterations of all intact checkpoints, newest first."""
    return [int(path.name) for path in _checkpoints(folder) if _files(path) is not None]


def forget(folder: Path, after: int) -> None:
    """Remove all checkpoints of iterations later than `after`, newest first."""
    for path in _checkpoints(folder):
        if int(path.name) > after:
            _remove(path)


def clean(folder: Path) -> None:
    """Remove what a killed `save` has left: when a run starts, never beside another that saves."""
    for orphan in folder.glob(f"{ASIDE}*"):
        shutil.rmtree(orphan)


def _checkpoints(folder: Path) -> list[Path]:
    """The folders that bear the name of a checkpoint, newest first."""
    named = [path for path in folder.glob("*") if path.is_dir() and path.name.isdecimal()]
    return sorted(named, key=lambda path: int(path.name), reverse=True)


def _files(path: Path) -> dict[str, Any] | None:
    """What the manifest of a checkpoint says of its files; None if it is damaged or absent."""
    try:
        files: dict[str, Any] = verify(path)["files"]
        return files
    except (DamagedError, OSError):
        return None


def _prepare(folder: Path, iteration: int, needed: int) -> Path:
    """An empty folder to write into, where nothing speaks against the checkpoint."""
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    for other in _checkpoints(folder):
        if int(other.name) > iteration and _files(other):
            raise InputError("iteration", iteration, f"that of the intact {other}, or more")
    if (free := shutil.disk_usage(folder).free) < needed:
        raise OSError(errno.ENOSPC, f"{needed:,} bytes needed, {free:,} free", str(folder))
    aside = folder / f"{ASIDE}{uuid.uuid4().hex}"
    aside.mkdir()
    return aside


def _write(aside: Path, tensors: dict[str, Tensor], ranks: Ranks) -> dict[str, Any]:
    """Bring the tensors of one rank to the disk and read them back; returns the manifest's word on the file, if any."""
    if not tensors and ranks.rank > 0:
        return {}
    name = STATE if ranks.size == 1 else f"state-{ranks.rank:04d}-of-{ranks.size:04d}.safetensors"
    path, tensors = aside / name, _standalone(tensors)
    try:
        save_file(tensors, path)
    except safetensors.SafetensorError as error:  # which is how it reports a failing disk
        raise OSError(errno.EIO, f"not written: {error}", str(path)) from error
    _sync(path)
    found = load_file(path)
    if any(not torch.equal(_raw(found[key]), _raw(tensor)) for key, tensor in tensors.items()):
        raise OSError(errno.EIO, "not what was written is read", str(path))
    return {name: manifest.describe(path)}


def _publish(
    aside: Path,
    iteration: int,
    meta: dict[str, Any],
    written: list[dict[str, Any]],
    keep: int,
    every: int,
) -> Path:
    """Seal what all ranks have written, give it its name, and let old checkpoints go."""
    folder = aside.parent
    path = folder / f"{iteration:08d}"
    files = {name: entry for one in written for name, entry in one.items()}
    _sync(manifest.write(aside, iteration, meta, files))
    sync_folder(aside)
    there = _files(path)
    if there is None:
        if path.exists():
            _remove(path)
        aside.rename(path)
        sync_folder(folder)
    elif there != files and there.keys() == files.keys():  # by other files it may be the same state
        raise InputError("iteration", iteration, f"another: {path} holds another state")
    found = _checkpoints(folder)
    regular = [other for other in found[found.index(path) :] if int(other.name) % every == 0]
    for other in set(found) - {path, *regular[:keep]}:
        _remove(other)
    return path


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


def _raw(tensor: Tensor) -> Tensor:
    """The bytes of a contiguous tensor, so that a NaN equals itself."""
    return tensor.reshape(-1).view(torch.uint8)


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    """Take a checkpoint out of sight at once; what cannot be deleted then is left to `clean`."""
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex}")
    path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
