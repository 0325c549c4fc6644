"""The training state as one flat dict of tensors, by the names of the parameters, bit for bit.

    model.NAME                    parameters and buffers
    ema.NAME                      averaged parameters
    optimizer.SLOT.NAME           moments

`unpack(pack(...))` changes nothing. In a sharded run `pack` gives DTensors; `owned` is what one process writes of them,
and `unpack` takes whole tensors, of which each process keeps its rows.
"""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lookharder.errors import InputError
from lookharder.training.distributed.sharding import is_sharded, local, shard_like
from lookharder.training.optim import Ema, optimized


def pack(model: nn.Module, ema: Ema, optimizer: Optimizer) -> dict[str, Tensor]:
    """The training state as one flat dict: `model.NAME`, `ema.NAME`, `optimizer.SLOT.NAME`.

    A parameter that no update has reached has moments of zero, which is where it starts. The
    tensors are not copies: save them before the next update.
    """
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state |= {f"ema.{name}": tensor for name, tensor in ema.state().items()}
    for name, parameter, slots in optimized(model, optimizer):
        zeros = _zeros(parameter)
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
    present = pack(model, ema, optimizer)
    expected, found = (
        {f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in state.items()}
        for state in (present, tensors)
    )
    if found != expected:
        got = f"missing {sorted(expected - found)}, unexpected {sorted(found - expected)}"
        raise InputError("checkpoint", got, "exactly the state of this model and optimizer")

    fitted = {name: _fit(tensor, present[name]) for name, tensor in tensors.items()}

    def at(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in fitted.items() if k.startswith(prefix)}

    model.load_state_dict(at("model."))
    ema.load(at("ema."))
    moments = {
        index: {slot: fitted[f"optimizer.{slot}.{name}"].clone() for slot in slots}
        for index, (name, _, slots) in enumerate(optimized(model, optimizer))
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def owned(state: dict[str, Tensor], rank: int) -> dict[str, Tensor]:
    """What one process has to write: its rows of what is sharded and, on rank 0, all the rest.

    Of the groups of a hybrid-sharded run, which hold the same, the first writes. Ranks follow the rows in order.
    """
    mine = {}
    for name, tensor in state.items():
        if not is_sharded(tensor):
            if rank == 0:
                mine[name] = tensor
        elif _in_first_copy(tensor):
            mine[name] = local(tensor)
    return mine


def _in_first_copy(tensor: Tensor) -> bool:
    """Whether this process holds rows of the first of all copies of a DTensor."""
    mesh, placements = tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]
    assert all(p.is_replicate() or p.is_shard(0) for p in placements), "sharded by rows or not"
    assert sum(p.is_shard() for p in placements) <= 1, "rows dealt out once"
    place = mesh.get_coordinate()
    return all(p.is_shard() or place[axis] == 0 for axis, p in enumerate(placements))


def _zeros(parameter: Tensor) -> Tensor:
    """Zeros laid out as a parameter is, where they can in the memory of one number."""
    if is_sharded(parameter):
        return torch.zeros_like(parameter.detach())
    return parameter.detach().new_zeros(()).expand_as(parameter)


def _fit(tensor: Tensor, present: Tensor) -> Tensor:
    """A whole tensor as the present one is laid out."""
    return shard_like(tensor.to(present.device), present) if is_sharded(present) else tensor
