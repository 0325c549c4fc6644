"""The model that sees photographs: a transformer between convolutions, taught by photographed rooms and a made world.

    lookharder train sight --out runs/sight            lookharder train sight --dry-run

Each source is a line of `SOURCES`: its name, its share of the batch, where its examples come from. `data/nyuv2/train`
is the labelled set's training split (`data.readers.nyuv2`), `data/photos` any folder of photographs, which lie behind
the cut-outs of `data.collage` and on the surfaces of the made worlds. Every example is a window of a quarter to all of
a frame, as another camera sees it. Half are small, because small ones teach layout at 0.4 of the price; the others are
of full size, so that the network knows both.
"""

from lookharder.autoencoder import Pixel
from lookharder.chain import ChainConfig, routes
from lookharder.data.photometric import Photometric
from lookharder.data.source import DataConfig
from lookharder.diffusion.schedule import NoiseSchedule
from lookharder.models.config import DiTConfig
from lookharder.tasks import base
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.tasks.registry import AnyTask
from lookharder.training.config import TrainConfig, task_of
from lookharder.training.optim import OptimConfig
from lookharder.training.run import RunConfig

RESOLUTION = 128
SMALL, FULL = "crop=64x80&views=1024", "crop=96x128&views=1024"
PHOTOS = "data/photos"
NYUV2 = "nyuv2:data/nyuv2/train?split=train"
CLASSIC = "procedural:12000:1?only="
ROOMS = "procedural:6000:2?world=photo&size=96x128&frames=1"
PAIRS = "procedural:1920:1?world=photo&size=96x128&only="
COLLAGE = "collage:8000:1?size=96x128&only="
SOURCES = (  # task/source, share of the batch, spec
    ("depth/nyuv2", 4, f"{NYUV2}&{SMALL}"),
    ("depth/nyuv2-full", 4, f"{NYUV2}&{FULL}"),
    ("depth/rooms", 2, f"{ROOMS}&{SMALL}"),
    ("depth/rooms-full", 2, f"{ROOMS}&{FULL}"),
    ("flow/collage", 1, f"{COLLAGE}flow&{SMALL}"),
    ("flow/collage-full", 1, f"{COLLAGE}flow&{FULL}"),
    ("flow/pairs", 1, f"{PAIRS}flow&{SMALL}"),
    ("flow/classic", 1, f"{CLASSIC}flow&{SMALL}"),
    ("amodal/collage", 2, f"{COLLAGE}amodal&{SMALL}"),
    ("amodal/collage-full", 1, f"{COLLAGE}amodal&{FULL}"),
    ("amodal/classic-full", 1, f"{CLASSIC}amodal&{FULL}"),
)
WEIGHTS = {"depth": 6.0, "flow": 12.0, "amodal": 2.0}  # by contrast: a painting on white has most
TASKS: tuple[AnyTask, ...] = (
    Depth(space="relative", low=0.0, high=1.0),
    Flow(limit=0.25),
    Amodal(threshold=159.0, span=0.5),
)


def sight_chain() -> ChainConfig:
    """A generalist on pixels themselves, which its stem shrinks: tokens of 16 x 16 pixels, 48 of them for 96 x 128."""
    codec = Pixel(factor=1)
    model = DiTConfig(
        input_size=RESOLUTION,
        patch_size=16,
        in_channels=(base.SOURCES + 1) * codec.channels,
        out_channels=codec.channels,
        hidden_size=192,
        depth=6,
        num_heads=6,
        num_classes=0,
        learn_sigma=False,
        routes=routes(TASKS),
        qk_norm=True,
        stem="conv",
        stem_widths=(24, 48, 96),
    )
    return ChainConfig(
        model=model,
        autoencoder=codec.config(),
        tasks=TASKS,
        schedule=NoiseSchedule(name="scaled-linear", zero_terminal_snr=True),
        prediction="x0",
        input_scale=0.1,
        resolution=RESOLUTION,
        steps=1,
    )


def sight() -> RunConfig:
    """Depth, flow and hidden objects of photographs, on one CPU core for days: stopped and resumed at will."""
    shares = {name: float(share) for name, share, _ in SOURCES}
    return RunConfig(
        name="sight",
        chain=sight_chain(),
        data={
            name: DataConfig(
                spec=spec,
                size=RESOLUTION,
                textures=None if spec.startswith(NYUV2) else PHOTOS,
                store=".cache/lookharder",
            )
            for name, _, spec in SOURCES
        },
        train=TrainConfig(
            iterations=60_000,
            batch_size=20,
            mix=shares,
            weights={name: WEIGHTS[task_of(name)] for name in shares},
            time_shift=500.0,
            camera=Photometric(),
            optim=OptimConfig(
                lr=1e-3,
                warmup=200,
                cooldown=12_000,
                betas=(0.9, 0.99),
                weight_decay=0.02,
                ema_decay=0.999,
            ),
        ),
        checkpoint_every=250,
        log_every=20,
    )
