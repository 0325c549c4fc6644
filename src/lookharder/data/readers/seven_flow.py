"""Hand-held pairs of 7-Scenes (Shotton et al., CVPR 2013), 320 x 240, with flow from depth and camera pose.

    NNNNN_GG_img1.jpg  _img2.jpg        the pair, GG frames apart
    NNNNN_GG_flow.png                   flow and validity, in KITTI's units

The scene is rigid: flow is exact up to the sensor's noise and a small offset between depth and colour.
"""

from pathlib import Path

from lookharder.data.readers.rows import SPLITS, ManifestRow, Rows, list_files, within


def open_seven_flow(root: str | Path) -> Rows:
    """Pairs and flow in the folder `root`.

    Raises:
        InputError: the folder is missing, or holds no flow.
    """
    rows = []
    for flow in list_files(within(Path(root), "*_flow.png", *SPLITS), "*_flow.png"):
        name = flow.name.removesuffix("_flow.png")
        first, second = (flow.with_name(f"{name}_img{frame}.jpg") for frame in (1, 2))
        rows.append(ManifestRow(name=name, image=first, second=second, flow=flow))
    return Rows(rows, root)
