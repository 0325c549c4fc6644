"""The unit models, and the two backends that find their triangles."""

import numpy as np
import pytest

from lookharder.data.world.library import library
from lookharder.data.world.raycast import caster_of_model, resolve
from lookharder.errors import InputError

BACKENDS = ["embree", "numpy"] if resolve("auto") == "embree" else ["numpy"]


@pytest.mark.skipif(BACKENDS == ["numpy"], reason="embreex is not installed")
@pytest.mark.parametrize("name", library().meshes)
def test_backends_name_triangles_of_one_plane(name):
    """The numpy caster is the oracle of Embree: same hits, same depth; shadow rays too."""
    mesh, rng = library().meshes[name], np.random.default_rng(0)
    origin = np.array([0.13, 0.21, -1.7])
    d = rng.normal((0, 0, 1), 0.25, (400, 3))
    first, second = (caster_of_model(mesh, backend).first(origin, d) for backend in BACKENDS)
    assert (first >= 0).any()
    np.testing.assert_array_equal(first >= 0, second >= 0)
    hit = first >= 0
    t = [
        (mesh.offsets - mesh.normals @ origin)[k[hit]] / (mesh.normals[k[hit]] * d[hit]).sum(1)
        for k in (first, second)
    ]
    np.testing.assert_allclose(*t, rtol=1e-6)
    for reach in (0.7, 2.0):
        blocked = [caster_of_model(mesh, backend).blocked(origin, d, reach) for backend in BACKENDS]
        np.testing.assert_array_equal(*blocked)
        assert not (blocked[0] & ~hit).any()


@pytest.mark.parametrize("name", library().meshes)
def test_models_are_sound(name):
    mesh = library().meshes[name]
    assert np.abs(mesh.corners).max() <= 0.5 + 1e-9
    values = (
        np.einsum("fij,fcj->fci", mesh.attributes[..., :3], mesh.corners)
        + mesh.attributes[:, None, :, 3]
    )
    assert np.isfinite(values).all()
    length = np.linalg.norm(values[..., 2:], axis=2)  # of the smooth normals at the corners
    np.testing.assert_allclose(length, 1.0, atol=1e-3)
    flat = mesh.normals / np.linalg.norm(mesh.normals, axis=1, keepdims=True)
    assert (np.einsum("fci,fi->fc", values[..., 2:], flat) > 0.5).all()
    if name not in (
        "hills",
        "dunes",
    ):  # closed: the areas of all sides cancel, and the normals point outward
        np.testing.assert_allclose(mesh.normals.sum(0), 0, atol=1e-9)
        assert mesh.offsets.sum() > 0


def test_unknown_backend_is_named():
    with pytest.raises(InputError, match="backend"):
        resolve("opengl")


@pytest.mark.skipif(BACKENDS == ["numpy"], reason="embreex is not installed")
def test_a_world_without_embree_is_the_same_world(fork):
    """In a process that cannot import embreex, as on a machine for which it has no wheel."""
    hide = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "embreex" else find(name, *rest)
sys.modules["embreex"] = None
from lookharder.data.world import raycast
raycast.find_spec = importlib.util.find_spec
"""
    code = """
import hashlib
from lookharder.data.procedural import ProceduralWorld
world = ProceduralWorld((32, 32), 3)
example = world[1]
labels = (example.depth, example.flow, example.visible, example.amodal, example.occluded)
print(world.backend, hashlib.sha256(b"".join(label.tobytes() for label in labels)).hexdigest())
"""
    runs = [fork(code), fork(hide + code)]
    assert [run.wait() for run in runs] == [0, 0], [run.said() for run in runs]
    (backend, labels), (other, again) = (run.said().split() for run in runs)
    assert (backend, other) == ("embree", "numpy")
    assert labels == again
