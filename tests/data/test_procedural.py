"""The embedded world as a data set: what every example promises, and what they are like on average."""

import dataclasses
import hashlib

import numpy as np
import pytest
from PIL import Image

from lookharder.data.example import Example, collate
from lookharder.data.procedural import FAMILIES, ProceduralWorld
from lookharder.data.world.motion import flow_of, follow, hidden
from lookharder.data.world.raycast import resolve
from lookharder.data.world.tracing import trace
from lookharder.errors import InputError
from lookharder.seeding import numpy_generator

SIZE, COUNT = 32, 64


@pytest.fixture(scope="module")
def examples():
    world = ProceduralWorld(SIZE, 7)
    return [world[index] for index in range(COUNT)]


def equal(a, b):
    for field in dataclasses.fields(Example):
        np.testing.assert_array_equal(
            getattr(a, field.name), getattr(b, field.name), err_msg=field.name
        )


def test_every_field_is_there(examples):
    batch = collate(examples[:4])
    assert batch.image.shape == batch.second.shape == batch.whole.shape == (4, 3, SIZE, SIZE)
    assert batch.flow.shape == (4, 2, SIZE, SIZE)
    for name in ("depth", "depth_valid", "flow_valid", "occluded", "visible", "amodal"):
        assert getattr(batch, name).shape == (4, SIZE, SIZE)
    for example in examples:
        assert example.image.dtype == example.second.dtype == example.whole.dtype == np.uint8
        assert example.depth.dtype == example.flow.dtype == np.float32
        assert np.isfinite(example.depth).all() and np.isfinite(example.flow).all()
        assert example.depth[example.depth_valid].min() >= 0.3
        assert example.depth[example.depth_valid].max() <= 20
        assert example.flow_valid.all()
        assert 0 <= example.label < len(FAMILIES)


def test_an_example_depends_on_seed_and_index_alone(examples):
    world = ProceduralWorld(SIZE, 7, count=9)
    for index in (8, 2, 5):
        equal(world[index], examples[index])
    assert not np.array_equal(ProceduralWorld(SIZE, 8)[2].image, examples[2].image)
    with pytest.raises(IndexError):
        world[9]
    assert len(list(world)) == len(world) == 9


def test_an_example_is_the_same_in_another_process(examples, fork):
    code = (
        "import hashlib; from lookharder.data.procedural import ProceduralWorld;"
        f"e = ProceduralWorld({SIZE}, 7)[3];"
        "print(hashlib.md5(e.image.tobytes() + e.second.tobytes() + e.flow.tobytes()).hexdigest())"
    )
    other = fork(code)
    assert other.wait() == 0, other.said()
    here = examples[3]
    data = here.image.tobytes() + here.second.tobytes() + here.flow.tobytes()
    assert other.said().strip() == hashlib.md5(data).hexdigest()


def test_frame_is_the_first_part_of_the_example(examples):
    world = ProceduralWorld(SIZE, 7)
    for index in range(6):
        frame, example = world.frame(index), examples[index]
        assert frame.second is None
        for name in ("name", "image", "depth", "depth_valid", "label"):
            np.testing.assert_array_equal(getattr(frame, name), getattr(example, name))


@pytest.mark.skipif(resolve("auto") == "numpy", reason="embreex is not installed")
def test_backends_agree_on_labels(examples):
    world = ProceduralWorld(SIZE, 7, backend="numpy")
    for index in range(8):
        ours, theirs = world[index], examples[index]
        for name in ("visible", "amodal", "depth_valid", "flow_valid", "occluded", "label"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
        np.testing.assert_allclose(ours.depth, theirs.depth, rtol=1e-5)
        np.testing.assert_allclose(ours.flow, theirs.flow, atol=1e-3)
        assert np.abs(ours.image.astype(int) - theirs.image).mean() < 0.1


def test_scenes_do_not_depend_on_the_scale(examples):
    """A world of another size shows the same scenes: its depth, thinned out, is about the same."""
    for index in range(4):
        large = ProceduralWorld(3 * SIZE, 7).frame(index)
        assert large.label == examples[index].label
        thinned = large.depth[
            1::3, 1::3
        ]  # pixel centres of the small frame are among those of the large
        np.testing.assert_allclose(thinned, examples[index].depth, rtol=1e-4)


def test_masks_nest_and_the_white_rule_recovers_the_whole(examples):
    for example in examples:
        assert not (example.visible & ~example.amodal).any()
        grey = np.asarray(Image.fromarray(np.moveaxis(example.whole, 0, -1)).convert("L"))
        np.testing.assert_array_equal(grey <= 250, example.amodal)
        assert (example.whole[:, ~example.amodal] == 255).all()
        inner = example.visible
        for axis in (0, 1):
            inner = inner & np.roll(inner, 1, axis) & np.roll(inner, -1, axis)
        assert (example.image[:, inner] == example.whole[:, inner]).all()


def test_the_hero_is_hidden_as_asked(examples):
    visible = np.array([example.visible.mean() for example in examples])
    amodal = np.array([example.amodal.mean() for example in examples])
    hiding = 1 - visible / amodal
    assert visible.min() > 0.015 and amodal.min() > 0.03 and amodal.max() < 0.75
    assert hiding.max() < 0.75
    assert 0.75 < (hiding > 0.08).mean() < 0.95
    assert 0.25 < hiding[hiding > 0.08].mean() < 0.5


def test_motion_is_moderate_and_varied(examples):
    speed = np.array([np.linalg.norm(example.flow, axis=0) for example in examples]) * 64 / SIZE
    means = speed.mean((1, 2))
    assert 1.8 < means.mean() < 3.2
    assert means.min() > 0.3 and means.max() < 6
    assert np.quantile(speed, 0.99) < 9
    assert speed.max() < 16
    occluded = np.mean([example.occluded.mean() for example in examples])
    assert 0.02 < occluded < 0.15


def test_points_are_where_the_flow_says():
    """In scenes of every kind, frame 2 has the depth of the moved point at the end of the flow, unless occluded."""
    world, size = ProceduralWorld(64, 3), (64, 64)
    good = []
    for index in range(12):
        scene = world.scene(index)
        hits, later = trace(scene, 0, size), trace(scene, 1, size).depth.reshape(size)
        point = follow(scene, hits, size)
        u, v = flow_of(scene.camera, point, size)
        y, x = np.mgrid[:64, :64]
        row, column = (np.clip(np.rint(a), 0, 63).astype(int) for a in (y + v, x + u))
        seen = ~hidden(scene, hits, point, size) & np.isfinite(hits.depth.reshape(size))
        error = np.abs(later[row, column] / point[:, 2].reshape(size) - 1)[seen]
        good.append((error < 0.05).mean())  # half a pixel away on a slope, or across an edge
    assert min(good) > 0.85
    assert np.mean(good) > 0.94


def test_all_families_occur_and_are_even():
    labels = np.array(
        [numpy_generator(7, "world", index).integers(len(FAMILIES)) for index in range(1600)]
    )
    assert len(FAMILIES) >= 12 and len(set(FAMILIES)) == len(FAMILIES)
    assert np.bincount(labels, minlength=len(FAMILIES)).min() > 60


def test_label_is_the_family(examples):
    assert {example.label for example in examples} == set(range(len(FAMILIES)))
    indoor = [
        e.depth_valid.mean()
        for e in examples
        if FAMILIES[e.label] in ("bright room", "clutter", "tunnel")
    ]
    assert min(indoor) == 1.0


def test_wide_frames_and_photographs(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "a.jpg")
    example = ProceduralWorld((24, 56), 1, tmp_path, samples=1)[0]
    assert example.image.shape == (3, 24, 56)
    assert not np.array_equal(example.image, ProceduralWorld((24, 56), 1, samples=1)[0].image)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"size": 4, "seed": 0}, "size"),
        ({"size": (8, 100), "seed": 0}, "size"),
        ({"size": 32, "seed": 0, "count": 0}, "count"),
        ({"size": 32, "seed": 0, "samples": 0}, "samples"),
        ({"size": 32, "seed": 0, "backend": "gpu"}, "backend"),
        ({"size": 32, "seed": 0, "textures": "nowhere"}, "textures"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(InputError, match=named):
        ProceduralWorld(**arguments)
