"""A whole prediction: ours, and the order of work of the pipeline that the paper released, in this file's words.

    python -m benchmarks released_order [--steps 10 --members 10 --pictures 1 4] [--out FILE.json]
    python -m benchmarks released_order --size XL --resolution 512 --steps 50 --device cuda --only experts

Same weights, pictures, noise, times, update and merging; before any time is taken, the answers are compared and must
agree. Then all take turns, round after round, in one process.

    released    picture by picture, member by member, field by field, a batch of 1 throughout; picture and prompt are
                encoded again, each by itself, for every member; experts one after the other over slices whose bounds
                the host reads, in every layer of every call
    ours        `Predictor.predict`: encoded once, all members of all pictures and fields in one batch
    bf16, compiled, bf16_compiled    ours with the options of `acceleration`, and how far their answers are from ours

Where the released code wastes time by accident (float64 updates, its slow solver for merging), this file does not.
Models: the one given, and the same upcycled to experts. Flow is painted in one image by the shipped model; for the two
passes of the paper, "flow-split" has a copy of its label row for a second field: as much work, though no sensible flow.
On a busy machine read `cpu_ratios`: processor time does not count the waiting.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import machine, take_turns
from benchmarks.moe_layer import by_slices
from lookharder.chain import Chain, find
from lookharder.data.example import Batch, collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.diffusion.denoiser import to_eps, to_x0
from lookharder.diffusion.sampler import draw_noise
from lookharder.files import write_json
from lookharder.models.dit import SIZES, DiT
from lookharder.models.layers import MLP, sincos_positions
from lookharder.models.moe import MoE
from lookharder.models.surgery import LABELS, upcycle
from lookharder.predict.acceleration import accelerate
from lookharder.predict.effort import Effort
from lookharder.predict.predictor import Options, Predictor
from lookharder.predict.sampling import image_key
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator
from lookharder.tasks.flow import Flow
from lookharder.tasks.registry import AnyTask

TOLERANCE = 1e-4  # of answers in [0, 1], or as a fraction of the frame's side
GOAL = 4.0  # the released order's time over ours


class LoopedExperts(nn.Module):
    """Upcycled experts as DiT-MoE computes them without a gradient."""

    def __init__(self, ours: MoE) -> None:
        super().__init__()
        config = self.config = ours.router.config
        count, width, hidden = ours.experts.out_weight.shape
        self.router = ours.router.weight
        self.experts = nn.ModuleList(MLP(width, hidden) for _ in range(count))
        with torch.no_grad():
            for e, mlp in enumerate(self.experts):
                for layer, weight, bias in (
                    (mlp.fc1, ours.experts.in_weight, ours.experts.in_bias),
                    (mlp.fc2, ours.experts.out_weight, ours.experts.out_bias),
                ):
                    layer.weight.copy_(weight[e])
                    layer.bias.copy_(bias[e])
        assert config.expert == "gelu"
        assert not config.shared

    def forward(self, tokens: Tensor) -> tuple[Tensor, None]:
        x = tokens.flatten(0, 1)
        scores = F.linear(x, self.router).softmax(-1)
        gates, picks = scores.topk(self.config.active, dim=-1)
        if self.config.renormalise:
            gates = gates / gates.sum(-1, keepdim=True)
        return by_slices(self.experts, x, picks, gates).view_as(tokens), None


class ReleasedNetwork(nn.Module):
    """A DiT with stored positions, a convolution per task, and looped experts; the attention and the MLPs are ours."""

    def __init__(self, ours: DiT, grid: tuple[int, int]) -> None:
        super().__init__()
        config = self.config = ours.config
        device = ours.final_layer.linear.weight.device
        self.dit = DiT(config).to(device).eval()
        self.dit.load_state_dict(ours.state_dict())
        for block in self.dit.blocks:
            if block.moe is not None:
                block.moe = LoopedExperts(block.moe).to(device)
        width, native = config.hidden_size, config.input_size // config.patch_size
        self.positions = sincos_positions(grid, native, width).float().to(device)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        config, dit = self.config, self.dit
        task = int(y[0]) - config.num_classes
        route = config.routes[task] if 0 <= task < len(config.routes) else 0
        maps = dit.x_embedder.proj
        weight = maps.weight.chunk(config.embeddings)[route]
        bias = maps.bias.chunk(config.embeddings)[route]
        tokens = F.conv2d(x, weight, bias, stride=config.patch_size).flatten(2).transpose(1, 2)
        tokens = tokens + self.positions
        c = dit.t_embedder(t) + dit.y_embedder(y)
        for block in dit.blocks:
            tokens, _ = block(tokens, c)
        return dit.emit(tokens, c, [], *x.shape[2:])


@torch.inference_mode()
def released(
    chain: Chain,
    network: ReleasedNetwork,
    task: AnyTask,
    batch: Batch,
    effort: Effort,
    keys: list[int],
) -> Tensor:
    """The answer for each picture; `keys` are the pictures' part of the noise's key."""
    codec, schedule, kind = chain.autoencoder, chain.config.schedule, chain.config.prediction
    times = effort.timesteps(schedule)
    labels = chain.labels(task, batch)
    answers = []
    for b, key in enumerate(keys):
        one = replace(
            batch, **{k: v[b : b + 1] for k, v in vars(batch).items() if isinstance(v, Tensor)}
        )
        draws = []
        for n in range(effort.members):
            sources = task.condition(one)[0].unbind(0)
            condition = torch.cat([codec.encode(source[None]) for source in sources], dim=1)
            images = []
            for f in range(task.fields):
                noise = draw_noise([(0, key, n, f)], (codec.channels, *condition.shape[2:]))
                x = noise(0).to(condition.device)
                for t, s in pairwise([*times, -1]):
                    time = torch.tensor([t], device=x.device)
                    seen = torch.cat([condition, chain.config.input_scale * x], dim=1)
                    output = network(seen, time, labels[b, f : f + 1])[:, : codec.channels]
                    at = schedule.at(time, x)
                    x0, eps = to_x0(kind, output, x, at), to_eps(kind, output, x, at)
                    alpha, sigma = schedule.alpha_sigma(s)
                    x = alpha * x0 + sigma * eps
                images.append(codec.decode(x))
            draws.append(torch.stack(images, dim=1))  # (1, F, 3, H, W)
        answers.append(task.merge(task.from_image(torch.stack(draws)))[0])
    return torch.cat(answers)


def ours(predictor: Predictor, task: AnyTask, batch: Batch, effort: Effort) -> Tensor:
    options = Options(
        num_inference_steps=effort.steps,
        ensemble_size=effort.members,
        processing_resolution=0,
        output_type="pt",
    )
    (answer,) = predictor.predict(task.name, batch, options)
    return answer.prediction if task.name == "flow" else answer.prediction[:, 0]


def split_flow(chain: Chain) -> Chain:
    """The same chain whose flow is two images, by a copy of its label."""
    config, state = chain.config, chain.network.state_dict()
    row = config.model.num_classes
    before = []
    for task in config.tasks:
        if task.name == "flow":
            break
        before += [task] if task.name != "generation" else []
    first = sum(task.fields for task in before)
    routes = config.model.routes
    routes = (*routes[: first + 1], *routes[first:])
    table = state[LABELS]
    state[LABELS] = torch.cat([table[: row + first + 1], table[row + first :]])
    model = replace(config.model, routes=routes)
    tasks = tuple(Flow(layout="split") if task.name == "flow" else task for task in config.tasks)
    network = DiT(model)
    network.load_state_dict(state)
    return Chain(replace(config, model=model, tasks=tasks), network.eval(), chain.autoencoder)


def with_experts(chain: Chain, experts: int, active: int) -> Chain:
    """Upcycled, then told apart by a little noise, so that it matters who is picked."""
    network, generator = upcycle(chain.network, experts, active), torch_generator("experts")
    with torch.no_grad():
        for block in network.blocks:
            assert block.moe is not None
            weight = block.moe.experts.out_weight
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(noise.to(weight), alpha=0.1 * weight.std().item())
    return Chain(replace(chain.config, model=network.config), network.eval(), chain.autoencoder)


def of_size(size: str, resolution: int) -> Chain:
    """A chain of that size with random weights."""
    layers, width, heads, _ = SIZES[size]
    config = pixel_chain(
        width=width, depth=layers, heads=heads, resolution=resolution, factor=8, patch=2
    )
    chain = Chain.build(config, torch_generator(0))
    generator = torch_generator(1)
    with torch.no_grad():  # a fresh network answers zero
        for parameter in chain.network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    chain.network.eval()
    return chain


def distance(task: AnyTask, one: Tensor, other: Tensor) -> Tensor:
    """Of answers, in [0, 1] or as a fraction of the frame."""
    unit = max(one.shape[-2:]) if task.name == "flow" else 1
    return (one - other).abs() / unit


def compare(
    chain: Chain,
    task: AnyTask,
    batch: Batch,
    effort: Effort,
    options: Sequence[str],
    device: torch.device,
    rounds: int,
    warm_up: int,
) -> dict[str, Any]:
    """Times of all, and how far apart their answers are."""
    predictor = Predictor(chain, device)
    batch = batch.to(device)
    rows, columns = (side // chain.multiple for side in batch.image.shape[-2:])
    keys = [image_key(image) for image in batch.image]
    baseline = ReleasedNetwork(chain.network, (rows, columns))
    runs: dict[str, Callable[[], Tensor]] = {
        "released": partial(released, chain, baseline, task, batch, effort, keys),
        "ours": partial(ours, predictor, task, batch, effort),
    }
    for name, chosen in {
        "bf16": {"precision": "bf16"},
        "compiled": {"compiled": True},
        "bf16_compiled": {"precision": "bf16", "compiled": True},
    }.items():
        if name in options:
            fast = Predictor(accelerate(chain, **chosen), device)
            runs[name] = partial(ours, fast, task, batch, effort)
    answers = {name: run() for name, run in runs.items()}
    apart = {
        name: distance(task, answer.float().cpu(), answers["ours"].float())
        for name, answer in answers.items()
        if name != "ours"
    }
    largest = apart["released"].max().item()
    assert largest <= TOLERANCE, f"answers differ by {largest:.1e}"

    times = take_turns(runs, rounds, warm_up=warm_up, device=device.type)
    medians, cpu_medians = times.medians(), times.cpu_medians()
    ratio = medians["released"] / medians["ours"]
    return {
        "pictures": len(batch.image),
        "fields": task.fields,
        "seconds": medians,
        "all_seconds": times.wall,
        "cpu_seconds": cpu_medians,
        "ratios": {name: medians["released"] / value for name, value in medians.items()},
        "cpu_ratios": {name: cpu_medians["released"] / cpu for name, cpu in cpu_medians.items()},
        "goal": GOAL,
        "met": ratio >= GOAL,
        "distance_from_ours": {
            name: {"mean": d.mean().item(), "largest": d.max().item()} for name, d in apart.items()
        },
    }


def run(
    *,
    model: str = "tiny",
    size: str | None = None,
    resolution: int | None = None,
    experts: int = 8,
    active: int = 2,
    steps: int = 10,
    members: int = 10,
    pictures: tuple[int, ...] = (1, 4),
    tasks: tuple[str, ...] = ("depth", "flow", "flow-split"),
    only: Literal["dense", "experts"] | None = None,
    options: tuple[str, ...] = ("bf16", "compiled", "bf16_compiled"),
    rounds: int = 5,
    warm_up: int = 1,
    device: Literal["cpu", "cuda"] = "cpu",
    out: Path = Path("docs/results/released-order.json"),
) -> None:

    random = size is not None
    dense = of_size(size, resolution or 512) if random else Chain.load(find(model))
    side = resolution or dense.config.resolution
    chains = {"dense": dense, "experts": with_experts(dense, experts, active)}
    effort = Effort(steps=steps, members=members)
    world = ProceduralWorld(side, 1_000_003)
    found = []
    for kind, chain in chains.items():
        if only not in (None, kind):
            continue
        for name in tasks:
            system = split_flow(chain) if name == "flow-split" else chain
            task = system.task(name.removesuffix("-split"))
            for count in pictures:
                batch = collate([world[i] for i in range(count)])
                row = compare(
                    system, task, batch, effort, options, torch.device(device), rounds, warm_up
                )
                found.append({"model": kind, "task": name, **row})
                print(f"{kind:8} {name:10} {count} pictures", end="")
                for option, seconds in row["seconds"].items():
                    print(f"  {option} {seconds:.3f} s", end="")
                print(
                    f"  released/ours {row['ratios']['ours']:.2f} (processor time "
                    f"{row['cpu_ratios']['ours']:.2f})  apart "
                    f"{row['distance_from_ours']['released']['largest']:.1e}  "
                    f"goal {GOAL}: {'met' if row['met'] else 'missed'}",
                    flush=True,
                )
    result = {
        "what": "seconds of a whole prediction, median: the released pipeline's order of work, and ours",
        "model": f"{size}, random weights" if random else model,
        "experts": experts,
        "active": active,
        "resolution": side,
        "steps": steps,
        "members": members,
        "rounds": rounds,
        "rows": found,
        "tolerance": TOLERANCE,
        **machine(device),
    }
    write_json(out, result)
    print(f"-> {out}")
