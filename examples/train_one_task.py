"""Training from the outside: the loop yields, the caller decides. One task, one toy network, half a minute.

python examples/train_one_task.py
"""

from lookharder.chain import Chain
from lookharder.data.source import DataConfig, open_data
from lookharder.recipes import pixel_chain
from lookharder.seeding import torch_generator
from lookharder.training.loop import TrainConfig, start, train
from lookharder.training.optim import OptimConfig


def main(iterations: int = 200, scenes: int = 64) -> tuple[float, float]:
    """Learn the depth of 32-pixel scenes; returns the loss at the start and at the end."""
    chain = Chain.build(
        pixel_chain(width=64, depth=4, heads=4, resolution=32), torch_generator("example")
    )
    data = {"depth": open_data(DataConfig(spec=f"procedural:{scenes}:1", size=32))}
    config = TrainConfig(
        iterations=iterations, batch_size=16, mix={"depth": 1.0}, optim=OptimConfig(lr=2e-3)
    )
    losses = []
    for step in train(config, start(chain, config), chain, data):
        losses.append(step.loss)
        if step.iteration % 20 == 0:
            print(f"{step.iteration:4d}   loss {step.loss:.4f}")
        if step.loss < 0.01:  # early stop is a `break`: no callback, no flag
            break
    tenth = max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth


if __name__ == "__main__":
    main()
