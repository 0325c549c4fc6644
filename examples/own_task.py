"""A task of your own: one class and a row in TASKS; here the edges of objects, learnt in a few seconds.

python examples/own_task.py      (scores and pictures are two rows more: tests/test_own_task.py)
"""

from dataclasses import dataclass

import torch

from lookharder.chain import Chain
from lookharder.data.example import Batch
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import DataConfig, open_data
from lookharder.predict.predictor import Predictor
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator
from lookharder.tasks.base import TargetImage, Task, grey_to_rgb, resize_map
from lookharder.tasks.registry import TASKS
from lookharder.training.loop import TrainConfig, start, train


@dataclass(frozen=True, kw_only=True)
class Edges(Task):
    """How fast log depth changes, 0 to 1, (B, H, W)."""

    name: str = "edges"

    def condition(self, batch: Batch) -> torch.Tensor:
        return torch.stack([batch.image, torch.ones_like(batch.image)], dim=1)

    def to_image(self, batch: Batch) -> TargetImage:
        edges = torch.hypot(*torch.gradient(batch.need("depth").log(), dim=(1, 2))).clamp(max=1)
        return TargetImage(images=grey_to_rgb(2 * edges - 1)[:, None], known=batch.depth_valid)

    def from_image(self, images: torch.Tensor) -> torch.Tensor:
        return (images[:, :, 0].mean(2) / 2 + 0.5).clamp(0, 1)

    def merge(self, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return draws.mean(0), draws.std(0, correction=0)

    def resize(self, prediction: torch.Tensor, height: int, width: int) -> torch.Tensor:
        return resize_map(prediction[:, None], height, width)[:, 0]


def main(iterations: int = 100) -> list[float]:
    """Learn it from 16 scenes and predict a new one; returns the losses."""
    TASKS["edges"] = Edges
    config = pixel_chain(width=64, depth=2, heads=4, resolution=32, tasks=(Edges(),))
    chain = Chain.build(config, torch_generator("example"))
    data = {"edges": open_data(DataConfig(spec="procedural:16:1", size=32))}
    plan = TrainConfig(iterations=iterations, batch_size=16, mix={"edges": 1.0})
    losses = [step.loss for step in train(plan, start(chain, plan), chain, data)]
    found = Predictor(chain).predict_examples([ProceduralWorld(32, 9)[0]], "edges").prediction
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}; edges {found.shape}, mean {found.mean():.3f}")
    return losses


if __name__ == "__main__":
    main()
