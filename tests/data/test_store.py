"""A store gives back what was put in, and is there whole or not at all."""

from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from lookharder.data.formats import write_image, write_npy
from lookharder.data.procedural import ProceduralWorld
from lookharder.data.source import DataConfig, open_data, open_spec
from lookharder.data.store import store
from lookharder.errors import InputError


def test_stored_examples_are_the_examples(tmp_path, monkeypatch):
    # processes of a server that has torch already: to import it in each costs seconds
    monkeypatch.setattr("lookharder.data.store.get_context", lambda _: get_context("forkserver"))
    world = ProceduralWorld(32, 5, count=3)
    stored = store(world, tmp_path, "key", workers=2)
    assert len(stored) == 3
    for index in (2, 0):
        for name, value in vars(world[index]).items():
            np.testing.assert_array_equal(getattr(stored[index], name), value)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_store_is_read_not_written_again(tmp_path):
    config = DataConfig(spec="procedural:2:1", size=32, store=str(tmp_path), workers=1)
    first = open_data(config)[1]
    stamp = next(tmp_path.glob("*/image.npy")).stat().st_mtime_ns
    np.testing.assert_array_equal(open_data(config)[1].image, first.image)
    assert next(tmp_path.glob("*/image.npy")).stat().st_mtime_ns == stamp


def photos(folder: Path, shade: int, count: int = 2) -> None:
    folder.mkdir(exist_ok=True)
    for i in range(count):
        write_image(folder / f"{i}.png", np.full((3, 32, 32), shade, np.uint8))
        write_npy(folder / f"{i}_depth.npy", np.full((32, 32), 2.0, np.float32))


def test_what_changed_is_stored_anew(tmp_path):
    """Pictures of a folder, photographs on surfaces: a store of those before is not read."""
    photos(tmp_path / "set", 10)
    config = DataConfig(
        spec=f"folder:{tmp_path}/set", size=32, store=str(tmp_path / "s"), workers=1
    )
    assert open_data(config)[0].image.mean() == 10
    photos(tmp_path / "set", 200, count=3)
    assert len(open_data(config)) == 3 and open_data(config)[0].image.mean() == 200
    made = DataConfig(
        spec="collage:1:1",
        size=32,
        textures=f"{tmp_path}/set",
        store=str(tmp_path / "m"),
        workers=1,
    )
    for count in (1, 2):
        open_data(made)
        open_data(made)
        assert len(list((tmp_path / "m").iterdir())) == count
        photos(tmp_path / "set", 90)


def test_a_store_among_the_pictures_is_no_change_of_them(tmp_path):
    photos(tmp_path, 10)
    config = DataConfig(
        spec=f"folder:{tmp_path}", size=32, store=str(tmp_path / ".cache" / "store"), workers=1
    )
    for _ in range(3):
        open_data(config)
    assert len(list((tmp_path / ".cache" / "store").iterdir())) == 1


def test_examples_of_other_fields_or_sizes_are_refused(tmp_path):
    world = ProceduralWorld(32, 5, count=2)
    for other in (
        replace(world[1], flow=None, flow_valid=None),
        ProceduralWorld(48, 5)[0],
    ):
        for examples in ([world[0], other], [other, world[0]]):
            with pytest.raises(InputError, match="as of the first, in a store"):
                store(examples, tmp_path, "key")
    assert not list(tmp_path.iterdir())


def test_a_damaged_store_is_made_anew(tmp_path):
    config = DataConfig(spec="procedural:2:1", size=32, store=str(tmp_path), workers=1)
    expected = open_data(config)[1].image
    for name in ("image.npy", "facts.json"):
        path = next(tmp_path.glob(f"*/{name}"))
        data = path.read_bytes()
        for wrong in (data[:-9] + bytes((data[-9] ^ 4,)) + data[-8:], data[:-30], b"[" * 9999):
            path.write_bytes(wrong)
            np.testing.assert_array_equal(open_data(config)[1].image, expected)
            assert path.read_bytes() == data


class Labelled:
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return replace(ProceduralWorld(32, 5)[index], label=17)


def test_a_label_or_name_that_is_another_is_found(tmp_path, caplog):
    first = store(Labelled(), tmp_path, "key")
    path = tmp_path / "key" / "facts.json"
    for right, wrong in (("17", "16"), (first.names[1], first.names[1] + "0")):
        path.write_text(path.read_text().replace(right, wrong))
        again = store(Labelled(), tmp_path, "key")
        assert (again.names, again.labels) == (first.names, (17, 17))
    assert caplog.text.count("a store is made anew") == 2


def test_a_full_disk_is_an_error_and_kills_no_worker(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        store(ProceduralWorld(32, 5, count=2), tmp_path, "key", workers=1)
    assert list(tmp_path.iterdir()) == []


class Failing:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 2:
            raise InputError("data", "row 2", "a good row")
        return ProceduralWorld(32, 5)[index]


def test_a_failed_store_leaves_nothing(tmp_path):
    with pytest.raises(InputError):
        store(Failing(), tmp_path, "key", workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad", ["procedural:x", "procedural:0", "procedural:1:2:3", "photos", "nyu:/x", "hypersim"]
)
def test_bad_specs(bad):
    with pytest.raises(InputError, match="--data"):
        open_spec(bad, 32)
