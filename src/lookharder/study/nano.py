"""The nano family: networks whose whole life, from pre-training to experts, fits into minutes of two CPU cores.

    name    width  depth  heads     MMACs a forward at 32 pixels (64 tokens of 4 x 4)
    n1 .. n7                         0.9 .. 150: more than two decades

One recipe for all of them and for every stage: what differs between two points of a study is an argument here, and
nothing else does. It lives on the embedded world. The name of a job is made of the arguments that are given, so what
a default means must not change: a new meaning is a new argument.

Matrices are trained by Muon, whose update has a size that does not depend on the gradient's; `rate` says why its
learning rate falls with the width. Tokens are small and the optimiser is quick for one reason: in 1,500 iterations
networks with tokens of 8 pixels, trained by AdamW, hardly got past the mean depth map of all scenes
(`docs/log.md`; `benchmarks/nano_recipe.py` repeats it).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from lookharder.chain import ChainConfig
from lookharder.config import override
from lookharder.data.source import DataConfig
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.recipes import RECIPES, pixel_chain
from lookharder.training.config import TrainConfig
from lookharder.training.optim import OptimConfig
from lookharder.training.run import RunConfig


class Shape(NamedTuple):
    """Shape of a transformer of the family."""

    width: int
    depth: int
    heads: int


# fmt: off
NANO: dict[str, Shape] = {
    #           width  depth  heads      MMACs at 32 pixels
    "n1": Shape(   16,     2,     1),  #   0.9
    "n2": Shape(   32,     2,     2),  #   2.5
    "n3": Shape(   48,     3,     3),  #   7.1
    "n4": Shape(   64,     4,     4),  #  15.6
    "n5": Shape(   96,     5,     3),  #  40.8
    "n6": Shape(  128,     6,     4),  #  84
    "n7": Shape(  160,     7,     5),  # 150
}
# fmt: on

STORE = ".cache/lookharder"  # worlds of a hundred scenes or more are rendered once and kept here


def world(count: int, seed: int, size: int) -> DataConfig:
    """So many scenes of the embedded world."""
    store = STORE if count >= 100 else None
    return DataConfig(spec=f"procedural:{count}:{seed}", size=size, store=store)


def rate(size: str) -> float:
    """Learning rate of a size, for Muon: 4e-3 at width 48.

    Muon's update has a root mean square of 0.2 times the rate (2502.16982) and so a norm, as a map, that grows with
    the root of the width; what a layer's output changes by stays the same where the rate falls with that root. The
    constant: 2e-3, 4e-3 and 8e-3 at width 48 gave AbsRel 0.276, 0.273, 0.279 (`docs/results/nano-recipe.json`).
    """
    if size not in NANO:
        raise InputError("size", repr(size), f"one of {list(NANO)}")
    return 0.0277 / math.sqrt(NANO[size].width)


def system(size: str, resolution: int, factor: int = 2) -> ChainConfig:
    """The system of a size, whose tokens are squares of `2 * factor` pixels."""
    if size not in NANO:
        raise InputError("size", repr(size), f"one of {list(NANO)}")
    return pixel_chain(**NANO[size]._asdict(), resolution=resolution, factor=factor)


def nano(
    *,
    size: str,
    mix: Mapping[str, float],
    iterations: int,
    seed: int,
    lr: float,
    optimizer: str,
    resolution: int = 32,
    batch_size: int = 32,
    scenes: int = 6000,
    schedule: str = "scaled-linear",
    zero_terminal_snr: bool = True,
    prediction: str = "x0",
    time_shift: float = 1.0,
    factor: int = 2,
    photos: str | None = None,
) -> RunConfig:
    """A training of the family.

    Args:
        size: a key of `NANO`.
        mix: share of each task, `generation` for pre-training.
        iterations: length; the learning rate falls to a fiftieth over it, whatever it is.
        seed: of weights and noise; the scenes are the same for all.
        lr: at its peak; see `rate`.
        optimizer: "muon" or "adamw".
        resolution: side of the scenes, pixels.
        batch_size: examples an iteration.
        scenes: how many different ones.
        schedule: noise schedule.
        zero_terminal_snr: whether it ends in pure noise.
        prediction: "x0", "eps" or "v".
        time_shift: above 1, more training at high noise.
        factor: side of a token is twice that, in pixels.
        photos: what to generate in the place of scenes, `imagenet:PATH?side=RESOLUTION`, of no more classes than the
            embedded world has families.
    """
    chain = system(size, resolution, factor)
    noise = NoiseSchedule(name=_known(schedule), zero_terminal_snr=zero_terminal_snr)
    data = world(scenes, 1, resolution)
    made = data if photos is None else DataConfig(spec=photos, size=resolution)
    return RunConfig(
        name=f"nano-{size}",
        chain=replace(chain, schedule=noise, prediction=_known(prediction)),
        data={task: made if task == "generation" else data for task in mix},
        train=TrainConfig(
            iterations=iterations,
            batch_size=batch_size,
            mix=dict(mix),
            weights={"flow": 12.0} if "flow" in mix else {},
            seed=seed,
            time_shift=time_shift,
            recolour=True,  # colours of the embedded world are random: another of its scenes, also to generate
            optim=OptimConfig(
                optimizer=_known(optimizer),
                lr=lr,
                lr_schedule="cosine",
                final_lr_ratio=0.02,
                warmup=min(100, iterations // 10),
                betas=(0.9, 0.99),
            ),
        ),
        checkpoint_every=250,
        log_every=50,
    )


def recipe(config: Mapping[str, Any]) -> RunConfig:
    """The recipe of a `train` job: the family's with its arguments, or any other with its changes."""
    if config["recipe"] == "nano":
        return nano(**config["arguments"])
    if config["recipe"] not in RECIPES:
        raise InputError("recipe", repr(config["recipe"]), f"one of {['nano', *RECIPES]}")
    return override(RECIPES[config["recipe"]](), config["set"])


def _known(name: str) -> Any:
    """A name out of a closed list, which the configuration that takes it checks."""
    return name
