"""Randomness is an argument: every random number comes from a generator keyed by (seed, what it is for).

A key is a tuple of integers and short strings, e.g. (seed, "noise", image, member). Equal keys give equal streams on
every machine; different keys give independent ones. Nothing depends on batch size, order, worker or rank, and there
is no random state to save.
"""

import hashlib

import numpy as np
import torch

Key = int | str


def keyed_seed(*key: Key) -> int:
    """A 63-bit seed from a key; the parts are separated, so (1, 23) and (12, 3) differ."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def torch_generator(*key: Key) -> torch.Generator:
    """A CPU generator for one key: draw on the CPU and move, so that devices agree."""
    return torch.Generator().manual_seed(keyed_seed(*key))


def numpy_generator(*key: Key) -> np.random.Generator:
    """A numpy generator (PCG64) for one key."""
    return np.random.Generator(np.random.PCG64(keyed_seed(*key)))
