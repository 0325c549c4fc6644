"""Colour of what the rays hit: one lamp with hard shadows, ambient light from above and below, textured matt surfaces.

    colour = sqrt(albedo^2 (ambient(n) + lamp max(0, n . l) / (1 + (r / reach)^2) unshadowed)), at most CEILING

albedo and colour are display values, squared into light and back. Every ray has its own visibility, but rays of one
pixel that see the same side of the same body share one shading, as graphics cards do (multisampling). The ceiling
keeps every surface darker than the white on which a whole object is shown.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.data.meshes import library
from lookharder.data.raycast import casters
from lookharder.data.scene import Body, Finder, Hits, Samples, Scene, Size, focal, to_local
from lookharder.data.textures import LEVELS, SIZE, Bank

CEILING = 235 / 255
BIAS = 4e-3  # metres along the normal, so that a surface does not shadow itself


def paint(
    scene: Scene,
    frame: int,
    samples: Samples,
    hits: Hits,
    size: Size,
    bank: Bank,
    backend: Finder = "embree",
    alone: Hits | None = None,
) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W 3"]]:
    """The picture of the hits, and the picture of a body that stands `alone`, on white; in [0, 1].

    The second has the body's own colours and shadows, hidden parts included, in exactly the pixels whose centre it
    covers: there it is the mean over the rays that hit it.
    """
    pixel, side = samples.pixel, hits.side(scene)
    lent = side == side[pixel]  # from the pixel's centre
    lent[: size[0] * size[1]] = False
    own = np.flatnonzero(~lent)
    parts = [(own, hits.depth[own], hits.body[own], hits.triangle[own])]
    if alone is not None:
        behind = np.flatnonzero((alone.body >= 0) & (hits.body != alone.body))
        parts.append((behind, alone.depth[behind], alone.body[behind], alone.triangle[behind]))
    ray, depth, body, triangle = (np.concatenate(column) for column in zip(*parts, strict=True))
    colours = shade(
        scene,
        frame,
        samples.direction.take(ray, 0),
        Hits(depth=depth, body=body, triangle=triangle),
        focal(scene.camera, size),
        bank,
        backend,
    )
    front = np.empty((len(pixel), 3), np.float32)
    front[own] = colours[: len(own)]
    front[lent] = front[pixel[lent]]
    picture = gather(samples, front, np.ones(len(pixel), bool))
    white = np.ones_like(picture)
    if alone is not None:
        back = front.copy()
        back[behind] = colours[len(own) :]
        covered = alone.body >= 0
        centre = covered[: len(white)]
        white[centre] = gather(samples, back, covered & centre[pixel])[centre]
    return picture.reshape(*size, 3), white.reshape(*size, 3)


def gather(
    samples: Samples, colours: Float[np.ndarray, "k 3"], counted: Bool[np.ndarray, "k"]
) -> Float[np.ndarray, "HW 3"]:
    """Mean colour of the counted rays of each pixel; 0 where none is."""
    centres = len(colours) - samples.extra * len(samples.edge)
    weight = counted.astype(np.float32)[:, None]
    total, mass = colours[:centres] * weight[:centres], weight[:centres].copy()
    if samples.extra:
        shape = (samples.extra, len(samples.edge), -1)
        total[samples.edge] += (colours[centres:] * weight[centres:]).reshape(shape).sum(0)
        mass[samples.edge] += weight[centres:].reshape(shape).sum(0)
    return total / np.maximum(mass, 1.0)


def shade(
    scene: Scene,
    frame: int,
    direction: Float[np.ndarray, "k 3"],
    hits: Hits,
    focal_length: float,
    bank: Bank,
    backend: Finder,
) -> Float[np.ndarray, "k 3"]:
    """Colours of hits seen along `direction` (camera axes)."""
    camera = scene.camera
    world = direction @ camera.rotation[frame].T
    colour = np.empty((len(world), 3), np.float32)
    sky, solid = np.flatnonzero(hits.body < 0), np.flatnonzero(hits.body >= 0)
    if len(sky):
        colour[sky] = heaven(scene, world.take(sky, 0), bank)
    if len(solid):
        world, body, depth = world.take(solid, 0), hits.body.take(solid), hits.depth.take(solid)
        point = camera.position[frame] + depth[:, None] * world
        uv, normal = surface(scene, frame, point, body, hits.triangle.take(solid))
        slant = np.einsum("ki,ki->k", normal, world)
        normal *= np.where(slant > 0, -1.0, 1.0)[:, None]  # towards the eye
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
    stretch = np.stack([np.ones(3) if m.wrapped else b.size for m, b in zip(meshes, scene.bodies, strict=True)])
    outward = np.stack([item.rotation[frame] / item.size for item in scene.bodies])
    repeat = np.stack([item.material.repeat for item in scene.bodies])
    chart = attributes[:, :2, :3] * stretch[owner][:, None] @ local
    chart[..., 3] += attributes[:, :2, 3]
    facing = attributes[:, 2:, :3] @ local
    facing[..., 3] += attributes[:, 2:, 3]
    maps = np.concatenate([chart * repeat[owner][:, :, None], outward[owner] @ facing], 1).astype(np.float32)

    maps = maps.take(number.take(row), 0)
    values = np.einsum("kij,kj->ki", maps[..., :3], point.astype(np.float32)) + maps[..., 3]
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
    scene: Scene, frame: int, point: np.ndarray, normal: np.ndarray, body: np.ndarray, backend: Finder
) -> Float[np.ndarray, "k 3"]:
    """Light that falls on a surface: ambient by its slope, and the lamp where nothing stands before it."""
    light = scene.light
    toward = light.position - point
    distance = np.sqrt(np.einsum("ki,ki->k", toward, toward))
    lambert = np.einsum("ki,ki->k", normal, toward) / distance
    lit = np.flatnonzero(lambert > 0)
    lit = lit[~shadowed(scene, frame, point[lit] + BIAS * normal[lit], distance[lit], body[lit], backend)]
    lamp = np.zeros(len(point))
    lamp[lit] = lambert[lit] / (1 + (distance[lit] / light.reach) ** 2)
    up = (normal[:, 1:2] + 1) / 2
    return light.below + (light.above - light.below) * up + light.colour * lamp[:, None]


def shadowed(
    scene: Scene, frame: int, point: np.ndarray, distance: np.ndarray, body: np.ndarray, backend: Finder
) -> Bool[np.ndarray, "k"]:
    """Whether a body stands between the point and the lamp; a body asks only the points inside its cone of shadow."""
    source, local = scene.light.position, to_local(scene, frame)
    away = point - source
    result = np.zeros(len(point), bool)
    for index, item in enumerate(scene.bodies):
        if not item.casts:
            continue
        axis = item.position[frame] - source
        length, radius = np.linalg.norm(axis), np.linalg.norm(item.size) / 2
        cosine = np.sqrt(max(0.0, 1 - (radius / length) ** 2)) if length > radius else -1.0
        inside = (away @ (axis / length) >= cosine * distance) & (distance > length - radius) & ~result
        if library().meshes[item.mesh].convex:
            inside &= body != index
        todo = np.flatnonzero(inside)
        if len(todo):
            turn = local[index, :, :3].T
            origin = point.take(todo, 0) @ turn + local[index, :, 3]
            result[todo] = casters(backend)[item.mesh].blocked(origin, -away.take(todo, 0) @ turn, 1.0)
    return result
