"""Pictures against another implementation's colours, matplotlib's maps and what the eye must see."""

import matplotlib
import numpy as np
import pytest
import torch

from lookharder import visualize
from lookharder.errors import InputError
from lookharder.visualize import colours


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_flow_colours_equal_the_middlebury_wheel(raft_field, kind):
    field, stored = raft_field
    ours = visualize.flow_to_rgb(kind(field.transpose(2, 0, 1).copy()))
    np.testing.assert_array_equal(ours, stored["color_of_gt"])


def test_flow_hues():
    flow = np.array(
        [[[0.0, 1.0, 0.0, -1.0, 0.0]], [[0.0, 0.0, 1.0, 0.0, -1.0]]]
    )  # still, right, down, left, up
    still, right, down, left, up = visualize.flow_to_rgb(flow)[0].astype(int)
    assert (still == 255).all()
    assert right[0] > 200 > right[1:].max()  # red
    assert down[0] > 200 and down[1] > 200 > down[2]  # yellow
    assert left[2] > 200 and left[1] > 100 > left[0]  # blue-cyan
    assert up[2] > 200 > up[0] > up[1]  # violet-blue


def test_flow_scale_is_shared_on_request_and_excess_is_dark():
    short, long = np.zeros((2, 4, 4)) + 1.0, np.zeros((2, 4, 4)) + 5.0
    np.testing.assert_array_equal(visualize.flow_to_rgb(short), visualize.flow_to_rgb(long))
    pale, full, dark = (
        visualize.flow_to_rgb(x, max_flow=50**0.5).astype(int)[0, 0]
        for x in (short, long, 2 * long)
    )
    assert pale.min() > full.min()
    assert dark.max() < full.max()


def test_unknown_flow_is_black():
    flow = np.ones((2, 2, 2))
    flow[0, 0, 0] = np.nan
    picture = visualize.flow_to_rgb(flow)
    assert (picture[0, 0] == 0).all()
    assert (picture[1, 1] > 0).any()
    assert (visualize.flow_to_rgb(np.full((2, 2, 2), np.nan)) == 0).all()


@pytest.mark.parametrize(
    ("name", "colour"),
    [("Spectral", visualize.depth_to_rgb), ("YlOrRd", visualize.uncertainty_to_rgb)],
)
def test_ramps_equal_matplotlib(name, colour):
    place = np.linspace(0, 1, 256)[None]
    expected = matplotlib.colormaps[name](np.arange(256))[None, :, :3] * 255
    assert np.abs(colour(place) - expected).max() <= 1


@pytest.mark.parametrize("anchors", [colours.SPECTRAL, colours.YLORRD])
def test_the_table_of_colours_gives_what_arithmetic_does(anchors):
    edges = np.arange(colours.CELLS + 1) / colours.CELLS
    place = np.concatenate([np.random.default_rng(0).random(100_000), edges, [-1.0, 2.0]])
    place = np.concatenate([place, np.nextafter(edges, -1), np.nextafter(edges, 2)])
    expected = colours._mixed(anchors, place)
    np.testing.assert_array_equal(colours._between(anchors, place), expected)


def test_near_is_red_far_is_blue_invalid_is_black():
    depth = np.array([[2.0, 80.0, np.nan, 5.0]])
    near, far, missing, masked = visualize.depth_to_rgb(
        depth, valid=np.array([[1, 1, 1, 0]], bool)
    )[0].astype(int)
    assert near[0] > near[2] and far[2] > far[0]
    assert missing.max() == masked.max() == 0


def test_depth_range_clips():
    picture = visualize.depth_to_rgb(torch.tensor([[-1.0, 0.0, 1.0, 2.0]]), vmin=0.0, vmax=1.0)
    np.testing.assert_array_equal(picture[:, 0], picture[:, 1])
    np.testing.assert_array_equal(picture[:, 2], picture[:, 3])
    assert np.ptp(visualize.depth_to_rgb(np.full((3, 3), 7.0)), axis=(0, 1)).max() == 0


def test_overlay_tints_the_mask_alone():
    image = np.full((4, 4, 3), 100, np.uint8)
    mask = np.eye(4, dtype=bool)
    picture = visualize.mask_overlay(image, mask, color=(200, 0, 0), opacity=0.5)
    assert (picture[mask] == (150, 50, 50)).all()
    assert (picture[~mask] == 100).all()
    assert (image == 100).all()


def test_montage_places_every_picture():
    red, blue = np.zeros((10, 20, 3), np.uint8), np.zeros((6, 8, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 255
    sheet = visualize.montage([[red, blue], [blue]], gap=2)
    assert sheet.shape == (2 + 2 * 12, 2 + 2 * 22, 3)
    np.testing.assert_array_equal(sheet[2:12, 2:22], red)
    np.testing.assert_array_equal(sheet[2:8, 24:32], blue)
    np.testing.assert_array_equal(sheet[14:20, 2:10], blue)
    assert (sheet[14:, 24:] == 255).all()


def test_montage_titles_are_above_their_columns():
    cell = np.full((10, 60, 3), 128, np.uint8)
    sheet = visualize.montage([[cell, cell]], titles=["", "depth"])
    top = sheet.shape[0] - 14
    assert (sheet[top : top + 10, 4:64] == 128).all()
    assert (sheet[:top, :64] == 255).all()
    assert (sheet[:top, 68:] < 128).any()


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("flow", lambda: visualize.flow_to_rgb(np.zeros((4, 4, 2)))),
        ("max_flow", lambda: visualize.flow_to_rgb(np.zeros((2, 4, 4)), max_flow=0.0)),
        ("depth", lambda: visualize.depth_to_rgb(np.zeros((1, 4, 4)))),
        (
            "mask",
            lambda: visualize.mask_overlay(np.zeros((4, 4, 3), np.uint8), np.ones((4, 5), bool)),
        ),
        (
            "opacity",
            lambda: visualize.mask_overlay(
                np.zeros((4, 4, 3), np.uint8), np.ones((4, 4)), opacity=2.0
            ),
        ),
        ("rows", lambda: visualize.montage([[]])),
        ("titles", lambda: visualize.montage([[np.zeros((4, 4, 3), np.uint8)]], titles=["a", "b"])),
    ],
)
def test_bad_input_is_named(argument, call):
    with pytest.raises(InputError) as error:
        call()
    assert error.value.argument == argument
