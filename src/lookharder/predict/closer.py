"""Levels: pictures are looked at again, each time at twice the size, in windows as large as the network sees.

    closer = Closer(sampler, batch, sizes)          # sizes of the levels, the network's own first
    for images in closer.look(decoded, members, places, by):        # (N, A, F, 3, H, W), larger at each level
        draws = task.from_image(images)

What a window shows, and how the answer takes it in, is the task's (`Task.look_again`). Each member looks by itself, so
members stay draws of one distribution. A window is an item of a batch like any other: its noise is keyed by (seed,
image, level, look, window, member), and nothing depends on its neighbours or on the chunk it falls into.

A window in which the look before changed nothing by more than `rest` is not looked at again at a larger size: it is
taken for one with nothing left to find (`Task.at_rest`).
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lookharder.data.example import Batch
from lookharder.predict.effort import By
from lookharder.predict.inputs import resize
from lookharder.predict.sampling import BatchSampler
from lookharder.seeding import keyed_seed
from lookharder.shapes import FieldDraws, HeightWidth
from lookharder.tasks.closer.windows import Grid


class Closer:
    """Betters the answers that a sampler gives.

    Args:
        sampler: of the first look, at the whole.
        batch: its pictures at their own size.
        sizes: (height, width) of each level.
        rest: how much an answer may change in a window that is then left out, in its units at the last of the sizes;
            None = all windows are looked at.

    Attributes:
        left_out: windows so far, of all members.
    """

    def __init__(
        self,
        sampler: BatchSampler,
        batch: Batch,
        sizes: Sequence[HeightWidth],
        rest: float | None = None,
    ) -> None:
        self.sampler, self.batch, self.sizes = sampler, batch, tuple(sizes)
        self.rest, self.left_out = rest, 0

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
        answer, before = images.flatten(0, 1), None
        for level in range(1, len(self.sizes)):
            if by == "level":
                yield answer.unflatten(0, images.shape[:2])
            for look, size in enumerate(self.sampler.task.looks(self.sizes[: level + 1])):
                wanted = self._moving(before, answer, size)
                before, answer = answer, self._again(answer, rows, size, (level, look), wanted)
        yield answer.unflatten(0, images.shape[:2])

    def _again(
        self,
        answer: Float[Tensor, "R F 3 h w"],
        rows: Sequence[tuple[int, int]],
        size: HeightWidth,
        key: tuple[int, int],
        wanted: Bool[Tensor, "RV"] | None,
    ) -> Float[Tensor, "R F 3 H W"]:
        """One look at the pictures of a size.

        Args:
            answer: (R, F, 3, h, w) so far.
            rows: R, image and member of each answer.
            size: (height, width) at which the pictures are looked at.
            key: level and look.
            wanted: which windows are looked at; None = all.
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
        places = list(range(len(owners))) if wanted is None else wanted.nonzero()[:, 0].tolist()
        self.left_out += len(owners) - len(places)
        seen = []
        for start in range(0, len(places), first.chunk):
            part = places[start : start + first.chunk]
            mine, keys = [owners[i][1] for i in part], [noise[i] for i in part]
            seen.append(first.paint(batch.select(part), keys, mine))
        if len(places) == len(owners):
            return join(torch.cat(seen))
        every = first.task.at_rest(len(owners), self.sizes[0]).to(device)
        if places:
            every[places] = torch.cat(seen)
        return join(every)

    def _moving(
        self,
        before: Float[Tensor, "R F 3 _ _"] | None,
        answer: Float[Tensor, "R F 3 _ _"],
        size: HeightWidth,
    ) -> Bool[Tensor, "RV"] | None:
        """Windows of a size larger than all so far in which the last look changed something; None = all are looked at.

        The answer is as large as the largest picture that was looked at.
        """
        task, largest = self.sampler.task, (answer.shape[-2], answer.shape[-1])
        if self.rest is None or before is None or max(size) <= max(largest):
            return None
        old, new = (task.resize(task.from_image(each[None])[0], *size) for each in (before, answer))
        change = (new - old).norm(dim=1, keepdim=True) * task.uncertainty_scale(
            size, self.sizes[-1]
        )
        windows = Grid(size=size, window=self.sizes[0]).cut(change)
        return windows.flatten(1).amax(1) > self.rest
