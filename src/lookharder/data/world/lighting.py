"""Light for scenes that are to look like photographs: soft lamps, dark corners, things that glow, exposure.

    radiance = albedo^2 (ambient(n) (0.3 + 0.7 open) + sum over lamps max(0, n . l) / (1 + (r / reach)^2) lit + glow)

`open` is whether a random ray finds nothing within `crevice` metres, `lit` whether a random point of the lamp is in
view. One ray is cast for each and its answer averaged over the neighbours of equal surface, which costs little and
leaves a grain. Rays are random but the same for every picture of a size: an example stays a function of its key.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from lookharder.data.world.merged import merge
from lookharder.data.world.scene import Finder, FrameSize, Hits, Light, Photograph, Scene
from lookharder.data.world.shading import (
    BIAS,
    CEILING,
    directions,
    dot,
    heaven,
    materials,
    matter,
    slots,
)
from lookharder.data.world.textures import Bank

SHIFTS = (-3, -2, -1, 1, 2, 3)  # pixels, along rows and then along columns
ALIKE, CLOSE = 0.97, 0.05  # of one surface: cosine of the normals, relative step of depth
DARKEST = 0.3  # of the ambient light is left in a corner
SUNLIT = 1e5  # metres of reach: beyond, a lamp is the sun and does not fade
MIDDLE = 0.18  # the grey that automatic exposure gives the mean, in light


def radiance(
    scene: Scene,
    frame: int,
    hits: Hits,
    chosen: Int[np.ndarray, "k"],
    size: FrameSize,
    bank: Bank,
    backend: Finder,
) -> Float[np.ndarray, "3 k"]:
    """Light that the chosen rays bring to the camera; a shader for `shading.paint`."""
    world, sky, solid = directions(scene, frame, hits, chosen)
    light = np.empty((3, len(chosen)), np.float32)
    if len(sky):
        light[:, sky] = 1.3 * heaven(scene, world.take(sky, 1), bank) ** 2
    if len(solid):
        world, rows = world.take(solid, 1), chosen.take(solid)
        point, normal, albedo = matter(scene, frame, hits, rows, world, size, bank)
        energy = gathered(scene, frame, point, normal, backend)
        centres = (rows < size[0] * size[1]).nonzero()[0]
        energy[:, centres] = smooth(
            energy.take(centres, 1),
            normal.take(centres, 1),
            hits.depth.take(rows.take(centres)).astype(np.float32),
            rows.take(centres),
            size,
        )
        glow = np.array([each.glow for _, each in materials(scene)], np.float32)
        slot = slots(scene, hits.body.take(rows), hits.triangle.take(rows))
        light[:, solid] = albedo**2 * (energy + glow.take(slot))
    return light


def gathered(
    scene: Scene, frame: int, point: np.ndarray, normal: np.ndarray, backend: Finder
) -> Float[np.ndarray, "3 k"]:
    """Ambient light and that of all lamps, one random ray each."""
    photograph = scene.photograph
    assert photograph is not None
    rng = np.random.Generator(np.random.PCG64(frame))
    raised = (point + BIAS * normal).T
    scatter = rng.standard_normal(point.shape, np.float32)
    scatter = scatter / np.sqrt(dot(scatter, scatter)) + np.float32(1.02) * normal  # by the cosine
    scatter /= np.sqrt(dot(scatter, scatter))
    tree = merge(scene, frame, backend).caster
    wide = ~tree.blocked(raised, np.float32(photograph.crevice) * scatter.T, 1.0)
    above, below = (
        part.astype(np.float32)[:, None] for part in (scene.light.above, scene.light.below)
    )
    ambient = below + (above - below) * (normal[1] + 1) / 2
    energy: np.ndarray = ambient * (DARKEST + (1 - DARKEST) * wide)
    for lamp in (scene.light, *photograph.lamps):
        place = lamp.position.astype(np.float32)[:, None]
        place = place + np.float32(lamp.radius) * rng.uniform(-1, 1, point.shape).astype(np.float32)
        energy += lamp.colour.astype(np.float32)[:, None] * arriving(
            lamp, place - point, normal, raised, scene, frame, backend
        )
    return energy


def arriving(
    lamp: Light,
    toward: Float[np.ndarray, "3 k"],
    normal: Float[np.ndarray, "3 k"],
    raised: Float[np.ndarray, "k 3"],
    scene: Scene,
    frame: int,
    backend: Finder,
) -> Float[np.ndarray, "k"]:
    """Share of a lamp's light that falls on each point."""
    distance = np.sqrt(dot(toward, toward))
    share: np.ndarray = np.maximum(dot(normal, toward) / distance, 0)
    lit = (share > 0).nonzero()[0]
    tree = merge(scene, frame, backend).caster
    dark: Bool[np.ndarray, "_"] = tree.blocked(raised.take(lit, 0), toward.take(lit, 1).T, 0.98)
    share[lit[dark]] = 0
    return share if lamp.reach > SUNLIT else share / (1 + (distance / np.float32(lamp.reach)) ** 2)


def smooth(
    energy: Float[np.ndarray, "3 k"],
    normal: Float[np.ndarray, "3 k"],
    depth: Float[np.ndarray, "k"],
    pixel: Int[np.ndarray, "k"],
    size: FrameSize,
) -> Float[np.ndarray, "3 k"]:
    """Mean over neighbours of the same surface, along rows and then along columns."""
    grid = np.zeros((7, size[0] * size[1]), np.float32)
    grid[:, pixel] = np.concatenate([energy, normal, depth[None]])
    light, facing, away = np.split(grid.reshape(7, *size), [3, 6])
    for axis in (1, 2):
        total, mass = light.copy(), np.ones(size, np.float32)
        for shift in SHIFTS:
            here = [slice(None)] * 3
            there = [slice(None)] * 3
            here[axis] = slice(max(0, -shift), size[axis - 1] - max(0, shift))
            there[axis] = slice(max(0, shift), size[axis - 1] - max(0, -shift))
            mine, other = tuple(here), tuple(there)
            near = np.abs(away[mine] - away[other]) < CLOSE * away[mine]
            weight = near[0] & (np.einsum("iyx,iyx->yx", facing[mine], facing[other]) > ALIKE)
            total[mine] += weight * light[other]
            mass[mine[1:]] += weight
        light = total / mass
    return light.reshape(3, -1).take(pixel, 1)


def meter(light: Float[np.ndarray, "H W 3"], photograph: Photograph) -> float:
    """The factor that brings the mean to middle grey, and off it by what was drawn."""
    mean = np.exp(np.log(light.mean(-1) + 1e-4).mean())
    return float(photograph.exposure * MIDDLE / max(mean, 1e-3))


def develop(
    light: Float[np.ndarray, "H W 3"], gain: float, photograph: Photograph
) -> Float[np.ndarray, "H W 3"]:
    """Light -> display values in [0, 1]; what is too bright is white."""
    exposed = light * gain
    if photograph.shoulder:
        exposed = 1 - np.exp(-1.3 * exposed)
    picture: np.ndarray = np.clip(exposed, 0, 1) ** (1 / 2.2)
    return picture


def compose(
    image: Float[np.ndarray, "H W 3"],
    alone: Float[np.ndarray, "H W 3"],
    visible: Bool[np.ndarray, "H W"],
    amodal: Bool[np.ndarray, "H W"],
) -> Float[np.ndarray, "H W 3"]:
    """The whole object on white: its visible part as in the picture, no pixel as white as the page."""
    inner = visible.copy()
    inner[1:-1, 1:-1] &= (
        visible[:-2, 1:-1] & visible[2:, 1:-1] & visible[1:-1, :-2] & visible[1:-1, 2:]
    )
    whole = np.where(inner[..., None], image, np.minimum(alone, CEILING))
    return np.where(amodal[..., None], whole, 1.0)
