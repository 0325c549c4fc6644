"""Members of a batch: noised by key, denoised in chunks, decoded.

    sampler = BatchSampler(chain, task, batch, chain.condition(task, batch), Effort(steps=4))
    for latents in sampler.sample(range(members), range(images)):      # (N, B, F, c, h, w)
        decoded = sampler.decode(latents, range(members))              # (N, B, F, 3, H, W)

The noise of a member is keyed by (seed, content of the image, member, field) and its numbers never meet another's, so
what it gives depends neither on the members beside it nor on how they are cut into chunks. For that to hold to the last
bit, a chunk has one time and one label: the network computes what they decide once, on one row. Convolutions are beyond
that: oneDNN orders their sums by the size of the batch, which moves depth by less than 1e-6.

By `Effort.mirror` every second member sees the mirror image, and what it paints is turned back when it is decoded.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from numbers import Integral

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.chain import Chain
from lookharder.data.example import Batch, to_uint8
from lookharder.diffusion.denoiser import Denoised
from lookharder.diffusion.sampler import NoiseSource, draw_noise, trajectory
from lookharder.diffusion.steps import StepState, find_step
from lookharder.predict.acceleration import cached_denoiser
from lookharder.predict.effort import By, Effort
from lookharder.predict.inputs import require
from lookharder.predict.options import Generators
from lookharder.shapes import FieldDraws, Latents
from lookharder.tasks.base import Task
from lookharder.tensors import is_finite

FieldId = tuple[int, int, int]  # image, member, field
NoiseKey = tuple[int, int]  # seed, and identity of the image


class BatchSampler:
    """Samples members of a batch of images.

    Args:
        chain: the system.
        task: one of its tasks.
        batch: images (B, 3, H, W) on the chain's device, sides multiples of `chain.multiple`.
        condition: (B, S c, h, w) of the batch, see `Chain.condition`; all members share it.
        effort: how each member is made; how many is said when they are sampled.
        noise: (B,) keys of the images' noise, see `noise_keys`; None = those of seed 0.
        chunk: network inputs at a time; changes memory, not what is sampled.
        codec_chunk: images at a time through the autoencoder, likewise; None = all.
        guidance: how much of the label is asked for, see `DiT.forward_with_cfg`; 1 = as much as was learnt.
        guided: leading channels of the latent that are guided.
    """

    def __init__(
        self,
        chain: Chain,
        task: Task,
        batch: Batch,
        condition: Float[Tensor, "B k h w"],
        effort: Effort,
        *,
        noise: Sequence[NoiseKey] | None = None,
        chunk: int = 64,
        codec_chunk: int | None = None,
        guidance: float = 1.0,
        guided: int = 3,
    ) -> None:
        self.chain, self.task, self.batch = chain, task, batch
        self.effort, self.chunk, self.codec_chunk = effort, chunk, codec_chunk
        self.noise = noise_keys(batch.image, seed=0) if noise is None else noise
        self.guidance, self.guided = guidance, guided
        self.condition, self.labels = condition, chain.labels(task, batch)  # (B, F)
        self.mirrored = condition  # what the other half of the members sees
        if effort.mirror:
            self.mirrored = chain.condition(task, batch.mirror(), codec_chunk)
        self.timesteps = effort.timesteps(chain.config.schedule, chain.config.sampling)
        self.shape = (chain.autoencoder.channels, *condition.shape[-2:])

    def paint(
        self, batch: Batch, noise: Sequence[NoiseKey], members: Sequence[int]
    ) -> Float[Tensor, "B F 3 H W"]:
        """What one member paints of each of other images of the same size, (B, F, 3, H, W), with noise of their own."""
        shown = batch.mirror(self._turned(members)) if self.effort.mirror else batch
        sampler = BatchSampler(
            self.chain,
            self.task,
            shown,
            self.chain.condition(self.task, shown, self.codec_chunk),
            replace(self.effort, mirror=False),  # each image is seen by its member alone
            noise=noise,
            chunk=self.chunk,
            codec_chunk=self.codec_chunk,
        )
        fields = range(sampler.labels.shape[1])
        ids = [(b, n, f) for b, n in enumerate(members) for f in fields]
        latents = sampler._clean(ids).view(1, len(members), len(fields), *self.shape)
        images = self._turn_back(sampler._decode(latents), self._turned(members)[None])
        return self.task.keep_given(images, batch)[0]

    def sample(
        self, members: Sequence[int], images: Sequence[int], by: By = "member"
    ) -> Iterator[Float[Tensor, "N A F c h w"]]:
        """Clean latents of members of images, once; or by "step" those expected after each denoising step.

        The last of the steps is what is given by "member".
        """
        fields = range(self.labels.shape[1])
        ids = [(b, n, f) for n in members for b in images for f in fields]
        shape = (len(members), len(images), len(fields), *self.shape)
        if by != "step":
            yield self._clean(ids).view(shape)
            return
        # all chunks take a step before any takes the next, so all of their trajectories are alive
        walks = [(places, self._trajectory(chunk)) for places, chunk in self._chunks(ids)]
        for _ in self.timesteps:
            latents = self.condition.new_empty(len(ids), *self.shape)
            for places, walk in walks:
                latents[places] = self._answer(next(walk))
            yield latents.view(shape)

    def decode(self, latents: Float[Tensor, "N A F c h w"], members: Sequence[int]) -> FieldDraws:
        """Latents of these N members as images (N, A, F, 3, H, W), the right way round.

        Raises:
            FloatingPointError: they are not finite; an answer made of them would look like one.
        """
        return self._turn_back(self._decode(latents), self._turned(members)[:, None])

    def _decode(self, latents: Float[Tensor, "N A F c h w"]) -> FieldDraws:
        inputs = latents.flatten(0, 2)
        parts = inputs.split(self.codec_chunk or len(inputs))
        decoded = [self.chain.autoencoder.decode(part) for part in parts]
        images = torch.cat(decoded) if len(decoded) > 1 else decoded[0]
        if not is_finite(images):
            raise FloatingPointError(
                "the network's answer is not finite; try fp32, or other weights"
            )
        return images.reshape(*latents.shape[:3], *images.shape[1:])

    def _turned(self, members: Sequence[int]) -> Bool[Tensor, "N"]:
        """Which members see mirror images."""
        turned = [n % 2 == 1 and self.effort.mirror for n in members]
        return torch.tensor(turned, device=self.condition.device)

    def _turn_back(self, images: FieldDraws, turned: Bool[Tensor, "#N #A"]) -> FieldDraws:
        if not self.effort.mirror:
            return images
        return torch.where(turned[..., None, None, None, None], self.task.mirror(images), images)

    def _clean(self, ids: Sequence[FieldId]) -> Latents:
        """The ends of their trajectories, one chunk after the other."""
        latents = self.condition.new_empty(len(ids), *self.shape)
        for places, chunk in self._chunks(ids):
            for state in self._trajectory(chunk):
                last = state  # and no other is kept
            latents[places] = self._answer(last)
        return latents

    def _answer(self, state: StepState) -> Latents:
        return self.chain.config.sampling.answer(state.denoised, self.chain.config.schedule)

    def _chunks(self, ids: Sequence[FieldId]) -> Iterator[tuple[list[int], list[FieldId]]]:
        """Fields of one label, `chunk` at the most, and their places among all."""
        table = self.labels.tolist()
        labels = [table[b][f] for b, _, f in ids]
        by_label = sorted(range(len(ids)), key=labels.__getitem__)
        for _, group in groupby(by_label, key=labels.__getitem__):
            places = list(group)
            for first in range(0, len(places), self.chunk):
                part = places[first : first + self.chunk]
                yield part, [ids[i] for i in part]

    def _trajectory(self, ids: Sequence[FieldId]) -> Iterator[StepState]:
        """Denoise fields of one label."""
        image, _, field = ids[0]
        places, label = [b for b, _, _ in ids], self.labels[image, field]
        condition = self.condition[places]
        if self.effort.mirror:
            turned = self._turned([n for _, n, _ in ids])[:, None, None, None]
            condition = torch.where(turned, self.mirrored[places], condition)
        denoiser = cached_denoiser(self.chain, self.effort.cache)
        if self.guidance != 1:
            network = self.chain.network.guided(self.guidance, self.guided)
            denoiser = replace(denoiser, network=network)
        noise, schedule = self._noise(ids), self.chain.config.schedule

        def denoise(x_t: Latents, t: Tensor) -> Denoised:
            return denoiser(x_t, t[:1], condition, label[None])  # one row of time and label for all

        x_T = noise(0).to(condition.device)
        step = find_step(self.effort.sampler)
        return trajectory(denoise, x_T, self.timesteps, schedule, step, noise)

    def _noise(self, ids: Sequence[FieldId]) -> NoiseSource:
        """A stream for each field; of an antithetic pair, the second is the first with its sign turned."""
        pair = 2 if self.effort.antithetic else 1
        keys = [(*self.noise[b], n // pair, f) for b, n, f in ids]
        noise = draw_noise(keys, self.shape)
        if pair == 1:
            return noise
        sign = torch.tensor([-1.0 if n % pair else 1.0 for _, n, _ in ids])[:, None, None, None]
        return lambda index: sign * noise(index)


def noise_keys(
    images: Float[Tensor, "B 3 H W"], seed: int | Sequence[int], shared: int | None = None
) -> list[NoiseKey]:
    """Keys of the noise of images: a seed, or one for each, and each image's own key or one that all share.

    Raises:
        InputError: not as many seeds as images.
    """
    seeds = [seed] * len(images) if isinstance(seed, int) else seed
    require(len(seeds) == len(images), "generator", f"{len(seeds)} of them", f"{len(images)}")
    keys = [image_key(image) if shared is None else shared for image in images]
    return list(zip(seeds, keys, strict=True))


def seeds_of(generator: Generators | None, seed: int) -> int | tuple[int, ...]:
    """A seed drawn from each generator; without one, the seed itself.

    Raises:
        InputError: a seed that is no whole number.
    """
    if generator is None:
        require(isinstance(seed, Integral), "seed", repr(seed), "a whole number")
        return int(seed)
    if isinstance(generator, torch.Generator):
        return int(torch.randint(2**62, (), generator=generator))
    return tuple(int(torch.randint(2**62, (), generator=each)) for each in generator)


def image_key(image: Float[Tensor, "3 H W"]) -> int:
    """Identity of an image's content, so that its noise does not depend on where in a batch it stands."""
    content = to_uint8(image).cpu().numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
