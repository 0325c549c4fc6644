"""What predicting one image costs in multiply-adds, in closed form, by size and effort.

    MACs of an image = V S encode + members (looks F (network + decode) + (looks - 1) S encode)

with S source images and F fields of the task, V = 2 where members see mirror images too, else 1, and looks = 1 +
windows of all further levels. What a task does between looks runs outside the network: its multiply-adds are not
counted, only the pixels it is done to, for the time it takes.

Nothing is counted while the network runs: the cost is known before, and multiplied by what was done.
"""

from dataclasses import dataclass
from itertools import accumulate

from lookharder.chain import Chain
from lookharder.models.flops import count
from lookharder.predict.effort import By, Effort, level_sizes


@dataclass(frozen=True, kw_only=True)
class ImageCost:
    """Multiply-adds of the parts of a prediction of one image.

    Attributes:
        encode: of all its source images, once.
        forward: of one full evaluation of the network, for one field.
        network: of all evaluations of one member, up to and with each denoising step, for one field.
        decode: of one field.
        fields: F.
        looks: windows that one member is shown, up to and with each level; the first is the whole.
        joined: pixels of the pictures at all looks after the first.
        views: V, how often the source images are encoded at the first look.
    """

    encode: int
    forward: int
    network: tuple[int, ...]
    decode: int
    fields: int
    looks: tuple[int, ...] = (1,)
    joined: int = 0
    views: int = 1

    @property
    def condition(self) -> int:
        """Cost of what all members share."""
        return self.views * self.encode

    @property
    def look(self) -> int:
        """Cost of one window of a further level."""
        return self.fields * (self.network[-1] + self.decode) + self.encode

    @property
    def member(self) -> int:
        """Cost of one member, decoded at its end."""
        return self.member_at(len(self.looks))

    def member_at(self, level: int) -> int:
        """Cost of the first `level` levels of one member."""
        looks = self.looks[level - 1]
        return looks * self.fields * (self.network[-1] + self.decode) + (looks - 1) * self.encode

    def so_far(self, updates: int, by: By) -> int:
        """Cost of one member updated so often, by "step" or by "level"; by "member" of all of it."""
        if by == "step":
            return self.member_until(updates)
        return self.member if by == "member" else self.member_at(updates)

    def member_until(self, step: int) -> int:
        """Cost of the first `step` denoising steps of one member, decoded after each of them."""
        return self.fields * (self.network[step - 1] + step * self.decode)


def image_cost(
    chain: Chain,
    task_name: str,
    effort: Effort,
    size: tuple[int, int],
    native: tuple[int, int] | None = None,
) -> ImageCost:
    """The cost of one image.

    Args:
        chain: the system.
        task_name: one of its tasks.
        effort: how it is looked at.
        size: (height, width) at which the network works, multiples of `chain.multiple`.
        native: (height, width) of the image, beyond which no level goes; None = large enough for all of them.
    """
    task, model = chain.task(task_name), chain.config.model
    height, width = (side // chain.autoencoder.factor for side in size)
    encode, decode = chain.autoencoder.macs(*size)
    steps, levels = range(1, effort.steps + 1), range(1, effort.levels + 1)
    largest = (size[0] << effort.levels, size[1] << effort.levels)
    sizes = level_sizes(size, native or largest, effort.levels)
    again = [task.looks(sizes[:n]) for n in levels[1:]]
    windows = (sum(task.windows(s, size) for s in looks) for looks in again)
    return ImageCost(
        encode=task.sources * encode,
        forward=count(model, height, width).macs,
        network=tuple(effort.macs(model, height, width, step) for step in steps),
        decode=decode,
        fields=task.fields,
        looks=tuple(accumulate(windows, initial=1)),
        joined=sum(rows * columns for looks in again for rows, columns in looks),
        views=2 if effort.mirror else 1,
    )
