"""The start of one network from the weights of another: what differs between their configurations is made by surgery.

    a generator of pictures     -> inputs for conditions, labels and patch embeddings for tasks, experts
    a network of those tasks    -> experts

From a generator the tasks take what it knows of pictures: generation's labels and its map of the noisy latent are kept,
and what the source may already have for conditions and tasks, which no training has reached, makes way for copies of
these (2411.08034, section 4; see `surgery`). What neither step explains is refused.
"""

from dataclasses import replace

import torch

from lookharder.errors import InputError
from lookharder.models.config import DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.surgery import (
    LABELS,
    PATCHES,
    PATCHES_BIAS,
    STEM,
    _build,
    extend_labels,
    route_patch_embedding,
    upcycle,
    widen_input,
)


def transfer(dit: DiT, config: DiTConfig, generator: torch.Generator | None = None) -> DiT:
    """A network of that configuration, with the weights of another.

    Args:
        dit: where the weights come from.
        config: what is wanted. Channels of conditions, tasks (`routes`) and experts may differ from those of `dit`.
        generator: source of the routers' weights, on the CPU; None = one with a fixed seed.

    Raises:
        InputError: something else differs, or `dit` has tasks, other than those wanted, that it may have learnt, or no
            classes to make labels for tasks of.
    """
    if (dit.config.routes, dit.config.in_channels) != (config.routes, config.in_channels):
        dit = generator_of(dit)
        copies, rest = divmod(config.in_channels, dit.config.in_channels)
        if rest:
            got = f"{config.in_channels} channels"
            raise InputError("in_channels", got, f"multiples of {dit.config.in_channels}")
        if config.routes:
            dit = extend_labels(dit, len(config.routes))
        if config.embeddings > 1:
            dit = route_patch_embedding(dit, config.routes)
        # generation has no condition: where its map is no task's, it goes on to see the noisy latent alone
        # (behind a stem, which all share, it sees a condition too, and learns what to make of that)
        alone = () if 0 in config.routes or config.stem == "conv" else (0,)
        dit = widen_input(dit, copies, alone) if copies > 1 else dit
    if config.moe is not None and dit.config.moe is None:
        moe = config.moe
        dit = upcycle(
            dit, moe.experts, moe.active, renormalise=moe.renormalise, generator=generator
        )
    _check(dit.config, config)
    return _build(dit, config, dit.state_dict())


def generator_of(dit: DiT) -> DiT:
    """The network of classes alone: no tasks, and no input but the noisy latent."""
    config, state = dit.config, dit.state_dict()
    if 0 in config.routes:
        raise InputError("dit", f"routes {config.routes}", "a patch embedding of generation's own")
    if config.num_classes == 0:
        allowed = "a generator with classes, of which the labels of tasks are made"
        raise InputError("dit", "a network of tasks alone (num_classes = 0)", allowed)
    width, c = config.hidden_size, config.predicted
    first = STEM if config.stem == "conv" else PATCHES  # what sees the input
    state[PATCHES] = state[PATCHES][:width]
    state[PATCHES_BIAS] = state[PATCHES_BIAS][:width]
    state[first] = state[first][:, -c:]
    labels = state[LABELS]
    state[LABELS] = torch.cat([labels[: config.num_classes], labels[-1:]])
    return _build(dit, replace(config, in_channels=c, out_channels=c, routes=()), state)


def _check(found: DiTConfig, wanted: DiTConfig) -> None:
    """All that decides the function is the same; how experts are weighed and computed may change."""
    same = replace(found, out_channels=wanted.out_channels)
    if found.predicted == wanted.predicted and found.moe is not None and wanted.moe is not None:
        moe, free = wanted.moe, ("active", "renormalise", "balance", "z", "backend")
        same = replace(same, moe=replace(found.moe, **{n: getattr(moe, n) for n in free}))
    if found.predicted != wanted.predicted or same != wanted:
        names = [n for n in vars(wanted) if getattr(same, n) != getattr(wanted, n)]
        got = {n: getattr(wanted, n) for n in names or ["out_channels"]}
        raise InputError("model", got, f"as in the weights to start from: {found}")
