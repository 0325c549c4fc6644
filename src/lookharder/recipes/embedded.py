"""Our own recipes, on the embedded world: a toy, the shipped model, and fine-tuning from a model folder.

lookharder train smoke --out runs/smoke          lookharder train tiny --set train.seed=1 --out runs/tiny-1
"""

from lookharder.autoencoder import Pixel
from lookharder.chain import ChainConfig, routes
from lookharder.data.procedural import FAMILIES
from lookharder.data.source import DataConfig
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.models.dit import DiTConfig
from lookharder.tasks.base import SOURCES, Task
from lookharder.tasks.registry import GENERALIST
from lookharder.training.loop import TrainConfig
from lookharder.training.optim import OptimConfig
from lookharder.training.run import RunConfig


def pixel_chain(
    *,
    width: int,
    depth: int,
    heads: int,
    resolution: int,
    factor: int = 4,
    patch: int = 2,
    tasks: tuple[Task, ...] = GENERALIST,
) -> ChainConfig:
    """One network for all `tasks`, in pixel space: x0-prediction and zero terminal SNR, so one step is an answer.

    A token holds 192 numbers of the picture, which agree with each other, and 192 of noise, which do not: at full
    strength the noise drowns the picture for as long as training lasts (`docs/log.md`), so it enters at a tenth.
    """
    codec = Pixel(factor=factor)
    model = DiTConfig(
        input_size=resolution // factor,
        patch_size=patch,
        in_channels=(SOURCES + 1) * codec.channels,
        out_channels=codec.channels,
        hidden_size=width,
        depth=depth,
        num_heads=heads,
        num_classes=len(FAMILIES),
        learn_sigma=False,
        routes=routes(tasks),
        qk_norm=True,
    )
    return ChainConfig(
        model=model,
        autoencoder=codec.config(),
        tasks=tasks,
        schedule=NoiseSchedule(name="scaled-linear", zero_terminal_snr=True),
        prediction="x0",
        input_scale=0.1,
        resolution=resolution,
    )


def smoke() -> RunConfig:
    """The whole road in about half a minute on two cores: a toy to try commands, kills and resumes on.

    Embedded world at 32 pixels, 0.5 M parameters, a checkpoint every second or two. It learns next to nothing.
    """
    data = DataConfig(spec="procedural:64:1", size=32)
    return RunConfig(
        name="smoke",
        chain=pixel_chain(width=64, depth=4, heads=4, resolution=32),
        data={"generation": data, "depth": data, "flow": data, "amodal": data},
        train=TrainConfig(
            iterations=300,
            batch_size=16,
            mix={"generation": 1.0, "depth": 1.0, "flow": 1.0, "amodal": 1.0},
            optim=OptimConfig(lr=1e-3, lr_schedule="cosine", warmup=20),
        ),
        checkpoint_every=20,
        log_every=5,
    )


def tiny() -> RunConfig:
    """The shipped generalist: depth, flow and amodal from the embedded world, on two CPU cores.

    2.2 M parameters, 89 MMACs a forward; 18,000 iterations took 2.3 hours, 5.5 minutes of them to render the
    scenes. Over 500 held-out scenes the shipped weights have 0.494 of the AbsRel of the best blind depth, 0.368 of
    the flow error of no motion and 0.446 of the visible mask's 1 - IoU, at one level (the model's card).
    `docs/results/tiny-curve.json` is its learning curve; `lookharder plot RUN` draws that of any run.

    Add `--set data.depth.textures=PHOTOS` and likewise for the other tasks to put photographs on the surfaces.
    """
    data = DataConfig(spec="procedural:20000:1", size=64, store=".cache/lookharder")
    return RunConfig(
        name="tiny",
        chain=pixel_chain(width=128, depth=6, heads=4, resolution=64),
        data={"depth": data, "flow": data, "amodal": data},
        train=TrainConfig(
            iterations=18000,
            batch_size=32,
            mix={"depth": 0.64, "flow": 0.18, "amodal": 0.18},
            weights={"flow": 12.0},
            time_shift=100.0,
            optim=OptimConfig(
                optimizer="muon",
                lr=2e-3,
                lr_schedule="cosine",
                final_lr_ratio=0.02,
                warmup=200,
                betas=(0.9, 0.99),
                ema_decay=0.998,
            ),
        ),
        checkpoint_every=250,
        log_every=20,
    )


def finetune() -> RunConfig:
    """From a model folder (`--set init=FOLDER`; the shipped model if none is given) to its three tasks.

    The paper's ablation recipe (2411.08034): 30,000 iterations, learning rate 3e-5 falling exponentially to a
    hundredth. Batch 32, embedded world at 64 pixels; it has not been run to its end.
    """
    data = DataConfig(spec="procedural:20000:1", size=64, store=".cache/lookharder")
    return RunConfig(
        name="finetune",
        init="tiny",
        chain=tiny().chain,
        data={"depth": data, "flow": data, "amodal": data},
        train=TrainConfig(
            iterations=30_000,
            batch_size=32,
            mix={"depth": 1.0, "flow": 1.0, "amodal": 1.0},
            optim=OptimConfig(lr=3e-5, lr_schedule="exponential", final_lr_ratio=0.01, warmup=100),
        ),
    )
