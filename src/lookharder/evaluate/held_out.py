"""The diffusion loss on held-out images, so measured that two models differ by what they know and by nothing else.

    loss[i, k] = mean square error of the prediction for image i at noise level k

Levels are the middles of `levels` equal parts of the training's time; the noise of (seed, image, level) is the same
for every model of one latent size. So a difference of two models is paired, level by level and image by image.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.chain import Chain
from lookharder.data.example import Dataset, collate
from lookharder.diffusion.loss import training_loss
from lookharder.seeding import torch_generator


@torch.inference_mode()
def validation_loss(
    chain: Chain, task_name: str, dataset: Dataset, levels: int, seed: int, batch: int = 64
) -> Float[Tensor, "images levels"]:
    """Loss of each image at each level, the mean over a task's fields; float64.

    Args:
        chain: the system.
        task_name: one of its tasks.
        dataset: held-out images.
        levels: how many.
        seed: key of the noise.
        batch: images at a time; the loss does not depend on it but for rounding.
    """
    task, schedule, device = chain.task(task_name), chain.config.schedule, chain.device
    chain.network.eval()
    rows = []
    for start in range(0, len(dataset), batch):
        span = range(start, min(start + batch, len(dataset)))
        examples = collate([dataset[i] for i in span]).to(device)
        target, known = chain.target(task, examples)  # (B, F, c, h, w), (B, 1, h, w)
        fields = target.shape[1]
        condition = chain.condition(task, examples).repeat_interleave(fields, 0)
        labels = chain.labels(task, examples).flatten()
        columns = []
        for level in range(levels):
            t = int((level + 0.5) / levels * schedule.steps)
            noise = torch.stack(
                [
                    torch.randn(
                        *target.shape[1:], generator=torch_generator(seed, "loss", i, level)
                    )
                    for i in span
                ]
            ).to(device)
            terms = training_loss(
                chain.denoiser,
                target.flatten(0, 1),
                torch.full_like(labels, t),
                noise.flatten(0, 1),
                condition,
                labels,
                weight=known.repeat_interleave(fields, 0).float(),
            )
            columns.append(terms.simple.cpu().double().unflatten(0, (-1, fields)).mean(1))  # (B,)
        rows.append(torch.stack(columns, 1))
    return torch.cat(rows)
