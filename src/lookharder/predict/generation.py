"""Pictures of classes, drawn by a model that was pre-trained to make them, in the same loop as all answers.

    for class_, images in generate(chain, [207, 360], count=8, effort=Effort(steps=250, sampler="ddpm"), guidance=4.0):
        ...                                                        # (8, 3, H, W) uint8

The noise of a picture is keyed by (seed, class, number), so it is the same whatever is drawn beside it.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from lookharder.chain import Chain
from lookharder.data.example import Batch, to_uint8
from lookharder.errors import InputError
from lookharder.predict.effort import Effort
from lookharder.predict.rounds import without_gradients
from lookharder.predict.sampling import BatchSampler


@without_gradients
def generate(
    chain: Chain,
    classes: Sequence[int],
    count: int,
    *,
    effort: Effort,
    guidance: float = 1.0,
    guided: int = 3,
    seed: int = 0,
    size: int | None = None,
    device: torch.device | str = "cpu",
    chunk: int = 64,
) -> Iterator[tuple[int, UInt8[Tensor, "N 3 H W"]]]:
    """Draw pictures of each class.

    Args:
        chain: a system that generates.
        classes: their labels.
        count: pictures of each.
        effort: steps, sampler and spacing.
        guidance: 1 = none; see `DiT.forward_with_cfg`.
        guided: channels of the latent that are guided, 3 in DiT's released code.
        seed: key of the noise.
        size: side of the pictures; None = that of the model.
        device: where the chain is.
        chunk: pictures at a time.

    Yields:
        A class and its pictures.

    Raises:
        InputError: the system does not generate, or not these classes.
    """
    task = chain.task("generation")
    chain.check_labels(torch.tensor(list(classes)), "--classes")
    side = chain.config.resolution if size is None else size
    if side % chain.multiple:
        raise InputError("--size", side, f"multiples of {chain.multiple}")
    for label in classes:
        empty = torch.zeros(1, 3, side, side, device=device)
        batch = Batch(name=(str(label),), image=empty, label=torch.tensor([label], device=device))
        sampler = BatchSampler(
            chain,
            task,
            batch,
            chain.condition(task, batch),
            effort,
            noise=[(seed, label)],
            chunk=chunk,
            codec_chunk=chunk,
            guidance=guidance,
            guided=guided,
        )
        (latents,) = sampler.sample(range(count), [0])
        images = task.from_image(sampler.decode(latents, range(count)))  # (N, 1, 3, H, W)
        yield label, to_uint8(images[:, 0]).cpu()
