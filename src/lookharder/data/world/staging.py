"""From (seed, index) to a scene, in four acts.

A layout of its family; the hero, which is the body to be completed; for most scenes an occluder between eye and hero;
and a motion of camera and bodies. Each act is judged on a coarse probe picture, so that the scene has what was asked
for: a hero of a certain size, hidden by a certain share, nothing too near the eye, and a drawn mean flow. A play that
fails is played again with the next key of the same (seed, index), so a scene depends on those, on the frame's shape
and on the number of photographs alone.
"""

from dataclasses import dataclass, replace
from itertools import count
from math import pi

import numpy as np
from jaxtyping import Bool, Float

from lookharder.data.world.families import FAMILIES, LAYOUTS
from lookharder.data.world.families.draft import PROPORTIONS, SOLIDS, Draft, hue, numbers, rotation
from lookharder.data.world.motion import flow_of, follow
from lookharder.data.world.scene import Body, Camera, FrameSize, Hits, Light, Material, Scene
from lookharder.data.world.tracing import trace
from lookharder.seeding import numpy_generator

PROBE = 32  # pixels of the shorter side of the probe
FOV = (45.0, 75.0)  # degrees, vertical
SHARE = (0.3, 0.6)  # of the frame's height that the hero takes
OCCLUDED = 0.85  # share of the scenes with an occluder
HIDDEN = (0.13, 0.66)  # share of the hero behind it
SMALLEST = (0.04, 0.02)  # shares of the frame: all of the hero inside it, and its visible part
CLOSEST = 0.45  # metres: nothing is nearer in the first frame
MEAN_FLOW = (0.037, 0.4, 0.012, 0.075)  # of the frame's height: median, log-spread, least and most
MOST_FLOW = 0.14  # of the frame's height


@dataclass(frozen=True, kw_only=True, eq=False)
class Act:
    """A scene at rest, the hits of its probe, which pixels of the probe show the hero, and what can move."""

    scene: Scene
    hits: Hits
    amodal: Bool[np.ndarray, "k"]
    visible: Bool[np.ndarray, "k"]
    movable: tuple[bool, ...]

    @property
    def hiding(self) -> float:
        """Share of the hero that is hidden."""
        return float(1 - self.visible.sum() / self.amodal.sum())


def look_at(eye: np.ndarray, target: np.ndarray, roll: float) -> Float[np.ndarray, "3 3"]:
    """Camera axes right, down, forward as columns."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.array([-forward[2], 0.0, forward[0]])  # forward x up
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(forward, right), forward], 1)
    axes: np.ndarray = level @ rotation((0, 0, roll))
    return axes


def enter_hero(draft: Draft, fov: float) -> None:
    """Place the hero so that it takes its share of the frame."""
    mesh = draft.pick(draft.heroes)
    width, height, _ = PROPORTIONS.get(mesh, (1.0, 1.0, 1.0))
    reach = np.hypot(draft.spot[0] - draft.eye[0], draft.spot[1])
    scale = draft.uniform(*SHARE) * 2 * reach * np.tan(fov / 2) / max(height, 0.75 * width) ** 0.7
    x, z = draft.spot.tolist()
    if draft.afloat:
        size = 0.9 * scale * draft.rng.uniform(0.7, 1.1, 3)
        centre = (x, draft.eye[1] + draft.uniform(-0.3, 0.3), z)
        draft.place(mesh, centre, size.tolist(), draft.rng.normal(0, 1.2, 3).tolist())
    else:
        draft.stand(mesh, x, z, scale)


def enter_occluder(draft: Draft, camera: Camera, hero: Body) -> Body:
    """A candidate between the eye and the hero, off to a side by about as much as hides a part."""
    eye, centre = camera.position[0], hero.position[0]
    along, angle = draft.uniform(0.45, 0.75), draft.uniform(0, 2 * pi)
    distance, span = np.linalg.norm(centre - eye), np.linalg.norm(hero.size) / 2
    width = draft.uniform(0.35, 0.9) * span * along
    aside = draft.uniform(0.1, 0.75) * (span * along + width)
    shift = aside * np.array([np.cos(angle), 0.7 * np.sin(angle)])
    x, y, z = eye + along * (centre - eye) + camera.rotation[0][:, :2] @ shift
    top = y - draft.ground + width * draft.uniform(0.2, 1.0)
    if not draft.afloat and 0.1 * distance < top < 0.75 * distance:  # it can stand
        mesh = draft.pick(draft.heroes)
        proportions = np.array(PROPORTIONS.get(mesh, (1.0, 1.0, 1.0)))
        size = np.clip(top * proportions, 0.5 * width, 1.5 * width)
        size[1], y = top, draft.ground + top / 2
        turn = [0.0, draft.uniform(-pi, pi), 0.0]
    else:
        mesh, turn = draft.pick(SOLIDS), draft.rng.normal(0, 1.2, 3).tolist()
        size = 2 * width * draft.rng.uniform(0.6, 1.1, 3)
    draft.place(mesh, (x, y, z), size.tolist(), turn)
    draft.movable.pop()
    return draft.bodies.pop()


def draw_sky(draft: Draft) -> Material:
    """White clouds on blue, now and then on the colours of an evening."""
    blue = np.array(
        hue(draft.uniform(0.53, 0.62), draft.uniform(0.3, 0.6), draft.uniform(0.6, 0.95))
    )
    if draft.uniform(0, 1) < 0.2:
        blue = np.array(hue(draft.uniform(-0.02, 0.1), draft.uniform(0.2, 0.5), 0.9))
    clouds = (0.92 - blue) * draft.uniform(0.5, 1.0)
    colour = np.stack([clouds, np.zeros(3), np.full(3, 0.1), blue - 0.05], 1)
    return Material(texture=draft.pick(numbers(("clouds",))), repeat=np.full(2, 0.5), colour=colour)


def clear(scene: Scene, movable: list[bool], probe: FrameSize, most: float) -> Act | None:
    """Remove what is too near or hides more than `most` of the hero, the last body; None where that is the stage."""
    alone = trace(scene, 0, probe, only=len(scene.bodies) - 1)
    amodal = alone.body >= 0
    if amodal.mean() < SMALLEST[0]:
        return None
    for _ in range(12):
        hero = len(scene.bodies) - 1
        hits = trace(scene, 0, probe)
        act = Act(
            scene=replace(scene, chosen=hero),
            hits=hits,
            amodal=amodal,
            visible=hits.body == hero,
            movable=tuple(movable),
        )
        wrong = hits.body[hits.depth < CLOSEST]
        if not len(wrong) and act.hiding > most:
            wrong = hits.body[act.amodal & ~act.visible]
        if not len(wrong):
            return act
        worst = int(np.bincount(wrong).argmax())
        if worst == hero or not scene.bodies[worst].casts:
            return None
        scene = replace(scene, bodies=scene.bodies[:worst] + scene.bodies[worst + 1 :])
        movable = movable[:worst] + movable[worst + 1 :]
    return None


def hide(act: Act, draft: Draft, probe: FrameSize) -> Act | None:
    """Find an occluder that hides the right share of the hero."""
    scene = act.scene
    for _ in range(10):
        body = enter_occluder(draft, scene.camera, scene.bodies[scene.chosen])
        alone = trace(replace(scene, bodies=(body,)), 0, probe)
        nearer = alone.depth < act.hits.depth
        trial = Act(
            scene=replace(scene, bodies=(*scene.bodies, body)),
            hits=replace(
                act.hits,
                depth=np.where(nearer, alone.depth, act.hits.depth),
                body=np.where(nearer, len(scene.bodies), act.hits.body),
                triangle=np.where(nearer, alone.triangle, act.hits.triangle),
            ),
            amodal=act.amodal,
            visible=act.visible & ~nearer,
            movable=(*act.movable, True),
        )
        fits = alone.depth.min() > CLOSEST and np.isfinite(alone.depth).mean() < 0.4
        if fits and HIDDEN[0] <= trial.hiding <= HIDDEN[1]:
            return trial
    return None


def rehearse(family: int, rng: np.random.Generator, probe: FrameSize, photos: int) -> Act | None:
    """Build one scene at rest, or None where it does not meet the demands on the hero."""
    draft = Draft(rng, photos)
    light: Light = LAYOUTS[family](draft)
    tint = (1 + rng.normal(0, 0.04, 3)) * np.exp(rng.normal(0, 0.16))  # white balance and exposure
    light = replace(
        light, colour=light.colour * tint, above=light.above * tint, below=light.below * tint
    )
    fov = float(np.radians(draft.uniform(*FOV)))
    enter_hero(draft, fov)
    centre = draft.bodies[-1].position[0]
    aside = (
        np.linalg.norm(centre - draft.eye)
        * np.tan(fov / 2)
        * rng.uniform(-0.4, 0.4, 3)
        * [1, 0.7, 0]
    )
    pose = look_at(draft.eye, centre + aside, rng.normal(0, 0.03))
    camera = Camera(
        fov=fov, rotation=np.stack([pose, pose]), position=np.stack([draft.eye, draft.eye])
    )
    sky = draw_sky(draft)
    scene = Scene(
        family=FAMILIES[family],
        camera=camera,
        bodies=tuple(draft.bodies),
        light=light,
        sky=sky,
        chosen=0,
    )
    occluded = rng.uniform() < OCCLUDED
    act = clear(scene, draft.movable, probe, HIDDEN[1] - 0.02 if occluded else 0.02)
    if act is not None and occluded and act.hiding < HIDDEN[0]:
        act = hide(act, draft, probe)
    return None if act is None or act.visible.mean() < SMALLEST[1] else act


def animate(act: Act, rng: np.random.Generator, probe: FrameSize, lively: float = 0.6) -> Scene:
    """Move the camera and a share of the movable bodies rigidly, by as much as gives a drawn mean flow."""
    scene, camera = act.scene, act.scene.camera
    eye, view = camera.position[0], camera.rotation[0]
    reach = np.linalg.norm(scene.bodies[scene.chosen].position[0] - eye)
    slide = view @ (rng.normal(0, 1, 3) * [1, 0.5, 1.2]) * 0.03 * reach
    swing = rng.normal(0, 1, 3) * [0.012, 0.018, 0.008]
    moves = {}
    for index, (body, movable) in enumerate(zip(scene.bodies, act.movable, strict=True)):
        if movable and rng.uniform() < lively:
            step = (
                rng.normal(0, 1, 3) * [1, 0.15, 1] * 0.05 * np.linalg.norm(body.position[0] - eye)
            )
            moves[index] = step, rng.normal(0, 1, 3) * [0.03, 0.15, 0.03]

    def moved(amount: float) -> Scene:
        bodies = list(scene.bodies)
        for index, (step, spin) in moves.items():
            place, pose = bodies[index].position[0], bodies[index].rotation[0]
            bodies[index] = replace(
                bodies[index],
                position=np.stack([place, place + amount * step]),
                rotation=np.stack([pose, rotation(amount * spin) @ pose]),
            )
        later = replace(
            camera,
            position=np.stack([eye, eye + amount * slide]),
            rotation=np.stack([view, view @ rotation(amount * swing)]),
        )
        return replace(scene, camera=later, bodies=tuple(bodies))

    median, spread, least, most = MEAN_FLOW
    wanted = np.clip(median * np.exp(spread * rng.normal()), least, most) * probe[0]
    amount = 1.0
    for _ in range(2):  # flow is almost linear in the amount
        speed = np.linalg.norm(
            flow_of(camera, follow(moved(amount), act.hits, probe), probe), axis=0
        )
        amount *= min(wanted / speed.mean(), MOST_FLOW * probe[0] / speed.max())
    return moved(amount)


def build_scene(
    seed: int, index: int, size: FrameSize = (64, 64), *, photos: int = 0, moving: bool = True
) -> Scene:
    """The scene of example `index` of the world `seed`.

    Args:
        seed: of the world.
        index: of the example.
        size: (H, W); only its shape matters, not its scale.
        photos: how many photographs follow the procedural textures in the bank.
        moving: whether the second instant differs from the first.
    """
    probe = (round(PROBE * size[0] / min(size)), round(PROBE * size[1] / min(size)))
    family = int(numpy_generator(seed, "world", index).integers(len(FAMILIES)))
    keys = (numpy_generator(seed, "world", index, attempt) for attempt in count())
    act = next(act for rng in keys if (act := rehearse(family, rng, probe, photos)) is not None)
    return (
        animate(act, numpy_generator(seed, "world", index, "motion"), probe)
        if moving
        else act.scene
    )
