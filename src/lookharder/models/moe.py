"""A mixture of experts in place of an MLP: every token is mapped by the few experts that its router picks.

    p      = softmax(W x)                        (N, E)  N tokens, E experts; always in float32
    i, g   = the K largest of p                  (N, K)  renormalised or not: g / sum(g)
    y      = sum over k of g_k expert_{i_k}(x)   (N, D)  + shared(x), if there is a shared expert
    loss   = balance E sum_e f_e mean(p_e) + z mean(logsumexp(W x)^2)      f_e = share of the N K picks that e got

The experts' weights are stacked, (E, out, in), and there are three ways through them, which agree:

    loop          one expert after the other: the oracle
    grouped       picks sorted by expert, one grouped product for all: no padding, nothing dropped, no host sync
                  (but where torch's operator is absent or refuses the type or the width: a product per expert)
    padded_bmm    every expert on every token, the gate of those not picked being 0: static shapes for CUDA graphs and
                  export, at E / K times the work

All are deterministic: a token gathers its K results in order, nothing is scattered by atomic adds. DiT-MoE (2407.11633)
does not renormalise and has two shared experts in one SwiGLU; upcycling renormalises, which keeps the dense function.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lookharder.errors import InputError

Backend = Literal["loop", "grouped", "padded_bmm"]

# what torch's grouped product takes
_GROUPED_TYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, kw_only=True)
class MoEConfig:
    """All that defines a mixture of experts but its widths and weights.

    Attributes:
        experts: experts E.
        active: experts K that each token passes through.
        shared: width of the shared SwiGLU expert, which all tokens pass, over D; 0 = none.
        expert: "swiglu" without biases, or "gelu" with, as a dense block's MLP.
        renormalise: gates of a token sum to 1.
        balance: weight of the balance loss (alpha); DiT-MoE's code has 0.01, its paper's ablation prefers 0.005.
        z: weight of the router's z-loss (2202.08906), which keeps its logits small.
        backend: how the experts are computed: "loop", "grouped" or "padded_bmm".
    """

    experts: int
    active: int
    shared: int = 0
    expert: Literal["swiglu", "gelu"] = "swiglu"
    renormalise: bool = False
    balance: float = 0.01
    z: float = 0.0
    backend: Backend = "grouped"

    def __post_init__(self) -> None:
        for name, valid, allowed in (
            ("experts", 1 <= self.experts <= 4096, "1 to 4096"),
            ("active", 1 <= self.active <= self.experts, f"1 to experts = {self.experts}"),
            ("shared", 0 <= self.shared <= 64, "0 to 64"),
            ("expert", self.expert in ("swiglu", "gelu"), "'swiglu' or 'gelu'"),
            ("balance", 0 <= self.balance < float("inf"), "0 or more"),
            ("z", 0 <= self.z < float("inf"), "0 or more"),
            ("backend", self.backend in get_args(Backend), f"one of {list(get_args(Backend))}"),
        ):
            if not valid:
                raise InputError(f"moe.{name}", getattr(self, name), allowed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Routing:
    """What a router decided for N tokens.

    Attributes:
        probabilities: over all experts, (N, E) float32.
        experts: those picked, most probable first, (N, K).
        gates: weight of each, (N, K) float32.
        loss: balance and z loss, weighted, to be added to the training loss.
    """

    probabilities: Float[Tensor, "N E"]
    experts: Int[Tensor, "N K"]
    gates: Float[Tensor, "N K"]
    loss: Float[Tensor, ""]


class Router(nn.Module):
    """Picks experts; float32 whatever surrounds it, for a pick is a comparison of near equals."""

    def __init__(self, width: int, config: MoEConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.experts, width))

    def forward(self, x: Float[Tensor, "N D"]) -> Routing:
        """The routing of N tokens."""
        config = self.config
        with torch.autocast(_autocast_device(x), enabled=False):
            logits = F.linear(x.float(), self.weight.float())  # (N, E)
            probabilities = logits.softmax(1)
            gates, experts = probabilities.topk(config.active, dim=1)  # (N, K)
            if config.renormalise:
                gates = gates / gates.sum(1, keepdim=True)
            picked = _one_hot(experts.flatten(), config.experts, torch.float32)  # (N K, E)
            # share of the picks x mean probability: 1 if all is even. Picks have no gradient, probabilities do.
            balance = config.experts * (picked.mean(0) * probabilities.mean(0)).sum()
            z = logits.logsumexp(1).square().mean()
        return Routing(
            probabilities=probabilities,
            experts=experts,
            gates=gates,
            loss=config.balance * balance + config.z * z,
        )


class Experts(nn.Module):
    """E networks of two layers, their weights stacked.

    Parameters: for "swiglu" `glu_weight` (E, 2 H, D), the gate's rows above the other's, and `out_weight` (E, D, H);
    for "gelu" `in_weight` (E, H, D), `in_bias` (E, H), `out_weight` (E, D, H), `out_bias` (E, D).
    """

    def __init__(self, width: int, hidden: int, config: MoEConfig) -> None:
        super().__init__()
        self.config = config
        count = config.experts
        if config.expert == "swiglu":
            self.glu_weight = nn.Parameter(torch.empty(count, 2 * hidden, width))
            self.in_bias = self.out_bias = None
        else:
            self.in_weight = nn.Parameter(torch.empty(count, hidden, width))
            self.in_bias = nn.Parameter(torch.empty(count, hidden))
            self.out_bias = nn.Parameter(torch.empty(count, width))
        self.out_weight = nn.Parameter(torch.empty(count, width, hidden))

    def forward(
        self, x: Float[Tensor, "N D"], experts: Int[Tensor, "N K"], gates: Float[Tensor, "N K"]
    ) -> Float[Tensor, "N D"]:
        """Each token's K results, weighted and summed."""
        ways = {"loop": self._loop, "grouped": self._grouped, "padded_bmm": self._padded_bmm}
        return ways[self.config.backend](x, experts, gates.to(x.dtype))

    def _layers(self) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
        first = self.glu_weight if self.config.expert == "swiglu" else self.in_weight
        return first, self.in_bias, self.out_weight, self.out_bias

    def _activate(self, hidden: Tensor) -> Tensor:
        if self.config.expert == "gelu":
            return F.gelu(hidden, approximate="tanh")
        gate, value = hidden.chunk(2, -1)
        return F.silu(gate) * value

    def _loop(self, x: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for e in range(self.config.experts):
            first, in_bias, second, out_bias = (w if w is None else w[e] for w in self._layers())
            assert first is not None and second is not None
            token, k = (experts == e).nonzero(as_tuple=True)
            result = F.linear(self._activate(F.linear(x[token], first, in_bias)), second, out_bias)
            total = total.index_add(0, token, gates[token, k, None] * result)
        return total

    def _grouped(self, x: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
        first, in_bias, second, out_bias = self._layers()
        picks = experts.flatten()  # (N K,)
        # an expert's tokens must lie side by side: sort the picks by expert, compute, and sort back
        order = picks.argsort(stable=True)
        inverse = order.argsort()
        of_expert = _one_hot(picks[order], self.config.experts, x.dtype)  # (N K, E)
        ends = _one_hot(picks, self.config.experts, torch.int32).sum(0).cumsum(0).int()  # (E,)

        rows = _Gather.apply(x, order, inverse, experts.shape[1])  # (N K, D)
        hidden = self._activate(_grouped_linear(rows, first, in_bias, of_expert, ends))
        results = _grouped_linear(hidden, second, out_bias, of_expert, ends)  # (N K, D)
        results = _Gather.apply(results, inverse, order, 1).unflatten(0, experts.shape)  # (N, K, D)
        mixed: Tensor = (gates[..., None] * results).sum(1)
        return mixed

    def _padded_bmm(self, x: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
        first, in_bias, second, out_bias = self._layers()
        # Every expert sees every token and a gate of 0 drops the result: more work, but shapes that depend on no
        # data, as export and the meta device need.
        dense = x.new_zeros(x.shape[0], self.config.experts)
        dense = dense.scatter(1, experts, gates)  # (N, E)
        hidden = torch.matmul(x, first.mT)  # (E, N, H)
        hidden = self._activate(hidden if in_bias is None else hidden + in_bias[:, None])
        results = torch.bmm(hidden, second.mT)  # (E, N, D)
        results = results if out_bias is None else results + out_bias[:, None]
        return torch.einsum("ne,end->nd", dense, results)


class SwiGLU(nn.Module):
    """(SiLU(gate x) * value x) mapped back; no biases."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.glu = nn.Linear(width, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Each token by itself."""
        gate, value = self.glu(x).chunk(2, -1)
        out: Tensor = self.out(F.silu(gate) * value)
        return out


class MoE(nn.Module):
    """Router, experts and the shared expert, in place of a block's MLP."""

    def __init__(self, width: int, hidden: int, config: MoEConfig) -> None:
        super().__init__()
        self.router = Router(width, config)
        self.experts = Experts(width, hidden, config)
        self.shared = SwiGLU(width, config.shared * width) if config.shared else None

    def forward(self, x: Float[Tensor, "B L D"]) -> tuple[Float[Tensor, "B L D"], Routing]:
        """Tokens of all samples are routed together, each by itself; the loss is over all of them."""
        tokens = x.flatten(0, 1)  # (N, D)
        routing = self.router(tokens)
        out = self.experts(tokens, routing.experts, routing.gates)
        if self.shared is not None:
            out = out + self.shared(tokens)
        return out.view(x.shape), routing


class _Gather(torch.autograd.Function):
    """x (N, D) -> its rows order // k, where `order` permutes N k picks; backward gathers by the inverse.

    Indexing would scatter in its backward: by atomic adds on a GPU, and so in no fixed order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor, k: int) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.k = k
        return x.index_select(0, order if k == 1 else order // k)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (inverse,) = ctx.saved_tensors
        grad = grads[0].index_select(0, inverse)
        return (grad if ctx.k == 1 else grad.unflatten(0, (-1, ctx.k)).sum(1)), None, None, None


def _autocast_device(x: Tensor) -> str:
    """Autocast does not know the meta device."""
    return x.device.type if torch.amp.is_autocast_available(x.device.type) else "cpu"


def _one_hot(index: Int[Tensor, "M"], count: int, dtype: torch.dtype) -> Tensor:
    """(M, count); unlike `F.one_hot` it does not read the values on the host."""
    return (index[:, None] == torch.arange(count, device=index.device)).to(dtype)


def _grouped_linear(
    rows: Float[Tensor, "M i"],
    weight: Float[Tensor, "E o i"],
    bias: Float[Tensor, "E o"] | None,
    of_expert: Float[Tensor, "M E"],
    ends: Int[Tensor, "E"],
) -> Float[Tensor, "M o"]:
    """Rows sorted by expert, each through its expert's layer; `ends` says where each expert's rows end."""
    kind = _autocast_device(rows)
    if torch.is_autocast_enabled(kind):  # which does not know this operator
        rows, weight = (v.to(torch.get_autocast_dtype(kind)) for v in (rows, weight))
    out = _grouped_mm(rows, weight, ends)
    # a table look-up as a product: its backward sums in a fixed order
    return out if bias is None else out + of_expert.to(out.dtype) @ bias.to(out.dtype)


def _grouped_mm(rows: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Torch's operator, where it exists and takes the type and rows of 16-byte multiples; else expert by expert."""
    aligned = all(n * rows.element_size() % 16 == 0 for n in weight.shape[1:])
    if hasattr(F, "grouped_mm") and rows.dtype in _GROUPED_TYPES and aligned:
        return F.grouped_mm(rows, weight.mT, offs=ends)
    sizes = ends.diff(prepend=ends.new_zeros(1)).tolist()
    return torch.cat([part @ w.T for part, w in zip(rows.split(sizes), weight, strict=True)])
