"""Surgery on a trained transformer: weights in, weights of a larger network out, the function kept.

    widen_input             one latent -> several side by side; kept where all are copies of one
    extend_labels           labels for new tasks; kept for every old label and for none
    route_patch_embedding   one patch embedding -> one per task; kept
    upcycle                 every MLP -> a mixture of experts; kept if gates are renormalised

This is how a class-conditional image generator becomes a generalist for perception (arXiv 2411.08034):
labels, then routes, then channels, then experts. The network given is left untouched, and the one
returned shares no memory with it; it has its type, device and mode (training or evaluation), and all
of its parameters learn. A new size of image needs no surgery: see `interpolate_positions`.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.errors import InputError
from lookharder.models.config import DiTConfig
from lookharder.models.dit import DiT
from lookharder.models.layers import sincos_positions
from lookharder.models.moe import MoEConfig
from lookharder.seeding import torch_generator

PATCHES = "x_embedder.proj.weight"  # (K*D, C, p, p)
STEM = "stem.first.weight"  # (w, C, 3, 3)
PATCHES_BIAS = "x_embedder.proj.bias"  # (K*D,)
LABELS = "y_embedder.embedding_table.weight"  # (rows, D)
EXPERTS = {  # a layer of the MLP -> that of every expert
    "fc1.weight": "in_weight",
    "fc1.bias": "in_bias",
    "fc2.weight": "out_weight",
    "fc2.bias": "out_bias",
}


def widen_input(dit: DiT, copies: int, alone: Sequence[int] = ()) -> DiT:
    """A network whose input is `copies` latents side by side, conditions first and the noisy one last.

    The patch embedding is repeated for each latent and divided by their number (x 1/2 in Marigold, 2312.02145; x 1/3
    in 2411.08034), so the output is the same where all latents are copies of one. What is predicted does not change.

    Args:
        dit: a network of C input channels.
        copies: latents in the new input, which has copies * C channels.
        alone: patch embeddings that see only the last latent, undivided: with them the output is the
            same whatever the condition, as generation needs, which has none.

    Raises:
        InputError: copies below 1, or a patch embedding in `alone` that the network does not have.
    """
    config, state = dit.config, dit.state_dict()
    if copies < 1:
        raise InputError("copies", copies, "1 or more")
    if not set(alone) <= set(range(config.embeddings)):
        raise InputError("alone", tuple(alone), f"patch embeddings 0 to {config.embeddings - 1}")
    channels = copies * config.in_channels
    wider = replace(config, in_channels=channels, out_channels=config.predicted)
    if config.stem == "conv":
        if alone:
            raise InputError("alone", tuple(alone), "none: all tasks share the stem")
        state[STEM] = state[STEM].repeat(1, copies, 1, 1) / copies
        return _build(dit, wider, state)

    weight = state[PATCHES].unflatten(0, (config.embeddings, -1))  # (K, D, C, p, p)
    # each of the equal copies gives its part of the old sum, so that the output stays
    wide = weight.repeat(1, 1, copies, 1, 1) / copies  # (K, D, copies*C, p, p)
    for index in alone:
        wide[index] = 0
        wide[index, :, -config.in_channels :] = weight[index]
    state[PATCHES] = wide.flatten(0, 1)
    return _build(dit, wider, state)


def extend_labels(dit: DiT, tasks: int) -> DiT:
    """A network with labels for more tasks, after those that it has; the null label stays last.

    The classes are cut, in order, into one group for each new task, their sizes as equal as can be,
    and its vector is the mean of its group's (2411.08034: four tasks, each of 250 classes of
    ImageNet's 1000). New tasks use patch embedding 0.

    Args:
        dit: a network with at least as many classes as there are new tasks.
        tasks: how many tasks to add.

    Raises:
        InputError: tasks below 1 or above the number of classes.
    """
    config, state = dit.config, dit.state_dict()
    if not 1 <= tasks <= config.num_classes:
        raise InputError("tasks", tasks, f"1 to num_classes = {config.num_classes}")
    labels, null = state[LABELS][:-1], state[LABELS][-1:]
    groups = labels[: config.num_classes].tensor_split(tasks)
    means = torch.stack([group.mean(0) for group in groups])  # (tasks, D)
    state[LABELS] = torch.cat([labels, means, null])
    return _build(dit, replace(config, routes=config.routes + (0,) * tasks), state)


def route_patch_embedding(dit: DiT, routes: Sequence[int]) -> DiT:
    """A network with a patch embedding for each of several inputs, all of them copies of the one it had.

    Args:
        dit: a network with one patch embedding.
        routes: the patch embedding of each task, as in `DiTConfig`: 0 to K - 1, none skipped.

    Raises:
        InputError: the network has several already, or the routes are not one for each task.
    """
    config, state = dit.config, dit.state_dict()
    if config.embeddings > 1:
        got = f"a network with {config.embeddings} patch embeddings"
        raise InputError("dit", got, "networks with one patch embedding")
    if len(routes) != len(config.routes):
        raise InputError("routes", tuple(routes), f"one for each of {len(config.routes)} tasks")
    routed = replace(config, routes=tuple(routes))
    state[PATCHES] = state[PATCHES].repeat(routed.embeddings, 1, 1, 1)
    state[PATCHES_BIAS] = state[PATCHES_BIAS].repeat(routed.embeddings)
    return _build(dit, routed, state)


def upcycle(
    dit: DiT,
    experts: int,
    active: int,
    *,
    renormalise: bool = True,
    generator: torch.Generator | None = None,
) -> DiT:
    """A network with a mixture of experts in place of every MLP, each expert a copy of it (2212.05055).

    There is no shared expert. With renormalised gates the output is the same: a mean of equals. Without,
    the gates of a token sum to about active / experts, which scales every MLP's output: `deviation` tells.

    Args:
        dit: a network without experts.
        experts: experts E in each block.
        active: experts that each token passes, 1 to E.
        renormalise: the gates of a token sum to 1.
        generator: source of the routers' weights, normal with standard deviation 0.02, on the CPU;
            None = one with a fixed seed.

    Raises:
        InputError: the network has experts already, or `active` is not 1 to E.
    """
    if dit.config.moe is not None:
        raise InputError("dit", "a network with experts", "dense networks")
    moe = MoEConfig(experts=experts, active=active, expert="gelu", renormalise=renormalise)
    generator = generator or torch_generator("upcycle", 0)
    state = dit.state_dict()
    for block in range(dit.config.depth):
        mlp, mixture = f"blocks.{block}.mlp", f"blocks.{block}.moe"
        for theirs, ours in EXPERTS.items():
            layer = state.pop(f"{mlp}.{theirs}")
            state[f"{mixture}.experts.{ours}"] = layer.expand(experts, *layer.shape)
        router = torch.empty(experts, dit.config.hidden_size, device="cpu")
        router.normal_(std=0.02, generator=generator)
        state[f"{mixture}.router.weight"] = router.to(layer)
    return _build(dit, replace(dit.config, moe=moe), state)


@torch.no_grad()
def deviation(
    before: DiT, after: DiT, generator: torch.Generator | None = None, samples: int = 4
) -> float:
    """By how much surgery changed the output: largest difference over largest output before.

    Both networks see equal random latents of the native size, timesteps and labels that the first
    knows; where the input was widened it is copies of the latent, where labels were added the null
    label is the last of each. 0 where both output zeros, as fresh networks do; infinite where only the
    first does.

    Args:
        before: the network that was given to surgery.
        after: the network that came back.
        generator: source of the inputs, on the CPU; None = one with a fixed seed.
        samples: how many inputs.

    Raises:
        InputError: samples below 1, or the second network cannot have come from the first.
    """
    if samples < 1:
        raise InputError("samples", samples, "1 or more")
    old, new = before.config, after.config
    kept = ("input_size", "patch_size", "num_classes", "predicted", "emitted")
    wrong = [name for name in kept if getattr(new, name) != getattr(old, name)]
    wrong += ["in_channels"] if new.in_channels % old.in_channels else []
    wrong += ["routes"] if len(new.routes) < len(old.routes) else []
    if wrong:
        raise InputError("after", f"another {', '.join(wrong)}", "what surgery makes of `before`")

    generator = generator or torch_generator("deviation", 0)
    shape = (samples, old.in_channels, old.input_size, old.input_size)
    x = torch.randn(shape, generator=generator, device="cpu")
    t = torch.randint(1000, (samples,), generator=generator, device="cpu")
    y = torch.randint(old.label_rows, (samples,), generator=generator, device="cpu")

    def output(network: DiT, x: Tensor, y: Tensor) -> Tensor:
        weight = network.final_layer.linear.weight
        out: Tensor = network(x.to(weight), t.to(weight.device), y.to(weight.device))
        return out.double().cpu()

    first = output(before, x, y)
    wide = x.repeat(1, new.in_channels // old.in_channels, 1, 1)
    second = output(after, wide, torch.where(y == old.null_label, new.null_label, y))
    difference = (second - first).abs().max()
    return (difference / first.abs().max()).item() if difference != 0 else 0.0


def interpolate_positions(dit: DiT, height: int, width: int) -> Float[Tensor, "L D"]:
    """The positions that a network adds to the patches of a latent, row by row.

    They are computed, not learnt, and stretched so that any grid covers the extent of the native one
    (`layers.sincos_positions`): a latent of twice the size has every other row and column at the
    places known from training and the rest halfway between. So a network trained at 256 pixels runs
    at 512, or at any shape, with the weights that it has, and needs only to be trained on.

    Args:
        dit: the network.
        height: of the latent, in latent cells, a multiple of the patch.
        width: likewise.

    Returns:
        (rows * columns, D) float32, on the network's device.

    Raises:
        InputError: the patch does not divide the height and the width.
    """
    config, patch = dit.config, dit.config.patch_size
    for name, size in (("height", height), ("width", width)):
        if size < 1 or size % patch:
            raise InputError(name, size, f"positive multiples of {patch}")
    return sincos_positions(
        (height // patch, width // patch),
        config.input_size // patch,
        config.hidden_size,
        dit.final_layer.linear.weight.device,
    )


def _build(source: DiT, config: DiTConfig, state: dict[str, Tensor]) -> DiT:
    """The network of a configuration and a state, in the mode of its source and in memory of its own."""
    with torch.device("meta"):
        network = DiT(config)
    # contiguous, for experts come as one matrix seen many times
    own = {k: v.clone(memory_format=torch.contiguous_format) for k, v in state.items()}
    network.load_state_dict(own, strict=True, assign=True)
    return network.train(source.training)


def velocity(network: DiT, sign: int) -> DiT:
    """A network of straight lines without the second half of its output, a variance that it has not learnt.

    Args:
        network: it puts out twice as many channels as its training used.
        sign: 1 where its velocity leads to noise, as ours does; -1 where it leads to the clean latent.
    """
    config = network.config
    plain, state = DiT(replace(config, learn_sigma=False)), dict(network.state_dict())
    for name in ("final_layer.linear.weight", "final_layer.linear.bias"):
        rows = state[name].unflatten(0, (config.patch_size**2, -1))
        state[name] = sign * rows[:, : config.predicted].flatten(0, 1)
    plain.load_state_dict(state)
    return plain.eval()
