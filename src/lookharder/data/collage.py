"""Flying cut-outs: shapes and rendered objects over a photograph, each moved by an affine map of its own.

    x0 = A u, x1 = M x0          u the layer's own square [-1, 1]^2, x0 and x1 pixels of the first and second frame,
                                 whose centres are at 1/2, 3/2, ...
    flow(x0) = M x0 - x0         of the layer on top at x0; the background is a layer as well, mirrored without end

FlyingChairs (Dosovitskiy et al., 1504.06852) and AutoFlow (Sun et al., 2104.14544) teach flow in this manner, and
pix2gestalt (Ozguroglu et al., 2401.14398) the whole of hidden objects. Two things are deliberate: small motions stand
beside large ones, and a third of the chosen objects are hidden by nothing, so that the right answer is what is seen.
Labels are exact; example i depends on (seed, i), the frame's size and the photographs alone.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from lookharder.data.cutouts import Cutout, objects, outline
from lookharder.data.example import Example
from lookharder.data.procedural import to_picture
from lookharder.data.world.patterns import SIZE
from lookharder.data.world.textures import TEXELS, load_bank
from lookharder.errors import InputError
from lookharder.seeding import keyed_seed, numpy_generator

OBJECTS = 320  # scenes that are rendered for their objects, once in a process: 40 s
FINER = 2  # samples a pixel and side, averaged to smooth edges
HIDDEN = 2 / 3  # chosen objects that something covers
SEEN = (0.25, 0.9)  # share of a covered object that stays visible, in its frame
TRIES = 8  # places of a cover, until that holds
MOTIONS = (  # share of examples; standard deviations of shift (share of width), turn (radians), log size
    (0.40, 0.012, 0.012, 0.012),
    (0.40, 0.050, 0.060, 0.040),
    (0.20, 0.110, 0.150, 0.080),
)

Affine = Float[np.ndarray, "2 3"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One cut-out at its place.

    Attributes:
        picture: colours in [0, 1] and coverage, of the layer's own square.
        place: own square -> pixels of the first frame.
        motion: pixels of the first frame -> pixels of the second.
        endless: mirrored at its edges without end, as the background is.
    """

    picture: Cutout
    place: Affine
    motion: Affine
    endless: bool = False

    def draw(self, size: tuple[int, int], frame: int) -> Float[np.ndarray, "H W 4"]:
        """Colours times coverage, and coverage, on the pixels of frame 0 or 1."""
        import cv2

        place = chain(self.motion, self.place) if frame else self.place
        picture, side = self.picture, len(self.picture)
        wanted = int(np.ceil(2 * FINER * np.sqrt(abs(np.linalg.det(place[:, :2])))))
        if 4 <= wanted < side:  # a texel for a sample, or smoother
            picture = cv2.resize(picture, (wanted, wanted), interpolation=cv2.INTER_AREA)
            side = wanted
        texel = np.array([[2 / side, 0, 1 / side - 1], [0, 2 / side, 1 / side - 1]])
        sample = np.array([[FINER, 0, -0.5], [0, FINER, -0.5]])  # the first pixel's centre is 1/2
        fine = cv2.warpAffine(
            np.concatenate([picture[..., :3] * picture[..., 3:], picture[..., 3:]], -1),
            chain(sample, chain(place, texel)),
            (size[1] * FINER, size[0] * FINER),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT if self.endless else cv2.BORDER_CONSTANT,
        )
        drawn: np.ndarray = cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA)
        return drawn


def chain(second: Affine, first: Affine) -> Affine:
    """The map that does `first`, then `second`."""
    both: np.ndarray = np.c_[
        second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]
    ]
    return both


def turned(angle: float, stretch: tuple[float, float], about: tuple[float, float]) -> Affine:
    """Stretch, turn, and put the origin at a point."""
    c, s = np.cos(angle), np.sin(angle)
    placed: np.ndarray = np.c_[np.array([[c, -s], [s, c]]) @ np.diag(stretch), np.array(about)]
    return placed


class Collage:
    """Endless pairs of pictures with flow, occlusion, and the whole of one object; see the module.

    Args:
        size: (H, W) in pixels.
        seed: collages of different seeds share nothing.
        textures: a folder of photographs for backgrounds and shapes; without it they are plain and patterned.
        count: the length; an example does not depend on it.
        scenes: how many scenes of the embedded world give their objects.

    Raises:
        InputError: an argument is out of range, or `textures` holds no pictures.
    """

    def __init__(
        self,
        size: tuple[int, int],
        seed: int,
        textures: str | Path | None = None,
        *,
        count: int = 1 << 40,
        scenes: int = OBJECTS,
    ) -> None:
        if min(size) < 16:
            raise InputError("size", size, "16 pixels a side or more")
        if count < 1:
            raise InputError("count", count, "1 or more")
        self.size, self.seed, self.count, self.scenes = size, seed, count, scenes
        self.bank = load_bank(textures)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.count:
            raise IndexError(f"index {index} of {self.count} collages")
        rng = numpy_generator(self.seed, "collage", index)
        layers, chosen = self._layers(rng)
        frames = [[layer.draw(self.size, frame) for layer in layers] for frame in (0, 1)]
        top, later = (_top(drawn) for drawn in frames)
        flow, occluded = _motion(layers, top, later)
        amodal = frames[0][chosen][..., 3] > 0.5
        return Example(
            name=f"collage/{self.seed}/{index}",
            image=to_picture(_over(frames[0])),
            second=to_picture(_over(frames[1])),
            flow=flow,
            flow_valid=np.ones(self.size, bool),
            occluded=occluded,
            visible=amodal & (top == chosen),
            amodal=amodal,
            whole=to_picture(_over([np.ones_like(frames[0][0]), frames[0][chosen]])),
        )

    def _layers(self, rng: np.random.Generator) -> tuple[list[Layer], int]:
        """The background, what lies about, and last the chosen object with its neighbour; which one is chosen."""
        shares = [share for share, *_ in MOTIONS]
        spread = MOTIONS[rng.choice(len(MOTIONS), p=shares)][1:]
        height, width = self.size
        middle, half = (width / 2, height / 2), max(self.size) / 2 * rng.uniform(1, 1.6)
        camera = self._motion(rng, spread, middle, share=0.6)
        backdrop = np.dstack([self._surface(rng), np.ones((SIZE, SIZE), np.float32)])
        place = turned(rng.normal(0, 0.1), (half, half), middle)
        layers = [Layer(picture=backdrop, place=place, motion=camera, endless=True)]
        about = range(rng.integers(1, 8))
        layers += [self._thing(rng, spread, camera, (0.05, 0.3)) for _ in about]
        chosen = self._thing(rng, spread, camera, (0.12, 0.45))
        if rng.random() >= HIDDEN:
            return [*layers, self._thing(rng, spread, camera, (0.1, 0.4)), chosen], len(layers) + 1
        for _ in range(TRIES):
            cover = self._thing(rng, spread, camera, (0.1, 0.4), beside=chosen)
            whole = chosen.draw(self.size, 0)[..., 3] > 0.5
            seen = whole & (cover.draw(self.size, 0)[..., 3] <= 0.5)
            if SEEN[0] <= seen.sum() / max(whole.sum(), 1) <= SEEN[1]:
                return [*layers, chosen, cover], len(layers)
        return [*layers, cover, chosen], len(layers) + 1

    def _thing(
        self,
        rng: np.random.Generator,
        spread: tuple[float, ...],
        camera: Affine,
        sizes: tuple[float, float],
        beside: Layer | None = None,
    ) -> Layer:
        """A cut-out somewhere, or at the edge of another; half its side is a share of the frame's height."""
        height, width = self.size
        half = height * np.exp(rng.uniform(*np.log(sizes)))
        if beside is None:
            about = (rng.uniform(0, width), rng.uniform(0, height))
        else:
            reach = 0.9 * np.sqrt(abs(np.linalg.det(beside.place[:, :2])))
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.2)
            step = reach * far * np.array([np.cos(angle), np.sin(angle)])
            about = tuple(beside.place[:, 2] + step)
        long = np.exp(rng.normal(0, 0.25))
        whole = objects(keyed_seed(self.seed, "objects"), self.scenes)
        if whole and rng.random() < 0.5:
            picture, turn = whole[rng.integers(len(whole))], rng.normal(0, 0.15)
            picture = picture[:, ::-1] if rng.random() < 0.5 else picture
        else:
            cover = outline(rng)
            picture, turn = np.dstack([self._surface(rng), cover]), rng.uniform(0, 2 * np.pi)
        return Layer(
            picture=np.ascontiguousarray(picture),
            place=turned(turn, (half * long, half / long), about),
            motion=chain(self._motion(rng, spread, about), camera),
        )

    def _motion(
        self,
        rng: np.random.Generator,
        spread: tuple[float, ...],
        about: tuple[float, float],
        share: float = 1.0,
    ) -> Affine:
        """A small turn and change of size about a point, and a shift."""
        shift, turn, size = (share * s for s in spread)
        grown = float(np.exp(rng.normal(0, size)))
        back = turned(0.0, (1.0, 1.0), (-about[0], -about[1]))
        moved = np.array(about) + rng.normal(0, shift * self.size[1], 2)
        return chain(turned(rng.normal(0, turn), (grown, grown), tuple(moved)), back)

    def _surface(self, rng: np.random.Generator) -> Float[np.ndarray, "y x 3"]:
        """A photograph, or two colours by a pattern, under a light that falls off to one side."""
        photo = self.bank.photos and rng.random() < 0.75
        known = len(self.bank.texels) // TEXELS
        first = known - self.bank.photos if photo else 0
        which = rng.integers(first, known if photo else known - self.bank.photos)
        texels = self.bank.texels[which * TEXELS : which * TEXELS + SIZE * SIZE]
        picture = texels.reshape(SIZE, SIZE, 3).astype(np.float32) / 255
        if not photo:
            one, other = rng.uniform(0, 1, (2, 3))
            grain = 0.15 * (picture[..., 2:] - 0.5)
            strength = rng.choice([0.0, 0.5, 1.0])
            picture = one + (other - one) * strength * picture[..., :1] + grain
        angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
        ramp = np.linspace(-1, 1, SIZE)
        light = 1 - fall * (np.cos(angle) * ramp + np.sin(angle) * ramp[:, None] + 1) / 2
        lit: np.ndarray = np.clip(picture * light[..., None], 0, 1).astype(np.float32)
        return lit


def _over(drawn: list[Float[np.ndarray, "H W 4"]]) -> Float[np.ndarray, "H W 3"]:
    """Layers from back to front, each over those before it."""
    result = drawn[0][..., :3]
    for layer in drawn[1:]:
        result = layer[..., :3] + result * (1 - layer[..., 3:])
    clipped: np.ndarray = np.clip(result, 0, 1)
    return clipped


def _top(drawn: list[Float[np.ndarray, "H W 4"]]) -> np.ndarray:
    """(H, W) which layer is seen: the last that covers more than half of the pixel."""
    top = np.zeros(drawn[0].shape[:2], np.int64)
    for number, layer in enumerate(drawn):
        top[layer[..., 3] > 0.5] = number
    return top


def _motion(
    layers: list[Layer], top: np.ndarray, later: np.ndarray
) -> tuple[Float[np.ndarray, "2 H W"], Bool[np.ndarray, "H W"]]:
    """Flow at the centres of pixels, and what is hidden or out of view in the second frame."""
    height, width = top.shape
    motions = np.stack([layer.motion for layer in layers])[top]  # (H, W, 2, 3)
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    moved = motions[..., 0] * x[..., None] + motions[..., 1] * y[..., None] + motions[..., 2]
    column, row = np.floor(moved[..., 0]).astype(int), np.floor(moved[..., 1]).astype(int)
    gone = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    found = later[row.clip(0, height - 1), column.clip(0, width - 1)]
    flow = np.stack([moved[..., 0] - x, moved[..., 1] - y]).astype(np.float32)
    return flow, gone | (found != top)
