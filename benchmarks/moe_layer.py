"""One mixture-of-experts layer: ours, the computation that DiT-MoE released, and a dense MLP of equal active work.

    python -m benchmarks moe_layer [--tokens 2048] [--device cuda --dtype bf16] [--out docs/results/moe-layer.json]

Same weights, same tokens; before any time is taken, outputs and gradients are compared, in float32 and in the type that
is timed, and must agree.
Then all take turns, round after round, in one process. What is timed:

    forward       no gradient. Released: picks sorted, sizes read by the host, an expert at a time over its slice,
                  results scattered
    training      forward and backward. Released: each token copied K times, a boolean mask per expert, which the host
                  waits for

`tp` is the number of slices into which the released code cuts each weight of an expert: 2 as released, 1 for fairness
(half as many, larger products). On a busy machine read `cpu_ratios`: processor time does not count the waiting.
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import machine, take_turns
from lookharder.files import write_json
from lookharder.models.moe import MoE, MoEConfig, SwiGLU
from lookharder.seeding import torch_generator

TOLERANCE = {"fp32": 1e-4, "bf16": 0.05}  # of outputs and gradients, relative to the largest
GOALS = {  # at least for the released code's time over ours, at most for ours over the dense one's
    "released_over_ours_forward": 4.0,
    "released_over_ours_training": 1.5,
    "ours_over_dense_forward": 1.25,
    "ours_over_dense_training": 1.25,
}


class SlicedMLP(nn.Module):
    """A SwiGLU of three separate matrices, each used in `tp` slices."""

    def __init__(self, width: int, hidden: int, tp: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)
        self.tp = tp

    def forward(self, x: Tensor) -> Tensor:
        if self.tp == 1:
            return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        gate = torch.cat([F.linear(x, w) for w in self.gate_proj.weight.chunk(self.tp)], dim=-1)
        up = torch.cat([F.linear(x, w) for w in self.up_proj.weight.chunk(self.tp)], dim=-1)
        hidden = (F.silu(gate) * up).chunk(self.tp, -1)
        down = self.down_proj.weight.chunk(self.tp, 1)
        parts = [F.linear(h, w) for h, w in zip(hidden, down, strict=True)]
        return sum(parts[1:], parts[0])


def by_slices(experts: nn.ModuleList, x: Tensor, picks: Tensor, gates: Tensor) -> Tensor:
    """Tokens (N, D) by their picks and gates (N, K), an expert at a time over its slice, as released."""
    flat, gates, total = picks.flatten(), gates.reshape(-1, 1), torch.zeros_like(x)
    order = flat.argsort()
    ends = flat.bincount(minlength=len(experts)).cpu().numpy().cumsum(0)
    tokens = order // picks.shape[1]
    for e, (expert, end) in enumerate(zip(experts, ends, strict=True)):
        start = 0 if e == 0 else ends[e - 1]
        if start == end:
            continue
        token = tokens[start:end]
        result = expert(x[token]).mul_(gates[order[start:end]])
        index = token.view(-1, 1).repeat(1, x.shape[1])
        total.scatter_reduce_(0, index, result, reduce="sum")
    return total


class Released(nn.Module):
    """The layer as DiT-MoE computes it, in this file's words; its router in float32, so that the picks are ours."""

    def __init__(self, ours: MoE, tp: int) -> None:
        super().__init__()
        config = self.config = ours.router.config
        count, width, hidden = ours.experts.out_weight.shape
        self.router = nn.Parameter(ours.router.weight.detach().clone())
        self.experts = nn.ModuleList(SlicedMLP(width, hidden, tp) for _ in range(count))
        self.shared = SlicedMLP(width, config.shared * width, tp) if config.shared else None
        sources = list(zip(ours.experts.glu_weight, ours.experts.out_weight, strict=True))
        if self.shared is not None:
            assert ours.shared is not None
            sources.append((ours.shared.glu.weight, ours.shared.out.weight))
        with torch.no_grad():
            for mlp, (glu, out) in zip(self.mlps(), sources, strict=True):
                for linear, source in zip(
                    (mlp.gate_proj, mlp.up_proj, mlp.down_proj), (*glu.chunk(2), out), strict=True
                ):
                    linear.weight.copy_(source)

    def mlps(self) -> list[SlicedMLP]:
        return [*self.experts, *([] if self.shared is None else [self.shared])]

    def route(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = F.linear(x.float(), self.router.float()).softmax(-1)
        return scores, *scores.topk(self.config.active, dim=-1, sorted=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens (N, D) -> the same, and in training the balance loss."""
        scores, gates, experts = self.route(x)
        gates = gates.to(x.dtype)
        if self.training:
            picked = F.one_hot(experts.flatten(), self.config.experts).float().mean(0)
            loss = self.config.balance * (scores.mean(0) * picked * self.config.experts).sum()
            out = self.by_masks(x, experts, gates)
        else:
            loss, out = None, by_slices(self.experts, x, experts, gates)
        return (out if self.shared is None else out + self.shared(x)), loss

    def by_masks(self, x: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
        repeated = x.repeat_interleave(self.config.active, dim=0)
        flat, y = experts.flatten(), torch.empty_like(repeated)
        for e, expert in enumerate(self.experts):
            y[flat == e] = expert(repeated[flat == e])
        return (y.view(*gates.shape, -1) * gates[..., None]).sum(1)


def layer(width: int, hidden: int, config: MoEConfig) -> MoE:
    """Weights as a fresh transformer has them."""
    moe, generator = MoE(width, hidden, config), torch_generator("benchmark")
    with torch.no_grad():
        for name, parameter in moe.named_parameters():
            if "router" in name:
                parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
            else:
                rows, columns = parameter.shape[-2:]
                bound = (6 / (columns + (rows // 2 if "glu" in name else rows))) ** 0.5
                uniform = torch.rand(parameter.shape, generator=generator)
                parameter.copy_(bound * (2 * uniform - 1))
    return moe


def call(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Output and loss of any of the three, tokens (N, D)."""
    if isinstance(network, MoE):
        out, routing = network(x[None])
        return out[0], routing.loss
    return network(x) if isinstance(network, Released) else (network(x), None)


@torch.no_grad()
def forward(network: nn.Module, x: Tensor) -> Tensor:
    return call(network, x)[0]


def train(network: nn.Module, x: Tensor, grad: Tensor) -> Tensor:
    """One forward and backward; the output, the gradients left where they belong."""
    out, loss = call(network, x)
    if loss is None:
        out.backward(grad)
    else:
        torch.autograd.backward([out, loss], [grad, torch.ones_like(loss)])
    return out.detach()


def prepare(network: nn.Module, x: Tensor, mode: str) -> None:
    """What is not timed."""
    x.grad = None
    network.train(mode == "training").zero_grad(set_to_none=True)


def results(network: MoE | Released, x: Tensor, grad: Tensor) -> dict[str, Tensor]:
    """Outputs and gradients, the weights' in our layout."""
    prepare(network, x, "forward")
    found: dict[str, Any] = {"forward": forward(network, x)}
    prepare(network, x, "training")
    found |= {"training": train(network, x, grad), "x": x.grad}
    layers: list[tuple[Any, Any]]
    if isinstance(network, MoE):
        experts, found["router"] = network.experts, network.router.weight.grad
        stacks: tuple[Any, Any] = experts.glu_weight.grad, experts.out_weight.grad
        layers = list(zip(*stacks, strict=True))
        if network.shared is not None:
            layers.append((network.shared.glu.weight.grad, network.shared.out.weight.grad))
    else:
        found["router"] = network.router.grad
        of_mlps: list[list[Any]] = [[p.grad for p in mlp.parameters()] for mlp in network.mlps()]
        layers = [(torch.cat([gate, up]), down) for gate, up, down in of_mlps]
    for name, grads in zip(("glu", "out"), zip(*layers, strict=True), strict=True):
        found[name] = torch.cat([g.flatten() for g in grads])
    return found


def largest_differences(
    networks: dict[str, MoE | Released], x: Tensor, grad: Tensor
) -> dict[str, float]:
    """Of each network's outputs and gradients to the first one's, relative to the largest value."""
    expected, *others = (results(n, x, grad) for n in networks.values())
    return {
        key: max(((other[key] - value).abs().max() / value.abs().max()).item() for other in others)
        for key, value in expected.items()
    }


def ratios(medians: dict[str, dict[str, float]]) -> dict[str, float]:
    """Of the times of the two modes."""
    found: dict[str, float] = {}
    for mode, seconds in medians.items():
        ours = seconds["ours"]
        found |= {
            f"released_over_ours_{mode}": seconds["released"] / ours,
            f"released_tp1_over_ours_{mode}": seconds["released_tp1"] / ours,
            f"padded_bmm_over_ours_{mode}": seconds["ours_padded_bmm"] / ours,
            f"ours_over_dense_{mode}": ours / seconds["dense"],
        }
    return found


def run(
    *,
    tokens: int = 2048,
    width: int = 384,
    hidden: int | None = None,
    experts: int = 8,
    active: int = 2,
    shared: int = 2,
    rounds: int = 9,
    warm_up: int = 2,
    device: Literal["cpu", "cuda"] = "cpu",
    dtype: Literal["fp32", "bf16"] = "fp32",
    out: Path = Path("docs/results/moe-layer.json"),
) -> None:
    width, hidden = width, hidden or 4 * width
    number = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]

    config = MoEConfig(experts=experts, active=active, shared=shared)
    ours = layer(width, hidden, config)
    padded = MoE(width, hidden, MoEConfig(**{**vars(config), "backend": "padded_bmm"}))
    padded.load_state_dict(ours.state_dict())
    equal: dict[str, MoE | Released] = {
        "ours": ours,
        "ours_padded_bmm": padded,
        "released": Released(ours, tp=2),
        "released_tp1": Released(ours, tp=1),
    }
    active_hidden = config.active * hidden + config.shared * width
    networks: dict[str, nn.Module] = {**equal, "dense": SwiGLU(width, active_hidden)}
    generator = torch_generator("benchmark", tokens)
    x, grad = (torch.randn(tokens, width, generator=generator) for _ in range(2))
    x, grad = x.to(device).requires_grad_(), grad.to(device)
    for network in networks.values():
        network.to(device)

    differences = {"fp32": largest_differences(equal, x, grad)}
    x, grad = x.detach().to(number).requires_grad_(), grad.to(number)
    for network in networks.values():
        network.to(number)
    differences[dtype] = largest_differences(equal, x, grad)
    for name, values in differences.items():
        assert max(values.values()) <= TOLERANCE[name], f"results differ in {name}: {values}"
    with torch.no_grad():
        picked = ours.router(x).experts.flatten().bincount(minlength=config.experts).tolist()

    runs = {
        ("forward", name): partial(forward, network, x) for name, network in networks.items()
    } | {("training", name): partial(train, network, x, grad) for name, network in networks.items()}
    times = take_turns(
        runs,
        rounds,
        warm_up=warm_up,
        device=device,
        prepare=lambda key: prepare(networks[key[1]], x, key[0]),
    )

    def by_mode(found: dict[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
        return {
            mode: {name: found[mode, name] for name in networks} for mode in ("forward", "training")
        }

    medians, cpu_medians = by_mode(times.medians()), by_mode(times.cpu_medians())
    found = ratios(medians)
    met = {
        name: found[name] >= goal if name.startswith("released") else found[name] <= goal
        for name, goal in GOALS.items()
    }
    result = {
        "what": "seconds of one mixture-of-experts layer, median; training = forward and backward",
        "tokens": tokens,
        "width": width,
        "hidden": hidden,
        "experts": config.experts,
        "active": config.active,
        "shared": config.shared,
        "dense_hidden": active_hidden,
        "macs": tokens * 3 * width * active_hidden,
        "picks_of_each_expert": picked,
        "rounds": rounds,
        "seconds": medians,
        "quartiles": by_mode(times.quartiles()),
        "cpu_seconds": cpu_medians,
        "ratios": found,
        "cpu_ratios": ratios(cpu_medians) if device == "cpu" else None,
        "goals": GOALS,
        "met": met,
        "largest_relative_difference": differences,
        "dtype": dtype,
        **machine(device),
    }
    write_json(out, result)
    print(f"{'milliseconds':16} {'forward':>10} {'training':>10}")
    for name in networks:
        print(f"{name:16} {1e3 * medians['forward'][name]:10.2f}", end=" ")
        print(f"{1e3 * medians['training'][name]:10.2f}")
    print()
    for name, ratio in found.items():
        goal = f"goal {GOALS[name]}: {'met' if met[name] else 'missed'}" if name in GOALS else ""
        print(f"{name:32} {ratio:6.2f}  {goal}")
    for name, values in differences.items():
        print(f"largest relative difference in {name}: {max(values.values()):.1e}")
    print(f"-> {out}")
