"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum, made orthogonal, is the update.

    m      <- b m + (1 - b) g                       per matrix W (out, in) of the hidden layers
    u       = orthogonal((1 - b) g + b m)           Nesterov's look ahead
    W      <- (1 - lr * decay) W - lr * 0.2 sqrt(max(out, in)) u

`orthogonal` moves all singular values of a matrix near 1 and keeps its singular vectors, so that rare directions of
the gradient move the weights as far as common ones. The factor makes the update's size AdamW's, so that one learning
rate serves both (2502.16982, eq. 4). Everything else (embeddings, biases, the first and last layer) is AdamW's.

torch's own `torch.optim.Muon` (2.9) does the same in bfloat16, which many CPUs are slow at (`docs/log.md`).
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.training.distributed.sharding import full, shard_like

QUINTIC = (
    3.4445,
    -4.7750,
    2.0315,
)  # p(s) = a s + b s^3 + c s^5: steep at 0, within 0.3 of 1 on (0.1, 1)
ROUNDS = 5


def orthogonal(matrices: Float[Tensor, "K m n"]) -> Float[Tensor, "K m n"]:
    """Singular values to about 1 by Newton-Schulz rounds of an odd quintic; K matrices at once.

    Singular values above 1/500 of a matrix's Frobenius norm land in [0.68, 1.21]; smaller ones grow up to 485-fold.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.AdamW):
    """AdamW whose groups marked `orthogonal` get Muon's update instead; `betas[0]` does not concern those.

    Their state is `exp_avg` alone. Stacked matrices (..., out, in), those of experts, count as so many matrices.
    Of matrices in parts each rank gathers the whole, does all rounds, and keeps its part of the update.
    """

    def __init__(self, groups: list[dict[str, Any]], *, momentum: float, **adamw: Any) -> None:
        self.momentum = momentum
        super().__init__(groups, **adamw)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Without AdamW's care for states of older versions, which takes every state for one of AdamW."""
        torch.optim.Optimizer.__setstate__(self, state)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        assert closure is None, "not supported"
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group.get("orthogonal")]
        try:
            super().step()
        finally:
            self.param_groups = groups
        for group in groups:
            if group.get("orthogonal"):
                self._step(group)

    def _step(self, group: dict[str, Any]) -> None:
        """Matrices of one shape go through the rounds together."""
        by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape.setdefault(parameter.shape, []).append(parameter)
        for shape, parameters in by_shape.items():
            ahead = []
            for parameter in parameters:
                assert parameter.grad is not None
                state = self.state[parameter]
                if not state:
                    state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg"].lerp_(parameter.grad, 1 - self.momentum)
                ahead.append(full(parameter.grad.lerp(state["exp_avg"], self.momentum)))
            updates = orthogonal(torch.stack(ahead).reshape(-1, *shape[-2:]).float())
            updates = updates.reshape(len(parameters), *shape).to(parameters[0].dtype)
            size = group["lr"] * 0.2 * max(shape[-2:]) ** 0.5
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(shard_like(update, parameter), alpha=-size)
