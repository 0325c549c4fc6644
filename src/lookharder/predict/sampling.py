"""The easel holds a batch while it is painted: encoded once, noised by key, denoised in chunks, decoded.

    easel = Easel(chain, task, batch, Effort(steps=4))
    images = easel.paint([(b, n) for n in range(members) for b in range(pictures)])      # (N B, F, 3, H, W)

An order is (picture, draw). Its noise is keyed by (seed, content of the picture, draw, field) and its numbers never
meet another's, so what it gives depends neither on the orders beside it nor on how they are cut into chunks. For that
to hold to the last bit, a chunk has one time and one label: the network computes what they decide once, on one row.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.chain import Chain
from lookharder.data.example import Batch, to_uint8
from lookharder.diffusion.denoiser import Denoised
from lookharder.diffusion.sampler import NoiseSource, draw_noise, trajectory
from lookharder.diffusion.steps import StepState, find_step
from lookharder.predict.acceleration import caching
from lookharder.predict.effort import Effort
from lookharder.shapes import Fields, Latents
from lookharder.tasks.base import Task

Order = tuple[int, int]  # picture, draw
Job = tuple[int, int, int]  # picture, draw, field


class Easel:
    """A batch on its way to an answer.

    Args:
        chain: the system.
        task: one of its tasks.
        batch: pictures (B, 3, H, W) on the chain's device, sides multiples of `chain.multiple`.
        effort: how each draw is made; its `members` plays no part.
        seed: key of the noise.
        chunk: network inputs at a time; changes memory, not what is painted.

    Attributes:
        macs: multiply-adds so far, of the network and the autoencoder.
    """

    @torch.inference_mode()
    def __init__(
        self,
        chain: Chain,
        task: Task,
        batch: Batch,
        effort: Effort,
        *,
        seed: int = 0,
        chunk: int = 64,
    ) -> None:
        self.chain, self.effort, self.seed, self.chunk = chain, effort, seed, chunk
        self.condition = chain.condition(task, batch)  # (B, S c, h, w)
        self.labels = chain.labels(task, batch)  # (B, F)
        self.pictures = [_digest(image) for image in batch.image]
        self.timesteps = effort.timesteps(chain.config.schedule)
        height, width = self.condition.shape[-2:]
        self.shape = (chain.autoencoder.channels, height, width)
        encode, self.decode_macs = chain.autoencoder.macs(*batch.image.shape[-2:])
        self.macs = len(self.pictures) * task.sources * encode

    def noise(self, orders: Sequence[Order]) -> Float[Tensor, "n F c h w"]:
        """The pure noise that each order starts from."""
        fields = self.labels.shape[1]
        jobs = [(b, n, f) for b, n in orders for f in range(fields)]
        return self._noise(jobs)(0).unflatten(0, (-1, fields)).to(self.condition.device)

    @torch.inference_mode()
    def paint(
        self, orders: Sequence[Order], start: Float[Tensor, "n F c h w"] | None = None
    ) -> Fields:
        """One image for each field of each order, (n, F, 3, H, W), from its own noise or from what is given."""
        latents = self.condition.new_empty(len(orders) * self.labels.shape[1], *self.shape)
        for places, jobs in self._chunks(orders):
            given = None if start is None else start.flatten(0, 1)[places]
            for state in self._trajectory(jobs, given):
                answer = state.denoised.x0
            latents[places] = answer
        self.macs += len(latents) * self.effort.macs(self.chain.config.model, *self.shape[1:])
        return self._decode(latents)

    def watch(self, orders: Sequence[Order]) -> Iterator[Fields]:
        """What is expected of each image after each denoising step; the last is what `paint` gives."""
        walks = [(places, self._trajectory(jobs)) for places, jobs in self._chunks(orders)]
        spent = 0
        for step in range(1, self.effort.steps + 1):
            latents = self._advance(walks, len(orders) * self.labels.shape[1])
            now = self.effort.macs(self.chain.config.model, *self.shape[1:], steps=step)
            self.macs += len(latents) * (now - spent)
            spent = now
            yield self._decode(latents)

    @torch.inference_mode()
    def _advance(self, walks: list[tuple[list[int], Iterator[StepState]]], jobs: int) -> Latents:
        """What is expected of each job after one step more; a generator does not keep the mode to itself."""
        latents = self.condition.new_empty(jobs, *self.shape)
        for places, walk in walks:
            latents[places] = next(walk).denoised.x0
        return latents

    def _chunks(self, orders: Sequence[Order]) -> Iterator[tuple[list[int], list[Job]]]:
        """Jobs of one label, `chunk` at the most, and their places among all jobs in order."""
        fields = range(self.labels.shape[1])
        jobs = [(b, n, f) for b, n in orders for f in fields]
        labels = self.labels.tolist()
        by_label = sorted(range(len(jobs)), key=lambda i: labels[jobs[i][0]][jobs[i][2]])
        for _, group in groupby(by_label, key=lambda i: labels[jobs[i][0]][jobs[i][2]]):
            places = list(group)
            for first in range(0, len(places), self.chunk):
                part = places[first : first + self.chunk]
                yield part, [jobs[i] for i in part]

    def _trajectory(self, jobs: Sequence[Job], start: Latents | None = None) -> Iterator[StepState]:
        """Denoise jobs of one label."""
        picture, _, field = jobs[0]
        condition, label = self.condition[[b for b, _, _ in jobs]], self.labels[picture, field]
        noise, every = self._noise(jobs), self.effort.cache
        denoiser = self.chain.denoiser if every == 1 else caching(self.chain, every)

        def denoise(x_t: Latents, t: Tensor) -> Denoised:
            return denoiser(x_t, t[:1], condition, label[None])

        x_T = noise(0).to(condition.device) if start is None else start
        return trajectory(
            denoise,
            x_T,
            self.timesteps,
            self.chain.config.schedule,
            find_step(self.effort.sampler),
            noise,
        )

    def _noise(self, jobs: Sequence[Job]) -> NoiseSource:
        """Each job's stream; of an antithetic pair, the second is the first with its sign turned."""
        pair = 2 if self.effort.antithetic else 1
        noise = draw_noise(
            [(self.seed, self.pictures[b], n // pair, f) for b, n, f in jobs], self.shape
        )
        sign = torch.tensor([-1.0 if n % pair else 1.0 for _, n, _ in jobs])[:, None, None, None]
        return lambda index: sign * noise(index)

    @torch.inference_mode()
    def _decode(self, latents: Latents) -> Fields:
        self.macs += len(latents) * self.decode_macs
        parts = [self.chain.autoencoder.decode(part) for part in latents.split(self.chunk)]
        return torch.cat(parts).unflatten(0, (-1, self.labels.shape[1]))


def _digest(image: Float[Tensor, "3 H W"]) -> int:
    """Identity of a picture, so that its noise does not depend on where in a batch it stands."""
    return int.from_bytes(
        hashlib.blake2b(to_uint8(image).cpu().numpy().tobytes(), digest_size=8).digest(), "little"
    )
