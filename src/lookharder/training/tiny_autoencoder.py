"""The recipe that trains `Tiny`: photos, and everything that the tasks show the network.

    loss = L1 of the error at scales 1, 2, 4  +  L1 of its horizontal and vertical differences

An autoencoder of this chain carries two kinds of picture, and half of every batch is of each:
crops of photos at random scales, and the pictures that the tasks make of an exact world (depth,
flow, whole objects, masks). L1 and its differences, no perceptual loss: a grey value is a
measurement here, not a look.

While training, latents carry noise in proportion to their spread: a decoder that forgives the
error which every sampler leaves costs a little sharpness. Crops and noise are functions of
(seed, iteration) alone.

    python -m lookharder.training.tiny_autoencoder PHOTOS OUT [--iterations N]

The default, 3,000 iterations, takes minutes of one core, as does rendering the scenes.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from lookharder.autoencoder import Autoencoder, Tiny, TinyConfig
from lookharder.data.example import Example, collate, to_float
from lookharder.errors import InputError
from lookharder.files import is_litter, make_folder
from lookharder.seeding import numpy_generator, torch_generator
from lookharder.shapes import Images
from lookharder.tasks.amodal import Amodal
from lookharder.tasks.base import Task, mask_to_rgb
from lookharder.tasks.depth import Depth
from lookharder.tasks.flow import Flow
from lookharder.training.optim import OptimConfig, build_optimizer, learning_rate

Crop = Float[Tensor, "3 crop crop"]
Pictures = dict[str, Float[Tensor, "_ 3 _ _"]]  # by kind
TASKS_SHOWN: tuple[Task, ...] = (Depth(), Flow(), Amodal())
OPTIM = OptimConfig(lr=2e-3, lr_schedule="cosine", warmup=100, betas=(0.9, 0.99), weight_decay=0.01)
LARGEST_SCALE = 4  # a crop is averaged down from up to 4 times its side: 64 pixels of 256


@dataclass(frozen=True, kw_only=True)
class TinyRecipe:
    """How a `Tiny` is trained.

    Attributes:
        settings: shape of the autoencoder.
        iterations: optimiser updates.
        batch: crops an iteration, half photos, half pictures of tasks.
        crop: side of a crop, pixels.
        noise: standard deviation of the noise on the latents, relative to theirs.
        optim: how weights are updated.
        seed: of initial weights, crops and noise.
    """

    settings: TinyConfig = field(default_factory=TinyConfig)
    iterations: int = 3000
    batch: int = 8
    crop: int = 64
    noise: float = 0.05
    optim: OptimConfig = OPTIM
    seed: int = 0

    def __post_init__(self) -> None:
        cell = 2 ** len(self.settings.widths)
        if self.crop < cell or self.crop % cell:
            raise InputError("crop", self.crop, f"a positive multiple of {cell}")
        for name, least in (("iterations", 1), ("batch", 2), ("noise", 0)):
            if getattr(self, name) < least:
                raise InputError(name, getattr(self, name), f"{least} or more")


@dataclass(frozen=True, kw_only=True)
class TinyIteration:
    """One iteration of training, done."""

    iteration: int
    loss: float
    lr: float


def load_photos(folder: str | Path, crop: int) -> dict[str, UInt8[np.ndarray, "H W 3"]]:
    """All .jpg and .png files under a folder, by relative path, in order of path.

    Raises:
        InputError: there are none, one cannot be read, or one is smaller than a crop.
    """
    photos: dict[str, np.ndarray] = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png") or is_litter(path.name):
            continue
        try:
            with Image.open(path, formats=["JPEG", "PNG"]) as image:
                photo = np.asarray(image.convert("RGB"))
        except OSError as error:
            raise InputError("photos", f"{path} ({error})", "a JPEG or PNG file") from error
        if min(photo.shape[:2]) < crop:
            raise InputError("photos", f"{path} {photo.shape[:2]}", f"sides of {crop} or more")
        photos[str(path.relative_to(folder))] = photo
    if not photos:
        raise InputError("photos", folder, "a folder with .jpg or .png files")
    return photos


def photo_crop(
    photo: UInt8[np.ndarray, "H W 3"], crop: int, generator: np.random.Generator
) -> Crop:
    """A square of a photo at a random place and scale, averaged down, perhaps mirrored."""
    scale = int(generator.integers(1, min(LARGEST_SCALE, min(photo.shape[:2]) // crop) + 1))
    side = crop * scale
    top, left = (int(generator.integers(length - side + 1)) for length in photo.shape[:2])
    square = torch.from_numpy(photo[top : top + side, left : left + side].copy())
    square = square.flip(1) if generator.integers(2) else square
    return F.avg_pool2d(to_float(square.permute(2, 0, 1)), scale)


def task_pictures(examples: Sequence[Example]) -> Pictures:
    """Every kind of picture that the tasks encode, from examples of one size."""
    batch = collate(examples)
    pictures = {task.name: task.to_image(batch).images.flatten(0, 1) for task in TASKS_SHOWN}
    return pictures | {"scene": batch.image, "mask": mask_to_rgb(batch.need("visible"))}


def task_crop(pictures: Pictures, generator: np.random.Generator) -> Crop:
    """A random picture of a random kind, turned and mirrored; measurements change gain and sign."""
    kind = str(generator.choice(sorted(pictures)))
    picture = pictures[kind][int(generator.integers(len(pictures[kind])))]
    picture = picture.rot90(int(generator.integers(4)), (1, 2))
    picture = picture.flip(2) if generator.integers(2) else picture
    if kind in ("depth", "flow"):
        picture = picture * float(generator.uniform(0.2, 1) * generator.choice((-1, 1)))
    return picture


def batch_at(
    photos: Sequence[np.ndarray], pictures: Pictures, recipe: TinyRecipe, iteration: int
) -> Images:
    """The crops of an iteration: photos, then pictures of tasks."""
    generator = numpy_generator(recipe.seed, "tiny autoencoder, crops", iteration)
    half = recipe.batch // 2
    chosen = [photos[int(i)] for i in generator.integers(len(photos), size=half)]
    crops = [photo_crop(photo, recipe.crop, generator) for photo in chosen]
    crops += [task_crop(pictures, generator) for _ in range(recipe.batch - half)]
    return torch.stack(crops)


def reconstruction_loss(output: Images, images: Images) -> Float[Tensor, ""]:
    """L1 at three scales, plus L1 of differences between neighbours."""
    error = output - images
    scales = [error, F.avg_pool2d(error, 2), F.avg_pool2d(error, 4)]
    edges = [error.diff(dim=2), error.diff(dim=3)]
    return torch.stack([part.abs().mean() for part in scales + edges]).sum()


def train_tiny(
    photos: Sequence[np.ndarray], pictures: Pictures, out: str | Path, recipe: TinyRecipe
) -> Iterator[TinyIteration]:
    """Train a `Tiny` and write it into a folder; the caller logs, or stops by leaving the loop.

    Args:
        photos: (H, W, 3) uint8 each, sides of at least `recipe.crop`; see `load_photos`.
        pictures: by kind, of side `recipe.crop`; see `task_pictures`.
        out: receives `config.json` and `model.safetensors` when the last iteration is done.
        recipe: everything else.

    Yields:
        Each iteration, done.
    """
    make_folder(Path(out), "out")
    tiny = Tiny(recipe.settings, torch_generator(recipe.seed, "tiny autoencoder, weights"))
    tiny.requires_grad_(True)
    optimizer = build_optimizer(tiny, recipe.optim)
    for iteration in range(recipe.iterations):
        images = batch_at(photos, pictures, recipe, iteration)
        images = images.contiguous(memory_format=torch.channels_last)  # 1.2 times sooner on a CPU
        latents = tiny.encode(images)
        generator = torch_generator(recipe.seed, "tiny autoencoder, noise", iteration)
        spread = recipe.noise * latents.detach().std(dim=(0, 2, 3), keepdim=True)
        noise = torch.randn(latents.shape, generator=generator) * spread
        loss = reconstruction_loss(tiny.decode(latents + noise), images)
        lr = learning_rate(recipe.optim, iteration, recipe.iterations)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield TinyIteration(iteration=iteration, loss=loss.item(), lr=lr)
    tiny.requires_grad_(False)
    standardise(tiny, torch.cat([batch_at(photos, pictures, recipe, -1 - i) for i in range(64)]))
    tiny.save(out)


def standardise(tiny: Tiny, images: Images) -> None:
    """Set `mean` and `std` so that the latents of `images` have mean 0, variance 1 by channel."""
    raw = tiny.encoder(images)
    tiny.mean.copy_(raw.mean(dim=(0, 2, 3))[:, None, None])
    tiny.std.copy_(raw.std(dim=(0, 2, 3))[:, None, None])


def reconstruction(autoencoder: Autoencoder, images: Images) -> dict[str, float]:
    """How images in [-1, 1] come back: mean absolute error in grey levels of 255, PSNR in dB."""
    error = autoencoder.decode(autoencoder.encode(images)).clamp(-1, 1) - images
    mse = error.square().mean(dim=(1, 2, 3)).clamp_min(1e-10)  # a perfect picture: 106 dB
    psnr = 10 * torch.log10(4 / mse)
    return {"l1": 127.5 * error.abs().mean().item(), "psnr": psnr.mean().item()}


def main() -> None:
    """Train on all photos but each twentieth, print the loss, then the error on what was kept."""
    from lookharder.data.source import DataConfig, open_data  # needs a ray caster, training not

    parser = argparse.ArgumentParser(description="Train the tiny autoencoder.")
    parser.add_argument("photos", type=Path, help="folder of JPEG or PNG files")
    parser.add_argument("out", type=Path, help="folder for config.json and model.safetensors")
    parser.add_argument("--iterations", type=int, default=TinyRecipe.iterations)
    parser.add_argument("--seed", type=int, default=TinyRecipe.seed)
    parser.add_argument("--data", default="procedural:564:20", help="scenes; the last 64 are kept")
    parser.add_argument("--store", help="folder that keeps rendered scenes between runs")
    given = parser.parse_args()
    recipe = TinyRecipe(iterations=given.iterations, seed=given.seed)
    photos = list(load_photos(given.photos, recipe.crop).values())
    textures, store = str(given.photos), given.store
    world = open_data(
        DataConfig(spec=given.data, size=recipe.crop, textures=textures, store=store, workers=1)
    )
    scenes = [world[index] for index in range(len(world))]
    pictures, kept = task_pictures(scenes[:-64]), task_pictures(scenes[-64:])
    training = [photo for i, photo in enumerate(photos) if i % 20]
    for done in train_tiny(training, pictures, given.out, recipe):
        if done.iteration % 100 == 99:
            print(f"iteration {done.iteration + 1:6d}  loss {done.loss:.4f}", flush=True)
    generator = numpy_generator(recipe.seed, "tiny autoencoder, kept photos")
    kept["photo"] = torch.stack([photo_crop(p, recipe.crop, generator) for p in photos[::20]])
    tiny = Tiny.load(given.out)
    for kind, images in kept.items():
        error = reconstruction(tiny, images)
        print(f"{kind:8s} L1 {error['l1']:6.2f} of 255   PSNR {error['psnr']:6.2f} dB")


if __name__ == "__main__":
    main()
