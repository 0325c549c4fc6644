"""The manifest of a checkpoint: what it holds, in a text that cannot change unseen.

    manifest.json = JSON of (contents, seal),      seal = sha256(JSON of contents)

A manifest is believed if rendering what it says gives its own bytes, and the files beside it if they have the size and
the sha256 that it names.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch

from lookharder.config import from_json
from lookharder.errors import InputError
from lookharder.jsons import as_object, parse_json

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class _File:
    """What a manifest says of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _Contents:
    """What a manifest says."""

    format: int
    iteration: int
    meta: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, _File]


class DamagedError(Exception):
    """A checkpoint that is not what was once saved; the message says how."""


def write(folder: Path, iteration: int, meta: dict[str, Any], files: dict[str, Any]) -> Path:
    """Write the manifest of the files in `folder`; returns its path, not yet on the disk."""
    contents = {
        "format": FORMAT,
        "iteration": iteration,
        "meta": meta,
        "versions": {"torch": str(torch.__version__), "safetensors": safetensors.__version__},
        "files": files,
    }
    path = folder / MANIFEST
    path.write_bytes(_render(contents))
    return path


def describe(path: Path) -> dict[str, Any]:
    """What a manifest says of a file."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def verify(path: Path) -> dict[str, Any]:
    """Check one checkpoint, every byte of it, and return its manifest.

    Raises:
        DamagedError: saying what is wrong.
        OSError: a file is missing or cannot be read.
        InputError: the manifest is intact and of a format that this version does not know.
    """
    text = (path / MANIFEST).read_bytes()
    try:
        manifest = as_object(parse_json(text, MANIFEST), MANIFEST)
    except InputError as error:
        raise DamagedError(str(error)) from error
    if manifest.pop("seal", None) is None or _render(manifest) != text:
        raise DamagedError(f"{MANIFEST} is not as it was written")
    if manifest.get("format") != FORMAT:
        got = f"format {manifest.get('format')}"
        raise InputError(f"checkpoint {path}", got, f"format {FORMAT}")
    try:
        from_json(_Contents, manifest, MANIFEST)
    except InputError as error:
        raise DamagedError(str(error)) from error
    if manifest["iteration"] != int(path.name):
        raise DamagedError(f"{MANIFEST} is that of iteration {manifest['iteration']}")
    if not manifest["files"]:
        raise DamagedError(f"{MANIFEST} names no file")
    for name, expected in manifest["files"].items():
        if Path(name).name != name:
            raise DamagedError(f"{name!r} is no file of the checkpoint's folder")
        size = (path / name).stat().st_size
        if size != expected["bytes"]:
            raise DamagedError(f"{name} has {size} bytes instead of {expected['bytes']}")
        if describe(path / name) != expected:
            raise DamagedError(f"{name} has not the sha256 of its manifest")
    return manifest


def _render(contents: dict[str, Any]) -> bytes:
    """The one text of a manifest: its JSON, sealed with the sha256 of itself."""
    seal = hashlib.sha256(json.dumps(contents, allow_nan=False).encode()).hexdigest()
    return (json.dumps(contents | {"seal": seal}, indent=2, allow_nan=False) + "\n").encode()
