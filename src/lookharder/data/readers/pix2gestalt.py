"""pix2gestalt: objects hidden by a pasted occluder, 256 x 256.

    occlusion/ID_occlusion.png                      the picture
    visible_object_mask/ID_visible_mask.png         what is left of the object
    whole/ID_whole.png                              the whole object, on white
    whole_mask/ID_whole_mask.png                    its mask

The release has no list of splits: its authors train on the first 99 of 100 paths in the order of their names, and
validate on the rest. Source: Ozguroglu et al., pix2gestalt (CVPR 2024).
"""

import math
from pathlib import Path

from lookharder.data.readers.rows import ManifestRow, Rows, list_files, within
from lookharder.errors import InputError

SPLITS = ("all", "train", "val")


def open_pix2gestalt(root: str | Path, split: str = "all") -> Rows:
    """Picture, visible mask, whole mask and whole object of the pictures in `root`/occlusion.

    Args:
        root: the folder of the four folders, or the one above it.
        split: "all", "train", the first 99 % of the sorted paths, or "val", the others.

    Raises:
        InputError: the folder is missing or empty, or no such split.
    """
    if split not in SPLITS:
        raise InputError("split", repr(split), ", ".join(SPLITS))
    root = within(Path(root), "occlusion", "pix2gestalt_occlusions_release", "train", "val")
    rows = []
    for image in list_files(root / "occlusion", "*_occlusion.png"):
        name = image.name.removesuffix("_occlusion.png")
        rows.append(
            ManifestRow(
                name=name,
                image=image,
                visible=root / "visible_object_mask" / f"{name}_visible_mask.png",
                amodal=root / "whole_mask" / f"{name}_whole_mask.png",
                whole=root / "whole" / f"{name}_whole.png",
            )
        )
    first = math.floor(len(rows) / 100.0 * 99.0)  # as the authors' loader computes it
    return Rows({"all": rows, "train": rows[:first], "val": rows[first:]}[split], root)
