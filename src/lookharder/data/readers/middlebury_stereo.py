"""Middlebury stereo 2014: rectified pairs with dense disparity, hence flow, and depth.

    NAME_left.png  NAME_right.png  NAME_disp.npz      disparity d in pixels, not finite = unknown
    flow  = (-d, 0)                                   from the left frame to the right one
    depth = focal x baseline / (d + offset)           metres; offset between the principal points

The offset is not small (31 pixels beside disparities of 7 to 60), so 1 / d is NOT depth up to
scale: a pair whose calibration is not listed here has flow and no depth.
Source: Scharstein et al., High-Resolution Stereo Datasets (GCPR 2014), calibration files.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lookharder.data.example import Example
from lookharder.data.formats import read_image, read_npz
from lookharder.data.readers.rows import list_files
from lookharder.errors import InputError


@dataclass(frozen=True, kw_only=True)
class StereoCalibration:
    """A rectified pair: focal length and offset in pixels as stored, baseline in metres."""

    focal: float
    baseline: float
    offset: float


CALIBRATIONS = {
    "motorcycle": StereoCalibration(focal=994.978, baseline=0.193001, offset=31.086),
}


class MiddleburyStereo:
    """Left frame, right frame as the second one, flow, and metric depth where calibrated."""

    def __init__(self, root: str | Path) -> None:
        self.disparities = list_files(Path(root), "*_disp.npz")

    def __len__(self) -> int:
        return len(self.disparities)

    def __getitem__(self, index: int, /) -> Example:
        path = self.disparities[index]
        name = path.name.removesuffix("_disp.npz")
        left = read_image(path.with_name(f"{name}_left.png"))
        right = read_image(path.with_name(f"{name}_right.png"))
        arrays = list(read_npz(path).values())
        if len(arrays) != 1 or arrays[0].shape != left.shape[1:] or right.shape != left.shape:
            got = f"{[array.shape for array in arrays]} beside {left.shape} and {right.shape}"
            raise InputError(str(path), got, "one disparity map of the size of both frames")
        known = np.isfinite(arrays[0]) & (arrays[0] > 0)
        disparity = np.where(known, arrays[0], 0).astype(np.float32)
        flow = np.stack([-disparity, np.zeros_like(disparity)])
        camera = CALIBRATIONS.get(name)
        if camera is None:
            return Example(name=name, image=left, second=right, flow=flow, flow_valid=known)
        depth = camera.focal * camera.baseline / (disparity + camera.offset)
        return Example(
            name=name,
            image=left,
            second=right,
            flow=flow,
            flow_valid=known,
            depth=np.where(known, depth, 0).astype(np.float32),
            depth_valid=known,
        )
