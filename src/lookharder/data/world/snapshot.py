"""From (seed, index) to a scene that looks like a photograph: a stage of a family, a view into it, an object, a motion.

Views are tried until nothing is too near, the middle depth is that of the family, and at least one movable body shows
well; that one, or another like it, is the object to be completed, wherever in the frame it is. Nothing is added for
its sake: what hides it stood there, and a third of the objects are chosen because nothing does.
"""

from dataclasses import replace
from itertools import count

import numpy as np

from lookharder.data.world.families.photographed import PHOTOGRAPHED
from lookharder.data.world.families.props import PropDraft
from lookharder.data.world.pack import Pack
from lookharder.data.world.scene import Camera, FrameSize, Hits, Photograph, Scene
from lookharder.data.world.staging import Act, animate, draw_sky, look_at
from lookharder.data.world.tracing import trace
from lookharder.seeding import numpy_generator

PROBE = 24  # pixels of the shorter side
FAR = 80.0  # metres
VIEWS = 25  # tried before the stage is built anew
NEAREST = 0.35  # metres: all but 2 % of the frame are farther
SHOWN = 0.02  # share of the frame that the object shows, at least
WALL = 0.6  # of the frame shows one body at most
COMPANY = (4, 0.004)  # so many movable bodies show that share of the frame or more
BARE = 0.1  # of the pictures are excused from company
WHOLE = 1 / 3  # of the objects are chosen among those that nothing hides, if there is one
LIVELY = 0.25  # of the movable bodies move


def build_snapshot(
    seed: int,
    index: int,
    size: FrameSize = (96, 128),
    *,
    photos: int = 0,
    moving: bool = True,
    pack: Pack | None = None,
) -> Scene:
    """The scene of example `index` of the world `seed`; arguments as those of `staging.build_scene`, and a pack."""
    probe = (round(PROBE * size[0] / min(size)), round(PROBE * size[1] / min(size)))
    family = int(
        np.searchsorted(
            np.cumsum([row[0] for row in PHOTOGRAPHED])[:-1],
            numpy_generator(seed, "photo", index).random(),
            "right",
        )
    )
    keys = (numpy_generator(seed, "photo", index, attempt) for attempt in count())
    act = next(act for rng in keys if (act := take(family, rng, probe, photos, pack)) is not None)
    motion = numpy_generator(seed, "photo", index, "motion")
    return animate(act, motion, probe, LIVELY) if moving else act.scene


def take(
    family: int, rng: np.random.Generator, probe: FrameSize, photos: int, pack: Pack | None
) -> Act | None:
    """Build a stage and look for a view; None where there is none."""
    _, layout, view, middle, crevice = PHOTOGRAPHED[family]
    stage = PropDraft(rng, photos, pack)
    light = layout(stage)
    photograph = Photograph(
        lamps=tuple(stage.lamps),
        crevice=crevice,
        exposure=float(np.exp(rng.normal(0, 0.3))),
        shoulder=stage.chance(0.6),
    )
    sky = draw_sky(stage)
    for _ in range(VIEWS):
        eye, toward, across = view(stage)
        pose = look_at(eye, eye + toward, rng.normal(0, 0.04))
        fov = 2 * np.arctan(np.tan(across / 2) * probe[0] / probe[1])
        camera = Camera(
            fov=float(fov), rotation=np.stack([pose, pose]), position=np.stack([eye, eye])
        )
        scene = Scene(
            family=layout.__name__.replace("_", " "),
            camera=camera,
            bodies=tuple(stage.bodies),
            light=light,
            sky=sky,
            chosen=0,
            far=FAR,
            photograph=photograph,
        )
        hits = trace(scene, 0, probe)
        depth = np.minimum(hits.depth, 2 * FAR)
        if np.quantile(depth, 0.02) < NEAREST or not middle[0] < np.median(depth) < middle[1]:
            continue
        if (act := choose(scene, hits, stage.movable, rng, probe)) is not None:
            return act
    return None


def choose(
    scene: Scene, hits: Hits, movable: list[bool], rng: np.random.Generator, probe: FrameSize
) -> Act | None:
    """Choose the object among the movable bodies that show well; None where none does or one body fills the frame."""
    shown = np.bincount(hits.body[hits.body >= 0], minlength=len(scene.bodies)) / len(hits.body)
    able = (np.array(movable) & (shown >= SHOWN)).nonzero()[0]
    company = (np.array(movable) & (shown >= COMPANY[1])).sum() >= COMPANY[0]
    if not len(able) or shown.max() > WALL or not (company or rng.random() < BARE):
        return None
    pick, want_whole = int(rng.integers(len(able))), rng.random() < WHOLE
    acts = []
    for body in np.roll(able, -pick)[:4].tolist():
        amodal = trace(scene, 0, probe, only=body).body >= 0
        visible = hits.body == body
        acts.append(
            Act(
                scene=replace(scene, chosen=body),
                hits=hits,
                amodal=amodal | visible,
                visible=visible,
                movable=tuple(movable),
            )
        )
    fitting = [act for act in acts if (act.hiding < 0.03) == want_whole]
    return (fitting or acts)[0]
