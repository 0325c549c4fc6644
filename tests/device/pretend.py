"""A device that is not there: tensors that say "cuda", or "mps", hold numbers of the CPU, and mind where they are.

    with Pretend() as device:            or Pretend("mps"), which knows no float64
        chain.to("cuda")
        ...
    device.waits        what made the host wait for the device, and how often

Every operator sees its tensors; one that is given tensors of the host and of the device together is refused, as CUDA
does (numbers without axes, and indices, excepted). Reading a value on the host is a wait and is counted: `.item()`,
`.cpu()`, `.tolist()`, `nonzero`, indexing by a mask. The answers are those of the CPU, so they can be compared.
"""

import sys
from collections import Counter
from typing import Any

import torch
from tests.device.grouped import check_grouped
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}  # may be given both kinds
LOOKUPS = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
}
READS = {
    aten._local_scalar_dense.default: "item",
    aten.nonzero.default: "nonzero",
    aten.masked_select.default: "masked_select",
    aten.equal.default: "equal",
    aten.unique_dim.default: "unique",
    aten._unique2.default: "unique",
}


class OnDevice(Tensor):
    """A tensor of the device."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnDevice":
        place = CURRENT[-1].place
        assert place.type != "mps" or held.dtype != torch.float64, "float64, which MPS lacks"
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=place,
        )
        tensor.held = held
        return tensor

    def __repr__(self) -> str:
        return f"OnDevice({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert CURRENT, f"{func} after the device is gone"
        return CURRENT[-1].run(func, args, kwargs or {})


CURRENT: list["Pretend"] = []


def held(value: Any) -> Any:
    """What a tensor of the device holds; a tensor of the host as it is."""
    return value.held if isinstance(value, OnDevice) else value


def placed(value: Any) -> Any:
    """A tensor, on the device."""
    return (
        OnDevice(value) if isinstance(value, Tensor) and not isinstance(value, OnDevice) else value
    )


def is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == CURRENT[-1].place.type


def part_of(tensor: Tensor, index: Any) -> tuple[Tensor, list[Any]]:
    """The view that numbers, slices and None choose, and the lists and tensors of places for `aten.index`.

    Torch's own way to an index asks for a CUDA context first.
    """
    index = list(index) if isinstance(index, tuple) else [index]
    used = sum(1 for i in index if i is not None and i is not Ellipsis)
    if Ellipsis in [i for i in index if not isinstance(i, Tensor | list)]:
        where = next(k for k, i in enumerate(index) if i is Ellipsis)
        index[where : where + 1] = [slice(None)] * (tensor.dim() - used)
    places: list[Any] = []
    axis = 0
    for each in index:
        if isinstance(each, bool | Tensor | list):
            places += [None] * (axis - len(places))
            places.append(OnDevice(torch.tensor(each)) if isinstance(each, list) else each)
        elif isinstance(each, int):
            tensor = tensor.select(axis, each)
            continue
        elif each is None:
            tensor = tensor.unsqueeze(axis)
        else:
            tensor = aten.slice.Tensor(tensor, axis, each.start, each.stop, each.step or 1)
        axis += 1
    return tensor, places


def look_up(tensor: Tensor, places: list[Any]) -> Tensor:
    return aten.index.Tensor(tensor, places) if places else tensor


def put(tensor: Tensor, places: list[Any], value: Any) -> None:
    value = value if isinstance(value, Tensor) else torch.tensor(value, dtype=tensor.dtype)
    if places:
        aten.index_put_.default(tensor, places, value)
    else:
        aten.copy_.default(tensor, value)


def where(condition: Tensor, one: Any, other: Any) -> Tensor:
    """`torch.where`, with numbers for tensors."""
    if not isinstance(condition, OnDevice):
        return torch.where(condition, one, other)
    one, other = (v if isinstance(v, Tensor) else OnDevice(torch.tensor(v)) for v in (one, other))
    return aten.where.self(condition, one, other)


def copy_(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """`Tensor.copy_`."""
    return aten.copy_.default(target, source, non_blocking)


def new_tensor(like: Tensor, values: Any) -> Tensor:
    """`Tensor.new_tensor`."""
    made = torch.tensor(values, dtype=like.dtype)
    return OnDevice(made) if isinstance(like, OnDevice) else made


def nonzero(tensor: Tensor, as_tuple: bool = False) -> Any:
    """`Tensor.nonzero`."""
    places = aten.nonzero.default(tensor)
    return places.unbind(1) if as_tuple else places


def attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    """`scaled_dot_product_attention`, which asks the build for kernels of MPS before it looks at a tensor."""
    kinds = {isinstance(tensor, OnDevice) for tensor in (query, key, value)}
    assert len(kinds) == 1, "attention between the host and the device"
    operands = map(held, (query, key, value))
    found = torch.nn.functional.scaled_dot_product_attention(*operands, **options)
    return placed(found) if kinds == {True} else found


BY_HAND = {
    torch.nn.functional.scaled_dot_product_attention: attention,
    Tensor.__invert__: aten.bitwise_not.default,
    Tensor.nonzero: nonzero,
    torch.nonzero: nonzero,
    torch.where: where,
    Tensor.copy_: copy_,
    Tensor.new_tensor: new_tensor,
}


def place_of_call() -> str:
    """The function of the package that is under way."""
    frame = sys._getframe()
    while frame.f_back is not None and "/lookharder/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"


class Pretend(TorchFunctionMode):
    """The device; tensors are made on it, and moved to and from it, while it is entered."""

    def __init__(self, kind: str = "cuda") -> None:
        super().__init__()
        self.place = torch.device(kind, 0)
        self.waits: Counter[str] = Counter()

    def __enter__(self) -> "Pretend":
        torch._C._ensureCUDADeviceGuardSet()
        # or `Module.to` would keep its parameters and give them what only these tensors understand
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        CURRENT.append(self)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        CURRENT.pop()
        torch.__future__.set_overwrite_module_params_on_conversion(False)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls that name a device, which a build without CUDA would refuse."""
        kwargs = dict(kwargs or {})
        if func in (Tensor.to, Tensor.cuda, Tensor.cpu):
            return self.move(func, *args, **kwargs)
        if func is Tensor.tolist and isinstance(args[0], OnDevice):
            self.wait("to the host")
            return args[0].held.tolist()
        if func is Tensor.__getitem__ and isinstance(args[0], OnDevice):
            return look_up(*part_of(*args))
        if func is Tensor.__setitem__ and isinstance(args[0], OnDevice):
            return put(*part_of(*args[:2]), args[2])
        if func in BY_HAND:  # these make tensors on the device from numbers, by way of a context
            return BY_HAND[func](*args, **kwargs)
        if is_there(kwargs.get("device")):
            assert not any(isinstance(v, Tensor) for v in tree_leaves((args, kwargs))) or func in (
                torch.as_tensor,
                torch.tensor,
                torch.empty_like,
                torch.zeros_like,
                torch.ones_like,
            ), func
            generator = kwargs.get("generator")
            assert generator is None or is_there(generator.device), "a generator of the host"
            kwargs["device"] = "cpu"
            with torch._C.DisableTorchFunctionSubclass():
                return placed(func(*tree_map(held, args), **tree_map(held, kwargs)))
        return func(*args, **kwargs)

    def wait(self, kind: str) -> None:
        """The host waits for the device."""
        self.waits[f"{place_of_call()}: {kind}"] += 1

    def move(self, func: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """`to`, `cuda` and `cpu`."""
        if func is Tensor.cuda:
            args, kwargs = (), {"device": self.place}
        if func is Tensor.cpu:
            args, kwargs = (), {"device": "cpu"}
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        copy = kwargs.pop("copy", False)
        if "other" in kwargs:
            other = kwargs.pop("other")
            args = (other.device, other.dtype)
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        target = tensor.device if device is None else device
        form = {"memory_format": layout} if layout is not None else {}
        if target.type == tensor.device.type:
            return Tensor.to(tensor, dtype or tensor.dtype, copy=copy, **form)
        if is_there(target):
            assert not tensor.requires_grad or tensor.is_leaf, "a graph that crosses devices"
            return OnDevice(tensor.detach().to(dtype or tensor.dtype, copy=True, **form))
        self.wait("to the host")
        return tensor.held.detach().to(dtype or tensor.dtype, copy=True, **form)

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An operator on at least one tensor of the device."""
        tensors = [v for v in tree_leaves((args, kwargs)) if isinstance(v, Tensor)]
        self.check(func, args, tensors)
        if func in READS:
            self.wait(READS[func])
        if func in LOOKUPS and any(v is not None and v.dtype == torch.bool for v in args[1]):
            self.wait("mask")
        device = kwargs.get("device")
        if device is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        if func is aten._fused_sdp_choice.default:
            return 0  # the plain way: kernels of the CPU are not those of the device
        out = func(*tree_map(held, args), **tree_map(held, kwargs))
        if device is not None and not is_there(device):
            self.wait("to the host")
            return out
        if func is aten.copy_.default:
            if not isinstance(args[0], OnDevice):
                self.wait("to the host")
            return args[0]
        return return_and_correct_aliasing(func, args, kwargs, tree_map(placed, out))

    def check(self, func: Any, args: Any, tensors: list[Tensor]) -> None:
        """Refuse what CUDA refuses."""
        if func in COPIES:
            return
        if func in LOOKUPS:  # indices may be on the host
            lookups = {id(index) for index in args[1]}
            tensors = [tensor for tensor in tensors if id(tensor) not in lookups]
        host = [t for t in tensors if not isinstance(t, OnDevice) and t.dim() > 0]
        both = [tuple(t.shape) for t in host]
        assert not host, f"{func}: tensors of the host {both} beside those of the device"
        if func is aten._grouped_mm.default:
            check_grouped(*args[:3])
