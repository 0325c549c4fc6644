"""Augmentation keeps labels exact."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lookharder.data.augment import augment, mirror, recolour
from lookharder.data.example import collate
from lookharder.data.procedural import ProceduralWorld
from lookharder.seeding import numpy_generator
from lookharder.tasks.amodal import Amodal

EXAMPLE = ProceduralWorld(32, 5)[3]


def test_mirror_twice_is_nothing():
    twice = mirror(mirror(EXAMPLE))
    for name, value in vars(EXAMPLE).items():
        np.testing.assert_array_equal(getattr(twice, name), value)


def test_mirrored_flow_points_at_the_mirrored_point():
    flipped = mirror(EXAMPLE)
    for row, column in [(3, 4), (20, 30), (31, 0)]:
        u, v = EXAMPLE.flow[:, row, column]
        arrives = column + u
        u2, v2 = flipped.flow[:, row, 31 - column]
        assert (31 - column) + u2 == np.float32(31 - arrives) or abs(
            31 - column + u2 - 31 + arrives
        ) < 1e-4
        assert v2 == v


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_recolouring_changes_no_label(seed):
    changed = recolour(EXAMPLE, numpy_generator(seed))
    for name in ("depth", "depth_valid", "flow", "flow_valid", "occluded", "visible", "amodal"):
        assert getattr(changed, name) is getattr(EXAMPLE, name)
    batch = collate([changed])
    mask = Amodal().from_image(Amodal().to_image(batch).images[None])[0, 0]
    np.testing.assert_array_equal(mask.numpy(), EXAMPLE.amodal)


def test_recolouring_is_one_map_for_both_frames():
    changed = recolour(EXAMPLE, numpy_generator(1))
    values: dict[tuple, tuple] = {}
    for before, after in ((EXAMPLE.image, changed.image), (EXAMPLE.second, changed.second)):
        for old, new in zip(before.reshape(3, -1).T, after.reshape(3, -1).T, strict=True):
            assert values.setdefault(tuple(old), tuple(new)) == tuple(new)


def test_augment_is_a_function_of_its_key():
    first, again = (augment(EXAMPLE, numpy_generator(9)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
