"""Checkpoints that survive a kill, a full disk and a flipped bit.

    checkpoints/00000010/state.safetensors                  every tensor of the training state
                         state-0002-of-0004.safetensors     or, in a sharded run, the rows that rank 2 of 4 holds
                         manifest.json                      iteration, meta, size and sha256 of each file, seal

A checkpoint is a folder that appears by one rename, once all inside it has reached the disk: it is whole or it is not
there. It is never written again, and iterations only grow. A reader believes a manifest that is byte for byte what its
contents and their sha256, the seal, render to, and then files of the sizes and sha256 that the manifest names;
otherwise it takes the checkpoint before, and says so. No pickle anywhere.

A tensor that several files hold is the concatenation of its pieces along the first axis, in the order of the manifest.
So a checkpoint does not know how many processes will read it.
"""

from lookharder.training.checkpoint.folder import (
    Checkpoint,
    clean,
    forget,
    intact,
    load,
    load_latest,
    save,
)
from lookharder.training.checkpoint.manifest import DamagedError, verify
from lookharder.training.checkpoint.state import owned, pack, unpack

__all__ = [
    "Checkpoint",
    "DamagedError",
    "clean",
    "forget",
    "intact",
    "load",
    "load_latest",
    "owned",
    "pack",
    "save",
    "unpack",
    "verify",
]
