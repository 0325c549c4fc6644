"""One mixture-of-experts layer: ours, the computation that DiT-MoE released, and a dense MLP of equal active work.

    python benchmarks/moe_layer.py [--tokens 2048] [--device cuda --dtype bf16] [--out docs/results/moe-layer.json]

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

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
            loss, out = None, self.by_slices(x, experts.flatten(), gates.view(-1, 1))
        return (out if self.shared is None else out + self.shared(x)), loss

    def by_masks(self, x: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
        repeated = x.repeat_interleave(self.config.active, dim=0)
        flat, y = experts.flatten(), torch.empty_like(repeated)
        for e, expert in enumerate(self.experts):
            y[flat == e] = expert(repeated[flat == e])
        return (y.view(*gates.shape, -1) * gates[..., None]).sum(1)

    def by_slices(self, x: Tensor, flat: Tensor, gates: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        order = flat.argsort()
        ends = flat.bincount(minlength=len(self.experts)).cpu().numpy().cumsum(0)
        tokens = order // self.config.active
        for e, (expert, end) in enumerate(zip(self.experts, ends, strict=True)):
            start = 0 if e == 0 else ends[e - 1]
            if start == end:
                continue
            token = tokens[start:end]
            result = expert(x[token]).mul_(gates[order[start:end]])
            index = token.view(-1, 1).repeat(1, x.shape[1])
            total.scatter_reduce_(0, index, result, reduce="sum")
        return total


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


def timed(run: Callable[[], object], device: str) -> tuple[float, float]:
    """Seconds on the wall and of this process."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    begin, cpu_begin = time.perf_counter(), time.process_time()
    run()
    wait()
    return time.perf_counter() - begin, time.process_time() - cpu_begin


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--hidden", type=int, help="of an expert; default 4 x width")
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--active", type=int, default=2)
    parser.add_argument("--shared", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9, help="timed turns of each")
    parser.add_argument("--warm-up", type=int, default=2, help="turns before")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--out", type=Path, default=Path("docs/results/moe-layer.json"))
    given = parser.parse_args()
    width, hidden = given.width, given.hidden or 4 * given.width
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[given.dtype]

    config = MoEConfig(experts=given.experts, active=given.active, shared=given.shared)
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
    generator = torch_generator("benchmark", given.tokens)
    x, grad = (torch.randn(given.tokens, width, generator=generator) for _ in range(2))
    x, grad = x.to(given.device).requires_grad_(), grad.to(given.device)
    for network in networks.values():
        network.to(given.device)

    differences = {"fp32": largest_differences(equal, x, grad)}
    x, grad = x.detach().to(dtype).requires_grad_(), grad.to(dtype)
    for network in networks.values():
        network.to(dtype)
    differences[given.dtype] = largest_differences(equal, x, grad)
    for name, values in differences.items():
        assert max(values.values()) <= TOLERANCE[name], f"results differ in {name}: {values}"
    with torch.no_grad():
        picked = ours.router(x).experts.flatten().bincount(minlength=config.experts).tolist()

    runs = {
        ("forward", name): partial(forward, network, x) for name, network in networks.items()
    } | {("training", name): partial(train, network, x, grad) for name, network in networks.items()}
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    cpu_seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for turn in range(given.warm_up + given.rounds):
        for key, run in runs.items():
            prepare(networks[key[1]], x, key[0])
            wall, cpu = timed(run, given.device)
            if turn >= given.warm_up:
                seconds[key].append(wall)
                cpu_seconds[key].append(cpu)

    def by_mode(times: dict[tuple[str, str], list[float]]) -> dict[str, dict[str, float]]:
        return {
            mode: {name: statistics.median(times[mode, name]) for name in networks}
            for mode in ("forward", "training")
        }

    medians, cpu_medians = by_mode(seconds), by_mode(cpu_seconds)
    found = ratios(medians)
    met = {
        name: found[name] >= goal if name.startswith("released") else found[name] <= goal
        for name, goal in GOALS.items()
    }
    result = {
        "what": "seconds of one mixture-of-experts layer, median; training = forward and backward",
        "tokens": given.tokens,
        "width": width,
        "hidden": hidden,
        "experts": config.experts,
        "active": config.active,
        "shared": config.shared,
        "dense_hidden": active_hidden,
        "macs": given.tokens * 3 * width * active_hidden,
        "picks_of_each_expert": picked,
        "rounds": given.rounds,
        "seconds": medians,
        "quartiles": {
            mode: {name: statistics.quantiles(seconds[mode, name], n=4) for name in networks}
            for mode in medians
        },
        "cpu_seconds": cpu_medians,
        "ratios": found,
        "cpu_ratios": ratios(cpu_medians) if given.device == "cpu" else None,
        "goals": GOALS,
        "met": met,
        "largest_relative_difference": differences,
        "dtype": given.dtype,
        "device": torch.cuda.get_device_name() if given.device == "cuda" else "cpu",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
    }
    write_json(given.out, result)
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
    print(f"-> {given.out}")


if __name__ == "__main__":
    main()
