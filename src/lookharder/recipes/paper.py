"""The words in which the paper's recipes are said (arXiv 2411.08034): its networks, its autoencoder, its data.

Where the paper and its released code are silent, the code that a stage descends from decides:

    pre-training    facebookresearch/DiT: AdamW, betas .9 and .999, no decay, no warm-up, no clipping; averaged weights
                    .9999 without warm-up; labels dropped for one picture in ten; linear schedule; the variance is
                    learned, and its bound is part of the loss
    fine-tuning     prs-eth/Marigold: warm-up of 100 updates, exponential decay to 1 / 100, batch 32, scaled-linear
                    schedule, multi-resolution noise .9; no averaged weights; the loss keeps DiT's bound

Known departure, of the system and not of a recipe: latents are the posterior's mean, which DiT draws.
Paths are placeholders: `--set data.depth.spec=hypersim:PATH?fit=512x512`, `init=FOLDER`,
`chain.autoencoder.source=FOLDER`.
"""

from dataclasses import replace

from lookharder.autoencoder import KLConfig
from lookharder.chain import ChainConfig
from lookharder.config import to_json
from lookharder.data.source import DataConfig
from lookharder.diffusion.sampling import USABLE, Sampling
from lookharder.diffusion.schedule import NoiseSchedule, ScheduleName
from lookharder.models.config import sized
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.base import Task
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.tasks.generation import Generation
from lookharder.training.config import TrainConfig
from lookharder.training.optim import OptimConfig

CLASSES, CHANNELS, FACTOR = 1000, 4, 8  # of ImageNet; of Stable Diffusion's latents
AUTOENCODER = {"kind": "kl", **to_json(KLConfig(source="stabilityai/sd-vae-ft-ema"))}
GENERATION: tuple[Task, ...] = (Generation(),)
DEPTH: tuple[Task, ...] = (Depth(prompt="none"),)  # of the text: the picture is the only source
FLOW: tuple[Task, ...] = (Flow(layout="split", limit=75.0, limit_unit="pixels"),)
AMODAL: tuple[Task, ...] = (Amodal(),)
GENERALIST: tuple[Task, ...] = (
    Depth(prompt="validity"),
    *AMODAL,
    *FLOW,
)  # as released, in its order of labels

SPECS = {
    "generation": "imagenet:data/imagenet/train?side={size}",
    "depth": "hypersim:data/hypersim/train?fit={size}x{size}",
    "flow": "flying_chairs_train:data/flying_chairs?fit={size}x{size}",
    "amodal": "pix2gestalt:data/pix2gestalt?fit={size}x{size}",
}

PRETRAIN = TrainConfig(
    iterations=400_000,
    batch_size=256,
    mix={"generation": 1.0},
    recolour=False,
    optim=OptimConfig(lr=1e-4, clip_norm=None, ema_decay=0.9999, ema_warmup=False),
)
FINETUNE = TrainConfig(
    iterations=30_000,
    batch_size=32,
    mix={"depth": 1.0},
    recolour=False,
    multi_resolution_noise=0.9,
    optim=OptimConfig(
        lr=3e-5,
        lr_schedule="exponential",
        final_lr_ratio=0.01,
        warmup=100,
        clip_norm=None,
        ema_decay=0.0,
        ema_warmup=False,
    ),
)
FINAL = replace(FINETUNE, batch_size=1024, optim=replace(FINETUNE.optim, lr=1.2e-4))


def system(
    size: str,
    tasks: tuple[Task, ...] = GENERATION,
    schedule: ScheduleName = "linear",
    resolution: int = 256,
    routes: tuple[int, ...] | None = None,
) -> ChainConfig:
    """A row of `SIZES` on Stable Diffusion's latents, predicting eps and its variance.

    Without `routes` all tasks share one patch embedding, and all labels follow the classes.
    """
    fields = sum(task.fields for task in tasks if task.name != "generation")
    model = sized(
        size,
        input_size=resolution // FACTOR,
        in_channels=(max(task.sources for task in tasks) + 1) * CHANNELS,
        out_channels=CHANNELS,
        num_classes=CLASSES,
        learn_sigma=True,
        routes=(0,) * fields if routes is None else routes,
    )
    if model.moe is not None:  # neither DiT-MoE nor the release makes the gates sum to 1
        model = replace(model, moe=replace(model.moe, renormalise=False))
    return ChainConfig(
        model=model,
        autoencoder=AUTOENCODER,
        tasks=tasks,
        schedule=NoiseSchedule(name=schedule),
        prediction="eps",
        resolution=resolution,
        fit="square",
        sampling=Sampling(spacing="leading", start_alpha=USABLE),
        steps=250 if tasks == GENERATION else 50,  # DiT's; the release's
        members=1 if tasks == GENERATION else 5,
    )


def pictures(tasks: tuple[Task, ...], size: int) -> dict[str, DataConfig]:
    """The paper's data set of each task, as squares of that many pixels."""
    return {t.name: DataConfig(spec=SPECS[t.name].format(size=size), size=size) for t in tasks}
