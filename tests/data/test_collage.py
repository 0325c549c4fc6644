"""Flying cut-outs: the second picture is the first one moved by the flow, and masks are what they say."""

import numpy as np
import pytest

from lookharder.data.augment import resize
from lookharder.data.collage import Collage, Layer, chain, turned
from lookharder.data.cutouts import outline
from lookharder.data.source import open_spec
from lookharder.errors import InputError
from lookharder.seeding import numpy_generator

SIZE, COUNT, SCENES = (48, 64), 40, 4


@pytest.fixture(scope="module")
def collage():
    return Collage(SIZE, 5, scenes=SCENES)


@pytest.fixture(scope="module")
def examples(collage):
    return [collage[index] for index in range(COUNT)]


def sampled(picture, x, y):
    """Bilinear at pixel coordinates (0 = centre of the first pixel), by hand."""
    height, width = picture.shape[1:]
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    left, top = np.floor(x).astype(int).clip(0, width - 2), np.floor(y).astype(int)
    top = top.clip(0, height - 2)
    a, b = x - left, y - top
    upper = picture[:, top, left] * (1 - a) + picture[:, top, left + 1] * a
    lower = picture[:, top + 1, left] * (1 - a) + picture[:, top + 1, left + 1] * a
    return upper * (1 - b) + lower * b


def test_what_is_not_occluded_looks_alike_where_the_flow_leads(examples):
    apart, still = [], []
    for example in examples:
        x, y = np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0]))
        moved = sampled(example.second.astype(float), x + example.flow[0], y + example.flow[1])
        seen = ~example.occluded
        apart.append(np.abs(moved - example.image)[:, seen].mean())
        still.append(np.abs(example.second.astype(float) - example.image)[:, seen].mean())
    assert np.median(apart) < 4  # of 255: two resamplings
    assert np.mean(apart) < 0.35 * np.mean(still)


def test_what_is_occluded_does_not(examples):
    """The rule that marks occlusion must matter: there the pictures differ."""
    ratios = []
    for example in examples:
        x, y = np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0]))
        u, v = example.flow
        inside = (x + u > 1) & (x + u < SIZE[1] - 2) & (y + v > 1) & (y + v < SIZE[0] - 2)
        hidden = example.occluded & inside
        if hidden.sum() < 20:
            continue
        moved = sampled(example.second.astype(float), x + u, y + v)
        error = np.abs(moved - example.image).mean(0)
        ratios.append(error[hidden].mean() / max(error[~example.occluded].mean(), 1e-6))
    assert len(ratios) > COUNT // 4 and np.median(ratios) > 3


def test_masks(examples):
    hidden, same = 0, []
    for example in examples:
        assert example.amodal.any() and not (example.visible & ~example.amodal).any()
        inner = example.visible.copy()  # without its edges, which mix with what lies behind
        inner[1:-1, 1:-1] &= example.visible[2:, 1:-1] & example.visible[:-2, 1:-1]
        inner[1:-1, 1:-1] &= example.visible[1:-1, 2:] & example.visible[1:-1, :-2]
        apart = example.whole[:, inner].astype(int) - example.image[:, inner]
        same += list(np.abs(apart).max(0) <= 1)
        outside = example.whole[:, ~example.amodal]
        assert (outside == 255).all(0).mean() > 0.9
        hidden += (example.visible != example.amodal).any()
    assert len(same) > 1000 and np.mean(same) > 0.9
    assert 0.5 <= hidden / COUNT <= 0.9  # two thirds are meant to be


def test_small_motions_stand_beside_large_ones(examples):
    largest = np.array([np.abs(example.flow).max() / SIZE[1] for example in examples])
    assert (largest < 0.06).mean() > 0.1 and (largest > 0.15).mean() > 0.1


@pytest.mark.parametrize(("grow", "turn"), [(1.08, 0.0), (1.0, 0.15), (1.16, 0.3)])
def test_what_is_drawn_moves_as_its_label_says(grow, turn):
    """A soft blob, by where its weight lies in both frames; of a map that turns or grows half a pixel would show."""
    y, x = np.mgrid[:256, :256]
    blob = np.exp(-((x - 127.5) ** 2 + (y - 127.5) ** 2) / (2 * 14**2)).astype(np.float32)
    about = turned(0.0, (1.0, 1.0), (-64.0, -48.0))
    layer = Layer(
        picture=np.dstack([blob, blob, blob, np.ones_like(blob)]),
        place=turned(0.0, (32.0, 32.0), (60.0, 44.0)),
        motion=chain(turned(turn, (grow, grow), (64.0, 48.0)), about),
    )
    rows, columns = np.mgrid[:96, :128] + 0.5
    first, second = (
        np.array([np.average(columns, weights=w), np.average(rows, weights=w)])
        for w in (layer.draw((96, 128), frame)[..., 0] for frame in (0, 1))
    )
    np.testing.assert_allclose(first, [60, 44], atol=0.005)
    moved = layer.motion[:, :2] @ first + layer.motion[:, 2]
    np.testing.assert_allclose(second, moved, atol=0.005)


def test_an_example_depends_on_seed_and_index_alone(collage, examples):
    again = Collage(SIZE, 5, count=9, scenes=SCENES)
    for name in ("image", "second", "flow", "visible", "whole"):
        np.testing.assert_array_equal(getattr(again[8], name), getattr(examples[8], name))
    assert (Collage(SIZE, 6, scenes=SCENES)[8].image != examples[8].image).mean() > 0.5
    with pytest.raises(IndexError):
        again[9]


def test_frames_of_two_sizes_show_the_same_scene(examples):
    """Half the size averages what the full size shows, and its flow is half as long."""
    larger = Collage((96, 128), 5, scenes=SCENES)[3]
    smaller = resize(larger, *SIZE)
    assert np.abs(smaller.image.astype(int) - examples[3].image).mean() < 6
    assert np.median(np.abs(smaller.flow - examples[3].flow)) < 0.05


def test_outlines_are_closed_shapes_inside_their_square():
    for index in range(40):
        cover = outline(numpy_generator(0, index))
        assert 0.02 < cover.mean() < 1 and cover.max() == 1
        assert max(cover[0].max(), cover[-1].max(), cover[:, 0].max(), cover[:, -1].max()) < 1


def test_affine_maps_chain():
    first, second = turned(0.3, (2.0, 1.0), (5.0, -1.0)), turned(-1.0, (1.0, 0.5), (0.0, 2.0))
    point = np.array([0.7, -0.2, 1])
    np.testing.assert_allclose(chain(second, first) @ point, second @ [*(first @ point), 1])


def test_a_spec_names_collages():
    data = open_spec("collage:3:1?size=32x48&only=flow", 64)
    assert len(data) == 3
    for spec in ("collage:x", "collage:3:1?world=photo", "collage:3?size=48"):
        with pytest.raises(InputError, match="--data"):
            open_spec(spec, 64)
    with pytest.raises(InputError, match="size"):
        Collage((8, 64), 1)
