"""Colour of what the rays hit: one lamp with hard shadows, ambient light from above and below, textured matt surfaces.

    colour = sqrt(albedo^2 (ambient(n) + lamp max(0, n . l) / (1 + (r / reach)^2) unshadowed)), at most CEILING

albedo and colour are display values, squared into light and back. Every ray has its own visibility, but rays of one
pixel that see the same side of the same body share one shading, as graphics cards do (multisampling). The ceiling
keeps every surface darker than the white on which a whole object is shown.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.data.library import library
from lookharder.data.patterns import SIZE
from lookharder.data.raycast import casters
from lookharder.data.scene import Body, Finder, Hits, Scene, Size, focal, to_local
from lookharder.data.textures import LEVELS, Bank

CEILING = 235 / 255
BIAS = 4e-3  # metres along the normal, so that a surface does not shadow itself


def paint(
    scene: Scene,
    frame: int,
    hits: Hits,
    size: Size,
    bank: Bank,
    backend: Finder = "embree",
    *,
    alone: bool = False,
) -> Float[np.ndarray, "H W 3"]:
    """The picture of the hits, in [0, 1]: each pixel is the mean over its rays.

    With `alone`, for the hits of `trace(only=...)`: the body in its own colours and shadows on white, in exactly the
    pixels whose centre it covers; there it is the mean over the rays that hit it.
    """
    pixel, side, pixels = hits.pixel, hits.side(scene), size[0] * size[1]
    counted = (hits.body >= 0) & (hits.body >= 0)[pixel] if alone else np.ones(len(pixel), bool)
    lent = side == side[pixel]  # from the pixel's centre
    lent[:pixels] = False
    own = np.flatnonzero(~lent & counted)
    colours = np.zeros((len(pixel), 3), np.float32)
    colours[own] = shade(scene, frame, hits, own, focal(scene.camera, size), bank, backend)
    colours[lent] = colours[pixel[lent]]
    total, mass = colours[:pixels], counted[:pixels].astype(np.float32)
    if hits.extra:
        total[hits.edge] += colours[pixels:].reshape(hits.extra, -1, 3).sum(0)
        mass[hits.edge] += counted[pixels:].reshape(hits.extra, -1).sum(0)
    white = (mass == 0).astype(np.float32)[:, None]
    return (total / np.maximum(mass, 1)[:, None] + white).reshape(*size, 3)


def shade(
    scene: Scene,
    frame: int,
    hits: Hits,
    chosen: Int[np.ndarray, "k"],
    focal_length: float,
    bank: Bank,
    backend: Finder,
) -> Float[np.ndarray, "k 3"]:
    """Colours of the chosen rays."""
    camera = scene.camera
    world = (hits.direction.take(chosen, 0) @ camera.rotation[frame].T).astype(np.float32)
    body = hits.body.take(chosen)
    colour = np.empty((len(chosen), 3), np.float32)
    sky, solid = np.flatnonzero(body < 0), np.flatnonzero(body >= 0)
    if len(sky):
        colour[sky] = heaven(scene, world.take(sky, 0), bank)
    if len(solid):
        world, body, chosen = world.take(solid, 0), body.take(solid), chosen.take(solid)
        depth = hits.depth.take(chosen).astype(np.float32)
        point = camera.position[frame].astype(np.float32) + depth[:, None] * world
        uv, normal = surface(scene, frame, point, body, hits.triangle.take(chosen))
        slant = np.einsum("ki,ki->k", normal, world)
        normal = np.where(slant[:, None] > 0, -normal, normal)  # towards the eye
        slant = np.abs(slant) / np.sqrt(np.einsum("ki,ki->k", world, world))
        footprint = depth / focal_length / np.sqrt(np.maximum(slant, 0.05))
        albedo = cover(scene, bank, uv, body, footprint)
        energy = illuminate(scene, frame, point, normal, body, backend)
        colour[solid] = np.minimum(albedo * np.sqrt(energy), CEILING)
    return colour


def surface(
    scene: Scene, frame: int, point: np.ndarray, body: np.ndarray, triangle: np.ndarray
) -> tuple[Float[np.ndarray, "k 2"], Float[np.ndarray, "k 3"]]:
    """Texture coordinates in periods, and unit shading normals in the world.

    The affine maps of the triangles in sight are first composed with the poses, so that each point needs one map.
    """
    meshes = [library().meshes[item.mesh] for item in scene.bodies]
    counts = [len(mesh.corners) for mesh in meshes]
    start = np.cumsum([0, *counts])
    row = start.take(body) + triangle
    used = np.flatnonzero(np.bincount(row, minlength=start[-1]))
    number = np.empty(start[-1], np.int64)
    number[used] = np.arange(len(used))

    owner = np.repeat(np.arange(len(counts)), counts)[used]
    first = np.array([library().first[item.mesh] for item in scene.bodies])
    attributes = library().attributes[used - start[owner] + first[owner]]
    local = to_local(scene, frame)[owner]
    stretch = np.stack(
        [np.ones(3) if m.wrapped else b.size for m, b in zip(meshes, scene.bodies, strict=True)]
    )
    outward = np.stack([item.rotation[frame] / item.size for item in scene.bodies])
    repeat = np.stack([item.material.repeat for item in scene.bodies])
    chart = attributes[:, :2, :3] * stretch[owner][:, None] @ local
    chart[..., 3] += attributes[:, :2, 3]
    facing = attributes[:, 2:, :3] @ local
    facing[..., 3] += attributes[:, 2:, 3]
    maps = np.concatenate([chart * repeat[owner][:, :, None], outward[owner] @ facing], 1).astype(
        np.float32
    )

    maps = maps.take(number.take(row), 0)
    values = np.einsum("kij,kj->ki", maps[..., :3], point) + maps[..., 3]
    uv, normal = values[:, :2], values[:, 2:]
    return uv, normal / np.sqrt(np.einsum("ki,ki->k", normal, normal))[:, None]


def cover(
    scene: Scene, bank: Bank, uv: np.ndarray, body: np.ndarray, footprint: np.ndarray
) -> Float[np.ndarray, "k 3"]:
    """Albedo: the texture at the mip level of the footprint (metres), through the material's colour map."""
    materials = [item.material for item in scene.bodies]
    density = np.array([texel_density(item) for item in scene.bodies])
    level = np.log2(np.maximum(footprint * density.take(body), 1e-6))
    level = np.clip(np.round(level), 0, LEVELS - 1).astype(np.int64)
    channels = bank.sample(np.array([m.texture for m in materials])[body], uv, level)
    colour = np.stack([material.colour for material in materials]).astype(np.float32).take(body, 0)
    albedo = np.einsum("kij,kj->ki", colour[..., :3], channels) + colour[..., 3]
    return np.clip(albedo, 0.03, 0.97)


def texel_density(body: Body) -> float:
    """Texels per metre, the mean of both directions."""
    u, v = body.material.repeat.tolist()
    if library().meshes[body.mesh].wrapped:
        width, height, depth = body.size.tolist()
        u, v = u / (np.pi * (width + depth) / 2), v / height
    return SIZE * (u + v) / 2


def heaven(scene: Scene, world: Float[np.ndarray, "k 3"], bank: Bank) -> Float[np.ndarray, "k 3"]:
    """The sky along a direction: clouds on a high plane, paler at the horizon."""
    sky = scene.sky
    height = world[:, 1] / np.linalg.norm(world, axis=1)
    plane = world[:, ::2] / (np.abs(world[:, 1:2]) + 0.35) * sky.repeat
    count = len(world)
    channels = bank.sample(np.full(count, sky.texture), plane, np.full(count, 2))
    colour = channels @ sky.colour[:, :3].T + sky.colour[:, 3]
    pale = 0.45 * np.clip(1 - 3 * np.abs(height), 0, 1)[:, None]
    return np.clip(colour * (1 - pale) + 0.85 * pale, 0, CEILING)


def illuminate(
    scene: Scene,
    frame: int,
    point: np.ndarray,
    normal: np.ndarray,
    body: np.ndarray,
    backend: Finder,
) -> Float[np.ndarray, "k 3"]:
    """Light that falls on a surface: ambient by its slope, and the lamp where nothing stands before it."""
    light = scene.light
    toward = light.position.astype(np.float32) - point
    distance = np.sqrt(np.einsum("ki,ki->k", toward, toward))
    lambert = np.einsum("ki,ki->k", normal, toward) / distance
    lit = np.flatnonzero(lambert > 0)
    lit = lit[
        ~shadowed(scene, frame, point[lit] + BIAS * normal[lit], distance[lit], body[lit], backend)
    ]
    lamp = np.zeros(len(point), np.float32)
    lamp[lit] = lambert[lit] / (1 + (distance[lit] / light.reach) ** 2)
    up = (normal[:, 1:2] + 1) / 2
    above, below, colour = (c.astype(np.float32) for c in (light.above, light.below, light.colour))
    return below + (above - below) * up + colour * lamp[:, None]


def shadowed(
    scene: Scene,
    frame: int,
    point: np.ndarray,
    distance: np.ndarray,
    body: np.ndarray,
    backend: Finder,
) -> Bool[np.ndarray, "k"]:
    """Whether a body stands between the point and the lamp; a body asks only the points inside its cone of shadow."""
    source, local = scene.light.position, to_local(scene, frame)
    away = point - source.astype(np.float32)
    result = np.zeros(len(point), bool)
    for index, item in enumerate(scene.bodies):
        if not item.casts:
            continue
        axis = item.position[frame] - source
        length, radius = float(np.linalg.norm(axis)), float(np.linalg.norm(item.size)) / 2
        cosine = np.sqrt(max(0.0, 1 - (radius / length) ** 2)) if length > radius else -1.0
        inside = (
            (away @ (axis / length) >= cosine * distance) & (distance > length - radius) & ~result
        )
        if library().meshes[item.mesh].convex:
            inside &= body != index
        todo = np.flatnonzero(inside)
        if len(todo):
            turn = local[index, :, :3].T
            origin = point.take(todo, 0) @ turn + local[index, :, 3]
            result[todo] = casters(backend)[item.mesh].blocked(
                origin, -away.take(todo, 0) @ turn, 1.0
            )
    return result
