"""Hypersim in the layout of Marigold: PNG pairs under a root, named line by line in a list.

    filename_list.txt    "ai_001_010/rgb_cam_00_fr0000.png ai_001_010/depth_plane_cam_00_fr0000.png"

Depth is planar (along the optical axis), 16-bit millimetres, valid inside (1e-5, 65) m.
Source: Roberts et al., Hypersim (ICCV 2021); Ke et al., Marigold (CVPR 2024), its data scripts.
"""

from pathlib import Path

from lookharder.data.formats.guard import opened
from lookharder.data.readers.rows import Row, Rows
from lookharder.errors import InputError


def open_hypersim(root: str | Path, listing: str = "filename_list.txt") -> Rows:
    """RGB and depth of the pairs listed in `root`/`listing`.

    Raises:
        InputError: the list is missing, empty or not made of pairs.
    """
    root = Path(root)
    with opened(root / listing) as handle:
        lines = handle.read().decode(errors="replace").splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        names = line.split()
        if not names:
            continue
        if len(names) < 2:
            raise InputError(f"{root / listing}, line {number}", repr(line), "'RGB DEPTH'")
        image, depth = names[:2]
        rows.append(
            Row(
                name=image.removesuffix(".png"),
                image=root / image,
                depth=root / depth,
                depth_scale=1000.0,
                depth_min=1e-5,
                depth_max=65.0,
            )
        )
    return Rows(rows, root / listing)
