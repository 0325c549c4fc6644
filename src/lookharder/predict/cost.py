"""What predicting one image costs in multiply-adds, in closed form, by size and effort.

    MACs of an image = S encode + members F (network + decode)       S source images, F fields of the task

Nothing is counted while the network runs: the cost is known before, and multiplied by what was done.
"""

from dataclasses import dataclass

from lookharder.chain import Chain
from lookharder.models.flops import count
from lookharder.predict.effort import Effort


@dataclass(frozen=True, kw_only=True)
class ImageCost:
    """Multiply-adds of the parts of a prediction of one image.

    Attributes:
        encode: of all its source images.
        forward: of one full evaluation of the network, for one field.
        network: of all evaluations of one member, up to and with each denoising step, for one field.
        decode: of one field.
        fields: F.
    """

    encode: int
    forward: int
    network: tuple[int, ...]
    decode: int
    fields: int

    @property
    def member(self) -> int:
        """Cost of one member, decoded at its end."""
        return self.fields * (self.network[-1] + self.decode)

    def member_until(self, step: int) -> int:
        """Cost of the first `step` denoising steps of one member, decoded after each of them."""
        return self.fields * (self.network[step - 1] + step * self.decode)


def image_cost(chain: Chain, task_name: str, effort: Effort, size: tuple[int, int]) -> ImageCost:
    """The cost of one image of (height, width) pixels, sides multiples of `chain.multiple`."""
    task, model = chain.task(task_name), chain.config.model
    height, width = (side // chain.autoencoder.factor for side in size)
    encode, decode = chain.autoencoder.macs(*size)
    steps = range(1, effort.steps + 1)
    return ImageCost(
        encode=task.sources * encode,
        forward=count(model, height, width).macs,
        network=tuple(effort.macs(model, height, width, step) for step in steps),
        decode=decode,
        fields=task.fields,
    )
