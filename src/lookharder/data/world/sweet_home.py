"""From the furniture of Sweet Home 3D to a pack that the world furnishes rooms with.

    make furniture                                          # fetches Debian's package, writes out/furniture
    python -m lookharder.data.world.sweet_home DEB OUT      # from sweethome3d-furniture_*.deb, or a folder of .sh3f

The package holds some 820 models in five catalogues, 175 under CC0 and the others under CC-BY 3.0. Each is brought to
at most `TRIANGLES`, its pictures to one colour a material, and its name decides what it is used as (`ROLES`). OUT is
`furniture.npz` and `ATTRIBUTION.txt`, which names every model, its maker and its licence and belongs beside it.
Needs the packages of the extra `furniture`.
"""

import argparse
import io
import logging
import re
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from lookharder.data.world.pack import Model, write_pack
from lookharder.errors import InputError
from lookharder.files import atomic

log = logging.getLogger(__name__)

TRIANGLES = 500  # of a model, at most about so many
CATALOGUE = "PluginFurnitureCatalog.properties"
FLOOR = 0.15  # metres: what stands higher hangs on a wall or from a ceiling
SMALL = 0.5  # metres: no edge of what is set out on tops is longer
LARGE = 2.2  # metres: no edge of what stands about in rooms is longer

# what a name is used as: role, pattern of the name, pattern of the category; the first that fits
ROLES = (
    ("couch", r"sofa|couch", r"."),
    ("swivel chair", r"^(chair|armchair)$", r"Office"),
    ("armchair", r"armchair", r"."),
    ("bed", r"\bbed$", r"Bedroom"),
    ("wardrobe", r"wardrobe|high cabinet|cupboard|lock(ed )?er", r"."),
    ("sideboard", r"tv stand|television cabinet|piano|dressing table|dresser", r"."),
    ("chest", r"chest$|drawers cabinet|filing cabinet|changing table|^box$|trunck|safe", r"."),
    ("bookcase", r"bookcase|shelves", r"."),
    ("desk", r"desk|technical table|workbench", r"Office|Misc"),
    ("side table", r"coffee table|bedside table|piano bench|children table", r"."),
    ("round table", r"round table|bar table", r"."),
    ("dining table", r"\btables?\b", r"Living|Kitchen|Office|Exterior"),
    ("stool", r"stool|puff|bar chair", r"."),
    ("seat", r"chair|seat", r"."),
    ("wall unit", r"upper|glass door cabinet", r"Kitchen"),
    ("fridge", r"fridge|refrigerator", r"."),
    ("kitchen unit", r"cabinet|island|oven|machine$|stove|dishwasher|freezer|sink", r"Kitchen"),
    ("television", r"^tv( 16:9)?$|flat tv", r"."),
    ("monitor", r"imac|monitor|computer screen", r"."),
    ("table lamp", r"(desk|little|table) lamp|candle|lantern", r"Lights"),
    ("floor lamp", r"lamp", r"Lights"),
    ("leafy tree", r"tree|acacia|bamboo|ficus|pine|palm|oak", r"Exterior"),
    ("hedge", r"hedge|bush", r"Exterior"),
    ("potted plant", r"plant|ficus|yucca|lily|tulips|orchid|flowers|bonsai|cactus|spathi", r"Living"),
    ("radiator", r"radiator", r"."),
    ("bin", r"\bbin\b|dustbin|basket$", r"."),
    ("van", r"van\b|truck|bus\b", r"Vehicles"),
    ("sedan", r"seat leon|peugeot|renault|suv|chevrolet|car$|sedan|beetle|focus", r"Vehicles"),
    ("person", r".", r"Characters"),
)  # fmt: skip
LENGTHWISE = ("sedan", "van")  # lie along x, as the built-in ones do
FITTING = {  # lowest and highest of what may stand for a role, metres
    "table lamp": (0.2, 0.8), "floor lamp": (1.0, 2.1), "leafy tree": (2.4, 12.0), "person": (1.2, 2.1),
    "potted plant": (0.3, 2.2), "dining table": (0.55, 1.0), "desk": (0.6, 1.9), "sedan": (1.0, 2.0),
}  # fmt: skip


def catalogue(text: str) -> list[dict[str, str]]:
    """The models that a catalogue of properties lists, in order of their numbers."""
    models: dict[int, dict[str, str]] = defaultdict(dict)
    for line in text.splitlines():
        if found := re.fullmatch(r"(\w+)#(\d+)=(.*)", line.strip()):
            models[int(found[2])][found[1]] = found[3]
    return [models[number] for number in sorted(models)]


def role_of(facts: dict[str, str]) -> str | None:
    """What a model is used as: a role of `ROLES`, "household" on tops, "standing" on the floor; None = not at all."""
    width, depth, height = (float(facts[side]) / 100 for side in ("width", "depth", "height"))
    raised = float(facts.get("elevation") or 0) / 100
    if facts.get("doorOrWindow") == "true":
        return None
    for role, name, category in ROLES:
        if re.search(name, facts["name"], re.IGNORECASE) and re.search(category, facts["category"]):
            low, high = FITTING.get(role, (0.0, 4.0))
            hung = raised > FLOOR and role not in ("wall unit", "television")
            if not hung and low <= height <= high:
                return role
            break
    longest = max(width, depth, height)
    if raised > 0 or height < 0.02 or min(width, depth) < 0.004 or longest > LARGE:
        return None
    if longest <= SMALL:
        return "household"
    indoors = facts["category"] not in ("Exterior", "Vehicles", "Characters")
    return "standing" if indoors and height > 0.25 else None


def simplify(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], most: int
) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """About `most` triangles of the same shape, by quadric error."""
    import fast_simplification

    if len(faces) <= most:
        return vertices, faces
    points, triangles = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), 1 - most / len(faces), agg=8
    )
    return points.astype(np.float64), triangles.astype(np.int64)


def read_model(path: Path, facts: dict[str, str], name: str, role: str) -> Model | None:
    """One model of a catalogue, mirrored into this left-handed world, front towards +z; None = of no triangles."""
    import trimesh

    scene = trimesh.load_scene(path, group_material=True, split_objects=False)
    pieces = [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)]
    total = sum(len(mesh.faces) for mesh in pieces)
    turn = np.array([float(n) for n in facts.get("modelRotation", "1 0 0 0 1 0 0 0 1").split()])
    vertices, triangles, parts, count = [], [], [], 0
    colours: list[tuple[float, float, float]] = []
    for mesh in pieces:
        mesh.merge_vertices(merge_tex=True, merge_norm=True)
        share = max(12, round(TRIANGLES * len(mesh.faces) / max(total, 1)))
        points, faces = simplify(np.asarray(mesh.vertices), np.asarray(mesh.faces), share)
        if not len(faces):
            continue
        vertices.append(points @ turn.reshape(3, 3).T * (-1, 1, 1))
        triangles.append(faces[:, ::-1] + count)  # a mirrored triangle turns the other way round
        parts.append(np.full(len(faces), len(colours), np.uint8))
        colours.append(colour_of(mesh))
        count += len(points)
    if not count:
        return None
    size = np.array([float(facts[side]) / 100 for side in ("width", "height", "depth")])
    points = np.concatenate(vertices)
    if role in LENGTHWISE and size[2] > size[0]:
        points, size = points[:, ::-1] * (1, 1, -1), size[::-1]
    low, high = points.min(0), points.max(0)
    top = float(facts.get("dropOnTopElevation") or 0) / 100 / size[1]
    return Model(
        name=name,
        role=role,
        size=(float(size[0]), float(size[1]), float(size[2])),
        top=top if 0 < top <= 1 else 1.0,
        colours=tuple(colours),
        vertices=(points - (low + high) / 2) / np.maximum(high - low, 1e-9),
        faces=np.concatenate(triangles),
        part=np.concatenate(parts),
    )


def colour_of(mesh: object) -> tuple[float, float, float]:
    """Mean colour of a piece's material: of its picture where it has one."""
    material = getattr(mesh, "visual", None) and getattr(mesh.visual, "material", None)  # type: ignore[attr-defined]
    image = getattr(material, "image", None)
    if image is not None:
        pixels = np.asarray(image.convert("RGB"), np.float64).reshape(-1, 3) / 255
        red, green, blue = pixels.mean(0)
    else:
        red, green, blue = np.asarray(material.main_color if material else (128,) * 4)[:3] / 255
    return float(red), float(green), float(blue)


def archives(source: Path) -> Iterator[tuple[str, zipfile.ZipFile]]:
    """The catalogues, each a .sh3f, of Debian's package or of a folder, by name."""
    if source.is_dir():
        for path in sorted(source.rglob("*.sh3f")):
            yield path.stem, zipfile.ZipFile(path)
        return
    with tarfile.open(fileobj=io.BytesIO(data_of(source.read_bytes(), source))) as archive:
        for member in archive:
            if member.name.endswith(".sh3f") and (held := archive.extractfile(member)):
                yield Path(member.name).stem, zipfile.ZipFile(io.BytesIO(held.read()))


def data_of(package: bytes, path: Path) -> bytes:
    """The files of a .deb, which is an `ar` archive of three members: the one that is called data.tar.*."""
    place = 8 if package[:8] == b"!<arch>\n" else len(package)
    while place + 60 <= len(package):
        name, size = (
            package[place : place + 16].decode("latin1").strip(),
            package[place + 48 :][:10],
        )
        if not size.strip().isdigit():
            break
        length = int(size)
        if name.startswith("data.tar"):
            return package[place + 60 : place + 60 + length]
        place += 60 + length + length % 2
    raise InputError(
        "DEB", str(path), "Debian's package sweethome3d-furniture, or a folder of .sh3f"
    )


def build(source: Path, out: Path) -> tuple[Sequence[Model], int]:
    """Read, simplify and write all models that have a role; those that were written, and of how many."""
    models: list[Model] = []
    credit, listed = [], 0
    for title, archive in archives(source):
        text = archive.read(CATALOGUE).decode("latin1")
        licence = re.search(r"(?m)^license=(.*)$", text)
        with tempfile.TemporaryDirectory() as folder:
            archive.extractall(folder)
            for facts in catalogue(text):
                listed += 1
                path = Path(folder) / facts["model"].strip("/")
                role = role_of(facts)
                if role is None or path.suffix.lower() != ".obj" or not path.is_file():
                    continue
                name = f"{role}/{title}-{path.stem}"
                model = read_model(path, facts, name, role)
                if model is None or any(name == other.name for other in models):
                    continue
                models.append(model)
                terms = licence[1].strip() if licence else "see the package"
                credit.append(f"{name}\t{facts['name']}\t{facts.get('creator', '')}\t{terms}")
    if not models:
        raise InputError("DEB", str(source), "a package or a folder with .sh3f catalogues")
    out.mkdir(parents=True, exist_ok=True)
    write_pack(models, out / "furniture.npz")
    with atomic(out / "ATTRIBUTION.txt") as file:
        file.write_text("model\ttitle\tmaker\tlicence\n" + "\n".join(credit) + "\n", "utf-8")
    return models, listed


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", type=Path, metavar="DEB")
    parser.add_argument("out", type=Path, metavar="OUT")
    given = parser.parse_args()
    models, listed = build(given.source, given.out)
    print(
        f"{len(models)} models of {listed}, {sum(len(m.faces) for m in models)} triangles: {given.out}"
    )


if __name__ == "__main__":
    main()
