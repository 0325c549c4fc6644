"""The embedded world: an endless data set of rooms and open country, with exact labels for every task.

Example i of a world depends on (seed, i), on the frame's size and on the photographs, if any: not on the order of
access, the process or the ray-casting backend. The scene itself does not depend on the scale of the frame, so worlds
of several sizes show the same scenes at several resolutions.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lookharder.data.example import Example
from lookharder.data.world.families import FAMILIES
from lookharder.data.world.lighting import compose, develop, meter, radiance
from lookharder.data.world.motion import flow_of, follow, hidden
from lookharder.data.world.pack import load_pack
from lookharder.data.world.raycast import resolve
from lookharder.data.world.scene import NEAR, Finder, FrameSize, Hits, Scene
from lookharder.data.world.shading import CEILING, paint
from lookharder.data.world.snapshot import build_snapshot
from lookharder.data.world.staging import build_scene
from lookharder.data.world.textures import Bank, load_bank
from lookharder.data.world.tracing import trace
from lookharder.errors import InputError

WORLDS = {"classic": build_scene, "photo": build_snapshot}
__all__ = ["FAMILIES", "ProceduralWorld", "build_scene"]


def to_picture(colours: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "3 H W"]:
    """[0, 1] -> uint8."""
    return np.ascontiguousarray(np.moveaxis((colours * 255).round().astype(np.uint8), -1, 0))


def photographs(
    scene: Scene, views: list[Hits], size: FrameSize, bank: Bank, backend: Finder
) -> list[Float[np.ndarray, "H W 3"]]:
    """First frame, second frame and the object alone, as many as there are hits, all exposed for the first."""
    assert scene.photograph is not None
    pictures, gain = [], 1.0
    for number, hits in enumerate(views):
        frame, alone = number % 2, number == 2
        light = paint(scene, frame, hits, size, bank, backend, alone=alone, shader=radiance)
        gain = gain if number else meter(light, scene.photograph)
        pictures.append(develop(light, gain, scene.photograph))
    seen = (views[0].body[: size[0] * size[1]] == scene.chosen).reshape(size)
    pictures[0][seen] = np.minimum(pictures[0][seen], CEILING)
    return pictures


class ProceduralWorld:
    """Endless examples with image pair, depth, flow, occlusion, masks and the whole object; see `Example`.

    Args:
        size: side in pixels, or (H, W).
        seed: worlds of different seeds share no scene.
        textures: a folder of photographs to mix with the procedural textures; for training only, because the pictures
            then depend on the folder.
        count: the length; an example does not depend on it.
        samples: rays for each pixel on an edge, 1 for jagged edges and speed; labels do not depend on it.
        world: `classic`, the scenes of `FAMILIES`, or `photo`, rooms, streets and tables as people photograph them,
            without a label.
        furniture: a pack of models (`world.pack`) for the rooms and streets of `photo`; None = those built in.
        frames: 2 for every field; 1 for the image, its depth and its label, in less than half the time.
        backend: what finds the triangles, `embree`, `numpy` or `auto` (embree where installed); labels agree.

    Raises:
        InputError: an argument is out of range, or `textures` holds no pictures.
    """

    def __init__(
        self,
        size: int | FrameSize,
        seed: int,
        textures: str | Path | None = None,
        *,
        count: int = 1 << 40,
        samples: int = 4,
        world: str = "classic",
        furniture: str | Path | None = None,
        frames: int = 2,
        backend: str = "auto",
    ) -> None:
        self.size: FrameSize = (
            (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        )
        if min(self.size) < 8 or max(self.size) > 8 * min(self.size):
            raise InputError(
                "size", size, "8 pixels a side or more, one side at most 8 times the other"
            )
        if count < 1:
            raise InputError("count", count, "1 or more")
        if not 1 <= samples <= 16:
            raise InputError("samples", samples, "1 to 16")
        if world not in WORLDS:
            raise InputError("world", repr(world), " | ".join(WORLDS))
        if frames not in (1, 2):
            raise InputError("frames", frames, "1 or 2")
        self.seed, self.count, self.samples = seed, count, samples
        self.world, self.frames = world, frames
        self.backend = resolve(backend)
        self.bank: Bank = load_bank(textures)
        if furniture is not None and world != "photo":
            raise InputError("furniture", f"with world={world}", "world=photo")
        self.pack = None if furniture is None else load_pack(furniture)

    def __len__(self) -> int:
        return self.count

    def scene(self, index: int, *, moving: bool = True) -> Scene:
        """The geometry behind an example."""
        if not 0 <= index < self.count:
            raise IndexError(f"index {index} of a world of {self.count} examples")
        more = {} if self.pack is None else {"pack": self.pack}
        return WORLDS[self.world](
            self.seed, index, self.size, photos=self.bank.photos, moving=moving, **more
        )

    def __getitem__(self, index: int) -> Example:
        return self.frame(index) if self.frames == 1 else self.render(self.scene(index), index)

    def frame(self, index: int) -> Example:
        """Only the image, its depth and its label, in half the time; they equal those of `self[index]`."""
        scene = self.scene(index, moving=False)
        hits = trace(scene, 0, self.size, samples=self.samples, backend=self.backend)
        image = (
            paint(scene, 0, hits, self.size, self.bank, self.backend)
            if scene.photograph is None
            else photographs(scene, [hits], self.size, self.bank, self.backend)[0]
        )
        return Example(**self._first(index, scene, hits, image))

    def render(self, scene: Scene, index: int = 0) -> Example:
        """Both pictures and all labels of a scene."""
        size, bank, backend = self.size, self.bank, self.backend
        hits = trace(scene, 0, size, samples=self.samples, backend=backend)
        later = trace(scene, 1, size, samples=self.samples, backend=backend)
        alone = trace(scene, 0, size, samples=self.samples, backend=backend, only=scene.chosen)
        point, pixels = follow(scene, hits, size), size[0] * size[1]
        visible = (hits.body[:pixels] == scene.chosen).reshape(size)
        amodal = (alone.body[:pixels] == scene.chosen).reshape(size)
        if scene.photograph is None:
            image = paint(scene, 0, hits, size, bank, backend)
            second = paint(scene, 1, later, size, bank, backend)
            whole = paint(scene, 0, alone, size, bank, backend, alone=True)
        else:
            amodal |= visible  # two trees may differ by a ray on an edge
            image, second, whole = photographs(scene, [hits, later, alone], size, bank, backend)
            whole = compose(image, whole, visible, amodal)
        return Example(
            **self._first(index, scene, hits, image),
            second=to_picture(second),
            flow=flow_of(scene.camera, point, size).astype(np.float32),
            flow_valid=(point[:, 2] > 1e-6).reshape(size),
            occluded=hidden(scene, hits, point, size, backend),
            visible=visible,
            amodal=amodal,
            whole=to_picture(whole),
        )

    def _first(self, index: int, scene: Scene, hits: Hits, image: np.ndarray) -> dict[str, Any]:
        """What the first frame alone tells."""
        depth = hits.depth[: self.size[0] * self.size[1]].reshape(self.size)
        return {
            "name": f"procedural/{self.seed}/{index}",
            "image": to_picture(image),
            "depth": np.minimum(depth, scene.far).astype(np.float32),
            "depth_valid": (depth >= NEAR) & (depth <= scene.far),
            "label": FAMILIES.index(scene.family) if scene.photograph is None else None,
        }
