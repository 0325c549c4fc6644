"""The world of photographs: its labels against independent checks, and what its scenes are like."""

from dataclasses import fields

import numpy as np
import pytest

from lookharder.data.example import Example
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import open_spec
from lookharder.data.world.families.photographed import PHOTOGRAPHED
from lookharder.data.world.furniture import FINISHES, natural
from lookharder.data.world.library import library
from lookharder.data.world.motion import flow_of, follow, hidden
from lookharder.data.world.raycast import resolve
from lookharder.data.world.scene import centres, focal
from lookharder.data.world.tracing import trace
from lookharder.errors import InputError

SIZE, COUNT = (36, 48), 16


@pytest.fixture(scope="module")
def world():
    return ProceduralWorld(SIZE, 3, world="photo", samples=2)


@pytest.fixture(scope="module")
def examples(world):
    return [world[index] for index in range(COUNT)]


def test_depth_is_that_of_every_triangle_tried_one_by_one(world):
    """Moeller and Trumbore's formula on the triangles of all bodies, placed by hand."""
    rng = np.random.default_rng(0)
    for index in range(4):
        scene = world.scene(index)
        hits = trace(scene, 0, SIZE)
        corners = np.concatenate(
            [
                (library().meshes[body.mesh].corners * body.size) @ body.rotation[0].T
                + body.position[0]
                for body in scene.bodies
            ]
        )
        a, b, c = np.moveaxis(corners, 1, 0)
        for pixel in rng.integers(0, SIZE[0] * SIZE[1], 25):
            ray = np.append(centres(SIZE)[pixel] / focal(scene.camera, SIZE), 1.0)
            d = scene.camera.rotation[0] @ ray
            p = np.cross(d, c - a)
            away = scene.camera.position[0] - a
            q = np.cross(away, b - a)
            with np.errstate(divide="ignore", invalid="ignore"):
                scale = 1 / ((b - a) * p).sum(1)
                u, v, t = (away * p).sum(1) * scale, (q @ d) * scale, (q * (c - a)).sum(1) * scale
                hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
            expected = t[hit].min() if hit.any() else np.inf
            np.testing.assert_allclose(hits.depth[pixel], expected, rtol=1e-6)


def test_points_are_where_the_flow_says(world):
    good = []
    for index in range(6):
        scene = world.scene(index)
        hits, later = trace(scene, 0, SIZE), trace(scene, 1, SIZE).depth.reshape(SIZE)
        point = follow(scene, hits, SIZE)
        u, v = flow_of(scene.camera, point, SIZE)
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        row = np.clip(np.rint(y + v), 0, SIZE[0] - 1).astype(int)
        column = np.clip(np.rint(x + u), 0, SIZE[1] - 1).astype(int)
        seen = ~hidden(scene, hits, point, SIZE) & np.isfinite(hits.depth.reshape(SIZE))
        error = np.abs(later[row, column] / point[:, 2].reshape(SIZE) - 1)[seen]
        good.append((error < 0.06).mean())
    assert min(good) > 0.75
    assert np.mean(good) > 0.9


def test_second_frame_shows_the_moved_points(examples):
    """The second frame, sampled where the flow points, is nearer to the first than the second as it is."""
    better = []
    for example in examples:
        first, second = (
            np.moveaxis(p, 0, -1).astype(float) for p in (example.image, example.second)
        )
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        u, v = example.flow
        row = np.clip(np.rint(y + v), 0, SIZE[0] - 1).astype(int)
        column = np.clip(np.rint(x + u), 0, SIZE[1] - 1).astype(int)
        warped = np.abs(second[row, column] - first).mean(-1)[~example.occluded].mean()
        better.append(warped < np.abs(second - first).mean(-1)[~example.occluded].mean())
    assert np.mean(better) > 0.8


def test_masks_nest_and_the_whole_keeps_what_is_given(examples):
    for example in examples:
        assert not (example.visible & ~example.amodal).any()
        assert (example.whole[:, ~example.amodal] == 255).all()
        assert example.whole[:, example.amodal].max() <= 235
        inner = example.visible.copy()
        inner[[0, -1]], inner[:, [0, -1]] = False, False
        for axis in (0, 1):
            inner &= np.roll(example.visible, 1, axis) & np.roll(example.visible, -1, axis)
        np.testing.assert_array_equal(example.image[:, inner], example.whole[:, inner])


def test_objects_touch_the_frame_and_hide_nothing_in_some_cases(world):
    edge, free = [], []
    for index in range(36):
        scene = world.scene(index, moving=False)
        alone = trace(scene, 0, SIZE, only=scene.chosen).body.reshape(SIZE) >= 0
        seen = trace(scene, 0, SIZE).body.reshape(SIZE) == scene.chosen
        edge.append(alone[[0, -1]].any() or alone[:, [0, -1]].any())
        free.append(seen.sum() > 0.97 * alone.sum())
    assert 0.15 < np.mean(edge) < 0.8
    assert 0.2 < np.mean(free) < 0.7


def test_an_example_depends_on_seed_and_index_alone(examples):
    again = ProceduralWorld(SIZE, 3, world="photo", samples=2, count=9)
    for index in (7, 2):
        for field in fields(Example):
            np.testing.assert_array_equal(
                getattr(again[index], field.name), getattr(examples[index], field.name)
            )
    frame = again.frame(2)
    np.testing.assert_array_equal(frame.image, examples[2].image)
    np.testing.assert_array_equal(frame.depth, examples[2].depth)


@pytest.mark.skipif(resolve("auto") == "numpy", reason="embreex is not installed")
def test_backends_agree_on_depth(world):
    scene = world.scene(1)
    ours, theirs = (trace(scene, 0, SIZE, backend=name) for name in ("embree", "numpy"))
    same = ours.body == theirs.body
    assert same.mean() > 0.998  # float32 and float64 differ on edges
    np.testing.assert_allclose(ours.depth[same], theirs.depth[same], rtol=1e-5)


def test_every_family_and_far_views_occur(world):
    families = {world.scene(index, moving=False).family for index in range(24)}
    assert families == {layout.__name__.replace("_", " ") for _, layout, *_ in PHOTOGRAPHED}
    deepest = max(float(world.frame(index).depth.max()) for index in range(12))
    assert deepest == 80


def test_models_have_a_finish_for_every_part():
    for name, finishes in FINISHES.items():
        mesh = library().meshes[name]
        assert set(mesh.part.tolist()) == set(range(len(finishes))), name
        assert all(length > 0 for length in natural()[name])
        assert np.abs(mesh.corners).max() <= 0.5 + 1e-9


def test_a_spec_says_world_size_and_frames():
    data = open_spec("procedural:3:5?world=photo&size=24x32&frames=1", 64)
    assert len(data) == 3 and data[0].image.shape == (3, 24, 32)
    assert data[0].second is None and data[0].label is None
    for bad in ("world=mars", "size=24", "frames=x", "frames=3", "colour=1"):
        with pytest.raises(InputError):
            open_spec(f"procedural:3:5?{bad}", 64)
