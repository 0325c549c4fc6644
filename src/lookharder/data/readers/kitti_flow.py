"""KITTI flow 2015: street scenes, flow measured by laser on about a sixth of the pixels.

    image_2/NNNNNN_10.png  _11.png      the pair
    flow_occ/NNNNNN_10.png              flow and validity, also of points hidden in the second frame

Source: Menze and Geiger, Object Scene Flow for Autonomous Vehicles (CVPR 2015).
"""

from pathlib import Path

from lookharder.data.readers.rows import ManifestRow, Rows, list_files, within


def open_kitti_flow(root: str | Path) -> Rows:
    """Pairs and flow under `root`, which is the set's folder `training` or holds it.

    Raises:
        InputError: the folder flow_occ is missing or empty.
    """
    root = within(Path(root), "flow_occ", "training")
    rows = []
    for flow in list_files(root / "flow_occ", "*_10.png"):
        name = flow.name.removesuffix("_10.png")
        first, second = (root / "image_2" / f"{name}_{frame}.png" for frame in (10, 11))
        rows.append(ManifestRow(name=name, image=first, second=second, flow=flow))
    return Rows(rows, root)
