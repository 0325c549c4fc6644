"""A device that is not there and yet trains: tensors of the CPU that say "cuda", or "mps", and mind where they are.

    with StandIn("cuda") as device:
        chain.to("cuda")
        ...
    device.waits        what made the host wait for the device, and how often

Autograd of a build without CUDA takes no tensor of it, so those of `pretend` cannot learn. These are the CPU's, and the
calls of Python are watched: what is given tensors of the host and of the device together is refused, as CUDA does
(numbers without axes, and indices, excepted), and so is float64 on "mps".
"""

from collections import Counter
from typing import Any

import torch
from tests.device.pretend import place_of_call
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

READS = {
    Tensor.item: "item",
    Tensor.tolist: "to the host",
    Tensor.numpy: "to the host",
    Tensor.__float__: "item",
    Tensor.__int__: "item",
    Tensor.__bool__: "item",
    Tensor.__index__: "item",
    Tensor.nonzero: "nonzero",
    torch.nonzero: "nonzero",
    torch.masked_select: "masked_select",
    torch.equal: "equal",
    torch.unique: "unique",
}
COPIES = {Tensor.copy_, Tensor.as_subclass, torch._has_compatible_shallow_copy_type}
LOOKUPS = {Tensor.__getitem__, Tensor.__setitem__}
MOVES = {Tensor.to, Tensor.cuda, Tensor.cpu}


class There(Tensor):
    """A tensor of the CPU that counts as one of the device."""


def plain(value: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return value.as_subclass(Tensor)


class StandIn(TorchFunctionMode):
    """The device, while it is entered."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.place = torch.device(kind, 0)
        self.waits: Counter[str] = Counter()

    def __enter__(self) -> "StandIn":
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.__future__.set_overwrite_module_params_on_conversion(False)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every call that Python makes of torch."""
        kwargs = dict(kwargs or {})
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        there = [value for value in tensors if isinstance(value, There)]
        if there and func == Tensor.device.__get__:
            return self.place
        if there and func == Tensor.is_cuda.__get__:
            return self.place.type == "cuda"
        if there and func == Tensor.grad.__get__:
            return self.placed(func(*args))
        if func in MOVES:
            return self.move(func, *args, **kwargs)
        if there:
            self.check(func, args, tensors)
        made = kwargs.get("device")
        if made is not None and torch.device(made).type == self.place.type:
            generator = kwargs.get("generator")
            assert generator is None or generator.device.type == self.place.type, "a generator"
            return self.placed(func(*args, **{**kwargs, "device": "cpu"}))
        if made is not None and there:  # like one of the device, made on the host
            return plain(func(*args, **kwargs))
        out = func(*args, **kwargs)
        for value in tree_leaves(out) if there else ():
            self.check_type(value)
        return out

    def wait(self, kind: str) -> None:
        """The host waits for the device."""
        self.waits[f"{place_of_call()}: {kind}"] += 1

    def check(self, func: Any, args: Any, tensors: list[Tensor]) -> None:
        """Refuse what the device refuses, and count what waits for it."""
        if func in READS:
            self.wait(READS[func])
        if func in LOOKUPS:
            places = [v for v in tree_leaves(args[1]) if isinstance(v, Tensor)]
            if any(place.dtype == torch.bool for place in places):
                self.wait("mask")
            tensors = [value for value in tensors if all(value is not place for place in places)]
        host = [tuple(v.shape) for v in tensors if not isinstance(v, There) and v.dim() > 0]
        both = len(host) < len(tensors)
        assert func in COPIES or not (host and both), f"{func}: {host} of the host beside others"

    def check_type(self, value: Any) -> None:
        if isinstance(value, Tensor) and self.place.type == "mps":
            assert value.dtype != torch.float64, "float64, which MPS lacks"

    def placed(self, value: Tensor | None) -> Tensor | None:
        """The same tensor, as one of the device."""
        if value is None or isinstance(value, There):
            return value
        self.check_type(value)
        return value.as_subclass(There)

    def move(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """`to`, `cuda` and `cpu`."""
        if func is not Tensor.to:
            args, kwargs = (), {"device": self.place if func is Tensor.cuda else "cpu"}
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        copy = kwargs.pop("copy", False)
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        form = {"memory_format": layout} if layout is not None else {}
        here = self.place if isinstance(tensor, There) else torch.device("cpu")
        target = here if device is None else device
        moved = target.type != here.type
        found = Tensor.to(tensor, "cpu", dtype or tensor.dtype, copy=copy or moved, **form)
        if target.type == self.place.type:
            placed = self.placed(found)
            assert placed is not None
            return placed
        if moved:
            self.wait("to the host")
        return plain(found)
