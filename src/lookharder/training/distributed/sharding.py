"""A sharded tensor: each rank holds some rows of it, a DTensor, and the whole is there only when asked for.

    local(W)              the rows of this rank, in W's own memory: what is done to them in place is done to W
    full(W)               all rows, on every rank; all ranks call it together, in one order
    shard_like(V, W)      a whole V, sharded as W is; nothing is sent

All three return a plain tensor as it is, so optimiser and average are written once. Rows go to ranks as evenly as they
can: with fewer rows than ranks some shards are empty.
"""

import sys

from torch import Tensor


def local(tensor: Tensor) -> Tensor:
    """What this rank holds of a tensor, without its gradient."""
    tensor = tensor.detach()
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def full(tensor: Tensor) -> Tensor:
    """All of a tensor; of a sharded one, gathered from all ranks."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def shard_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A full tensor, the same on every rank, sharded as another of its shape."""
    if not is_sharded(model):
        return tensor
    from torch.distributed.tensor import DTensor, Replicate

    mesh = model.device_mesh  # type: ignore[attr-defined]
    copies = DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return copies.redistribute(placements=model.placements)  # type: ignore[attr-defined]


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor; importing that class takes a second, so it is not imported to find out."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)
