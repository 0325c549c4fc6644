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
from lookharder.data.world.motion import flow_of, follow, hidden
from lookharder.data.world.raycast import resolve
from lookharder.data.world.scene import FAR, NEAR, FrameSize, Hits, Scene
from lookharder.data.world.shading import paint
from lookharder.data.world.staging import build_scene
from lookharder.data.world.textures import Bank, load_bank
from lookharder.data.world.tracing import trace
from lookharder.errors import InputError

__all__ = ["FAMILIES", "ProceduralWorld", "build_scene"]


def to_picture(colours: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "3 H W"]:
    """[0, 1] -> uint8."""
    return np.ascontiguousarray(np.moveaxis((colours * 255).round().astype(np.uint8), -1, 0))


class ProceduralWorld:
    """Endless examples with image pair, depth, flow, occlusion, masks and the whole object; see `Example`.

    Args:
        size: side in pixels, or (H, W).
        seed: worlds of different seeds share no scene.
        textures: a folder of photographs to mix with the procedural textures; for training only, because the pictures
            then depend on the folder.
        count: the length; an example does not depend on it.
        samples: rays for each pixel on an edge, 1 for jagged edges and speed; labels do not depend on it.
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

    def __getitem__(self, index: int) -> Example:
        return self.render(self.scene(index), index)

    def frame(self, index: int) -> Example:
        """Only the image, its depth and its label, in half the time; they equal those of `self[index]`."""
        scene = self.scene(index, moving=False)
        hits = trace(scene, 0, self.size, samples=self.samples, backend=self.backend)
        image = paint(scene, 0, hits, self.size, self.bank, self.backend)
        return Example(**self._first(index, scene, hits, image))

    def render(self, scene: Scene, index: int = 0) -> Example:
        """Both pictures and all labels of a scene."""
        size, bank, backend = self.size, self.bank, self.backend
        hits = trace(scene, 0, size, samples=self.samples, backend=backend)
        later = trace(scene, 1, size, samples=self.samples, backend=backend)
        alone = trace(scene, 0, size, samples=self.samples, backend=backend, only=scene.chosen)
        image = paint(scene, 0, hits, size, bank, backend)
        second = paint(scene, 1, later, size, bank, backend)
        whole = paint(scene, 0, alone, size, bank, backend, alone=True)
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
