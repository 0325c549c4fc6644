"""From pictures to predictions. `Predictor.draw` is the system on one screen; the rest is sizes and types.

    from lookharder import Predictor
    predictor = Predictor.from_pretrained("tiny")
    depth = predictor(image, task="depth", ensemble_size=4).prediction      # (1, H, W, 1) in [0, 1], larger = farther

Every draw has a noise of its own, keyed by (seed, picture, draw, field), so what a picture gets depends neither on its
neighbours in a batch nor on how the work is chunked. The condition is encoded once and shared by all draws.
"""

import hashlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.chain import Chain, find
from lookharder.data.example import Batch, to_uint8
from lookharder.diffusion.sampler import ddim_step, draw_noise, sample
from lookharder.diffusion.schedule import Spacing, spaced_timesteps
from lookharder.errors import InputError
from lookharder.inputs import Picture, batch_of, check, resized
from lookharder.models.flops import count
from lookharder.shapes import Fields
from lookharder.tasks.base import SOURCES, resize_map
from lookharder.tasks.registry import AnyTask


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What the chain gives for a batch, as tensors at the size it worked at.

    Attributes:
        prediction: (B, ...) depth in [0, 1], flow in pixels of this size, or mask.
        uncertainty: (B, H, W), zero for one draw.
        images: (B, F, 3, H, W), the first draw as the network painted it.
        macs: multiply-adds of the network and the autoencoder for the whole batch.
    """

    prediction: Tensor
    uncertainty: Float[Tensor, "B H W"]
    images: Fields
    macs: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a call returns: arrays for output_type "np", tensors for "pt".

    Attributes:
        prediction: np (B, H, W, 1) depth in [0, 1] (larger = farther), (B, H, W, 2) flow in pixels, or (B, H, W, 1)
            bool mask; pt the same with channels second.
        uncertainty: np (B, H, W, 1), in the prediction's units, or None.
        painting: (B, H, W, 3) uint8, the first draw as the network painted it (for amodal: the whole object).
        task: name of the task.
        steps: denoising steps taken.
        members: draws merged.
        resolution: (height, width) at which the network worked.
        seconds: wall time of the call.
        macs: multiply-adds of the call.
    """

    prediction: Any
    uncertainty: Any
    painting: np.ndarray
    task: str
    steps: int
    members: int
    resolution: tuple[int, int]
    seconds: float
    macs: int


class Predictor:
    """A trained system, on a device."""

    def __init__(
        self, chain: Chain, device: str | torch.device = "cpu", name: str = "unnamed"
    ) -> None:
        self.device = torch.device(device)
        self.chain = chain.to(self.device)
        self.chain.network.eval()
        self.name = name

    @classmethod
    def from_pretrained(
        cls, path_or_name: str | Path, device: str | torch.device = "cpu"
    ) -> "Predictor":
        """Load a model folder, or a model shipped with the package by its name.

        Raises:
            InputError: where there is neither, or the folder is not whole.
        """
        return cls(Chain.load(find(path_or_name)), device, name=str(path_or_name))

    def save_pretrained(self, folder: str | Path, card: str | None = None) -> None:
        """Write a model folder."""
        self.chain.save(Path(folder), card or f"# {self.name}\n")

    @torch.inference_mode()
    def draw(
        self,
        task_name: str,
        batch: Batch,
        *,
        steps: int,
        members: int,
        seed: int = 0,
        spacing: Spacing = "trailing",
        eta: float = 0.0,
        chunk: int = 64,
    ) -> Answer:
        """The chain: pictures -> condition -> latents -> images -> draws -> one answer.

        Args:
            task_name: a task of the model.
            batch: pictures (B, 3, H, W), sides multiples of `chain.multiple`.
            steps: denoising steps, T.
            members: draws, N.
            seed: key of the noise.
            spacing: how the T steps are spread; "trailing" starts from pure noise.
            eta: 0 = DDIM, 1 = DDPM.
            chunk: network inputs at a time; changes memory, not the answer.
        """
        chain, task = self.chain, self.chain.task(task_name)
        schedule = chain.config.schedule
        timesteps = spaced_timesteps(schedule.steps, steps, spacing)
        step = partial(ddim_step, eta=eta)
        batch = batch.to(self.device)
        condition = chain.condition(task, batch)  # (B, S c, h, w)
        labels = chain.labels(task, batch)  # (B, F)
        pictures = [_digest(image) for image in batch.image]
        shape = (chain.autoencoder.channels, *condition.shape[-2:])

        latents = []
        every = list(itertools.product(range(members), range(len(pictures)), range(task.fields)))
        for first in range(0, len(every), chunk):
            part = every[first : first + chunk]
            b, f = [b for _, b, _ in part], [f for _, _, f in part]
            noise = draw_noise([(seed, pictures[b], n, f) for n, b, f in part], shape)
            denoise = partial(chain.denoiser, condition=condition[b], labels=labels[b, f])
            x_T = noise(0).to(self.device)
            latents.append(sample(denoise, x_T, timesteps, schedule, step, noise))
        images = torch.cat([chain.autoencoder.decode(part) for part in latents])
        images = images.view(members, *labels.shape, *images.shape[1:])  # (N, B, F, 3, H, W)

        draws = task.from_image(images)  # (N, B, ...)
        prediction, uncertainty = task.merge(draws)  # (B, ...), (B, H, W)
        encode, decode = chain.autoencoder.macs(*batch.image.shape[-2:])
        sources = 0 if task.name == "generation" else SOURCES  # its condition is padding
        forward = count(chain.config.model, *shape[1:]).macs
        macs = len(pictures) * sources * encode + len(every) * (steps * forward + decode)
        return Answer(prediction=prediction, uncertainty=uncertainty, images=images[0], macs=macs)

    def __call__(
        self,
        image: Picture | Sequence[Picture],
        task: str = "depth",
        *,
        second: Picture | Sequence[Picture] | None = None,
        mask: Picture | Sequence[Picture] | None = None,
        num_inference_steps: int | None = None,
        ensemble_size: int | None = None,
        processing_resolution: int | None = None,
        match_input_resolution: bool = True,
        batch_size: int = 64,
        generator: torch.Generator | None = None,
        seed: int = 0,
        output_type: Literal["np", "pt"] = "np",
        output_uncertainty: bool = False,
    ) -> Prediction:
        """Predict for one picture or several of one size; arguments follow diffusers' Marigold pipelines.

        Args:
            image: PIL image, (3, H, W) or (H, W, 3) uint8 array or tensor, or a list of them.
            task: "depth", "flow" or "amodal".
            second: the next frame, for flow.
            mask: visible mask of the object that is meant, (H, W) bool, for amodal.
            num_inference_steps: denoising steps; None = the model's default.
            ensemble_size: draws; None = the model's default.
            processing_resolution: longest edge at which the network works; None = the model's, 0 = the picture's own.
            match_input_resolution: give the prediction at the picture's size.
            batch_size: network inputs at a time.
            generator: source of the seed, drawn anew at each call; overrides `seed`.
            seed: key of the noise.
            output_type: "np" (channels last) or "pt" (channels second).
            output_uncertainty: also give the uncertainty; needs `ensemble_size` of 2 or more.

        Raises:
            InputError: naming the argument that cannot be used.
        """
        began = time.perf_counter()
        config = self.chain.config
        steps = config.steps if num_inference_steps is None else num_inference_steps
        members = config.members if ensemble_size is None else ensemble_size
        check(members >= 1, "ensemble_size", members, "1 or more")
        check(batch_size >= 1, "batch_size", batch_size, "1 or more")
        check(output_type in ("np", "pt"), "output_type", repr(output_type), "'np' or 'pt'")
        check(
            not output_uncertainty or members > 1,
            "output_uncertainty",
            True,
            "ensemble_size of 2 or more",
        )
        if generator is not None:
            seed = int(torch.randint(2**62, (), generator=generator))
        self.chain.task(task)
        batch = batch_of(task, image, second, mask)
        height, width = batch.image.shape[-2:]
        size = self.working_size(height, width, processing_resolution)
        answer = self.draw(
            task, resized(batch, *size), steps=steps, members=members, seed=seed, chunk=batch_size
        )

        if match_input_resolution and size != (height, width):
            answer = _resized(answer, self.chain.task(task), height, width)
        prediction = answer.prediction
        channels = prediction if prediction.ndim == 4 else prediction[:, None]  # (B, C, H, W)
        return Prediction(
            prediction=_typed(channels, output_type),
            uncertainty=_typed(answer.uncertainty[:, None], output_type)
            if output_uncertainty
            else None,
            painting=to_uint8(answer.images[:, 0]).permute(0, 2, 3, 1).cpu().numpy(),
            task=task,
            steps=steps,
            members=members,
            resolution=size,
            seconds=time.perf_counter() - began,
            macs=answer.macs,
        )

    def working_size(
        self, height: int, width: int, resolution: int | None = None
    ) -> tuple[int, int]:
        """Size at which the network works: longest edge `resolution`, sides multiples of what the chain needs."""
        resolution = self.chain.config.resolution if resolution is None else resolution
        multiple = self.chain.multiple
        if resolution != 0 and resolution < multiple:
            raise InputError(
                "processing_resolution", resolution, f"0 (native) or {multiple} or more"
            )
        scale = resolution / max(height, width) if resolution else 1.0
        rows, columns = (max(1, round(side * scale / multiple)) for side in (height, width))
        return rows * multiple, columns * multiple


def _resized(answer: Answer, task: AnyTask, height: int, width: int) -> Answer:
    """An answer at another size, in the units of that size."""
    rows, columns = answer.images.shape[-2:]
    # flow's uncertainty is a length: it grows with the frame, as u does along a square
    scale = max(height / rows, width / columns) if task.name == "flow" else 1.0
    images = resize_map(answer.images.flatten(0, 1), height, width)
    return replace(
        answer,
        prediction=task.resize(answer.prediction, height, width),
        uncertainty=resize_map(answer.uncertainty[:, None], height, width)[:, 0] * scale,
        images=images.unflatten(0, answer.images.shape[:2]),
    )


def _digest(image: Float[Tensor, "3 H W"]) -> int:
    """Identity of a picture, so that its noise does not depend on where in a batch it stands."""
    return int.from_bytes(
        hashlib.blake2b(to_uint8(image).cpu().numpy().tobytes(), digest_size=8).digest(), "little"
    )


def _typed(values: Tensor, output_type: str) -> Any:
    return values.permute(0, 2, 3, 1).cpu().numpy() if output_type == "np" else values.cpu()
