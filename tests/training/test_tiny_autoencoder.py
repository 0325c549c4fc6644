"""The recipe of the tiny autoencoder: closed forms, and a run just long enough to learn."""

import numpy as np
import pytest
import torch
from PIL import Image

from lookharder.autoencoder import Pixel, Tiny, TinyConfig
from lookharder.data.example import Example, to_float
from lookharder.errors import InputError
from lookharder.seeding import numpy_generator, torch_generator
from lookharder.training.optim import OptimConfig
from lookharder.training.tiny_autoencoder import (
    TinyRecipe,
    batch_at,
    load_photos,
    photo_crop,
    reconstruction,
    reconstruction_loss,
    task_crop,
    task_pictures,
    train_tiny,
)

SIDE = 16
SHORT = TinyRecipe(
    settings=TinyConfig(widths=(8, 8)),
    iterations=60,
    crop=SIDE,
    optim=OptimConfig(lr=5e-3, lr_schedule="cosine", warmup=5),
)


def example(index: int) -> Example:
    """A sloping plane that moves, with a disc in front of it."""
    rng = numpy_generator(0, "test example", index)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    disc = (x - 0.5) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2 < 0.1
    colour = rng.integers(0, 200, (3, 1, 1))
    image = np.where(disc, colour, 255 * x).astype(np.uint8)
    known = np.ones((SIDE, SIDE), bool)
    return Example(
        name=str(index),
        image=image,
        second=image,
        depth=np.where(disc, 1, 2 + x * rng.uniform(1, 2)).astype(np.float32),
        depth_valid=known,
        flow=np.stack([x, y]).astype(np.float32),
        flow_valid=known,
        visible=disc & (x > 0.4),
        amodal=disc,
        whole=np.where(disc, colour, 255).astype(np.uint8),
    )


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    slopes = (np.arange(side) + 6 * np.arange(24)[:, None] for side in (16, 40, 70))
    return [np.stack([slope, 255 - slope, slope], 2).astype(np.uint8) for slope in slopes]


@pytest.fixture(scope="module")
def pictures() -> dict[str, torch.Tensor]:
    return task_pictures([example(i) for i in range(6)])


def test_crop_of_a_photo_of_its_size_is_the_photo_or_its_mirror_image():
    photo = numpy_generator(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    whole = to_float(torch.from_numpy(photo).permute(2, 0, 1))
    crops = [photo_crop(photo, SIDE, numpy_generator(i)) for i in range(20)]
    mirrored = [torch.equal(crop, whole.flip(2)) for crop in crops]
    assert all(torch.equal(c, whole) or m for c, m in zip(crops, mirrored, strict=True))
    assert 0 < sum(mirrored) < 20


def test_a_scaled_crop_keeps_the_mean_of_what_it_covers():
    photo = np.zeros((4 * SIDE, 4 * SIDE, 3), np.uint8)
    photo[::2] = 255  # rows that any even scale averages to mid-grey, and scales 1 and 3 do not
    levels = {round(float(photo_crop(photo, SIDE, numpy_generator(i)).std()), 2) for i in range(30)}
    assert {0.0, 1.0} <= levels


def test_pictures_are_what_the_tasks_encode(pictures):
    assert set(pictures) == {"depth", "flow", "amodal", "scene", "mask"}
    assert all(images.shape == (6, 3, SIDE, SIDE) for images in pictures.values())
    assert set(pictures["mask"].unique().tolist()) == {-1.0, 1.0}


def test_task_crops_stay_in_range_and_show_every_kind(pictures):
    crops = torch.stack([task_crop(pictures, numpy_generator(i)) for i in range(200)])
    assert crops.abs().max() <= 1
    spread = {kind: images.std().item() for kind, images in pictures.items()}
    assert min(spread.values()) > 0


def test_batch_is_a_function_of_seed_and_iteration(photos, pictures):
    one, same = (batch_at(photos, pictures, SHORT, 7) for _ in range(2))
    assert one.shape == (SHORT.batch, 3, SIDE, SIDE)
    assert torch.equal(one, same)
    assert not torch.equal(one, batch_at(photos, pictures, SHORT, 8))


def test_loss_of_a_constant_and_of_a_ramp_in_closed_form():
    zero = torch.zeros(2, 3, 8, 8)
    assert reconstruction_loss(zero, zero) == 0
    # a constant error counts at three scales and has no differences
    torch.testing.assert_close(reconstruction_loss(zero + 0.25, zero), torch.tensor(0.75))
    # a ramp of slope 0.1 averages to its mean at each scale and differs by 0.1 along one axis
    ramp = (0.1 * torch.arange(8.0)).expand(2, 3, 8, 8)
    torch.testing.assert_close(reconstruction_loss(ramp, zero), torch.tensor(3 * 0.35 + 0.1))


def test_reconstruction_error_in_closed_form():
    class Offset(Pixel):
        def decode(self, latents):
            return super().decode(latents) + 0.02

    images = torch.rand(3, 3, 8, 8, generator=torch_generator(0)) - 0.5
    assert reconstruction(Pixel(), images)["l1"] == 0
    error = reconstruction(Offset(), images)
    assert error["l1"] == pytest.approx(127.5 * 0.02, rel=1e-4)
    assert error["psnr"] == pytest.approx(40, abs=1e-3)


def test_training_learns_repeats_and_leaves_unit_latents(photos, pictures, tmp_path):
    losses = [
        [done.loss for done in train_tiny(photos, pictures, tmp_path / run, SHORT)]
        for run in ("one", "two")
    ]
    assert len(losses[0]) == SHORT.iterations
    assert np.mean(losses[0][-5:]) < 0.75 * np.mean(losses[0][:5])
    assert losses[0] == losses[1]
    one, two = Tiny.load(tmp_path / "one"), Tiny.load(tmp_path / "two")
    assert one.fingerprint() == two.fingerprint()
    unseen = torch.cat([batch_at(photos, pictures, SHORT, -1 - i) for i in range(64)])
    latents = one.encode(unseen)
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)


def test_photos_are_read_in_order_and_bad_ones_are_named(tmp_path):
    with pytest.raises(InputError, match="photos"):
        load_photos(tmp_path, SIDE)
    for name, level in (("b.png", 10), ("a/c.png", 20)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (SIDE, SIDE), (level,) * 3).save(tmp_path / name)
    found = load_photos(tmp_path, SIDE)
    assert {name: int(photo[0, 0, 0]) for name, photo in found.items()} == {
        "a/c.png": 20,
        "b.png": 10,
    }
    assert list(found) == sorted(found)
    with pytest.raises(InputError, match=r"c\.png"):
        load_photos(tmp_path, SIDE + 1)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        load_photos(tmp_path, SIDE)


@pytest.mark.parametrize(
    "bad", [{"crop": 20}, {"crop": 0}, {"iterations": 0}, {"batch": 1}, {"noise": -0.1}]
)
def test_recipe_names_what_cannot_be_run(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        TinyRecipe(**bad)
