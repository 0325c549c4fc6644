"""Colour of what the rays hit: one lamp with hard shadows, ambient light from above and below, textured matt surfaces.

    colour = sqrt(albedo^2 (ambient(n) + lamp max(0, n . l) / (1 + (r / reach)^2) unshadowed)), at most CEILING

albedo and colour are display values, squared into light and back. Every ray has its own visibility, but rays of one
pixel that see the same side of the same body share one shading, as graphics cards do (multisampling). The ceiling
keeps every surface darker than the white on which a whole object is shown.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.data.world.library import Library
from lookharder.data.world.patterns import SIZE
from lookharder.data.world.raycast import caster_of_model
from lookharder.data.world.scene import (
    Body,
    Finder,
    FrameSize,
    Hits,
    Material,
    Scene,
    focal,
    poses,
    to_local,
)
from lookharder.data.world.textures import LEVELS, Bank

CEILING = 235 / 255
BIAS = 4e-3  # metres along the normal, so that a surface does not shadow itself


Shader = Callable[[Scene, int, Hits, np.ndarray, FrameSize, Bank, Finder], np.ndarray]


def paint(
    scene: Scene,
    frame: int,
    hits: Hits,
    size: FrameSize,
    bank: Bank,
    backend: Finder = "auto",
    *,
    alone: bool = False,
    shader: Shader | None = None,
) -> Float[np.ndarray, "H W 3"]:
    """The picture of the hits, in [0, 1]: each pixel is the mean over its rays; `shader` colours them, if not `shade`.

    With `alone`, for the hits of `trace(only=...)`: the body in its own colours and shadows on white, in exactly the
    pixels whose centre it covers; there it is the mean over the rays that hit it.
    """
    pixel, side, pixels = hits.pixel, hits.side(scene), size[0] * size[1]
    counted = (hits.body >= 0) & (hits.body >= 0)[pixel] if alone else np.ones(len(pixel), bool)
    lent = side == side[pixel]  # from the pixel's centre
    lent[:pixels] = False
    fresh = ~lent & counted
    own = fresh.nonzero()[0]
    colours = np.zeros((3, len(own) + 1), np.float32)  # the last one is that of no ray
    colours[:, :-1] = (shader or shade)(scene, frame, hits, own, size, bank, backend)
    source = np.where(fresh, np.cumsum(fresh) - 1, len(own))
    source[lent] = source[pixel[lent]]
    total, mass = colours.take(source[:pixels], 1), counted[:pixels].astype(np.float32)
    if hits.extra:
        more = colours.take(source[pixels:], 1).reshape(3, hits.extra, -1)
        total[:, hits.edge] += more.sum(1)
        mass[hits.edge] += counted[pixels:].reshape(hits.extra, -1).sum(0)
    picture = total / np.maximum(mass, 1) + (mass == 0).astype(np.float32)
    return np.moveaxis(picture.reshape(3, *size), 0, -1)


def shade(
    scene: Scene,
    frame: int,
    hits: Hits,
    chosen: Int[np.ndarray, "k"],
    size: FrameSize,
    bank: Bank,
    backend: Finder,
) -> Float[np.ndarray, "3 k"]:
    """Colours of the chosen rays."""
    world, sky, solid = directions(scene, frame, hits, chosen)
    colour = np.empty((3, len(chosen)), np.float32)
    if len(sky):
        colour[:, sky] = heaven(scene, world.take(sky, 1), bank)
    if len(solid):
        world, rows = world.take(solid, 1), chosen.take(solid)
        point, normal, albedo = matter(scene, frame, hits, rows, world, size, bank)
        energy = illuminate(scene, frame, point, normal, hits.body.take(rows), backend)
        colour[:, solid] = np.minimum(albedo * np.sqrt(energy), CEILING)
    return colour


def directions(
    scene: Scene, frame: int, hits: Hits, chosen: Int[np.ndarray, "k"]
) -> tuple[Float[np.ndarray, "3 k"], Int[np.ndarray, "s"], Int[np.ndarray, "m"]]:
    """Directions of the chosen rays in the world; which of them see the sky, and which meet a body."""
    world = (scene.camera.rotation[frame] @ hits.direction.take(chosen, 0).T).astype(np.float32)
    body = hits.body.take(chosen)
    return world, (body < 0).nonzero()[0], (body >= 0).nonzero()[0]


def matter(
    scene: Scene,
    frame: int,
    hits: Hits,
    chosen: Int[np.ndarray, "k"],
    world: Float[np.ndarray, "3 k"],
    size: FrameSize,
    bank: Bank,
) -> tuple[Float[np.ndarray, "3 k"], Float[np.ndarray, "3 k"], Float[np.ndarray, "3 k"]]:
    """Point, normal towards the eye and albedo where the chosen rays, of directions `world`, meet bodies."""
    body, triangle = hits.body.take(chosen), hits.triangle.take(chosen)
    depth = hits.depth.take(chosen).astype(np.float32)
    point = scene.camera.position[frame].astype(np.float32)[:, None] + depth * world
    uv, normal = surface(scene, frame, point, body, triangle)
    slant = dot(normal, world)
    normal *= np.where(slant > 0, np.float32(-1), np.float32(1))
    slant = np.abs(slant) / np.sqrt(dot(world, world))
    footprint = depth / focal(scene.camera, size) / np.sqrt(np.maximum(slant, 0.05))
    return point, normal, cover(scene, bank, uv, slots(scene, body, triangle), footprint)


def slots(scene: Scene, body: np.ndarray, triangle: np.ndarray) -> Int[np.ndarray, "k"]:
    """The number of the material at each hit, in the order of `materials`."""
    table = scene.library
    first = np.array([table.first[item.mesh] for item in scene.bodies])
    start = np.cumsum([0, *(1 + len(item.others) for item in scene.bodies)])
    slot: np.ndarray = start.take(body) + table.part.take(first.take(body) + triangle)
    return slot


def materials(scene: Scene) -> list[tuple[Body, Material]]:
    """All materials with their bodies, body by body and part by part."""
    return [(item, each) for item in scene.bodies for each in (item.material, *item.others)]


def dot(a: Float[np.ndarray, "3 k"], b: Float[np.ndarray, "3 k"]) -> Float[np.ndarray, "k"]:
    """Of columns."""
    product: np.ndarray = np.einsum("ik,ik->k", a, b)
    return product


def planar(table: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "... n"]:
    """The first axis last: numpy is fast along the last axis."""
    return np.moveaxis(table, 0, -1)


def compose(
    after: Float[np.ndarray, "i j k"], before: Float[np.ndarray, "j l k"]
) -> Float[np.ndarray, "i l k"]:
    """Products of k pairs of matrices."""
    product: np.ndarray = np.einsum("ijk,jlk->ilk", after, before)
    return product


def affine(
    maps: Float[np.ndarray, "n 4 k"], point: Float[np.ndarray, "3 k"]
) -> Float[np.ndarray, "n k"]:
    """To each point its own map, the constants last."""
    linear = np.einsum("ijk,jk->ik", maps[:, :3], point)
    moved: np.ndarray = linear + maps[:, 3]
    return moved


def surface(
    scene: Scene, frame: int, point: np.ndarray, body: np.ndarray, triangle: np.ndarray
) -> tuple[Float[np.ndarray, "2 k"], Float[np.ndarray, "3 k"]]:
    """Texture coordinates in periods, and unit shading normals in the world.

    The affine maps of the triangles in sight are first composed with the poses, so that each point needs one map.
    """
    table, (lengths, rotation, _) = scene.library, poses(scene, frame)
    meshes = [table.meshes[item.mesh] for item in scene.bodies]
    counts = [len(mesh.corners) for mesh in meshes]
    start = np.cumsum([0, *counts])
    row = start.take(body) + triangle
    used = np.bincount(row, minlength=start[-1]).nonzero()[0]
    number = np.empty(start[-1], np.int64)
    number[used] = np.arange(len(used))

    owner = np.repeat(np.arange(len(counts)), counts)[used]
    first = np.array([table.first[item.mesh] for item in scene.bodies])
    attributes = table.attributes.take(used + (first - start[:-1]).take(owner), 2)
    local = planar(to_local(scene, frame)).take(owner, 2)
    wrapped = np.array([mesh.wrapped for mesh in meshes])
    stretch = planar(np.where(wrapped[:, None], 1.0, lengths)).take(owner, 1)
    repeat = planar(np.array([each.repeat for _, each in materials(scene)]))
    parts = np.cumsum([0, *(1 + len(item.others) for item in scene.bodies)])
    rows = used + (first - start[:-1]).take(owner)
    repeat = repeat.take(parts.take(owner) + table.part.take(rows), 1)
    outward = planar(rotation / lengths[:, None]).take(owner, 2)
    chart = compose(attributes[:2, :3] * stretch, local)
    chart[:, 3] += attributes[:2, 3]
    facing = compose(attributes[2:, :3], local)
    facing[:, 3] += attributes[2:, 3]
    maps = np.concatenate([chart * repeat[:, None], compose(outward, facing)])
    values = affine(maps.astype(np.float32).take(number.take(row), 2), point)
    uv, normal = values[:2], values[2:]
    return uv, normal / np.sqrt(dot(normal, normal))


def cover(
    scene: Scene, bank: Bank, uv: np.ndarray, slot: np.ndarray, footprint: np.ndarray
) -> Float[np.ndarray, "3 k"]:
    """Albedo: the texture at the mip level of the footprint (metres), through the material's colour map."""
    every = materials(scene)
    density = np.array([texel_density(*each, scene.library) for each in every])
    level = np.log2(np.maximum(footprint * density.take(slot), 1e-6))
    level = np.clip(np.round(level), 0, LEVELS - 1).astype(np.int64)
    texture = np.array([material.texture for _, material in every]).take(slot)
    channels = bank.sample(texture, uv.T, level).T
    colour = np.array([material.colour for _, material in every], np.float32)
    albedo: np.ndarray = np.clip(affine(planar(colour).take(slot, 2), channels), 0.03, 0.97)
    return albedo


def texel_density(body: Body, material: Material, table: Library) -> float:
    """Texels per metre, the mean of both directions."""
    u, v = map(float, material.repeat)
    if table.meshes[body.mesh].wrapped:
        width, height, depth = map(float, body.size)
        u, v = u / (np.pi * (width + depth) / 2), v / height
    return SIZE * (u + v) / 2


def heaven(scene: Scene, world: Float[np.ndarray, "3 k"], bank: Bank) -> Float[np.ndarray, "3 k"]:
    """The sky along a direction: clouds on a high plane, paler at the horizon."""
    sky, count = scene.sky, world.shape[1]
    height = world[1] / np.sqrt(dot(world, world))
    plane = world[::2] / (np.abs(world[1]) + 0.35) * sky.repeat[:, None]
    channels = bank.sample(np.full(count, sky.texture), plane.T, np.full(count, 2)).T
    colour = sky.colour[:, :3] @ channels + sky.colour[:, 3:]
    pale = 0.45 * np.clip(1 - 3 * np.abs(height), 0, 1)
    light: np.ndarray = np.clip(colour * (1 - pale) + 0.85 * pale, 0, CEILING)
    return light


def illuminate(
    scene: Scene,
    frame: int,
    point: np.ndarray,
    normal: np.ndarray,
    body: np.ndarray,
    backend: Finder,
) -> Float[np.ndarray, "3 k"]:
    """Light that falls on a surface: ambient by its slope, and the lamp where nothing stands before it."""
    light = scene.light
    toward = light.position.astype(np.float32)[:, None] - point
    distance = np.sqrt(dot(toward, toward))
    lambert = dot(normal, toward) / distance
    lit = (lambert > 0).nonzero()[0]
    raised = point.take(lit, 1) + BIAS * normal.take(lit, 1)
    lit = lit[~shadowed(scene, frame, raised, distance.take(lit), body.take(lit), backend)]
    lamp = np.zeros_like(distance)
    lamp[lit] = lambert.take(lit) / (1 + (distance.take(lit) / light.reach) ** 2)
    up = (normal[1] + 1) / 2
    above, below, colour = (
        part.astype(np.float32)[:, None] for part in (light.above, light.below, light.colour)
    )
    energy: np.ndarray = below + (above - below) * up + colour * lamp
    return energy


def shadowed(
    scene: Scene,
    frame: int,
    point: np.ndarray,
    distance: np.ndarray,
    body: np.ndarray,
    backend: Finder,
) -> Bool[np.ndarray, "k"]:
    """Whether a body stands between the point and the lamp; a body asks only the points inside its cone of shadow."""
    result = np.zeros(len(distance), bool)
    casting = np.array([item.casts for item in scene.bodies]).nonzero()[0]
    if not len(casting):
        return result
    source, local = scene.light.position, to_local(scene, frame)
    lengths, _, place = (part[casting] for part in poses(scene, frame))
    away = point - source.astype(np.float32)[:, None]
    axis, radius = place - source, np.linalg.norm(lengths, axis=1) / 2
    length = np.linalg.norm(axis, axis=1)
    cosine = np.where(length > radius, np.sqrt(np.maximum(0, 1 - (radius / length) ** 2)), -1)
    inside = axis / length[:, None] @ away.astype(np.float64) >= cosine[:, None] * distance
    inside &= distance > (length - radius)[:, None]
    for index, mine in zip(casting.tolist(), inside, strict=True):
        mesh = scene.library.meshes[scene.bodies[index].mesh]
        if mesh.convex:
            mine &= body != index
        todo = (mine & ~result).nonzero()[0]
        if len(todo):
            turn, shift = local[index, :, :3], local[index, :, 3]
            origin = (turn @ point.take(todo, 1)).T + shift
            ray = -(turn @ away.take(todo, 1)).T
            result[todo] = caster_of_model(mesh, backend).blocked(origin, ray, 1.0)
    return result
