"""One example beside what was predicted for it, as captioned pictures, truth and prediction in one scale of colours.

    depth     input, truth, prediction aligned to the truth as it is scored
    flow      first frame, second frame, truth, prediction
    amodal    given part, truth, prediction, whole truth, whole prediction

A prediction comes as it is scored, (C, H, W), with what the network painted, (H, W, 3) uint8.
"""

import numpy as np

from lookharder.data.example import Example
from lookharder.metrics.depth import align_affine
from lookharder.visualize.colours import (
    GIVEN,
    amodal_overlay,
    depth_to_rgb,
    flow_to_rgb,
    mask_overlay,
)

Cells = list[tuple[str, np.ndarray]]  # caption, (H, W, 3) uint8


def depth_panel(example: Example, values: np.ndarray, painting: np.ndarray) -> Cells:
    """The prediction aligned as it is scored, in the colours of the truth."""
    depth, valid = _known(example.depth), _known(example.depth_valid)
    low, high = np.quantile(depth[valid], (0.02, 0.98))
    aligned, _, _ = align_affine(values[0], depth, valid)
    return [
        ("input", _rgb(example.image)),
        ("truth: red is near, blue is far", depth_to_rgb(depth, low, high, valid)),
        ("prediction: aligned to the truth", depth_to_rgb(np.asarray(aligned), low, high)),
    ]


def flow_panel(example: Example, values: np.ndarray, painting: np.ndarray) -> Cells:
    """Both fields in one scale of colours, that of the truth."""
    truth = np.where(_known(example.flow_valid), _known(example.flow), np.nan)
    longest = max(float(np.nanmax(np.hypot(*truth))), 1e-3)
    return [
        ("first frame", _rgb(example.image)),
        ("second frame", _rgb(_known(example.second))),
        (f"truth: longest {longest:.1f} px", flow_to_rgb(truth, longest)),
        ("prediction", flow_to_rgb(values, longest)),
    ]


def amodal_panel(example: Example, values: np.ndarray, painting: np.ndarray) -> Cells:
    """Masks over the picture, and the whole object as it is and as it was painted."""
    visible, image = _known(example.visible), example.image
    whole = np.full_like(image, 255) if example.whole is None else example.whole
    return [
        ("input: given part in blue", mask_overlay(_rgb(image), visible, GIVEN)),
        ("truth: hidden part in red", amodal_overlay(image, visible, _known(example.amodal))),
        ("prediction", amodal_overlay(image, visible, values[0].astype(bool))),
        ("whole truth", _rgb(whole)),
        ("whole prediction", painting),
    ]


def _known(array: np.ndarray | None) -> np.ndarray:
    assert array is not None, "scored before it is shown, so annotated"
    return array


def _rgb(image: np.ndarray) -> np.ndarray:
    """(3, H, W) -> (H, W, 3)."""
    return np.moveaxis(image, 0, -1)
