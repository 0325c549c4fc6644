"""pix2gestalt: objects hidden by a pasted occluder, 256 x 256.

    occlusion/ID_occlusion.png                      the picture
    visible_object_mask/ID_visible_mask.png         what is left of the object
    whole/ID_whole.png                              the whole object, on white
    whole_mask/ID_whole_mask.png                    its mask

Source: Ozguroglu et al., pix2gestalt (CVPR 2024).
"""

from pathlib import Path

from lookharder.data.readers.rows import ManifestRow, Rows, list_files, within


def open_pix2gestalt(root: str | Path) -> Rows:
    """Picture, visible mask, whole mask and whole object of every picture in `root`/occlusion.

    Raises:
        InputError: the folder is missing or empty.
    """
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
    return Rows(rows, root)
