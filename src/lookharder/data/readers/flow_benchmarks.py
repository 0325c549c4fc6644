"""Flow benchmarks beside FlyingChairs and KITTI, in the layouts of their publishers.

    sintel       [training/]clean|final/SCENE/frame_NNNN.png  flow/SCENE/frame_NNNN.flo  occlusions/SCENE/frame_NNNN.png
    spring       [train/]SCENE/frame_left/frame_left_NNNN.png  flow_FW_left/flow_FW_left_NNNN.flo5      in pixels of the
                 frame, at twice its size; every second row and column is read, as training code does
    middlebury   other-data/SCENE/frame10.png frame11.png      other-gt-flow/SCENE/flow10.flo

Sources: Butler et al., Sintel (ECCV 2012); Mehl et al., Spring (CVPR 2023); Baker et al., Middlebury (IJCV 2011).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lookharder.data.example import Example
from lookharder.data.formats import read_image, read_mask
from lookharder.data.formats.hdf5 import read_flo5
from lookharder.data.readers.rows import ManifestRow, Rows, list_files, read_row, within
from lookharder.errors import InputError

PASSES = ("clean", "final")


class Sintel:
    """Pairs of the training scenes with exact flow, and where the second frame hides what is seen in the first.

    Args:
        root: the folder `training`, or the one above it.
        rendering: "clean" or "final".
    """

    def __init__(self, root: str | Path, rendering: str = "final") -> None:
        if rendering not in PASSES:
            raise InputError("pass", repr(rendering), " or ".join(PASSES))
        root = within(Path(root), "flow/*", "training", "MPI-Sintel-complete/training")
        self.rows = []
        for flow in list_files(root, "flow/*/frame_*.flo"):
            scene, number = flow.parent.name, flow.stem.removeprefix("frame_")
            frames = root / rendering / scene
            following = f"frame_{int(number) + 1:04d}.png" if number.isdecimal() else flow.stem
            self.rows.append(
                ManifestRow(
                    name=f"{scene}/{flow.stem}",
                    image=frames / f"{flow.stem}.png",
                    second=frames / following,
                    flow=flow,
                )
            )
        self.occlusions = root / "occlusions"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> Example:
        example = read_row(self.rows[index])
        occluded = read_mask(self.occlusions / f"{example.name}.png")
        if occluded.shape != example.image.shape[1:]:
            path = self.occlusions / f"{example.name}.png"
            raise InputError(str(path), f"shape {occluded.shape}", f"{example.image.shape[1:]}")
        return replace(example, occluded=occluded)


class Spring:
    """Pairs of the left camera with flow forward in time, at the size of the frames."""

    def __init__(self, root: str | Path) -> None:
        root = within(Path(root), "*/flow_FW_left", "train", "spring/train")
        self.flows = list_files(root, "*/flow_FW_left/flow_FW_left_*.flo5")

    def __len__(self) -> int:
        return len(self.flows)

    def __getitem__(self, index: int, /) -> Example:
        path = self.flows[index]
        scene, number = path.parents[1], path.stem.removeprefix("flow_FW_left_")
        frames = scene / "frame_left"
        following = f"{int(number) + 1:04d}" if number.isdecimal() else number
        first, second = (
            read_image(frames / f"frame_left_{each}.png") for each in (number, following)
        )
        flow = np.ascontiguousarray(read_flo5(path)[:, ::2, ::2])
        if not flow.shape[1:] == first.shape[1:] == second.shape[1:]:
            got = f"{flow.shape[1:]} beside {first.shape[1:]} and {second.shape[1:]}"
            raise InputError(str(path), got, "flow of twice the height and width of both frames")
        valid = np.isfinite(flow).all(0)
        return Example(
            name=f"{scene.name}/{number}",
            image=first,
            second=second,
            flow=np.where(valid, flow, np.float32(0)),
            flow_valid=valid,
        )


def open_middlebury_flow(root: str | Path) -> Rows:
    """The public pairs, frames 10 and 11 of each scene.

    Raises:
        InputError: no flow there.
    """
    root = Path(root)
    rows = []
    for flow in list_files(root, "other-gt-flow/*/flow10.flo"):
        frames = root / "other-data" / flow.parent.name
        first, second = (frames / f"frame{number}.png" for number in (10, 11))
        rows.append(ManifestRow(name=flow.parent.name, image=first, second=second, flow=flow))
    return Rows(rows, root)
