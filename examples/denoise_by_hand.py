"""The chain without the Predictor: the sampler's loop in the open, one better answer after each step.

python examples/denoise_by_hand.py
"""

from functools import partial

import torch

from lookharder import Predictor
from lookharder.data.example import collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import HELD_OUT_SEED
from lookharder.diffusion.sampler import draw_noise, trajectory
from lookharder.diffusion.schedule import spaced_timesteps


@torch.inference_mode()
def main(model: str = "tiny", steps: int = 4) -> list[float]:
    """Denoise the depth of one held-out scene; returns the error of the x0 of each step."""
    chain = Predictor.from_pretrained(model).chain
    task, schedule = chain.tasks["depth"], chain.config.schedule
    batch = collate([ProceduralWorld(chain.config.resolution, HELD_OUT_SEED)[0]])
    target = task.from_image(task.to_image(batch).images[None])[0]  # (1, H, W)

    denoise = partial(
        chain.denoiser,
        condition=chain.condition(task, batch),
        labels=chain.labels(task, batch)[:, 0],
    )
    shape = chain.target(task, batch)[0].shape[2:]
    noise = draw_noise([(0, "example")], shape)
    times = spaced_timesteps(schedule.steps, steps, "trailing")

    errors = []
    for state in trajectory(denoise, noise(0), times, schedule, noise=noise):
        image = chain.autoencoder.decode(state.denoised.x0)  # (1, 3, H, W)
        depth = task.from_image(image[None, :, None])[0]
        errors.append(float((depth - target).abs()[batch.depth_valid].mean()))
        print(f"t = {state.t:3d}   mean error of normalised depth {errors[-1]:.4f}")
    return errors


if __name__ == "__main__":
    main()
