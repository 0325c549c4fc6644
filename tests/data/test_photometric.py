"""Cameras change pictures and nothing else, both frames alike, as the generator says."""

from dataclasses import replace

import numpy as np
import pytest

from lookharder.data.augment import augment
from lookharder.data.example import Example
from lookharder.data.photometric import Photometric, photometric
from lookharder.data.procedural import ProceduralWorld
from lookharder.errors import InputError
from lookharder.seeding import numpy_generator

EXAMPLE = ProceduralWorld(48, 5)[3]
LABELS = ("depth", "depth_valid", "flow", "flow_valid", "occluded", "visible", "amodal")
STILL = Photometric(
    share=1.0, swap=0.0, grey=0.0, saturation=(1.0, 1.0), gamma=(1.0, 1.0), contrast=(1.0, 1.0),
    brightness=0.0, balance=0.0, blur=0.0, noise=0.0, vignette=0.0, jpeg=0.0,
)  # fmt: skip


def changed(key: int, config: Photometric | None = None) -> Example:
    return photometric(EXAMPLE, numpy_generator(key), config or Photometric(share=1.0))


def test_labels_stay_and_pictures_change():
    for key in range(20):
        other = changed(key)
        assert all(getattr(other, name) is getattr(EXAMPLE, name) for name in LABELS)
        assert (other.image != EXAMPLE.image).mean() > 0.5
        assert other.image.dtype == np.uint8 and other.image.shape == EXAMPLE.image.shape
        np.testing.assert_array_equal((other.whole == 255).all(0), (EXAMPLE.whole == 255).all(0))
    assert photometric(EXAMPLE, numpy_generator(1), Photometric(share=0.0)) is EXAMPLE


def test_the_generator_decides():
    np.testing.assert_array_equal(changed(7).image, changed(7).image)
    assert (changed(7).image != changed(8).image).any()


def test_a_camera_that_does_nothing_does_nothing():
    np.testing.assert_array_equal(changed(1, STILL).image, EXAMPLE.image)


def test_both_frames_go_through_one_camera():
    """A second frame that equals the first still does, but for exposure, noise and rounding."""
    twins = Example(name="twins", image=EXAMPLE.image, second=EXAMPLE.image)
    for key in range(20):
        camera = Photometric(share=1.0, noise=0.0, jpeg=0.0)
        seen = photometric(twins, numpy_generator(key), camera)
        apart = np.abs(seen.image.astype(float) - seen.second)
        assert apart.max() < 30 and apart.mean() < 12


def test_grey_is_grey():
    grey = changed(3, replace(STILL, grey=1.0)).image
    np.testing.assert_array_equal(grey[0], grey[1])
    np.testing.assert_array_equal(grey[0], grey[2])


def test_augment_takes_a_camera_in_place_of_recolouring():
    still = augment(EXAMPLE, numpy_generator(0), STILL)
    assert np.array_equal(still.image, EXAMPLE.image) or np.array_equal(
        still.image, EXAMPLE.image[..., ::-1]
    )


@pytest.mark.parametrize(
    ("field", "value"), [("share", 1.5), ("gamma", (0.0, 1.0)), ("noise", -1.0)]
)
def test_bad_cameras(field, value):
    with pytest.raises(InputError, match=f"photometric.{field}"):
        Photometric(**{field: value})
