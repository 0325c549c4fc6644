"""Photos with sensor or rendered depth beside them, as 16-bit PNG: one row for each set.

    kitti_depth   NAME.png        NAME_sparse_depth.png    laser points, valid inside (1e-5, 80) m
    livingroom    NAME.jpg        NAME_depth.png           rendered, dense
    tum_rgbd      NAME_color.png  NAME_depth.png           Kinect; 0 where it saw nothing

Sources: Uhrig et al. (3DV 2017); Choi et al., Augmented ICL-NUIM (CVPR 2015); Sturm et al., TUM
RGB-D (IROS 2012).
"""

from pathlib import Path

from lookharder.data.readers.rows import SPLITS, ManifestRow, Rows, list_files, within


def _pairs(
    root: str | Path, photo: str, depth: str, scale: float, farthest: float = float("inf")
) -> Rows:
    rows = []
    for measured in list_files(within(Path(root), f"*{depth}", *SPLITS), f"*{depth}"):
        name = measured.name.removesuffix(depth)
        rows.append(
            ManifestRow(
                name=name,
                image=measured.with_name(name + photo),
                depth=measured,
                depth_scale=scale,
                depth_min=1e-5,
                depth_max=farthest,
            )
        )
    return Rows(rows, root)


def open_kitti_depth(root: str | Path) -> Rows:
    """Street photos with projected laser points, stored / 256 = metres."""
    return _pairs(root, ".png", "_sparse_depth.png", 256.0, farthest=80.0)


def open_livingroom(root: str | Path) -> Rows:
    """Rendered frames of the ICL-NUIM living room with exact depth in millimetres."""
    return _pairs(root, ".jpg", "_depth.png", 1000.0)


def open_tum_rgbd(root: str | Path) -> Rows:
    """Photos with Kinect depth, stored / 5000 = metres."""
    return _pairs(root, "_color.png", "_depth.png", 5000.0)
