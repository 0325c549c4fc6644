"""Of a prediction's time, how much is spent outside the denoiser and the autoencoder?

    python benchmarks/overhead.py [--steps 1 10 50 --members 1 10] [--out docs/results/overhead.json]

A whole call of `Predictor`, from an array to an array, with clocks around the denoiser, the network within it, and the
autoencoder. What is left is noise, the sampler's steps, translation and merging, and reading and writing pictures; with
"network", also what the denoiser does around its network. Medians over rounds; the clocks' own time counts as outside.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from moe_layer import processor

from lookharder.chain import Chain, find
from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.files import write_json
from lookharder.predict.predictor import Predictor

GOAL, FROM_STEPS = (
    0.03,
    10,
)  # share of wall time outside denoiser and autoencoder, from so many steps on


class Clock:
    """Seconds spent inside what it wraps, on the wall and of this process."""

    def __init__(self, device: str) -> None:
        self.wait = torch.cuda.synchronize if device == "cuda" else lambda: None
        self.wall = self.cpu = 0.0

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.wait()
            wall, cpu = time.perf_counter(), time.process_time()
            out = function(*args, **kwargs)
            self.wait()
            self.wall += time.perf_counter() - wall
            self.cpu += time.process_time() - cpu
            return out

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--members", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--pictures", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", default=["depth", "flow", "amodal"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, default=Path("docs/results/overhead.json"))
    given = parser.parse_args()
    chain = Chain.load(find(given.model)).to(torch.device(given.device))
    world = ProceduralWorld(chain.config.resolution, 1_000_003)
    examples = [world[i] for i in range(given.pictures)]
    rows = []
    for task in given.tasks:
        for members in given.members:
            for steps in given.steps:
                call = partial(predict, examples=examples, task=task, steps=steps, members=members)
                turns = [
                    measure(chain, call, given.device) for _ in range(given.warm_up + given.rounds)
                ][given.warm_up :]
                shares = {
                    f"outside_{around}_{kind}": statistics.median(
                        share(turn, around, kind) for turn in turns
                    )
                    for around in ("denoiser", "network")
                    for kind in ("wall", "cpu")
                }
                row: dict[str, Any] = {
                    "task": task,
                    "steps": steps,
                    "members": members,
                    "seconds": {k: statistics.median(t[k] for t in turns) for k in turns[0]},
                    "shares": shares,
                }
                judged = ""
                if steps >= FROM_STEPS:
                    row["met"] = shares["outside_denoiser_wall"] <= GOAL
                    judged = f"goal {GOAL:.0%}: {'met' if row['met'] else 'missed'}"
                rows.append(row)
                print(
                    f"{task:7} T = {steps:3} N = {members:3} {row['seconds']['all_wall']:8.4f} s  "
                    f"outside denoiser {shares['outside_denoiser_wall']:6.1%} "
                    f"(processor time {shares['outside_denoiser_cpu']:6.1%})  "
                    f"outside network {shares['outside_network_wall']:6.1%} "
                    f"({shares['outside_network_cpu']:6.1%})  {judged}",
                    flush=True,
                )
    result = {
        "what": "share of a call's time outside the denoiser (or its network) and the autoencoder, medians",
        "model": given.model,
        "resolution": chain.config.resolution,
        "pictures": given.pictures,
        "rounds": given.rounds,
        "goal": GOAL,
        "goal_from_steps": FROM_STEPS,
        "rows": rows,
        "device": torch.cuda.get_device_name() if given.device == "cuda" else "cpu",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
    }
    write_json(given.out, result)
    print(f"-> {given.out}")


if __name__ == "__main__":
    main()
