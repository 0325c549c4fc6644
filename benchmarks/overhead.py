"""Of a prediction's time, how much is spent outside the denoiser and the autoencoder?

    python -m benchmarks overhead [--steps 1 10 50 --members 1 10] [--out docs/results/overhead.json]

A whole call of `Predictor`, from an array to an array, with clocks around the denoiser, the network within it, and the
autoencoder. What is left is noise, the sampler's steps, translation and merging, and reading and writing pictures; with
"network", also what the denoiser does around its network. Medians over rounds; the clocks' own time counts as outside.
"""

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.harness import machine, timed
from lookharder.chain import Chain, find
from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.files import write_json
from lookharder.predict.predictor import Predictor

GOAL = 0.03  # share of wall time outside denoiser and autoencoder,
FROM_STEPS = 10  # from so many steps on


class Clock:
    """Seconds spent inside what it wraps, on the wall and of this process."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.wall = self.cpu = 0.0

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            out = []
            wall, cpu = timed(lambda: out.append(function(*args, **kwargs)), self.device)
            self.wall += wall
            self.cpu += cpu
            return out[0]

        return run


class Clocked:
    """An object some of whose methods are timed."""

    def __init__(self, inner: Any, clock: Clock, *names: str) -> None:
        self.inner = inner
        self.methods = {name: clock(getattr(inner, name)) for name in names}

    def __getattr__(self, name: str) -> Any:
        return self.methods.get(name) or getattr(self.inner, name)

    def __call__(self, *args: Any) -> Any:
        return self.methods["__call__"](*args)


def measure(chain: Chain, call: Callable[[Predictor], object], device: str) -> dict[str, float]:
    """Seconds of one call and of its parts."""
    clocks = {name: Clock(device) for name in ("all", "network", "denoiser", "autoencoder")}
    codec = Clocked(chain.autoencoder, clocks["autoencoder"], "encode", "decode")
    watched = Chain(chain.config, chain.network, codec)  # type: ignore[arg-type]
    watched.denoiser = Clocked(watched.denoiser, clocks["denoiser"], "__call__")  # type: ignore
    forward = chain.network.forward
    chain.network.forward = clocks["network"](forward)
    try:
        clocks["all"](call)(Predictor(watched, device))
    finally:
        chain.network.forward = forward
    return {
        f"{name}_{kind}": getattr(clock, kind)
        for name, clock in clocks.items()
        for kind in ("wall", "cpu")
    }


def predict(
    predictor: Predictor, examples: list[Example], task: str, steps: int, members: int
) -> object:
    """What is timed."""
    return predictor(
        [e.image for e in examples],
        task,
        second=[e.second for e in examples] if task == "flow" else None,
        mask=[e.visible for e in examples] if task == "amodal" else None,
        num_inference_steps=steps,
        ensemble_size=members,
        seed=0,
    )


def share(seconds: dict[str, float], around: str, kind: str) -> float:
    """Of the time, what is spent outside the autoencoder and the denoiser, or its network."""
    inside = seconds[f"{around}_{kind}"] + seconds[f"autoencoder_{kind}"]
    return 1 - inside / seconds[f"all_{kind}"]


def run(
    *,
    model: str = "tiny",
    steps: tuple[int, ...] = (1, 10, 50),
    members: tuple[int, ...] = (1, 10),
    pictures: int = 1,
    tasks: tuple[str, ...] = ("depth", "flow", "amodal"),
    rounds: int = 7,
    warm_up: int = 1,
    device: Literal["cpu", "cuda"] = "cpu",
    out: Path = Path("docs/results/overhead.json"),
) -> None:
    chain = Chain.load(find(model)).to(torch.device(device))
    world = ProceduralWorld(chain.config.resolution, 1_000_003)
    examples = [world[i] for i in range(pictures)]
    rows = []
    for task in tasks:
        for draws in members:
            for count in steps:
                call = partial(predict, examples=examples, task=task, steps=count, members=draws)
                turns = [measure(chain, call, device) for _ in range(warm_up + rounds)][warm_up:]
                shares = {
                    f"outside_{around}_{kind}": statistics.median(
                        share(turn, around, kind) for turn in turns
                    )
                    for around in ("denoiser", "network")
                    for kind in ("wall", "cpu")
                }
                row: dict[str, Any] = {
                    "task": task,
                    "steps": count,
                    "members": draws,
                    "seconds": {k: statistics.median(t[k] for t in turns) for k in turns[0]},
                    "shares": shares,
                }
                judged = ""
                if count >= FROM_STEPS:
                    row["met"] = shares["outside_denoiser_wall"] <= GOAL
                    judged = f"goal {GOAL:.0%}: {'met' if row['met'] else 'missed'}"
                rows.append(row)
                print(
                    f"{task:7} T = {count:3} N = {draws:3} {row['seconds']['all_wall']:8.4f} s  "
                    f"outside denoiser {shares['outside_denoiser_wall']:6.1%} "
                    f"(processor time {shares['outside_denoiser_cpu']:6.1%})  "
                    f"outside network {shares['outside_network_wall']:6.1%} "
                    f"({shares['outside_network_cpu']:6.1%})  {judged}",
                    flush=True,
                )
    result = {
        "what": "share of a call's time outside the denoiser (or its network) and the autoencoder, medians",
        "model": model,
        "resolution": chain.config.resolution,
        "pictures": pictures,
        "rounds": rounds,
        "goal": GOAL,
        "goal_from_steps": FROM_STEPS,
        "rows": rows,
        **machine(device),
    }
    write_json(out, result)
    print(f"-> {out}")
