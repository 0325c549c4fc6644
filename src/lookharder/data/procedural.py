"""The embedded world: an endless data set of rooms and open country with exact labels.

Example i of a world depends on (seed, i), the shape of the frame and the photographs, on nothing else: not on the
order of access, the process or the ray-casting backend. A scene is made in four acts, each judged on a coarse probe
picture so that the result is what was asked for: a layout of its family; the hero, the body to be completed; for most
scenes an occluder between eye and hero; and a motion of camera and bodies, scaled to a drawn mean flow.
"""

from dataclasses import dataclass, replace
from itertools import count as naturals
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lookharder.data.example import Example
from lookharder.data.layouts import FAMILIES, LAYOUTS, PROPORTIONS, SOLIDS, Draft, hue, rotation
from lookharder.data.meshes import library
from lookharder.data.raycast import Backend, resolve
from lookharder.data.scene import (
    FAR,
    NEAR,
    Body,
    Camera,
    Hits,
    Scene,
    Size,
    flow_of,
    follow,
    hidden,
    trace,
)
from lookharder.data.shading import paint
from lookharder.data.textures import Bank, load_bank
from lookharder.errors import InputError
from lookharder.seeding import numpy_generator

PROBE = 32  # pixels of the shorter side of the probe
OCCLUDED_SHARE = 0.85  # of the scenes have an occluder
OCCLUSION = (0.13, 0.66)  # share of the hero that it hides
SMALLEST = (0.04, 0.02)  # shares of the frame: all of the hero inside it, and its visible part
CLOSEST = 0.45  # metres: nothing stands nearer in the first frame
MEAN_FLOW = (0.037, 0.4, 0.012, 0.075)  # of the frame's height: median, log-spread, least and most
MOST_FLOW = 0.14  # of the frame's height

__all__ = ["FAMILIES", "ProceduralWorld", "build_scene"]


def look_at(eye: np.ndarray, target: np.ndarray, roll: float) -> Float[np.ndarray, "3 3"]:
    """Camera axes right, down, forward as columns."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward], 1) @ rotation((0, 0, roll))


def enter_hero(draft: Draft, fov: float) -> np.ndarray:
    """Stand or hang the hero so that it takes its share of the frame; its centre."""
    mesh = draft.pick(draft.heroes)
    width, height, _ = PROPORTIONS.get(mesh, (1.0, 1.0, 1.0))
    reach = np.hypot(draft.spot[0] - draft.eye[0], draft.spot[1])
    frame = 2 * reach * np.tan(fov / 2)
    scale = draft.uniform(*draft.share) * frame / max(height, 0.75 * width) ** 0.7
    if draft.afloat:
        place = (draft.spot[0], draft.eye[1] + draft.uniform(-0.3, 0.3), draft.spot[1])
        size = 0.9 * scale * draft.rng.uniform(0.7, 1.1, 3)
        draft.hang(mesh, place, size, draft.rng.normal(0, 1.2, 3))
    else:
        draft.stand(mesh, draft.spot[0], draft.spot[1], scale)
    return draft.bodies[-1].position[0]


def enter_occluder(draft: Draft, camera: Camera, hero: Body) -> Body:
    """A candidate between the eye and the hero, off to a side by about as much as hides a part."""
    rng = draft.rng
    eye, centre = camera.position[0], hero.position[0]
    along = draft.uniform(0.45, 0.75)
    distance = np.linalg.norm(centre - eye)
    span = np.linalg.norm(hero.size) / 2
    width = draft.uniform(0.35, 0.9) * span * along
    angle = draft.uniform(0, 2 * np.pi)
    shift = (
        draft.uniform(0.1, 0.75)
        * (span * along + width)
        * np.array([np.cos(angle), 0.7 * np.sin(angle)])
    )
    place = eye + along * (centre - eye) + camera.rotation[0][:, :2] @ shift
    top = place[1] - draft.ground + width * draft.uniform(0.2, 1.0)
    if not draft.afloat and 0.1 * distance < top < 0.75 * distance:  # it can stand
        mesh = draft.pick(draft.heroes)
        proportions = np.array(PROPORTIONS.get(mesh, (1.0, 1.0, 1.0)))
        size = top * np.clip(proportions, 0.5 * width / top, 1.5 * width / top)
        size[1] = top
        place = np.array([place[0], draft.ground + top / 2, place[2]])
        turn = np.array([0.0, draft.uniform(-np.pi, np.pi), 0.0])
    else:
        mesh, turn = draft.pick(SOLIDS), rng.normal(0, 1.2, 3)
        size = 2 * width * rng.uniform(0.6, 1.1, 3)
    draft.hang(mesh, place, size, turn)
    draft.movable.pop()
    return draft.bodies.pop()


def add(scene: Scene, hits: Hits, body: Body, size: Size) -> tuple[Scene, Hits, Hits]:
    """The scene with one more body, its hits (of pixel centres), and the hits on that body alone."""
    _, alone, _ = trace(replace(scene, bodies=(body,)), 0, size)
    nearer = alone.depth < hits.depth
    both = Hits(
        depth=np.where(nearer, alone.depth, hits.depth),
        body=np.where(nearer, len(scene.bodies), hits.body),
        triangle=np.where(nearer, alone.triangle, hits.triangle),
    )
    return replace(scene, bodies=(*scene.bodies, body)), both, alone


@dataclass(frozen=True, kw_only=True, eq=False)
class Act:
    """A scene at rest, its probe, and which of its bodies can move."""

    scene: Scene
    hits: Hits
    movable: tuple[bool, ...]


def rehearse(family: int, rng: np.random.Generator, probe: Size, photos: int) -> Act | None:
    """Build one scene at rest, or None where it does not meet the demands on the hero."""
    draft = Draft(rng, photos)
    light = LAYOUTS[family](draft)
    tint = (1 + rng.normal(0, 0.04, 3)) * np.exp(rng.normal(0, 0.16))
    light = replace(
        light, colour=light.colour * tint, above=light.above * tint, below=light.below * tint
    )
    fov = np.radians(draft.uniform(45, 75))
    centre = enter_hero(draft, fov)
    half = np.linalg.norm(centre - draft.eye) * np.tan(fov / 2)
    target = centre + half * rng.uniform(-0.4, 0.4, 3) * [1, 0.7, 0]
    pose = look_at(draft.eye, target, rng.normal(0, 0.03))
    camera = Camera(
        fov=fov, rotation=np.stack([pose, pose]), position=np.stack([draft.eye, draft.eye])
    )
    sky = draft.material(
        np.ones(3), False, ("clouds", "grass"), hue(rng.uniform(0.52, 0.64), 0.5, 0.9), 2.0
    )
    hero = draft.bodies[-1]
    scene = Scene(
        family=FAMILIES[family],
        camera=camera,
        bodies=tuple(draft.bodies),
        light=light,
        sky=sky,
        chosen=0,
    )
    occluded = rng.uniform() < OCCLUDED_SHARE

    for _ in range(12):  # clear away what stands too near or hides too much
        _, hits, own = trace(scene, 0, probe, alone=(len(scene.bodies) - 1,))
        amodal = np.isfinite(own[len(scene.bodies) - 1].depth)
        visible = hits.body == len(scene.bodies) - 1
        if amodal.mean() < SMALLEST[0]:
            return None
        wrong = hits.body[hits.depth < CLOSEST]
        if not len(wrong) and visible.sum() < (0.36 if occluded else 0.98) * amodal.sum():
            wrong = hits.body[amodal & ~visible]
        if not len(wrong):
            break
        worst = int(np.bincount(wrong).argmax())
        if worst == len(scene.bodies) - 1 or not scene.bodies[worst].casts:
            return None  # the stage itself, or the hero
        scene = replace(scene, bodies=scene.bodies[:worst] + scene.bodies[worst + 1 :])
        del draft.movable[worst]
    else:
        return None
    scene = replace(scene, chosen=len(scene.bodies) - 1)

    hiding = 1 - visible.sum() / amodal.sum()
    if occluded and not OCCLUSION[0] <= hiding <= OCCLUSION[1]:
        for _ in range(10):
            more, seen, alone = add(scene, hits, enter_occluder(draft, camera, hero), probe)
            left = seen.body == scene.chosen
            hiding = 1 - left.sum() / amodal.sum()
            fits = alone.depth.min() > CLOSEST and np.isfinite(alone.depth).mean() < 0.4
            if fits and OCCLUSION[0] <= hiding <= OCCLUSION[1]:
                scene, hits, visible = more, seen, left
                draft.movable.append(True)
                break
        else:
            return None
    if visible.mean() < SMALLEST[1]:
        return None
    return Act(scene=scene, hits=hits, movable=tuple(draft.movable))


def animate(act: Act, rng: np.random.Generator, probe: Size) -> Scene:
    """Move camera and bodies rigidly, by as much as gives a drawn mean flow."""
    scene, camera = act.scene, act.scene.camera
    reach = np.linalg.norm(scene.bodies[scene.chosen].position[0] - camera.position[0])
    slide = camera.rotation[0] @ (rng.normal(0, 1, 3) * [1, 0.5, 1.2]) * 0.03 * reach
    swing = rng.normal(0, 1, 3) * [0.012, 0.018, 0.008]
    moves = {}
    for index, (body, movable) in enumerate(zip(scene.bodies, act.movable, strict=True)):
        if movable and rng.uniform() < 0.6:
            distance = np.linalg.norm(body.position[0] - camera.position[0])
            step = rng.normal(0, 1, 3) * [1, 0.15, 1] * 0.05 * distance
            moves[index] = (step, rng.normal(0, 1, 3) * [0.03, 0.15, 0.03])

    def moved(amount: float) -> Scene:
        bodies = list(scene.bodies)
        for index, (step, spin) in moves.items():
            body = bodies[index]
            place, pose = body.position[0], body.rotation[0]
            bodies[index] = replace(
                body,
                position=np.stack([place, place + amount * step]),
                rotation=np.stack([pose, rotation(amount * spin) @ pose]),
            )
        view = replace(
            camera,
            position=np.stack([camera.position[0], camera.position[0] + amount * slide]),
            rotation=np.stack([camera.rotation[0], camera.rotation[0] @ rotation(amount * swing)]),
        )
        return replace(scene, camera=view, bodies=tuple(bodies))

    median, spread, least, most = MEAN_FLOW
    wanted = np.clip(median * np.exp(spread * rng.normal()), least, most) * probe[0]
    amount = 1.0
    for _ in range(2):  # flow is almost linear in the amount
        trial = moved(amount)
        speed = np.linalg.norm(flow_of(camera, follow(trial, act.hits, probe), probe), axis=0)
        amount *= min(wanted / speed.mean(), MOST_FLOW * probe[0] / speed.max())
    return moved(amount)


def build_scene(
    seed: int, index: int, size: Size = (64, 64), *, photos: int = 0, moving: bool = True
) -> Scene:
    """The scene of example `index`: it depends on (seed, index), the aspect of `size` and the number of photographs.

    Args:
        seed: of the world.
        index: of the example.
        size: (H, W); only its aspect matters.
        photos: how many photographs follow the procedural textures in the bank.
        moving: whether the second instant differs from the first.
    """
    short = min(size)
    probe = (round(PROBE * size[0] / short), round(PROBE * size[1] / short))
    family = int(numpy_generator(seed, "world", index).integers(len(FAMILIES)))
    for attempt in naturals():
        act = rehearse(family, numpy_generator(seed, "world", index, attempt), probe, photos)
        if act is not None:
            if not moving:
                return act.scene
            return animate(act, numpy_generator(seed, "world", index, "motion"), probe)
    raise AssertionError("unreachable")


def to_picture(colours: Float[np.ndarray, "H W 3"]) -> np.ndarray:
    """[0, 1] -> (3, H, W) uint8."""
    return np.ascontiguousarray(np.moveaxis((colours * 255).round().astype(np.uint8), -1, 0))


class ProceduralWorld:
    """Endless examples with image pair, depth, flow, occlusion, masks and the whole object; see `Example`.

    Args:
        size: side in pixels, or (H, W).
        seed: worlds of different seeds share nothing.
        textures: a folder of photographs to mix with the procedural textures; for training only, since the pictures
            then depend on the folder.
        count: the length; examples of one index do not depend on it.
        samples: rays for each pixel of a picture, 1 for speed; labels come from the first, whatever the number.
        backend: what finds the triangles, `embree`, `numpy` or `auto` (embree where installed); labels agree.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        size: int | Size,
        seed: int,
        textures: str | Path | None = None,
        *,
        count: int = 1 << 40,
        samples: int = 5,
        backend: Backend = "auto",
    ) -> None:
        self.size: Size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if min(self.size) < 8 or max(self.size) > 8 * min(self.size):
            raise InputError(
                "size", size, "at least 8 pixels a side, one side at most 8 times the other"
            )
        if count < 1:
            raise InputError("count", count, "at least 1")
        if not 1 <= samples <= 16:
            raise InputError("samples", samples, "1 to 16")
        self.seed, self.count, self.samples = seed, count, samples
        self.backend = resolve(backend)
        self.bank: Bank = load_bank(textures)

    def __len__(self) -> int:
        return self.count

    def scene(self, index: int, *, moving: bool = True) -> Scene:
        """The geometry behind an example."""
        if not 0 <= index < self.count:
            raise IndexError(f"index {index} of a world of {self.count} examples")
        return build_scene(self.seed, index, self.size, photos=self.bank.photos, moving=moving)

    def frame(self, index: int) -> Example:
        """Only the image, its depth and its label, several times faster; they equal those of `self[index]`."""
        scene = self.scene(index, moving=False)
        samples, hits, _ = trace(scene, 0, self.size, samples=self.samples, backend=self.backend)
        image, _ = paint(scene, 0, samples, hits, self.size, self.bank, self.backend)
        return Example(**self._first(index, scene, hits, image))

    def __getitem__(self, index: int) -> Example:
        return self.render(self.scene(index), index)

    def render(self, scene: Scene, index: int = 0) -> Example:
        """Both pictures and all labels of a scene."""
        size, bank, backend = self.size, self.bank, self.backend
        samples, hits, own = trace(scene, 0, size, samples=self.samples, backend=backend, alone=(scene.chosen,))
        alone = own[scene.chosen]
        image, whole = paint(scene, 0, samples, hits, size, bank, backend, alone)
        samples, later, _ = trace(scene, 1, size, samples=self.samples, backend=backend)
        second, _ = paint(scene, 1, samples, later, size, bank, backend)
        point, pixels = follow(scene, hits, size), size[0] * size[1]
        return Example(
            **self._first(index, scene, hits, image),
            second=to_picture(second),
            flow=flow_of(scene.camera, point, size).astype(np.float32),
            flow_valid=(point[:, 2] > 1e-6).reshape(size),
            occluded=hidden(scene, hits, point, size, backend),
            visible=(hits.body[:pixels] == scene.chosen).reshape(size),
            amodal=(alone.body[:pixels] == scene.chosen).reshape(size),
            whole=to_picture(whole),
        )

    def _first(self, index: int, scene: Scene, hits: Hits, image: np.ndarray) -> dict[str, Any]:
        """What the first frame alone tells."""
        depth = hits.depth[: self.size[0] * self.size[1]].reshape(self.size)
        return {
            "name": f"procedural/{self.seed}/{index}",
            "image": to_picture(image),
            "depth": np.minimum(depth, FAR).astype(np.float32),
            "depth_valid": (depth >= NEAR) & (depth <= FAR),
            "label": FAMILIES.index(scene.family),
        }
