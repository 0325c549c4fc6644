"""Arrays as colours, figures and pages. Nothing here knows a model."""

from lookharder.visualize.colours import (
    amodal_overlay,
    depth_to_rgb,
    flow_to_rgb,
    mask_overlay,
    montage,
    uncertainty_to_rgb,
)

__all__ = [
    "amodal_overlay",
    "depth_to_rgb",
    "flow_to_rgb",
    "mask_overlay",
    "montage",
    "uncertainty_to_rgb",
]
