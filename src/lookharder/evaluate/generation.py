"""What a generator is worth: pictures that it drew beside real ones, and its loss on held-out pictures.

Pictures are compared by a feature network that is a file of TorchScript: uint8 (B, 3, H, W) -> (B, D), or a pair, of
which the second, of places in the picture, gives the sFID. The Inception of FID is one such file, and is not shipped.
Another network gives other numbers, so the sha256 of the file stands beside them.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lookharder.chain import Chain
from lookharder.config import to_json
from lookharder.data.example import Dataset
from lookharder.data.formats import read_npz
from lookharder.data.formats.guard import decoding
from lookharder.errors import InputError
from lookharder.evaluate.held_out import validation_loss
from lookharder.files import opened
from lookharder.metrics.generation import frechet_distance, precision_recall
from lookharder.metrics.statistics import Interval, bootstrap_mean
from lookharder.visualize.html import Table

AT_ONCE = 32  # pictures through the feature network
LEVELS = 16  # of noise, at which the loss is taken
NOTE = "FID depends on the feature network and on how many pictures there are; the loss is that of the training."
Features = Callable[[Tensor], list[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class GenerationScores:
    """What was measured.

    Attributes:
        data: the real pictures.
        real: how many there are.
        samples: the drawn ones; None where there are none.
        drawn: how many there are.
        features: sha256 of the feature network's file.
        metrics: fid, sfid (where the network has a second output), precision, recall.
        model: whose loss it is; None where none was asked for.
        loss: mean over pictures and noise levels, with its interval over pictures.
    """

    data: str
    real: int
    samples: str | None = None
    drawn: int = 0
    features: str | None = None
    metrics: dict[str, float]
    model: str | None = None
    loss: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        loss = None if self.loss is None else self.loss._asdict()
        return {"task": "generation", **to_json(self), "loss": loss}


def load_features(path: Path, device: torch.device | str = "cpu") -> Features:
    """The feature network of a file.

    Raises:
        InputError: no TorchScript, or what it gives is not (B, D).
    """
    with opened(path) as handle, decoding(path, "a file of TorchScript"):
        network = torch.jit.load(handle, map_location=device).eval()
    asks = {argument.name for argument in network.forward.schema.arguments}
    options = {"return_features": True} if "return_features" in asks else {}

    @torch.no_grad()
    def features(images: Tensor) -> list[np.ndarray]:
        with decoding(path, "a network that takes uint8 (B, 3, H, W)"):
            found = network(images.to(device), **options)
        several = found if isinstance(found, tuple | list) else [found]
        if not all(isinstance(x, Tensor) and len(x) == len(images) for x in several):
            raise InputError(str(path), "another output", "(B, D), or a pair of them")
        return [x.flatten(1).cpu().double().numpy() for x in several[:2]]

    return features


def sha256(path: Path) -> str:
    """Of a file."""
    with opened(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def features_of(pictures: Iterator[np.ndarray], features: Features) -> list[np.ndarray]:
    """Features of pictures (3, H, W) of one size, stacked; one array for each output of the network."""
    parts: list[list[np.ndarray]] = []
    group: list[np.ndarray] = []

    def flush() -> None:
        if group:
            parts.append(features(torch.from_numpy(np.stack(group))))
            group.clear()

    for picture in pictures:
        if len(group) == AT_ONCE or (group and group[0].shape != picture.shape):
            flush()
        group.append(picture)
    flush()
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def read_samples(path: Path) -> np.ndarray:
    """Pictures (N, 3, H, W) uint8 of a file as ADM writes them: arr_0 (N, H, W, 3).

    Raises:
        InputError: there are none.
    """
    stored = read_npz(path).get("arr_0")
    if stored is None or stored.ndim != 4 or stored.shape[3] != 3 or stored.dtype != np.uint8:
        got = "no arr_0" if stored is None else f"{stored.dtype} {stored.shape}"
        raise InputError(str(path), got, "arr_0, uint8 (N, H, W, 3)")
    return np.moveaxis(stored, -1, 1)


def compare_pictures(
    real: Iterator[np.ndarray], drawn: Iterator[np.ndarray], features: Features
) -> tuple[dict[str, float], tuple[int, int]]:
    """FID, sFID, precision and recall, and how many pictures of each there were."""
    a, b = (features_of(pictures, features) for pictures in (real, drawn))
    precision, recall = precision_recall(a[0], b[0])
    metrics = {"fid": frechet_distance(a[0], b[0]), "precision": precision, "recall": recall}
    if len(a) > 1:
        metrics["sfid"] = frechet_distance(a[1], b[1])
    return metrics, (len(a[0]), len(b[0]))


def held_out_loss(chain: Chain, dataset: Dataset, seed: int) -> Interval:
    """Mean loss of generation on pictures with labels, with its interval over pictures."""
    losses = validation_loss(chain, "generation", dataset, LEVELS, seed, batch=AT_ONCE)
    return bootstrap_mean(losses.mean(1), seed)


def generation_table(scores: GenerationScores) -> Table:
    """What was measured, and in which direction it is better."""
    rows = [
        (name, "higher" if name in ("precision", "recall") else "lower", f"{value:.4f}")
        for name, value in scores.metrics.items()
    ]
    if scores.loss is not None:
        mean, low, high = scores.loss
        rows.append(("loss", "lower", f"{mean:.4f} [{low:.4f}, {high:.4f}]"))
    return Table(columns=("metric", "better", "model"), rows=rows)


def pictures_of(dataset: Dataset | Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The pictures of a set, (3, H, W) uint8, one after the other."""
    for index in range(len(dataset)):
        each = dataset[index]
        yield each if isinstance(each, np.ndarray) else each.image
