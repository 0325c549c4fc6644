"""A pack of furniture: models beside the built-in ones, in one file.

Each has a role, the name of the built-in model that it can stand for ("couch", "seat", …) or "household", and its
measures in metres. `sweet_home` makes one; a world takes one as `furniture`, and looks as before without.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from lookharder.config import from_json, to_json
from lookharder.data.formats.guard import decoding
from lookharder.data.world.meshes import Mesh, assemble, project
from lookharder.errors import InputError
from lookharder.files import atomic, opened
from lookharder.jsons import parse_json

FINE = 65535  # steps of a coordinate over the unit cube
WHAT = "a pack of furniture, as `lookharder.data.world.sweet_home` writes it"


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """One model of a pack.

    Attributes:
        name: ROLE/NAME, unlike that of any other.
        role: which built-in model it stands for, or "household": small things that are set out.
        size: width, height and depth in metres.
        top: how high things stand on it, as a share of its height.
        colours: of each part, in [0, 1].
        vertices: (V, 3) in the unit cube [-1/2, 1/2]^3, y up, front towards +z.
        faces: (F, 3) of vertices.
        part: (F,) of colours.
    """

    name: str
    role: str
    size: tuple[float, float, float]
    top: float
    colours: tuple[tuple[float, float, float], ...]
    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    part: UInt8[np.ndarray, "F"]

    @cached_property
    def mesh(self) -> Mesh:
        """As the renderer wants it; textures lie along the axes."""
        corners = self.vertices[self.faces]
        area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        solid = np.linalg.norm(area, axis=1) > 1e-9
        return assemble(
            project(corners[solid]), convex=False, wrapped=False, part=self.part[solid].astype(int)
        )


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What the file says of one model; of vertices and faces, how many."""

    name: str
    role: str
    size: tuple[float, float, float]
    top: float
    colours: tuple[tuple[float, float, float], ...]
    vertices: int
    faces: int


@dataclass(frozen=True, kw_only=True)
class _Listing:
    """What the file says of all models, in the order of their vertices and faces."""

    models: tuple[_Facts, ...]


class Pack(Mapping[str, Model]):
    """The models of a pack, by name, and the names of each role."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = {model.name: model for model in models}
        self.roles: dict[str, tuple[str, ...]] = {}
        for model in models:
            self.roles[model.role] = (*self.roles.get(model.role, ()), model.name)

    def __getitem__(self, name: str) -> Model:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


def write_pack(models: Sequence[Model], path: Path) -> None:
    """All models in one `.npz`: whole numbers, and facts as JSON beside them."""
    facts = tuple(
        _Facts(
            name=model.name,
            role=model.role,
            size=model.size,
            top=model.top,
            colours=model.colours,
            vertices=len(model.vertices),
            faces=len(model.faces),
        )
        for model in models
    )
    grid = [((model.vertices + 0.5).clip(0, 1) * FINE).round() for model in models]
    with atomic(path) as file:
        np.savez_compressed(
            file,
            facts=np.array(json.dumps(to_json(_Listing(models=facts)))),
            vertices=np.concatenate(grid).astype(np.uint16),
            faces=np.concatenate([model.faces for model in models]).astype(np.uint16),
            part=np.concatenate([model.part for model in models]).astype(np.uint8),
        )


@cache
def load_pack(path: str | Path) -> Pack:
    """Read a pack, once per process.

    Raises:
        InputError: it is missing, or not what `write_pack` has written.
    """
    with opened(path) as file, decoding(path, WHAT), np.load(file, allow_pickle=False) as arrays:
        text, vertices, faces, part = (
            arrays[name] for name in ("facts", "vertices", "faces", "part")
        )
    facts = from_json(_Listing, parse_json(str(text), str(path)), str(path)).models
    if not facts or min(min(each.vertices, each.faces) for each in facts) < 1:
        raise InputError(str(path), "no models, or one without corners", WHAT)
    ends = np.cumsum([(each.vertices, each.faces) for each in facts], 0)
    whole = (
        all(array.dtype.kind == "u" for array in (vertices, faces, part))
        and vertices.shape == (ends[-1, 0], 3)
        and faces.shape == (*part.shape, 3) == (ends[-1, 1], 3)
    )
    if not whole:
        raise InputError(str(path), "arrays that are not those of its facts", WHAT)
    models = []
    for each, (v, f) in zip(facts, ends.tolist(), strict=True):
        mine = slice(f - each.faces, f)
        if faces[mine].max() >= each.vertices or part[mine].max() >= len(each.colours):
            raise InputError(str(path), f"{each.name} with a corner or a part it has not", WHAT)
        models.append(
            Model(
                name=each.name,
                role=each.role,
                size=each.size,
                top=each.top,
                colours=each.colours,
                vertices=vertices[v - each.vertices : v] / FINE - 0.5,
                faces=faces[mine].astype(np.int64),
                part=part[mine],
            )
        )
    return Pack(models)
