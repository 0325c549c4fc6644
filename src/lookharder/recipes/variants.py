"""Two variants of any recipe: what is known to be better, a field at a time, and the same stage in miniature.

for setting in differences(config): ...       "chain.prediction=v": each may be given to --set, alone or with others
improved(config)                              all of them
shrink(config)                                two updates on the embedded world: same structure, toy sizes
"""

from dataclasses import replace

from lookharder.autoencoder import Pixel
from lookharder.config import override
from lookharder.data.procedural import FAMILIES
from lookharder.data.source import DataConfig
from lookharder.tasks.depth import Depth
from lookharder.training.run import RunConfig


def differences(config: RunConfig) -> tuple[str, ...]:
    """The settings in which a faithful recipe differs from what evidence recommends; none for one that has them.

    Velocities in place of eps, whose one-step answers fail; a schedule that ends in pure noise (which eps does not
    know: set `chain.prediction` too); gates that sum to 1, so that upcycling keeps the function; an all-ones prompt in
    place of the true validity mask; steps that begin in pure noise and are spread from there, as these allow.
    """
    chain, found = config.chain, []
    if chain.prediction == "eps":
        found.append("chain.prediction=v")
    if not chain.schedule.zero_terminal_snr:
        found.append("chain.schedule.zero_terminal_snr=true")
    if chain.sampling.spacing != "trailing":
        found.append("chain.sampling.spacing=trailing")
    if chain.sampling.start_alpha > 0:
        found.append("chain.sampling.start_alpha=0.0")
    if chain.model.moe is not None and not chain.model.moe.renormalise:
        found.append("chain.model.moe.renormalise=true")
    for i, task in enumerate(chain.tasks):
        if isinstance(task, Depth) and task.prompt == "validity":
            found.append(f"chain.tasks.{i}.prompt=ones")
    return tuple(found)


def improved(config: RunConfig) -> RunConfig:
    """A recipe with all its `differences`."""
    return override(config, differences(config))


def shrink(config: RunConfig, iterations: int = 2) -> RunConfig:
    """A recipe in miniature: tasks, prediction, schedule, optimiser, experts, routes and `init` are its own.

    Width 32, two blocks of two heads, at most four experts, pictures of 32 pixels in place of latents.
    """
    model = config.chain.model
    codec = Pixel(factor=4 if model.stem == "patch" else 1)
    moe = model.moe and replace(model.moe, experts=min(4, model.moe.experts))
    small = replace(
        model,
        input_size=32 // codec.factor,
        in_channels=(config.chain.sources + 1) * codec.channels,
        out_channels=codec.channels,
        hidden_size=32,
        depth=2,
        num_heads=2,
        stem_widths=(8,) * len(model.stem_widths),
        num_classes=len(FAMILIES),
        moe=moe,
    )
    data = DataConfig(spec="procedural:4:1", size=32)
    return replace(
        config,
        chain=replace(config.chain, model=small, autoencoder=codec.config(), resolution=32),
        data=dict.fromkeys(config.data, data),
        train=replace(
            config.train, iterations=iterations, batch_size=2 * len(config.train.mix), weights={}
        ),
        checkpoint_every=iterations,
        log_every=1,
        device="cpu",
    )
