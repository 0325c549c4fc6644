"""Packs of furniture: what is read from a catalogue, what stands in a file, and rooms that are furnished with it."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest

from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import open_spec
from lookharder.data.world.furniture import natural
from lookharder.data.world.pack import Model, load_pack, write_pack
from lookharder.data.world.sweet_home import build, catalogue, role_of
from lookharder.data.world.tracing import trace
from lookharder.errors import InputError

CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
CUBE = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
     [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)  # fmt: skip
SIZES = {
    "couch": (2.0, 0.8, 0.9),
    "seat": (0.5, 0.9, 0.5),
    "household": (0.2, 0.3, 0.2),
    "standing": (0.6, 1.0, 0.6),
}


def model(role, number=0):
    size = SIZES[role]
    return Model(
        name=f"{role}/{number}",
        role=role,
        size=size,
        top=0.5,
        colours=((0.8, 0.1, 0.1), (0.1, 0.1, 0.8)),
        vertices=CORNERS,
        faces=CUBE,
        part=np.arange(12, dtype=np.uint8) % 2,
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "furniture.npz"
    write_pack([model(role) for role in SIZES], path)
    return path


def test_a_pack_is_read_as_it_was_written(path):
    pack = load_pack(path)
    assert list(pack) == [f"{role}/0" for role in SIZES]
    for name, read in pack.items():
        given = model(name.partition("/")[0])
        assert (read.role, read.size, read.top, read.colours) == (
            given.role, given.size, given.top, given.colours
        )  # fmt: skip
        np.testing.assert_allclose(read.vertices, given.vertices, atol=1 / 65535)
        np.testing.assert_array_equal(read.faces, given.faces)
        np.testing.assert_array_equal(read.part, given.part)
        assert len(read.mesh.corners) == 12


@pytest.mark.parametrize("harm", ["cut", "corner", "part", "count", "none", "empty"])
def test_a_pack_that_is_not_whole_is_refused(path, tmp_path, harm):
    other = tmp_path / "other.npz"
    if harm == "cut":
        other.write_bytes(path.read_bytes()[:-200])
    else:
        arrays = dict(np.load(path))
        if harm == "corner":
            arrays["faces"][0, 0] = 8
        elif harm == "part":
            arrays["part"][0] = 2
        elif harm == "count":
            arrays["vertices"] = arrays["vertices"][:-1]
        elif harm == "none":
            arrays["facts"] = np.array('{"models": []}')
        else:
            facts = json.loads(str(arrays["facts"]))
            facts["models"][0]["faces"] = 0
            arrays["facts"] = np.array(json.dumps(facts))
        np.savez(other, **arrays)
    with pytest.raises(InputError, match=r"other\.npz"):
        load_pack(other)


def test_a_world_is_furnished_with_a_pack(path):
    """Its models stand on the floor or on tops, in their own measures, and their depth is that of each triangle."""
    world = ProceduralWorld((36, 48), 5, world="photo", frames=1, samples=1, furniture=path)
    seen = set()
    for index in range(6):
        scene = world.scene(index, moving=False)
        packed = [body for body in scene.bodies if body.model is not None]
        seen |= {body.mesh for body in packed}
        for body in packed:
            ratio = body.size / np.array(SIZES[body.mesh.partition("/")[0]])
            assert ((ratio > 0.5) & (ratio < 2)).all()
        fast, plain = (trace(scene, 0, (36, 48), backend=name) for name in ("auto", "numpy"))
        np.testing.assert_allclose(fast.depth, plain.depth, rtol=1e-5)
        np.testing.assert_array_equal(fast.body, plain.body)
    assert {"couch/0", "household/0"} <= seen


def test_a_spec_names_a_pack(path):
    dataset = open_spec(f"procedural:2:5?world=photo&size=36x48&frames=1&furniture={path}", 36)
    plain = open_spec("procedural:2:5?world=photo&size=36x48&frames=1", 36)
    assert any((dataset[i].image != plain[i].image).any() for i in range(2))
    with pytest.raises(InputError, match="furniture"):
        open_spec(f"procedural:2:5?furniture={path}", 36)
    with pytest.raises(InputError, match="no such file"):
        open_spec("procedural:2:5?world=photo&furniture=nowhere.npz", 36)


@pytest.mark.parametrize(
    ("facts", "role"),
    [
        ({"name": "Sofa 2 seats"}, "couch"),
        ({"name": "Chair", "category": "Office"}, "swivel chair"),
        ({"name": "Chair"}, "seat"),
        ({"name": "Lamp", "category": "Lights", "elevation": "180"}, None),
        ({"name": "TV remote control", "width": "5", "depth": "18", "height": "3"}, "household"),
        ({"name": "Door", "doorOrWindow": "true"}, None),
        ({"name": "Football goal", "category": "Exterior", "width": "732"}, None),
        ({"name": "Aquarium"}, "standing"),
    ],
)
def test_a_name_and_measures_decide_what_a_model_is_used_as(facts, role):
    usual = {"category": "Living room", "width": "70", "depth": "60", "height": "90"}
    assert role_of(usual | facts) == role


def test_a_catalogue_lists_models_by_number():
    text = "id=x\nname#2=Sofa\nwidth#2=200\nname#1=Chair = odd\n"
    assert catalogue(text) == [{"name": "Chair = odd"}, {"name": "Sofa", "width": "200"}]


def furniture_archive():
    """A catalogue of one couch: a box whose front half is red and whose back half is blue."""
    text = """license=CC0
name#1=Sofa\ncategory#1=Living room\nmodel#1=/x/sofa.obj\nwidth#1=200\ndepth#1=90\nheight#1=80
dropOnTopElevation#1=40\ncreator#1=Somebody\n"""
    lines = ["mtllib sofa.mtl", *(f"v {x} {y} {z}" for x, y, z in CORNERS * [4, 1, 2])]
    for colour, faces in (("red", CUBE[:6]), ("blue", CUBE[6:])):
        lines += [f"usemtl {colour}", *("f " + " ".join(str(i + 1) for i in f) for f in faces)]
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", text)
        archive.writestr("x/sofa.obj", "\n".join(lines))
        archive.writestr("x/sofa.mtl", "newmtl red\nKd 1 0 0\nnewmtl blue\nKd 0 0 1\n")
    return held.getvalue()


def debian_package(held):
    """The smallest .deb that holds a file: an `ar` archive with data.tar.xz."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        info = tarfile.TarInfo("./usr/share/sweethome3d/furniture/Own.sh3f")
        info.size = len(held)
        archive.addfile(info, io.BytesIO(held))
    members = [("debian-binary", b"2.0\n"), ("data.tar.xz", data.getvalue())]
    package = b"!<arch>\n"
    for name, body in members:
        package += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode()
        package += body + b"\n" * (len(body) % 2)
    return package


@pytest.mark.parametrize("packed", [True, False], ids=["deb", "folder"])
def test_a_pack_is_built_from_debians_package_or_a_folder(tmp_path, packed):
    pytest.importorskip("trimesh", reason="the extra `furniture` is not installed")
    source = tmp_path / "sweethome3d-furniture_1_all.deb"
    if packed:
        source.write_bytes(debian_package(furniture_archive()))
    else:
        source.mkdir()
        (source / "Own.sh3f").write_bytes(furniture_archive())
    build(source, tmp_path / "out")
    (made,) = load_pack(tmp_path / "out" / "furniture.npz").values()
    assert (made.name, made.role, made.size, made.top) == (
        "couch/Own-sofa",
        "couch",
        (2.0, 0.8, 0.9),
        0.5,
    )
    np.testing.assert_allclose(np.ptp(made.vertices, axis=0), 1, atol=1e-4)
    assert sorted(made.colours) == [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0)]
    assert (
        "couch/Own-sofa\tSofa\tSomebody\tCC0" in (tmp_path / "out" / "ATTRIBUTION.txt").read_text()
    )
    # outward: the volume by the divergence theorem is positive in this left-handed world as in a right-handed one
    a, b, c = np.moveaxis(made.vertices[made.faces], 1, 0)
    assert np.einsum("fi,fi->", a, np.cross(b, c)) / 6 == pytest.approx(1, abs=1e-3)


def test_what_is_no_package_is_refused(tmp_path):
    path = tmp_path / "x.deb"
    path.write_bytes(b"!<arch>\n" + b"?" * 200)
    with pytest.raises(InputError, match=r"x\.deb"):
        build(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_roles_are_those_of_built_in_models():
    from lookharder.data.world.sweet_home import ROLES

    assert {role for role, _, _ in ROLES} <= set(natural())
