"""Whole pictures at the size that a spec asks for, labels with them."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookharder.data import formats
from lookharder.data.fit import Fit, Fitted
from lookharder.data.source import DataConfig, examine, open_data, open_spec, sides_in, sides_of
from lookharder.errors import InputError
from lookharder.recipes import RECIPES


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A pair of 24 x 32 pixels that moves by (4, -2), a disc 2 m before a wall at 6 m, and the disc's mask."""
    y, x = np.mgrid[:24, :32]
    disc = (y - 12) ** 2 + (x - 16) ** 2 < 64
    for name in ("a.png", "a_second.png"):
        formats.write_image(
            tmp_path / name, np.where(disc, 200, 40)[None].repeat(3, 0).astype("u1")
        )
    formats.write_flo(
        tmp_path / "a_flow.flo", np.full((2, 24, 32), [[[4.0]], [[-2.0]]], np.float32)
    )
    formats.write_depth_png(tmp_path / "a_depth.png", np.where(disc, 2.0, 6.0))
    for kind in ("visible", "amodal"):
        formats.write_image(tmp_path / f"a_{kind}.png", disc[None].repeat(3, 0).astype("u1") * 255)
    return tmp_path


def test_flow_is_scaled_each_way_and_labels_are_never_mixed(pair: Path):
    example = open_spec(f"folder:{pair}?depth_unit=mm&fit=48x16", 64)[0]
    assert example.image.shape == (3, 48, 16)
    np.testing.assert_allclose(example.flow[0], 4 / 2, rtol=1e-6)
    np.testing.assert_allclose(example.flow[1], -2 * 2, rtol=1e-6)
    assert set(np.unique(example.depth)) == {2.0, 6.0} and example.depth_valid.all()
    np.testing.assert_array_equal(example.visible, example.depth == 2.0)
    assert example.visible.dtype == bool


def test_inside_keeps_the_shape_and_makes_the_longest_edge(pair: Path):
    spec = f"folder:{pair}?depth_unit=mm&fit=inside:16"
    assert open_spec(spec, 64)[0].image.shape == (3, 12, 16)
    larger = Fit.parse("inside:64")
    assert larger.size(24, 32) == (48, 64) and larger.size(32, 24) == (64, 48)
    assert examine(spec).problems == []
    crops = open_spec(f"{spec}&crop=8&views=2", 64)
    assert len(crops) == 2 and crops[1].image.shape == (3, 8, 8)


def test_what_a_configuration_says_and_what_its_data_have(pair: Path, caplog):
    spec = f"folder:{pair}?depth_unit=mm"
    assert sides_of(DataConfig(spec=f"{spec}&fit=512x256")) == (512, 256)
    assert sides_of(DataConfig(spec="procedural:2:1?size=40x48&frames=1")) == (40, 48)
    plain = DataConfig(spec=spec, size=48)
    assert sides_of(plain) == (48, 48) and sides_in(plain) == (24, 32)
    assert sides_in(DataConfig(spec="folder:absent")) is None
    caplog.set_level(logging.WARNING)
    open_data(plain)
    assert "keep their own size, the first (24, 32); fit=48x48" in caplog.text
    caplog.clear()
    open_data(replace(plain, spec=f"{spec}&fit=48x48"))
    assert caplog.text == ""


def test_what_was_fitted_can_be_stored(pair: Path, tmp_path: Path):
    store = tmp_path / "store"
    spec = f"folder:{pair}?depth_unit=mm&fit=16x16"
    data = open_data(DataConfig(spec=spec, store=str(store), workers=1))
    assert data[0].depth.shape == (16, 16) and len(list(store.iterdir())) == 1


@pytest.mark.parametrize("text", ["7x64", "big", "inside:8x8", "8x8x8", "", "99999x8"])
def test_bad_sizes(pair: Path, text: str):
    with pytest.raises(InputError, match=r"--data: got fit=.*fit=ROWSxCOLUMNS or fit=inside:SIDE"):
        open_spec(f"folder:{pair}?depth_unit=mm&fit={text}", 64)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("paper_")])
def test_the_paper_s_recipes_ask_for_their_squares(name: str):
    config = RECIPES[name]()
    side = config.chain.resolution
    assert config.chain.fit == "square"
    for data in config.data.values():
        assert sides_of(data) == (side, side)
        assert data.spec.endswith((f"?fit={side}x{side}", f"?side={side}"))


def test_a_fitted_set_is_as_long_as_its_own(pair: Path):
    assert len(Fitted(open_spec(f"folder:{pair}?depth_unit=mm", 64), Fit.parse("16"))) == 1
