"""The processes that train together, behind one device mesh; torchrun starts them, one for each device.

    with distributed(config.runtime, config.device) as team:      # alone, unless WORLD_SIZE says otherwise
        chain.to(team.device)
        state = start(chain, config.train, team)
        for step in train(config.train, state, chain, datasets):
            if team.any(stop.stop_requested): ...                 # what ranks do, they decide together
            tensors = team.gather(pack(...))                      # all ranks call it; rank 0 gets them
            if team.main: save(tensors)

    ranks 0 1 2 3, shard 2      mesh  [[0 1]     each row holds one copy of weights, moments and average
                                       [2 3]]    gradients are summed within rows, then between them

A rank works on its share of every batch. Gradients are summed over ranks and divided by the items of the whole batch,
so that they are those of a single process but for the order of additions. With shard 1 that is DDP, with all ranks in
one row FSDP2, between them HSDP.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lookharder.errors import InputError
from lookharder.hardware import pick_device
from lookharder.models.compile import compile_block
from lookharder.models.dit import DiT, DiTBlock
from lookharder.models.moe import MoEConfig, Routing
from lookharder.training.distributed.runtime import RuntimeConfig
from lookharder.training.distributed.sharding import full, is_sharded

WAIT = timedelta(minutes=30)  # for another rank, which may be rendering; then it counts as gone

BUCKET = 2**25  # gradients that are sent at once, about: numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Team:
    """One process and what it knows of the others. By default it is alone.

    Attributes:
        config: how the work is laid out.
        rank: number of this process.
        size: how many there are.
        device: where this one computes.
        mesh: their grid, (copies, shard); None for one that is alone.
    """

    config: RuntimeConfig = field(default_factory=RuntimeConfig)
    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    mesh: Any = None

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def shares(self) -> int:
        """Into how many shares a batch is dealt: ranks times micro-batches."""
        return self.size * self.config.accumulate

    def parallelize(self, network: DiT) -> nn.Module:
        """Compile and shard a network that is on its device; to be called before its optimiser is made.

        Returns:
            What to call in its place: the network itself, in parts where `shard` asks for it.
        """
        for block in network.blocks:
            assert isinstance(block, DiTBlock)
            _wrap_block(block, self.config)
        if self.mesh is None or self.config.shard == 1:
            return network
        from torch.distributed.fsdp import fully_shard

        # it is the image of the last tokens, which nobody writes on
        warnings.filterwarnings("ignore", message=".* returned a view tensor")
        mesh = self.mesh["shard"] if self.config.shard == self.size else self.mesh
        for block in network.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)
        return network

    @contextmanager
    def micro_batch(self, network: nn.Module, last: bool) -> Iterator[None]:
        """Around forward and backward of one micro-batch: gradients are averaged over ranks in the last only."""
        if self.mesh is not None and self.config.shard > 1:
            network.set_requires_gradient_sync(last)  # type: ignore[operator]
        yield
        if self.mesh is not None and self.config.shard == 1 and last:
            average_gradients(network, self.size)

    def autocast(self) -> torch.autocast:
        """Matrix products in bfloat16, where that is asked for."""
        kind = self.config.precision
        return torch.autocast(self.device.type, torch.bfloat16, enabled=kind == "bfloat16")

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over ranks of a tensor that has no gradient."""
        if self.mesh is not None:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank; one that is alone does not ask its device."""
        if self.mesh is None:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=self.device)))

    def collect(self, items: tuple[str, ...]) -> tuple[str, ...]:
        """The items of all ranks, rank after rank."""
        if self.mesh is None:
            return items
        found: list[tuple[str, ...]] = [()] * self.size
        dist.all_gather_object(found, items)
        return tuple(item for part in found for item in part)

    def gather(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gather full tensors on rank 0, sharded ones into the CPU's memory; other ranks get none. All ranks call it.

        Tensors that are whole already are not copied.
        """
        result = {}
        for name, tensor in tensors.items():
            gathered = full(tensor)
            if self.main:
                result[name] = gathered.cpu() if is_sharded(tensor) else gathered
        return result


@contextmanager
def distributed(config: RuntimeConfig, device: str = "auto") -> Iterator[Team]:
    """Join the processes that torchrun has started, and leave them at the end.

    Without torchrun, or with one process, there is nobody to join. Processes that are already in a group stay in it.

    Args:
        config: how to lay out the work.
        device: "auto", "cpu" or "cuda"; of several GPUs each process takes that of its LOCAL_RANK.

    Raises:
        InputError: the ranks do not divide into groups of `runtime.shard`.
    """
    where, size = pick_device(device), int(os.environ.get("WORLD_SIZE", "1"))
    if size % config.shard:
        divisors = [n for n in range(1, size + 1) if size % n == 0]
        raise InputError(
            "runtime.shard", config.shard, f"a divisor of the {size} processes: {divisors}"
        )
    if size == 1:
        yield Team(config=config, device=where)
        return
    from torch.distributed.device_mesh import init_device_mesh

    on_gpu = where.type == "cuda"
    if on_gpu:
        where = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(where)
    joins = not dist.is_initialized()
    if joins:
        dist.init_process_group(
            "nccl" if on_gpu else "gloo", timeout=WAIT, device_id=where if on_gpu else None
        )
    try:
        shape = (size // config.shard, config.shard)
        mesh = init_device_mesh(where.type, shape, mesh_dim_names=("copies", "shard"))
        yield Team(config=config, rank=dist.get_rank(), size=size, device=where, mesh=mesh)
    finally:
        if joins:
            dist.destroy_process_group()


@torch.no_grad()
def average_gradients(network: nn.Module, size: int) -> None:
    """Replace each gradient by its mean over `size` ranks, in buckets that are always the same.

    torch's DistributedDataParallel lays its buckets out anew after the first backward of a process, and the order in
    which more than two ranks are added depends on the layout: a run that resumes would end with other last bits.
    """
    bucket: list[Tensor] = []
    parameters = list(network.parameters())
    for parameter in parameters:
        if parameter.grad is None:  # nothing reached it here; elsewhere something may have
            parameter.grad = torch.zeros_like(parameter)
        bucket.append(parameter.grad)
        if parameter is parameters[-1] or sum(grad.numel() for grad in bucket) >= BUCKET:
            flat = torch.cat([grad.flatten() for grad in bucket])
            dist.all_reduce(flat)
            parts = (flat / size).split([grad.numel() for grad in bucket])
            for grad, part in zip(bucket, parts, strict=True):
                grad.copy_(part.view_as(grad))
            bucket = []


def routing_loss(tape: Sequence[Routing], moe: MoEConfig | None, team: Team) -> Tensor:
    """This rank's part of the routers' loss: its sum over ranks is the loss of one router that saw all their tokens.

    The balance loss is E sum_e f_e mean(p_e) over all tokens. f_e, the picks, has no gradient: summed over ranks it
    takes the place of this rank's own. Micro-batches are not seen together: theirs is the mean of their losses.
    """
    if moe is None or not tape:
        return torch.zeros((), device=team.device)
    index = torch.arange(moe.experts, device=team.device)
    picks = torch.stack([(r.experts[..., None] == index).sum((0, 1)) for r in tape])  # (layers, E)
    everywhere = team.sum(picks)
    own, tokens = picks.sum(1, keepdim=True), everywhere.sum(1, keepdim=True)
    excess = everywhere / tokens - picks / own  # (layers, E)
    mean = torch.stack([routing.probabilities.mean(0) for routing in tape])  # (layers, E)
    balance = moe.balance * moe.experts * (excess * mean).sum(1)
    losses = torch.stack([routing.loss for routing in tape]) + balance  # (layers,)
    return (losses * (own / tokens)[:, 0]).sum()


def _wrap_block(block: DiTBlock, config: RuntimeConfig) -> None:
    """Apply torch.compile and activation checkpointing to a block as configured, keeping parameter names."""
    forward = compile_block(block) if config.compiled else block.forward
    if config.recompute:
        forward = partial(checkpoint, forward, use_reentrant=False, preserve_rng_state=False)
    block.forward = forward  # type: ignore[method-assign]
