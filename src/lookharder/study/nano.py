"""The nano family: networks whose whole life, from pre-training to experts, fits into minutes of two CPU cores.

    name    width  depth  heads     MMACs a forward at 32 pixels (16 tokens)
    n1 .. n7                         0.8 .. 134: more than two decades

One recipe for all of them and for every stage: what differs between two points of a study is an argument here, and
nothing else does. It lives on the embedded world. The name of a job is made of the arguments that are given, so what
a default means must not change: a new meaning is a new argument.

The learning rate falls as 1 / width, as matrices trained by AdamW need it (Yang et al., 2203.03466): at one rate for
all sizes, a law of size would be one of how well the rate happened to fit.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from lookharder.config import override
from lookharder.data.source import DataConfig
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.errors import InputError
from lookharder.recipes import RECIPES, pixel_chain
from lookharder.training.config import TrainConfig
from lookharder.training.optim import OptimConfig
from lookharder.training.run import RunConfig


class Shape(NamedTuple):
    """Of a transformer of the family."""

    width: int
    depth: int
    heads: int


# fmt: off
NANO: dict[str, Shape] = {
    #           width  depth  heads      MMACs at 32 pixels
    "n1": Shape(   32,     2,     2),  #   0.84
    "n2": Shape(   48,     3,     3),  #   2.05
    "n3": Shape(   64,     4,     4),  #   4.19
    "n4": Shape(   96,     5,     3),  #  10.6
    "n5": Shape(  128,     6,     4),  #  21.5
    "n6": Shape(  192,     8,     6),  #  61.7
    "n7": Shape(  256,    10,     8),  # 134
}
# fmt: on

STORE = ".cache/lookharder"  # worlds of a hundred scenes or more are rendered once and kept here


def world(count: int, seed: int, size: int) -> DataConfig:
    """So many scenes of the embedded world."""
    store = STORE if count >= 100 else None
    return DataConfig(spec=f"procedural:{count}:{seed}", size=size, store=store)


def rate(size: str) -> float:
    """Learning rate of a size: 2e-3 at width 64."""
    if size not in NANO:
        raise InputError("size", repr(size), f"one of {list(NANO)}")
    return 0.128 / NANO[size].width


def nano(
    *,
    size: str,
    mix: Mapping[str, float],
    iterations: int,
    seed: int,
    lr: float,
    resolution: int = 32,
    batch_size: int = 32,
    scenes: int = 6000,
    schedule: str = "scaled-linear",
    zero_terminal_snr: bool = True,
    prediction: str = "x0",
    time_shift: float = 1.0,
) -> RunConfig:
    """A training of the family.

    Args:
        size: a key of `NANO`.
        mix: share of each task, `generation` for pre-training.
        iterations: length; the learning rate falls to a fiftieth over it, whatever it is.
        seed: of weights and noise; the scenes are the same for all.
        lr: AdamW's at its peak; see `rate`.
        resolution: side of the scenes, pixels.
        batch_size: examples an iteration.
        scenes: how many different ones.
        schedule: noise schedule.
        zero_terminal_snr: whether it ends in pure noise.
        prediction: "x0", "eps" or "v".
        time_shift: above 1, more training at high noise.
    """
    if size not in NANO:
        raise InputError("size", repr(size), f"one of {list(NANO)}")
    shape = NANO[size]
    chain = pixel_chain(
        width=shape.width, depth=shape.depth, heads=shape.heads, resolution=resolution
    )
    noise = NoiseSchedule(name=_known(schedule), zero_terminal_snr=zero_terminal_snr)
    data = world(scenes, 1, resolution)
    return RunConfig(
        name=f"nano-{size}",
        chain=replace(chain, schedule=noise, prediction=_known(prediction)),
        data=dict.fromkeys(mix, data),
        train=TrainConfig(
            iterations=iterations,
            batch_size=batch_size,
            mix=dict(mix),
            weights={"flow": 12.0} if "flow" in mix else {},
            seed=seed,
            time_shift=time_shift,
            optim=OptimConfig(
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
