"""Rendering against closed forms, and one label against another."""

from dataclasses import replace

import numpy as np
import pytest

from lookharder.data.world.families.draft import rotation
from lookharder.data.world.motion import flow_of, follow, hidden
from lookharder.data.world.patterns import NAMES
from lookharder.data.world.raycast import resolve
from lookharder.data.world.scene import Body, Camera, Light, Material, Scene, centres, focal
from lookharder.data.world.shading import paint
from lookharder.data.world.textures import load_bank
from lookharder.data.world.tracing import trace

SIZE = (48, 64)
BANK = load_bank(None)
BACKENDS = ["embree", "numpy"] if resolve("auto") == "embree" else ["numpy"]


def material(name="clouds", repeat=0.7):
    colour = np.concatenate([0.4 * np.eye(3), np.full((3, 1), 0.3)], 1)
    return Material(texture=NAMES.index(name), repeat=np.full(2, repeat), colour=colour)


def body(mesh, place, size, turn=(0, 0, 0), step=(0, 0, 0), spin=(0, 0, 0), **more):
    place, pose = np.array(place, float), rotation(turn)
    return Body(
        mesh=mesh,
        size=np.array(size, float),
        rotation=np.stack([pose, rotation(spin) @ pose]),
        position=np.stack([place, place + step]),
        material=more.pop("material", material()),
        **more,
    )


def scene(*bodies, fov=60.0, step=(0, 0, 0), spin=(0, 0, 0), flat=False):
    """The camera at the origin looks along +z of the world: right is -x, down is -y."""
    view = np.diag([-1.0, -1.0, 1.0])
    ambient = np.full(3, 0.8 if flat else 0.3)
    return Scene(
        family="test",
        camera=Camera(
            fov=np.radians(fov),
            rotation=np.stack([view, view @ rotation(spin)]),
            position=np.stack([np.zeros(3), np.array(step, float)]),
        ),
        bodies=bodies,
        light=Light(
            position=np.array([1.0, 3.0, -1.0]),
            colour=np.zeros(3) if flat else np.ones(3),
            reach=1e6,
            above=ambient,
            below=ambient,
        ),
        sky=material(),
        chosen=0,
    )


def depth_of(world, size=SIZE, backend=BACKENDS[0]):
    return trace(world, 0, size, backend=backend).depth.reshape(size)


def directions(world, size=SIZE):
    """Rays in world axes with forward part 1."""
    rays = np.concatenate(
        [centres(size) / focal(world.camera, size), np.ones((size[0] * size[1], 1))], 1
    )
    return rays @ world.camera.rotation[0].T


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("turn", [(0, 0, 0), (0.5, 0.3, 0.1)])
def test_depth_of_a_plane_is_the_formula(backend, turn):
    """The front side of a box as large as the view: n . (t d) = n . p."""
    slab = body("box", (0.2, 0.1, 5), (40, 40, 1), turn)
    world = scene(slab)
    normal = rotation(turn) @ [0, 0, -1.0]
    point = slab.position[0] + 0.5 * normal
    expected = (normal @ point) / (directions(world) @ normal)
    np.testing.assert_allclose(depth_of(world, backend=backend).ravel(), expected, rtol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_depth_of_a_sphere_is_the_formula(backend):
    centre, radius = np.array([0.2, -0.1, 4.0]), 1.5
    world = scene(body("sphere", centre, (2 * radius,) * 3, (0.3, 0.4, 0.5)))
    d = directions(world)
    a, b, c = (d * d).sum(1), d @ centre, centre @ centre - radius**2
    inside = b * b - a * c
    expected = (b - np.sqrt(np.maximum(inside, 0))) / a
    depth = depth_of(world, backend=backend).ravel()
    sagitta = radius * (1 - np.cos(np.pi / 32) * np.cos(np.pi / 32))
    closest = np.linalg.norm(np.cross(d, centre), axis=1) / np.sqrt(a)
    assert np.isinf(depth[closest > radius]).all()
    assert np.isfinite(depth[closest < radius - sagitta]).all()
    face_on = closest < 0.8 * radius
    error = depth[face_on] - expected[face_on]
    assert error.min() > -1e-9  # the triangles' corners lie on the sphere
    assert error.max() < 2 * sagitta


def moving_scene(flat=False):
    room = body("box", (0, 0, 2), (6, 4, 8), casts=False, material=material("marble", 0.5))
    ball = body("sphere", (0.5, 0, 3.0), (1, 1, 1), step=(0.1, 0.05, -0.1), spin=(0, 0.2, 0.1))
    block = body("box", (-0.6, -0.3, 2.4), (0.7, 0.9, 0.6), (0, 0.5, 0), step=(-0.05, 0, 0.1))
    return scene(ball, block, room, step=(0.05, 0.02, 0.08), spin=(0.01, 0.02, -0.01), flat=flat)


def test_depth_moved_by_the_poses_gives_the_flow():
    """Another route to the flow: depth -> world -> the body's rigid motion -> the second camera."""
    world = moving_scene()
    hits = trace(world, 0, SIZE)
    flow = flow_of(world.camera, follow(world, hits, SIZE), SIZE).reshape(2, -1).T
    eye, view = world.camera.position, world.camera.rotation
    point = eye[0] + hits.depth[:, None] * directions(world)
    for index, item in enumerate(world.bodies):
        seen = hits.body == index
        assert seen.any()
        moved = (point[seen] - item.position[0]) @ item.rotation[0] @ item.rotation[
            1
        ].T + item.position[1]
        camera = (moved - eye[1]) @ view[1]
        place = camera[:, :2] / camera[:, 2:] * focal(world.camera, SIZE)
        np.testing.assert_allclose(flow[seen], place - centres(SIZE)[seen], atol=1e-8)


def test_flow_of_the_sky_is_that_of_a_rotation():
    world = scene(body("box", (0, -9, 5), (1, 1, 1)), step=(1, 2, 3), spin=(0, 0, 0.1))
    hits = trace(world, 0, SIZE)
    assert (hits.body == -1).all()
    flow = flow_of(world.camera, follow(world, hits, SIZE), SIZE).reshape(2, -1).T
    c, s = np.cos(0.1), np.sin(0.1)
    np.testing.assert_allclose(
        flow, centres(SIZE) @ np.array([[c, -s], [s, c]]) - centres(SIZE), atol=1e-9
    )


def bilinear(image, place):
    """Values of an (H, W, ...) array at (x, y) in pixels."""
    x, y = (
        np.clip(place[..., 0], 0, image.shape[1] - 1.001),
        np.clip(place[..., 1], 0, image.shape[0] - 1.001),
    )
    i, j = np.floor(y).astype(int), np.floor(x).astype(int)
    a, b = (
        (y - i).reshape(*y.shape, *[1] * (image.ndim - 2)),
        (x - j).reshape(*x.shape, *[1] * (image.ndim - 2)),
    )
    upper = image[i, j] * (1 - b) + image[i, j + 1] * b
    return upper * (1 - a) + (image[i + 1, j] * (1 - b) + image[i + 1, j + 1] * b) * a


def test_second_frame_at_the_flow_is_the_first():
    """Colour (even light) and depth of frame 2, sampled where the flow points, are those of the moved points."""
    size = (120, 160)
    world = moving_scene(flat=True)
    pictures, traces = [], []
    for frame in (0, 1):
        pictures.append(paint(world, frame, trace(world, frame, size, samples=5), size, BANK))
        traces.append(trace(world, frame, size))
    point = follow(world, traces[0], size)
    flow = np.moveaxis(flow_of(world.camera, point, size), 0, -1)
    seen = ~hidden(world, traces[0], point, size)
    y, x = np.mgrid[: size[0], : size[1]]
    place = np.stack([x, y], -1) + flow
    assert np.abs(flow).max() > 3
    assert 0.85 < seen.mean() < 1

    error = np.abs(bilinear(pictures[1], place) - pictures[0]).max(-1)
    wrong = np.abs(pictures[1] - pictures[0]).max(-1)
    assert np.median(error[seen]) < 0.012
    assert np.median(wrong[seen]) > 4 * np.median(error[seen])

    expected = point[:, 2].reshape(size)
    later = bilinear(traces[1].depth.reshape(size), place)
    relative = np.abs(later - expected) / expected
    assert np.median(relative[seen]) < 1e-4
    assert (relative[seen] < 0.02).mean() > 0.97
    framed = (
        np.abs(place - [(size[1] - 1) / 2, (size[0] - 1) / 2]) < np.array(size[::-1]) / 2 - 1
    ).all(-1)
    behind = ~seen & framed  # hidden points lie behind what frame 2 shows there
    assert behind.sum() > 100
    assert ((expected - later)[behind] > 0).mean() > 0.9


@pytest.mark.parametrize("wall", [True, False])
def test_occlusion_of_a_sliding_block_is_where_it_slides_to(wall):
    """A near block moves right by a known number of pixels, over a far wall or the sky."""
    size, pixels = (40, 40), 6
    length = focal(scene().camera, size)
    step = (-pixels * 4 / length, 0, 0)  # right is -x
    block = body("box", (0, 0, 4.0005), (1.0, 1.0, 0.001), step=step)
    world = scene(block, body("box", (0, 0, 8.5 if wall else -5), (20, 20, 1)))
    hits = trace(world, 0, size)
    assert np.isfinite(hits.depth).all() == wall
    point = follow(world, hits, size)
    flow = flow_of(world.camera, point, size)
    on = (hits.body == 0).reshape(size)
    np.testing.assert_allclose(flow[0][on], pixels, atol=1e-6)
    np.testing.assert_allclose(flow[:, ~on], 0, atol=1e-9)
    covered = np.roll(on, pixels, 1) & ~on
    np.testing.assert_array_equal(hidden(world, hits, point, size), covered)


def test_what_leaves_the_frame_is_occluded():
    world = scene(body("box", (0, 0, 5), (40, 40, 1)), step=(0.3, 0.2, 0))
    hits = trace(world, 0, SIZE)
    point = follow(world, hits, SIZE)
    place = centres(SIZE) + flow_of(world.camera, point, SIZE).reshape(2, -1).T
    inside = (np.abs(place) <= np.array(SIZE[::-1]) / 2).all(1)
    assert 0.5 < inside.mean() < 0.95
    np.testing.assert_array_equal(hidden(world, hits, point, SIZE).ravel(), ~inside)


def test_no_surface_is_as_white_as_the_page():
    world = scene(body("box", (0, 0, 4), (1.5, 1.5, 1.5)))
    world = replace(
        world, light=replace(world.light, above=np.full(3, 100.0), below=np.full(3, 100.0))
    )
    picture = paint(world, 0, trace(world, 0, SIZE, samples=5, only=0), SIZE, BANK, alone=True)
    assert set(np.unique((picture * 255).round())) == {235, 255}


def test_alone_sees_through_and_shows_the_same_colours():
    back = body("sphere", (0, 0, 4), (2, 2, 2))
    front = body("box", (-0.5, 0, 2.5), (0.6, 0.6, 0.6))
    world = scene(back, front, body("box", (0, 0, 5), (20, 20, 20), casts=False))
    hits, own = trace(world, 0, SIZE, samples=5), trace(world, 0, SIZE, samples=5, only=0)
    pixels = SIZE[0] * SIZE[1]
    alone = (own.body[:pixels] == 0).reshape(SIZE)
    without = trace(replace(world, bodies=(back,)), 0, SIZE).body.reshape(SIZE) == 0
    np.testing.assert_array_equal(alone, without)
    visible = (hits.body[:pixels] == 0).reshape(SIZE)
    assert not (visible & ~alone).any()
    assert 0.1 < visible.sum() / alone.sum() < 0.95
    image, whole = paint(world, 0, hits, SIZE, BANK), paint(world, 0, own, SIZE, BANK, alone=True)
    assert (whole[~alone] == 1).all()
    inner = interior(visible)
    assert inner.any()
    np.testing.assert_allclose(image[inner], whole[inner], atol=1e-6)
    # the shadow of the block stays on the hidden part: the ball alone in the world is brighter
    world = replace(world, bodies=(back,))
    lonely = paint(world, 0, trace(world, 0, SIZE, samples=5), SIZE, BANK)
    assert (lonely[interior(alone)] > whole[interior(alone)] - 1e-6).all()
    assert (lonely[interior(alone)] > whole[interior(alone)] + 0.02).any()


def interior(mask):
    """Pixels whose eight neighbours are in the mask too."""
    return erode(erode(mask, 0), 1)


def erode(mask, axis):
    return mask & np.roll(mask, 1, axis) & np.roll(mask, -1, axis)


def test_edges_are_smooth_and_centres_are_not_moved():
    world = moving_scene()
    rough, fine = trace(world, 0, SIZE), trace(world, 0, SIZE, samples=5)
    np.testing.assert_array_equal(fine.depth[: len(rough.depth)], rough.depth)
    changed = (
        np.abs(paint(world, 0, rough, SIZE, BANK) - paint(world, 0, fine, SIZE, BANK)).max(-1)
        > 1e-6
    )
    assert 0.01 < changed.mean() < 0.3


def test_textures_repeat_and_average():
    """Every level has the mean of the finest, and u is periodic."""
    texture, rng = np.full(300, 5), np.random.default_rng(1)
    uv = rng.uniform(0, 1, (300, 2))
    for level in range(5):
        here = BANK.sample(texture, uv, np.full(300, level))
        np.testing.assert_allclose(
            here, BANK.sample(texture, uv + np.array([3, -2]), np.full(300, level)), atol=1e-5
        )
    grid = np.stack(np.meshgrid(*[(np.arange(128) + 0.5) / 128] * 2), -1).reshape(-1, 2)
    means = [
        BANK.sample(np.full(len(grid), 9), grid, np.full(len(grid), level)).mean(0)
        for level in range(6)
    ]
    np.testing.assert_allclose(means, np.broadcast_to(means[0], (6, 3)), atol=0.01)
