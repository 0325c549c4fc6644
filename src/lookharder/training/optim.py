"""The optimiser's side of training: learning rate, parameter groups, AdamW, averaged weights.

    lr(i)     = lr * warm(i) * decay((i - warmup) / (horizon - warmup)) * cool((horizon - i) / cooldown)
    shadow   <- d * shadow + (1 - d) * weights,      d = min(ema_decay, (1 + i) / (10 + i))

Both are functions of the iteration i alone (0 is the first), so a run that resumes at i goes on
exactly as it would have: the state is the weights, their average and AdamW's two moments.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lookharder.errors import InputError
from lookharder.training.distributed.sharding import full, local
from lookharder.training.muon import Muon


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How weights are updated; the defaults are those of DiT, with gradients clipped.

    Attributes:
        optimizer: "adamw", or "muon" for the matrices of the blocks and AdamW for the rest.
        lr: peak learning rate.
        lr_schedule: what follows the warm-up; "exponential" is the decay of Marigold.
        final_lr_ratio: learning rate at the horizon, as a fraction of `lr`; unused by "constant".
        warmup: iterations of linear rise before `lr` is reached.
        cooldown: iterations before the horizon in which it falls to 0, as 1 - sqrt does (Hägele et al., 2405.18392).
        betas: decay rates of AdamW's first and second moment.
        momentum: decay rate of Muon's only moment.
        weight_decay: decoupled decay of the weight matrices; see `parameter_groups`.
        eps: added to the denominator of the update.
        clip_norm: largest norm of the whole gradient; None = do not clip.
        ema_decay: decay of the averaged weights per iteration.
        ema_warmup: whether the average starts short and lengthens, to forget the initial weights.
    """

    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = 1e-4
    lr_schedule: Literal["constant", "exponential", "cosine"] = "constant"
    final_lr_ratio: float = 0.01
    warmup: int = 0
    cooldown: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.95
    weight_decay: float = 0.0
    eps: float = 1e-8
    clip_norm: float | None = 1.0
    ema_decay: float = 0.9999
    ema_warmup: bool = True

    def __post_init__(self) -> None:
        schedules = ("constant", "exponential", "cosine")
        ratio = 0 <= self.final_lr_ratio <= 1 and (
            self.final_lr_ratio > 0 or self.lr_schedule != "exponential"
        )
        clip = self.clip_norm is None or 0 < self.clip_norm < math.inf
        for name, valid, allowed in (
            ("optimizer", self.optimizer in ("adamw", "muon"), "'adamw' or 'muon'"),
            ("lr", 0 < self.lr < math.inf, "a positive number"),
            ("lr_schedule", self.lr_schedule in schedules, f"one of {list(schedules)}"),
            ("final_lr_ratio", ratio, "0 to 1, and not 0 for an exponential decay"),
            ("warmup", self.warmup >= 0, "0 or more iterations"),
            ("cooldown", self.cooldown >= 0, "0 or more iterations"),
            ("betas", all(0 <= beta < 1 for beta in self.betas), "two numbers in [0, 1)"),
            ("momentum", 0 <= self.momentum < 1, "a number in [0, 1)"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("eps", 0 < self.eps < math.inf, "a positive number"),
            ("clip_norm", clip, "a positive number, or none"),
            ("ema_decay", 0 <= self.ema_decay < 1, "a number in [0, 1)"),
        ):
            if not valid:
                raise InputError(f"optim.{name}", getattr(self, name), allowed)


def learning_rate(config: OptimConfig, iteration: int, horizon: int) -> float:
    """Learning rate of one update.

    The warm-up multiplies by (i + 1) / (warmup + 1), so that the first update is not wasted and
    the peak is reached at iteration `warmup`. From there the decay falls from 1 to `final_lr_ratio`
    at `horizon`, where it stays.

    Args:
        config: the schedule.
        iteration: i, from 0.
        horizon: iterations of the whole run, warm-up included.
    """
    if iteration < config.warmup:
        return config.lr * (iteration + 1) / (config.warmup + 1)
    left = max(0, horizon - iteration) / config.cooldown if config.cooldown else 1.0
    peak = config.lr * (1 - math.sqrt(1 - min(left, 1.0)))
    progress = min(1.0, (iteration - config.warmup) / max(1, horizon - config.warmup))
    ratio = config.final_lr_ratio
    if config.lr_schedule == "exponential":
        return float(peak * ratio**progress)
    if config.lr_schedule == "cosine":
        return peak * (ratio + (1 - ratio) * (1 + math.cos(math.pi * progress)) / 2)
    return peak


class ParameterGroup(TypedDict):
    """What the optimiser takes for one group of parameters."""

    params: list[nn.Parameter]
    weight_decay: float
    orthogonal: bool


def parameter_groups(
    model: nn.Module, weight_decay: float, muon: bool = False
) -> list[ParameterGroup]:
    """Trainable parameters in groups: those that decay, then those that do not, then, if any, Muon's.

    Only weight matrices decay: parameters with two axes or more, stacked experts and patch
    embeddings among them. Biases (by name, as those of stacked experts have two axes), gains of
    norms and `nn.Embedding` tables do not: to pull them to zero regularises nothing, and a class
    that is rarely drawn would fade. Muon's are the matrices of the hidden layers, `blocks.*`.
    """
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    hidden: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            bias = name.rpartition(".")[2].endswith("bias")
            matrix = parameter.ndim >= 2 and not bias and id(parameter) not in tables
            if matrix and muon and name.startswith("blocks."):
                hidden.append(parameter)
            else:
                (decayed if matrix else kept).append(parameter)
    groups = (
        ParameterGroup(params=decayed, weight_decay=weight_decay, orthogonal=False),
        ParameterGroup(params=kept, weight_decay=0.0, orthogonal=False),
        ParameterGroup(params=hidden, weight_decay=weight_decay, orthogonal=True),
    )
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) over `parameter_groups`, or Muon over its share of them.

    Build it when the model is on its device: CPU and GPU get the fused kernel, which reads and writes each number
    once, others the batched one. Either gives the same bits run after run on one machine.
    """
    groups = parameter_groups(model, config.weight_decay, muon=config.optimizer == "muon")
    if not groups:
        raise InputError("model", "no trainable parameter", "a model with at least one")
    kinds = {parameter.device.type for group in groups for parameter in group["params"]}
    fused = kinds <= {"cpu", "cuda"}
    options: dict[str, Any] = {
        "lr": config.lr,
        "betas": config.betas,
        "eps": config.eps,
        "fused": fused,
        "foreach": not fused,
    }
    if config.optimizer == "muon":
        return Muon([dict(group) for group in groups], momentum=config.momentum, **options)
    return torch.optim.AdamW([dict(group) for group in groups], **options)


def optimized(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> list[tuple[str, nn.Parameter, list[str]]]:
    """The parameters of an optimiser in its own order: name in the model, itself, what is remembered of it."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    slots = {False: ["exp_avg", "exp_avg_sq", "step"], True: ["exp_avg"]}  # AdamW's, Muon's
    return [
        (names[p], p, slots[group.get("orthogonal", False)])
        for group in optimizer.param_groups
        for p in group["params"]
    ]


@torch.no_grad()
def gradient_norm(model: nn.Module) -> Float[Tensor, ""]:
    """The norm of the whole gradient, that of all ranks, where the gradient is."""
    return full(torch.nn.utils.get_total_norm(_gradients(model)))


def clip(model: nn.Module, norm: float, limit: float | None) -> None:
    """Shorten the gradient, whose norm this is, to the limit; what need not be shortened is not written."""
    if limit is not None and norm > limit:
        shorter = limit / (norm + 1e-6)
        torch._foreach_mul_([local(gradient) for gradient in _gradients(model)], shorter)


def _gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad for p in model.parameters() if p.grad is not None]


def ema_decay(config: OptimConfig, iteration: int) -> float:
    """Decay of the average at one update; in the warm-up it spans the last tenth of all updates."""
    if not config.ema_warmup:
        return config.ema_decay
    return min(config.ema_decay, (1 + iteration) / (10 + iteration))


class Ema:
    """Exponential moving average of a model's parameters, by name, in float32 whatever their type.

    Buffers are not averaged: they hold tables, not what is learned.

    Attributes:
        shadow: the averaged parameters, on the devices where the model's were, and in parts where those are.
    """

    def __init__(self, model: nn.Module, config: OptimConfig) -> None:
        """Start the average at the model's present weights."""
        self.config = config
        self.shadow = {
            name: parameter.detach().to(torch.float32, copy=True)
            for name, parameter in model.named_parameters()
        }

    @torch.no_grad()
    def update(self, model: nn.Module, iteration: int) -> None:
        """Move the average towards the weights that the update of `iteration` (from 0) has left."""
        parameters = dict(model.named_parameters())
        weights = [local(parameters[name]).float() for name in self.shadow]
        shadow = [local(tensor) for tensor in self.shadow.values()]
        torch._foreach_lerp_(shadow, weights, 1 - ema_decay(self.config, iteration))

    def state(self) -> dict[str, Tensor]:
        """The averaged parameters by name; not copies, so save them before the next update."""
        return dict(self.shadow)

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` returned.

        Raises:
            InputError: where names or shapes are not those of the model.
        """
        wrong = sorted(self.shadow.keys() ^ state.keys()) or sorted(
            name for name in self.shadow if state[name].shape != self.shadow[name].shape
        )
        if wrong:
            raise InputError(
                "ema", f"missing, unexpected or misshapen {wrong}", "the model's parameters"
            )
        for name, tensor in self.shadow.items():
            tensor.copy_(state[name])

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Replace the parameters of a model by their average."""
        parameters = dict(model.named_parameters())
        for name, tensor in self.shadow.items():
            parameters[name].copy_(tensor)
