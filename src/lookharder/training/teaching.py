"""Whether data sets can teach a system anything: asked of a few examples of each, before anything is written."""

import logging
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lookharder.chain import Chain
from lookharder.data.example import Dataset, collate
from lookharder.data.latents import LatentSet
from lookharder.data.usable import largest_label
from lookharder.errors import InputError
from lookharder.files import say_once
from lookharder.training.batches import recolours
from lookharder.training.config import TrainConfig, task_of

log = logging.getLogger(__name__)

ASKED = 16  # examples of a set


def check_teaching(config: TrainConfig, chain: Chain, datasets: Mapping[str, Dataset]) -> None:
    """Labels are classes of the network, and some cell of the latents has a known annotation, of every task.

    The loss counts a cell where all of its pixels are known. Of sparse truth (laser points) that may be none: then loss
    and gradient are 0 in every iteration.

    Latents that are not recoloured as pictures would be are said: they are another distribution.

    Args:
        config: how the system learns.
        chain: the system.
        datasets: by source.

    Raises:
        InputError: naming the task, and what it would learn from.
    """
    for name, dataset in datasets.items():
        count = min(len(dataset), ASKED)
        places = [i * len(dataset) // count for i in range(count)]
        label = largest_label(dataset)
        if label is not None and not chain.task(task_of(name)).label_rows:
            chain.check_labels(torch.tensor([label]), f"data.{name}")
        shares = torch.stack([_known(chain, name, dataset, i).float().mean() for i in places])
        if isinstance(dataset, LatentSet) and config.further_looks:
            raise InputError(
                "train.further_looks", config.further_looks, f"0 where data.{name} is of latents"
            )
        log.info(
            "%s: %.1f %% of the cells of %d examples are known", name, 100 * shares.mean(), count
        )
        if isinstance(dataset, LatentSet) and recolours(config, chain, name):
            what = "latents are mirrored and not recoloured, as its pictures would be"
            say_once(f"data.{name}", f"{what}; train.recolour=false mirrors either alone")
        if not shares.any():
            factor = chain.autoencoder.factor
            got = f"{count} examples without one wholly known cell of {factor} x {factor} pixels"
            allowed = "denser truth; crops that shrink the picture close gaps: crop=SIDE"
            raise InputError(f"data.{name}", got, allowed)


def _known(chain: Chain, name: str, dataset: Dataset, index: int) -> Tensor:
    """(1, 1, h, w) bool, the cells of an example that the loss counts."""
    task = chain.task(task_of(name))
    if isinstance(dataset, LatentSet):
        _, known, _, label = dataset.group([index], [False])
    else:
        batch = collate([dataset[index]])
        label = chain.labels(task, batch)[0]
    if not task.label_rows:
        chain.check_labels(label, f"data.{name}")
    if isinstance(dataset, LatentSet):
        return known
    unknown = (~task.to_image(batch).known[:, None]).float()
    return F.max_pool2d(unknown, chain.autoencoder.factor) == 0
