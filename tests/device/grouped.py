"""What CUDA asks of a grouped product, `aten._grouped_mm`, that the CPU does not."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def check_grouped(one: Tensor, other: Tensor, ends: Tensor) -> None:
    """Refuse what CUDA refuses: operands of two types, offsets of 64 bits, rows that are no multiples of 16 bytes."""
    assert one.dtype == other.dtype, "operands of one type"
    assert ends.dtype == torch.int32, "offsets of experts are int32"
    for operand in (one, other):
        assert 1 in operand.stride()[-2:], "rows or columns that lie side by side"
        strides = [stride * operand.element_size() for stride in operand.stride() if stride != 1]
        assert all(stride % 16 == 0 for stride in strides), "rows of 16 bytes"


class GroupedProducts(TorchDispatchMode):
    """Checks every grouped product while it is entered, those of the way back too, and keeps their types."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[torch.dtype] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._grouped_mm.default:
            check_grouped(*args[:3], **kwargs)
            self.types.append(args[0].dtype)
        return func(*args, **kwargs)
