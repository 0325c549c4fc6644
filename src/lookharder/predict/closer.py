"""Levels: pictures are looked at again, each time at twice the size, in windows as large as the network sees.

    closer = Closer(sampler, batch, sizes)          # sizes of the levels, the network's own first
    for images in closer.look(decoded, members, places, by):        # (N, A, F, 3, H, W), larger at each level
        draws = task.from_image(images)

What a window shows, and how the answer takes it in, is the task's (`Task.look_again`). Each member looks by itself, so
members stay draws of one distribution. A window is an item of a batch like any other: its noise is keyed by (seed,
image, level, look, window, member), and nothing depends on its neighbours or on the chunk it falls into.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lookharder.data.example import Batch
from lookharder.predict.effort import By
from lookharder.predict.inputs import resize
from lookharder.predict.sampling import BatchSampler
from lookharder.seeding import keyed_seed
from lookharder.shapes import FieldDraws, HeightWidth


class Closer:
    """Betters the answers that a sampler gives.

    Args:
        sampler: of the first look, at the whole.
        batch: its pictures at their own size.
        sizes: (height, width) of each level.
    """

    def __init__(self, sampler: BatchSampler, batch: Batch, sizes: Sequence[HeightWidth]) -> None:
        self.sampler, self.batch, self.sizes = sampler, batch, tuple(sizes)

    def look(
        self, images: FieldDraws, members: Sequence[int], places: Sequence[int], by: By = "member"
    ) -> Iterator[FieldDraws]:
        """Answers after the last level, or by "level" after each.

        Args:
            images: (N, A, F, 3, h, w), decoded.
            members: N, which they are.
            places: A, of which images of the batch.
            by: when to yield.
        """
        rows = [(place, member) for member in members for place in places]
        answer = images.flatten(0, 1)
        for level in range(1, len(self.sizes)):
            if by == "level":
                yield answer.unflatten(0, images.shape[:2])
            for look, size in enumerate(self.sampler.task.looks(self.sizes[: level + 1])):
                answer = self._again(answer, rows, size, (level, look))
        yield answer.unflatten(0, images.shape[:2])

    def _again(
        self,
        answer: Float[Tensor, "R F 3 h w"],
        rows: Sequence[tuple[int, int]],
        size: HeightWidth,
        key: tuple[int, int],
    ) -> Float[Tensor, "R F 3 H W"]:
        """One look at the pictures of a size.

        Args:
            answer: (R, F, 3, h, w) so far.
            rows: R, image and member of each answer.
            size: (height, width) at which the pictures are looked at.
            key: level and look.
        """
        first, device = self.sampler, self.sampler.condition.device
        pictures = self.batch.select([place for place, _ in rows])
        pictures = resize(pictures, *size).to(device)
        batch, join = first.task.look_again(pictures, answer, self.sizes[0])
        many = len(batch.name) // len(rows)
        owners = [(*row, window) for row in rows for window in range(many)]
        noise = [
            (first.noise[b][0], keyed_seed(first.noise[b][1], "level", *key, window))
            for b, _, window in owners
        ]
        seen = []
        for start in range(0, len(owners), first.chunk):
            part = range(start, min(start + first.chunk, len(owners)))
            sampler = first.on(batch.select(part), [noise[i] for i in part])
            latents = sampler.clean([owners[i][1] for i in part])
            shown = first.task.keep_given(sampler.decode(latents), sampler.batch)
            seen.append(shown[0])
        return join(torch.cat(seen))
